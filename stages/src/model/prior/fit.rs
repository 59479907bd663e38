//! Training of a prior.
//!
//! All randomness is a function of (seed, level, step), so a checkpoint needs no generator's state, and a run that goes on
//! from one ends with the bytes of a run that was never stopped.
use std::io;

use burn_flex::Flex;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::baseline::Counts;
use super::checkpoint::{self, State};
use super::config::{Prior, PriorConfig};
use super::network::{self, Network};
use super::step;
use super::window::{Windows, cover, draw};
use crate::model::adam::Adam;
use crate::model::random::Random;
use crate::model::weights::WeightsError;

pub use super::window::Tokens;

/// Gradients that are summed at a time.
const PIECE: usize = 1 << 12;

/// Everything on which the outcome of training depends besides the codes and the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorSettings {
    /// The network.
    pub config: PriorConfig,
    /// Training steps.
    pub steps: u64,
    /// Windows in a batch.
    pub batch: usize,
    /// AdamW's learning rate.
    pub learning_rate: f64,
    /// Steps over which the rate rises to its value on a straight line; afterwards it falls by half a cosine.
    pub warmup: u64,
    /// The share of the rate that is left at the end.
    pub final_rate: f64,
    /// What each step takes off a weight, times the rate (Loshchilov and Hutter 2019).
    pub weight_decay: f64,
    /// The norm of all gradients together is scaled down to this.
    pub clip: f64,
}

/// What one training step measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PriorRecord {
    /// The step, from 0.
    pub step: u64,
    /// Bits per code of the batch.
    pub bits: f64,
    /// Norm of all gradients together, before it is scaled down.
    pub norm: f64,
}

/// What follows the training: its records, its checkpoints and the wish to stop it.
pub trait PriorSink {
    /// After every step.
    fn step(&mut self, record: &PriorRecord);
    /// Whether a checkpoint is due. Clocks live outside of training.
    fn due(&mut self) -> bool;
    /// Takes a checkpoint made after `step` steps.
    ///
    /// Errors: it cannot be kept.
    fn checkpoint(&mut self, step: u64, bytes: &[u8]) -> io::Result<()>;
    /// Whether to stop.
    fn stop(&mut self) -> bool;
}

/// Why training ended without a prior.
#[derive(Debug, thiserror::Error)]
pub enum PriorError {
    /// A setting makes no sense.
    #[error("{0}")]
    Settings(String),
    /// The network or its weights make no sense.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// There is nothing to learn from.
    #[error("no codes to train on")]
    Empty,
    /// Codes cannot be read.
    #[error("codes cannot be read: {0}")]
    Tokens(String),
    /// The loss is not a number any more.
    #[error("training diverged at step {0}: lower the learning rate")]
    Diverged(u64),
    /// A checkpoint is not of this training.
    #[error("the checkpoint cannot be resumed: {0}")]
    Checkpoint(String),
    /// A checkpoint cannot be kept.
    #[error("a checkpoint cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The sink asked to stop.
    #[error("stopped after {0} steps")]
    Stopped(u64),
    /// Training needs more memory than there is.
    #[error("training needs about {} MB, {} MB are there; {remedy}", needed >> 20, limit >> 20)]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes available.
        limit: u64,
        /// What would fit.
        remedy: String,
    },
}

impl PriorSettings {
    /// Checks every number.
    ///
    /// # Errors
    /// The first that makes no sense.
    pub fn validate(&self) -> Result<(), PriorError> {
        self.config.validate()?;
        let complain = |text: String| Err(PriorError::Settings(text));
        if self.steps == 0 || self.batch == 0 {
            return complain(format!("{} steps with a batch of {}", self.steps, self.batch));
        }
        if !(0.0..=1.0).contains(&self.final_rate) {
            return complain(format!("final_rate is {}, expected 0 to 1", self.final_rate));
        }
        let sizes = [("learning_rate", self.learning_rate), ("weight_decay", self.weight_decay), ("clip", self.clip)];
        if let Some((name, value)) = sizes.iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
            return complain(format!("{name} is {value}, expected a number that is not negative"));
        }
        Ok(())
    }

    /// The learning rate at a step.
    fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.learning_rate * (step + 1) as f64 / self.warmup as f64;
        }
        let done = (step - self.warmup) as f64 / self.steps.saturating_sub(self.warmup).max(1) as f64;
        let fall = 0.5 + 0.5 * libm::cos(std::f64::consts::PI * done);
        self.learning_rate * (self.final_rate + (1.0 - self.final_rate) * fall)
    }
}

/// Trains a prior. `resume` is a checkpoint of the same settings, seed and codes. The result is a function of settings,
/// seed and codes: neither the number of threads nor interruptions change a bit.
///
/// # Errors
/// See [`PriorError`].
pub fn fit(
    settings: &PriorSettings,
    seed: [u8; 32],
    tokens: &dyn Tokens,
    resume: Option<&[u8]>,
    sink: &mut dyn PriorSink,
) -> Result<Prior, PriorError> {
    settings.validate()?;
    let config = &settings.config;
    let mut total = 0;
    let ends: Vec<u64> = (0..tokens.clips())
        .map(|clip| {
            total += tokens.codes(clip);
            total
        })
        .collect();
    if total == 0 {
        return Err(PriorError::Empty);
    }
    let parameters = network::start(config, &seed);
    let mut state = State { step: 0, adam: Adam::new(&parameters), parameters };
    let identity = identity(settings, &seed, &ends);
    if let Some(bytes) = resume {
        state = checkpoint::read(bytes, &identity, &state)?;
    }
    while state.step < settings.steps {
        let mut random = Random::new(&seed, &format!("windows {}", config.level), state.step);
        let places = draw(config, tokens, &ends, settings.batch, &mut random);
        let windows = Windows::read(config, tokens, &places).map_err(PriorError::Tokens)?;
        let (surprise, mut gradients) = step::gradients(config, &state.parameters, &windows)?;
        let square = |g: &[f32]| g.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>();
        // Piece by piece in parallel, the pieces in order.
        let squares: Vec<f64> = gradients.par_iter().flat_map(|g| g.par_chunks(PIECE).map(square)).collect();
        let norm = squares.iter().sum::<f64>().sqrt();
        let bits = surprise.nats / surprise.codes.max(1) as f64 / std::f64::consts::LN_2;
        if !(bits + norm).is_finite() {
            return Err(PriorError::Diverged(state.step));
        }
        if settings.clip > 0.0 && norm > settings.clip {
            let scale = (settings.clip / norm) as f32;
            gradients.par_iter_mut().for_each(|g| g.iter_mut().for_each(|g| *g *= scale));
        }
        let rate = settings.rate(state.step);
        state.adam.update(&mut state.parameters, &gradients, rate, settings.weight_decay, state.step + 1);
        sink.step(&PriorRecord { step: state.step, bits, norm });
        state.step += 1;
        let stop = sink.stop();
        if (stop || sink.due()) && state.step < settings.steps {
            sink.checkpoint(state.step, &checkpoint::write(&state, &identity)?)?;
        }
        if stop {
            return Err(PriorError::Stopped(state.step));
        }
    }
    Ok(Prior::new(config.clone(), state.parameters)?)
}

/// A digest of what a training starts from. Of the codes it covers the lengths; that they are the same codes is the
/// caller's to know.
fn identity(settings: &PriorSettings, seed: &[u8; 32], ends: &[u64]) -> String {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(format!("{settings:?}").as_bytes());
    ends.iter().for_each(|end| {
        hasher.update(&end.to_le_bytes());
    });
    hasher.finalize().to_hex().to_string()
}

/// Mean bits per code of a prior over clips, from windows that overlap by half; none without codes.
///
/// At most `windows` windows are scored, evenly spread over the clips.
///
/// # Errors
/// Codes that cannot be read, tensors that do not fit, or `stop`.
pub fn bits(
    prior: &Prior,
    tokens: &dyn Tokens,
    windows: usize,
    batch: usize,
    stop: &dyn Fn() -> bool,
) -> Result<Option<f64>, PriorError> {
    let config = prior.config();
    let all = cover(config, tokens);
    let count = all.len().min(windows.max(1));
    let places: Vec<_> = (0..count).map(|i| all[i * all.len() / count]).collect();
    let network = Network::<Flex>::load(prior.arrays(), &Default::default());
    let (mut nats, mut codes) = (0.0, 0);
    for places in places.chunks(batch.max(1)) {
        if stop() {
            return Err(PriorError::Stopped(0));
        }
        let windows = Windows::read(config, tokens, places).map_err(PriorError::Tokens)?;
        let surprise = step::score(config, &network, prior.arrays(), &windows)?;
        nats += surprise.nats;
        codes += surprise.codes;
    }
    Ok((codes > 0).then(|| nats / codes as f64 / std::f64::consts::LN_2))
}

/// Mean bits per code of unigram and bigram, counted over `train`, over `held_out`.
///
/// # Errors
/// Codes that cannot be read.
pub fn baselines(train: &dyn Tokens, held_out: &dyn Tokens, codewords: usize) -> Result<Option<[f64; 2]>, PriorError> {
    let counts = Counts::of(train, codewords).map_err(PriorError::Tokens)?;
    counts.bits(held_out).map_err(PriorError::Tokens)
}
