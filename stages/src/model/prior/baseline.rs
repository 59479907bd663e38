//! What a prior is measured against: how often codes stand, and how often they follow each other.
use std::collections::BTreeMap;

use super::window::Tokens;

/// Codes read at a time.
const CHUNK: usize = 1 << 14;

/// Counts of codes and of pairs of neighbours. Their add-one estimates (Laplace's rule) are the unigram and the bigram.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    single: Vec<u64>,
    total: u64,
    pairs: BTreeMap<(u16, u16), u64>,
    before: Vec<u64>,
}

impl Counts {
    /// Counts the codes of all clips.
    ///
    /// Errors: codes that cannot be read, or that the codebook does not have.
    pub fn of(tokens: &dyn Tokens, codewords: usize) -> Result<Self, String> {
        let mut counts =
            Self { single: vec![0; codewords], total: 0, pairs: BTreeMap::new(), before: vec![0; codewords] };
        each(tokens, |previous, code| {
            let at = counts.single.get_mut(usize::from(code)).ok_or_else(|| format!("code {code} of {codewords}"))?;
            *at += 1;
            counts.total += 1;
            if let Some(previous) = previous {
                *counts.pairs.entry((previous, code)).or_default() += 1;
                counts.before[usize::from(previous)] += 1;
            }
            Ok(())
        })?;
        Ok(counts)
    }

    /// Bits that the unigram needs for a code.
    pub fn unigram(&self, code: u16) -> f64 {
        let count = self.single.get(usize::from(code)).copied().unwrap_or(0);
        -libm::log2((count + 1) as f64 / (self.total + self.single.len() as u64) as f64)
    }

    /// Bits that the bigram needs for a code after another; at a clip's start it is the unigram.
    pub fn bigram(&self, previous: Option<u16>, code: u16) -> f64 {
        let Some(previous) = previous else { return self.unigram(code) };
        let count = self.pairs.get(&(previous, code)).copied().unwrap_or(0);
        let before = self.before.get(usize::from(previous)).copied().unwrap_or(0);
        -libm::log2((count + 1) as f64 / (before + self.single.len() as u64) as f64)
    }

    /// Mean bits per code of unigram and bigram over all clips; none without codes.
    ///
    /// Errors: codes that cannot be read.
    pub fn bits(&self, tokens: &dyn Tokens) -> Result<Option<[f64; 2]>, String> {
        let (mut sums, mut codes) = ([0.0; 2], 0u64);
        each(tokens, |previous, code| {
            sums[0] += self.unigram(code);
            sums[1] += self.bigram(previous, code);
            codes += 1;
            Ok(())
        })?;
        Ok((codes > 0).then(|| sums.map(|sum| sum / codes as f64)))
    }
}

/// Every code of every clip with the one before it.
fn each(tokens: &dyn Tokens, mut take: impl FnMut(Option<u16>, u16) -> Result<(), String>) -> Result<(), String> {
    let mut chunk = vec![0; CHUNK];
    for clip in 0..tokens.clips() {
        let (mut previous, codes) = (None, tokens.codes(clip));
        for first in (0..codes).step_by(CHUNK) {
            let part = &mut chunk[..(codes - first).min(CHUNK as u64) as usize];
            tokens.read(clip, first, part)?;
            for code in part {
                take(previous, *code)?;
                previous = Some(*code);
            }
        }
    }
    Ok(())
}
