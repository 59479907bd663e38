//! Training of a prior.
//!
//! All randomness is a function of (seed, level, step), so a checkpoint needs no generator's state, and a run that goes on
//! from one ends with the bytes of a run that was never stopped.
use burn_flex::Flex;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::baseline::Counts;
use super::checkpoint::{self, State};
use super::config::{Prior, PriorConfig};
use super::network::{self, Network};
use super::step;
use super::window::{Windows, cover, draw};
use crate::model::random::Random;
use crate::model::training::adam::Adam;
use crate::model::training::{Learner, Rate, Schedule, TrainingError, TrainingSink, identity, train};

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

impl PriorSettings {
    /// Checks every number.
    ///
    /// # Errors
    /// The first that makes no sense.
    pub fn validate(&self) -> Result<(), TrainingError> {
        self.config.validate()?;
        let complain = |text: String| Err(TrainingError::Settings(text));
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

    /// How the learning rate moves.
    fn rate(&self) -> Rate {
        let PriorSettings { learning_rate, warmup, final_rate, .. } = *self;
        Rate { peak: learning_rate, warmup, schedule: Schedule::Cosine, last: final_rate }
    }
}

/// Trains a prior. `resume` is a checkpoint of the same settings, seed and codes. The result is a function of settings,
/// seed and codes: neither the number of threads nor interruptions change a bit.
///
/// # Errors
/// See [`TrainingError`].
pub fn fit(
    settings: &PriorSettings,
    seed: [u8; 32],
    tokens: &dyn Tokens,
    resume: Option<&[u8]>,
    sink: &mut dyn TrainingSink<PriorRecord>,
) -> Result<Prior, TrainingError> {
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
        return Err(TrainingError::Empty("codes"));
    }
    let parameters = network::start(config, &seed);
    let mut state = State { step: 0, adam: Adam::new(&parameters), parameters };
    let identity = identity(settings, &seed, ends.iter().copied());
    if let Some(bytes) = resume {
        state = checkpoint::read(bytes, &identity, &state)?;
    }
    let mut learner = Learning { settings, seed, tokens, ends, identity, state };
    train(&mut learner, sink)?;
    Ok(Prior::new(config.clone(), learner.state.parameters)?)
}

/// A prior in training.
struct Learning<'a> {
    settings: &'a PriorSettings,
    seed: [u8; 32],
    tokens: &'a dyn Tokens,
    /// Codes of all clips up to and with each one.
    ends: Vec<u64>,
    identity: String,
    state: State,
}

impl Learner for Learning<'_> {
    type Record = PriorRecord;
    fn total(&self) -> u64 {
        self.settings.steps
    }
    fn made(&self) -> u64 {
        self.state.step
    }
    fn step(&mut self, record: &mut dyn FnMut(&PriorRecord)) -> Result<(), TrainingError> {
        let Learning { settings, tokens, state, .. } = self;
        let (config, step) = (&settings.config, state.step);
        let mut random = Random::new(&self.seed, &format!("windows {}", config.level), step);
        let places = draw(config, *tokens, &self.ends, settings.batch, &mut random);
        let windows = Windows::read(config, *tokens, &places).map_err(TrainingError::Tokens)?;
        let (surprise, mut gradients) = step::gradients(config, &state.parameters, &windows)?;
        let square = |g: &[f32]| g.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>();
        // Piece by piece in parallel, the pieces in order.
        let squares: Vec<f64> = gradients.par_iter().flat_map(|g| g.par_chunks(PIECE).map(square)).collect();
        let norm = squares.iter().sum::<f64>().sqrt();
        let bits = surprise.nats / surprise.codes.max(1) as f64 / std::f64::consts::LN_2;
        if !(bits + norm).is_finite() {
            return Err(TrainingError::Diverged { what: "training".to_owned(), step });
        }
        if settings.clip > 0.0 && norm > settings.clip {
            let scale = (settings.clip / norm) as f32;
            gradients.par_iter_mut().for_each(|g| g.iter_mut().for_each(|g| *g *= scale));
        }
        let rate = settings.rate().at(step, settings.steps);
        state.adam.update(&mut state.parameters, &gradients, rate, settings.weight_decay, step + 1);
        state.step += 1;
        record(&PriorRecord { step, bits, norm });
        Ok(())
    }
    fn state(&self) -> Result<Vec<u8>, TrainingError> {
        checkpoint::write(&self.state, &self.identity)
    }
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
) -> Result<Option<f64>, TrainingError> {
    let config = prior.config();
    let all = cover(config, tokens);
    let count = all.len().min(windows.max(1));
    let places: Vec<_> = (0..count).map(|i| all[i * all.len() / count]).collect();
    let network = Network::<Flex>::load(prior.arrays(), &Default::default());
    let (mut nats, mut codes) = (0.0, 0);
    for places in places.chunks(batch.max(1)) {
        if stop() {
            return Err(TrainingError::Stopped(0));
        }
        let windows = Windows::read(config, tokens, places).map_err(TrainingError::Tokens)?;
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
pub fn baselines(
    train: &dyn Tokens,
    held_out: &dyn Tokens,
    codewords: usize,
) -> Result<Option<[f64; 2]>, TrainingError> {
    let counts = Counts::of(train, codewords).map_err(TrainingError::Tokens)?;
    counts.bits(held_out).map_err(TrainingError::Tokens)
}
