//! Sampling: codes of a whole song from the priors of all levels, the top first, window by window.
//!
//! Randomness is a function of (seed, song, level, position), so what was sampled is all there is to save, and songs
//! beside each other change nothing.
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::decode::{Cache, Given, Stepper};
use crate::model::random::Random;
use crate::model::weights::WeightsError;

/// How codes are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// Logits are divided by this; at 0 the most likely code is taken.
    pub temperature: f64,
    /// Only the most likely codes that make up this share are drawn from (Holtzman et al. 2020).
    pub top_p: f64,
    /// The share of a window that it has in common with the one before it.
    pub overlap: f64,
}

/// One song to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Song {
    /// Its genre's name; none leaves it to the priors.
    pub genre: Option<String>,
    /// Frames of audio.
    pub frames: u64,
    /// Its own seed.
    pub seed: [u8; 32],
}

/// What was sampled of a song so far: codes of each level, the bottom first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sampled {
    /// `levels[0]` is the bottom.
    pub levels: Vec<Vec<u16>>,
}

/// What one window of every song added to the codes of a level: all there is to save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The level, 0 at the bottom.
    pub level: u32,
    /// Of each song: how many codes it had there, and those that came.
    pub added: Vec<(u64, Vec<u16>)>,
}

impl Round {
    /// What came to a level since the songs had `before` codes there.
    fn since(level: usize, before: &[usize], sampled: &[Sampled]) -> Round {
        let added = |(from, song): (&usize, &Sampled)| (*from as u64, song.levels[level][*from..].to_vec());
        Round { level: level as u32, added: before.iter().zip(sampled).map(added).collect() }
    }

    /// Adds it to what there is; false, and nothing is added, where it does not go on from there.
    pub fn add(&self, sampled: &mut [Sampled]) -> bool {
        let level = self.level as usize;
        let goes_on = self.added.len() == sampled.len()
            && self
                .added
                .iter()
                .zip(&*sampled)
                .all(|((from, _), song)| song.levels.get(level).is_some_and(|codes| codes.len() as u64 == *from));
        if goes_on {
            for (song, (_, codes)) in sampled.iter_mut().zip(&self.added) {
                song.levels[level].extend_from_slice(codes);
            }
        }
        goes_on
    }
}

/// Why a song cannot be sampled.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// Tensors or codes that do not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The priors do not belong together.
    #[error("{0}")]
    Priors(String),
    /// Whoever follows asked to stop.
    #[error("stopped")]
    Stopped,
}

/// The priors of all levels of a codec.
pub struct Sampler {
    /// The bottom first.
    levels: Vec<Stepper>,
    align: u64,
}

impl Sampler {
    /// Takes one prior for each level of a codec, in any order.
    ///
    /// # Errors
    /// A level without a prior or with several, or priors of different codecs.
    pub fn new(priors: &[super::config::Prior]) -> Result<Self, SampleError> {
        let complain = |text: String| Err(SampleError::Priors(text));
        let Some(first) = priors.first() else { return complain("there is no prior".into()) };
        let levels = first.config().hops.len();
        if let Some(other) = priors.iter().find(|p| p.config().codec != first.config().codec) {
            return complain(format!(
                "the priors of levels {} and {} were trained on codes of different codecs",
                first.config().level,
                other.config().level
            ));
        }
        let mut own = Vec::new();
        for level in 0..levels {
            let mut of = priors.iter().filter(|p| p.config().level == level);
            match (of.next(), of.next()) {
                (Some(prior), None) => own.push(Stepper::new(prior)?),
                (None, _) => return complain(format!("there is no prior of level {level}")),
                (_, Some(_)) => return complain(format!("there are several priors of level {level}")),
            }
        }
        let align = u64::from(first.config().hops.iter().copied().max().unwrap_or(1));
        Ok(Self { levels: own, align })
    }

    /// Genres that every prior knows, sorted.
    pub fn genres(&self) -> Vec<String> {
        let Some(first) = self.levels.first() else { return Vec::new() };
        let known = |genre: &&String| self.levels.iter().all(|l| l.config().genre(Some(genre)) > 0);
        first.config().genres.iter().filter(known).cloned().collect()
    }

    /// Codes of `frames` frames at a level.
    pub fn codes(&self, level: usize, frames: u64) -> usize {
        let hop = u64::from(self.levels[level].config().hops[level]);
        (frames.next_multiple_of(self.align) / hop) as usize
    }

    /// Nothing sampled yet of a number of songs.
    pub fn silence(&self, songs: usize) -> Vec<Sampled> {
        vec![Sampled { levels: vec![Vec::new(); self.levels.len()] }; songs]
    }

    /// Samples the songs side by side, each window of all of them before the next. `sampled` is what there is already, of
    /// an interrupted run: [`Sampler::silence`] and the rounds of that run. Every further round is added to it and handed
    /// to `saved`.
    ///
    /// # Errors
    /// Codes in `sampled` that are not the codec's, and whatever `saved` fails with.
    pub fn sample<E: From<SampleError>>(
        &self,
        songs: &[Song],
        draw: Draw,
        sampled: &mut [Sampled],
        saved: &mut dyn FnMut(&Round) -> Result<(), E>,
    ) -> Result<(), E> {
        for level in (0..self.levels.len()).rev() {
            let mut caches: Vec<Cache> = songs.iter().map(|_| self.levels[level].cache()).collect();
            let unfinished = |songs: &[Song], sampled: &[Sampled]| {
                songs.iter().zip(sampled).any(|(song, s)| s.levels[level].len() < self.codes(level, song.frames))
            };
            while unfinished(songs, sampled) {
                let before: Vec<usize> = sampled.iter().map(|song| song.levels[level].len()).collect();
                let work: Vec<_> = songs.iter().zip(sampled.iter_mut()).zip(&mut caches).collect();
                let done: Result<Vec<()>, WeightsError> = work
                    .into_par_iter()
                    .map(|((song, sampled), cache)| self.window(level, song, draw, sampled, cache))
                    .collect();
                done.map_err(SampleError::from)?;
                saved(&Round::since(level, &before, sampled))?;
            }
        }
        Ok(())
    }

    /// Adds the next window's codes to a song.
    fn window(
        &self,
        level: usize,
        song: &Song,
        draw: Draw,
        sampled: &mut Sampled,
        cache: &mut Cache,
    ) -> Result<(), WeightsError> {
        let stepper = &self.levels[level];
        let config = stepper.config();
        let total = self.codes(level, song.frames);
        let ratio = config.upper.as_ref().map_or(1, |u| u.ratio);
        let (own, above) = sampled.levels.split_at_mut(level + 1);
        let codes = &mut own[level];
        if codes.len() >= total {
            return Ok(());
        }
        // A window begins so far before what is new; a multiple of the ratio, as in training.
        let common = ((config.context as f64 * draw.overlap) as usize).min(config.context - ratio) / ratio * ratio;
        let first = codes.len().saturating_sub(common) / ratio * ratio;
        let last = total.min(first + config.context);
        let condition = match above.first() {
            Some(upper) => {
                let from = (first / ratio).min(upper.len());
                stepper.condition(&upper[from..upper.len().min(from + config.context / ratio)])?
            }
            None => Vec::new(),
        };
        cache.clear();
        let mut logits = Vec::new();
        let genre = config.genre(song.genre.as_deref());
        for at in first..last {
            let given = if at == first { Given::Genre(genre) } else { Given::Code(codes[at - 1]) };
            let row = condition.get((at - first) * config.width..(at - first + 1) * config.width).unwrap_or_default();
            if at < codes.len() {
                stepper.step(given, row, cache, None);
            } else {
                stepper.step(given, row, cache, Some(&mut logits));
                let mut random = Random::new(&song.seed, &format!("code {level}"), at as u64);
                codes.push(pick(&logits, draw, random.uniform()));
            }
        }
        Ok(())
    }
}

/// Draws a code; `uniform` in [0, 1) decides.
fn pick(logits: &[f32], draw: Draw, uniform: f64) -> u16 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let first = logits.iter().position(|l| *l == most).unwrap_or(0);
    if draw.temperature <= 0.0 {
        return first as u16;
    }
    let mut shares: Vec<(f64, u16)> = logits
        .iter()
        .enumerate()
        .map(|(code, l)| (libm::exp(f64::from(l - most) / draw.temperature), code as u16))
        .collect();
    // The most likely first; of equals the lower code.
    shares.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let total: f64 = shares.iter().map(|(share, _)| share).sum();
    let (mut kept, mut sum) = (0, 0.0);
    while kept < shares.len() && (kept == 0 || sum < draw.top_p * total) {
        sum += shares[kept].0;
        kept += 1;
    }
    let (target, mut reached) = (uniform * sum, 0.0);
    for (share, code) in &shares[..kept] {
        reached += share;
        if target < reached {
            return *code;
        }
    }
    shares[kept - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_drawn_from_the_nucleus() {
        let logits = [0.0, 2.0, 1.0, -3.0];
        let draw = |temperature, top_p| Draw { temperature, top_p, overlap: 0.5 };
        assert_eq!(pick(&logits, draw(0.0, 1.0), 0.99), 1);
        // The most likely code alone makes up 65 %.
        assert!((0..100).all(|i| pick(&logits, draw(1.0, 0.6), f64::from(i) / 100.0) == 1));
        let drawn = |draw: Draw| {
            (0..10_000).fold([0; 4], |mut n, i| {
                n[usize::from(pick(&logits, draw, (f64::from(i) + 0.5) / 10_000.0))] += 1;
                n
            })
        };
        let all = drawn(draw(1.0, 1.0));
        let sum: f64 = logits.iter().map(|l: &f32| libm::exp(f64::from(*l))).sum();
        for (n, l) in all.iter().zip(logits) {
            assert!((f64::from(*n) - 1e4 * libm::exp(f64::from(l)) / sum).abs() <= 1.0, "{all:?}");
        }
        assert_eq!(drawn(draw(1.0, 0.9))[3], 0);
        assert!(drawn(draw(0.5, 1.0))[1] > all[1] && drawn(draw(2.0, 1.0))[1] < all[1]);
    }
}
