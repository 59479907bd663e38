//! The priors that are measured, and codes for them.

use stages::model::device::Precision;
use stages::model::prior::config::{PriorConfig, Upper};
use stages::model::prior::fit::{PriorSettings, Tokens};

/// Random codes of a level and the one above it.
pub(crate) struct Noise {
    own: Vec<u16>,
    upper: Vec<u16>,
}

impl Noise {
    fn new(codes: usize, ratio: usize, own: u32, upper: u32) -> Noise {
        let mut state = 7u32;
        let mut draw = |n: usize, below: u32| -> Vec<u16> {
            (0..n)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((state >> 8) % below) as u16
                })
                .collect()
        };
        Noise { own: draw(codes, own), upper: draw(codes / ratio, upper) }
    }
}

impl Tokens for Noise {
    fn clips(&self) -> usize {
        1
    }
    fn codes(&self, _: usize) -> u64 {
        self.own.len() as u64
    }
    fn genre(&self, _: usize) -> Option<&str> {
        None
    }
    fn read(&self, _: usize, first: u64, out: &mut [u16]) -> Result<(), String> {
        out.copy_from_slice(&self.own[first as usize..][..out.len()]);
        Ok(())
    }
    fn read_upper(&self, _: usize, first: u64, out: &mut [u16]) -> Result<usize, String> {
        let there = self.upper.len().saturating_sub(first as usize).min(out.len());
        out[..there].copy_from_slice(&self.upper[first as usize..][..there]);
        Ok(there)
    }
}

/// Codes for a prior.
pub(crate) fn codes(config: &PriorConfig) -> Noise {
    let above = config.upper.as_ref().map_or(1, |u| u.codewords as u32);
    Noise::new(1 << 16, 4, config.vocabulary() as u32, above)
}

/// The settings of one of the priors by its name.
pub(crate) fn settings(name: &str, steps: u64) -> Option<PriorSettings> {
    let level = ["bottom", "middle", "top", "large"].iter().position(|known| *known == name)?;
    let (large, level) = (level == 3, level.min(2));
    let codewords = [512, 1024, 2048];
    let upper = (level < 2).then(|| Upper { codewords: codewords[level + 1] as usize, ratio: 4, depth: 2 });
    let (width, depth, heads, context) = if large { (256, 6, 8, 512) } else { (128, 2, 4, 256) };
    let config = PriorConfig {
        level,
        width,
        depth,
        heads,
        attention: width,
        hidden: 4 * width,
        context,
        distances: context,
        positions: 0,
        upper,
        genres: Vec::new(),
        codec: String::new(),
        rate: 44_100,
        hops: vec![8, 32, 128],
        codewords: codewords.to_vec(),
    };
    Some(PriorSettings {
        corruption: 0.0,
        config,
        steps,
        batch: if large { 4 } else { 8 },
        micro_batch: if large { 4 } else { 8 },
        precision: Precision::F32,
        learning_rate: 3e-4,
        warmup: 10,
        final_rate: 0.1,
        weight_decay: 0.002,
        clip: 1.0,
    })
}
