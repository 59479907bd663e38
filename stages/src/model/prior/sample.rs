//! Sampling: codes of a whole song from the priors of all levels, the top first, window by window.
//!
//! Randomness is a function of (seed, song, level, position), so what was sampled is all there is to save, and songs
//! beside each other change nothing.
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::decode::{Cache, Given, Room, Stepper};
use super::pick::Picker;
use crate::model::random::Random;
use crate::model::weights::WeightsError;

pub use super::pick::Draw;

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

    /// Whether all these codes of a level are the codec's.
    pub fn has(&self, level: u32, codes: &[u16]) -> bool {
        let words = self.levels.get(level as usize).map_or(0, |level| level.config().vocabulary());
        codes.iter().all(|code| usize::from(*code) < words)
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
    /// Codes in `sampled` that are not the codec's, a network that overflows, and whatever `saved` fails with.
    pub fn sample<E: From<SampleError>>(
        &self,
        songs: &[Song],
        draw: Draw,
        sampled: &mut [Sampled],
        saved: &mut dyn FnMut(&Round) -> Result<(), E>,
    ) -> Result<(), E> {
        for level in (0..self.levels.len()).rev() {
            let stepper = &self.levels[level];
            let mut caches: Vec<Cache> = songs.iter().map(|_| stepper.cache()).collect();
            let unfinished = |songs: &[Song], sampled: &[Sampled]| {
                songs.iter().zip(sampled).any(|(song, s)| s.levels[level].len() < self.codes(level, song.frames))
            };
            while unfinished(songs, sampled) {
                let before: Vec<usize> = sampled.iter().map(|song| song.levels[level].len()).collect();
                // Songs share the pass over the weights, and the threads the songs.
                let together = songs.len().div_ceil(rayon::current_num_threads());
                let windows = songs.par_iter().zip(sampled.par_iter_mut()).zip(caches.par_iter_mut());
                let done: Result<Vec<()>, WeightsError> = windows
                    .chunks(together)
                    .map(|songs| {
                        let begin = |((song, sampled), cache)| self.window(level, song, draw, sampled, cache);
                        let windows: Result<Vec<_>, _> = songs.into_iter().map(begin).collect();
                        finish(stepper, draw, &mut windows?.into_iter().flatten().collect::<Vec<_>>())
                    })
                    .collect();
                done.map_err(SampleError::from)?;
                saved(&Round::since(level, &before, sampled))?;
            }
        }
        Ok(())
    }

    /// The next window of a song, unless it is finished.
    fn window<'a>(
        &self,
        level: usize,
        song: &'a Song,
        draw: Draw,
        sampled: &'a mut Sampled,
        cache: &'a mut Cache,
    ) -> Result<Option<Window<'a>>, WeightsError> {
        let stepper = &self.levels[level];
        let config = stepper.config();
        let total = self.codes(level, song.frames);
        let ratio = config.upper.as_ref().map_or(1, |u| u.ratio);
        let (own, above) = sampled.levels.split_at_mut(level + 1);
        let codes = &mut own[level];
        if codes.len() >= total {
            return Ok(None);
        }
        // A window begins so far before what is new; a multiple of the ratio, as in training.
        let common = ((config.context as f64 * draw.overlap) as usize).min(config.context - ratio) / ratio * ratio;
        let first = codes.len().saturating_sub(common) / ratio * ratio;
        let last = total.min(first + config.context);
        let upper = above.first().map(Vec::as_slice).unwrap_or_default();
        let from = (first / ratio).min(upper.len());
        let upper = &upper[from..upper.len().min(from + config.context / ratio)];
        let condition = stepper.condition(upper, first as u64)?;
        cache.clear();
        let genre = config.genre(song.genre.as_deref());
        Ok(Some(Window { first, last, genre, condition, codes, cache, dice: Dice::new(song.seed, level) }))
    }
}

/// A window of a song under way.
struct Window<'a> {
    first: usize,
    last: usize,
    genre: usize,
    /// What the level above and their places add, `[positions, width]`.
    condition: Vec<f32>,
    codes: &'a mut Vec<u16>,
    cache: &'a mut Cache,
    dice: Dice,
}

impl Window<'_> {
    /// What a position is given.
    fn given(&self, at: usize) -> Given {
        if at == self.first { Given::Genre(self.genre) } else { Given::Code(self.codes[at - 1]) }
    }
}

/// Numbers that are a function of (seed, level, position).
struct Dice {
    seed: [u8; 32],
    purpose: String,
    block: u64,
    numbers: [f64; Dice::BLOCK as usize],
}

impl Dice {
    /// Positions that share a stream of random bits.
    const BLOCK: u64 = 64;

    fn new(seed: [u8; 32], level: usize) -> Self {
        Self { seed, purpose: format!("code {level}"), block: u64::MAX, numbers: [0.0; Dice::BLOCK as usize] }
    }

    fn at(&mut self, position: u64) -> f64 {
        if self.block != position / Dice::BLOCK {
            self.block = position / Dice::BLOCK;
            let mut random = Random::new(&self.seed, &self.purpose, self.block);
            self.numbers.iter_mut().for_each(|n| *n = random.uniform());
        }
        self.numbers[(position % Dice::BLOCK) as usize]
    }
}

/// Samples the new codes of several windows, side by side.
fn finish(stepper: &Stepper, draw: Draw, windows: &mut [Window<'_>]) -> Result<(), WeightsError> {
    let width = stepper.config().width;
    let sound = |finite: bool| match finite {
        true => Ok(()),
        false => Err(WeightsError::Overflow(format!(
            "the prior of level {} gives numbers that are not finite",
            stepper.config().level
        ))),
    };
    let mut room = Room::default();
    for window in windows.iter_mut() {
        let known: Vec<Given> = (window.first..window.codes.len()).map(|at| window.given(at)).collect();
        stepper.catch_up(&known, &window.condition, window.cache, &mut room);
    }
    let (mut chosen, mut picker) = (Vec::new(), Picker::default());
    loop {
        let mut live: Vec<&mut Window<'_>> = windows.iter_mut().filter(|w| w.codes.len() < w.last).collect();
        sound(!room.overflow())?;
        if live.is_empty() {
            return Ok(());
        }
        let mut next: Vec<_> = live
            .iter_mut()
            .map(|w| {
                let at = w.codes.len();
                let given = w.given(at);
                let row = w.condition.get((at - w.first) * width..(at - w.first + 1) * width).unwrap_or_default();
                (given, row, &mut *w.cache, w.dice.at(at as u64))
            })
            .collect();
        let uniform: Vec<f64> = next.iter().map(|(.., uniform)| *uniform).collect();
        let mut next: Vec<_> = next.iter_mut().map(|(given, row, cache, _)| (*given, *row, &mut **cache)).collect();
        chosen.clear();
        stepper.next(&mut next, &mut room, |i, logits| chosen.push(picker.pick(logits, draw, uniform[i])));
        for (window, code) in live.iter_mut().zip(&chosen) {
            sound(code.is_some())?;
            window.codes.extend(*code);
        }
    }
}
