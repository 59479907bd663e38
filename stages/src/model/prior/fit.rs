//! Training of a prior.
//!
//! All randomness is a function of (seed, level, step), so a checkpoint needs no generator's state, and a run that goes on
//! from one ends with the bytes of a run that was never stopped.
use std::sync::Arc;

use kernels::device::Device;
use kernels::ops::adam::Adam;
use kernels::ops::norm::norm;
use kernels::tape::LossScale;
use serde::{Deserialize, Serialize};

use super::baseline::Counts;
use super::checkpoint::{self, State};
use super::config::{Prior, PriorConfig};
use super::network;
use super::step::{self, Passage};
use super::window::{Windows, cover, draw};
use crate::model::device::{Precision, device};
use crate::model::leaves::Leaves;
use crate::model::random::Random;
use crate::model::training::crew::{Crew, Team};
use crate::model::training::parameters::Parameters;
use crate::model::training::{Learner, Rate, Schedule, TrainingError, TrainingSink, identity, train};

pub use super::window::Tokens;

/// Everything on which the outcome of training depends besides the codes and the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorSettings {
    /// The network.
    pub config: PriorConfig,
    /// Training steps.
    pub steps: u64,
    /// Windows in a batch.
    pub batch: usize,
    /// Windows whose gradients are computed at a time; those of a batch are added in the order of a tree.
    pub micro_batch: usize,
    /// The share of the codes that the model is given in training in whose place stands another.
    pub corruption: f64,
    /// What activations are made of.
    pub precision: Precision,
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
        if !(1..=self.batch).contains(&self.micro_batch) {
            return complain(format!("a micro-batch of {} of {} windows", self.micro_batch, self.batch));
        }
        if !(0.0..=1.0).contains(&self.final_rate) {
            return complain(format!("final_rate is {}, expected 0 to 1", self.final_rate));
        }
        if !(0.0..1.0).contains(&self.corruption) {
            return complain(format!("corruption is {}, expected less than 1", self.corruption));
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
/// seed and codes: neither `segments` nor the number of threads, nor who else of a `crew` takes part, nor interruptions
/// change a bit.
///
/// # Errors
/// See [`TrainingError`].
pub fn fit(
    settings: &PriorSettings,
    segments: usize,
    seed: [u8; 32],
    tokens: &dyn Tokens,
    resume: Option<&[u8]>,
    sink: &mut dyn TrainingSink<PriorRecord>,
    crew: &dyn Crew,
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
    let device: Arc<dyn Device> = device(settings.precision);
    let identity = identity(settings, &seed, ends.iter().copied());
    let state = match resume {
        Some(bytes) => checkpoint::read(bytes, &identity, (config, settings.precision), &device)?,
        None => State {
            step: 0,
            parameters: Parameters::new(device, &network::start(config, &seed)),
            scale: LossScale::of(settings.precision.dtype()),
        },
    };
    let passage = Passage { micro_batch: settings.micro_batch, segments };
    let team = Team::new(crew, 0);
    let mut learner = Learning { settings, passage, team, seed, tokens, ends, identity, state };
    train(&mut learner, sink)?;
    Ok(Prior::new(config.clone(), learner.state.parameters.values())?)
}

/// A prior in training.
struct Learning<'a> {
    settings: &'a PriorSettings,
    passage: Passage,
    team: Team<'a>,
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
        let Learning { settings, passage, team, tokens, state, .. } = self;
        let (config, step) = (&settings.config, state.step);
        let mut random = Random::new(&self.seed, &format!("windows {}", config.level), step);
        let places = draw(config, *tokens, &self.ends, settings.batch, &mut random);
        let mut windows = Windows::read(config, *tokens, &places).map_err(TrainingError::Tokens)?;
        windows.corrupt(settings.corruption, &mut random);
        let (bits, norm, factor, gradients) = loop {
            let factor = state.scale.factor();
            let (entropy, gradients) =
                step::gradients(config, &state.parameters, &windows, *passage, factor, (team, step))?;
            let norm = norm(&**state.parameters.device(), gradients.values());
            let bits = entropy.nats / entropy.codes.max(1) as f64 / std::f64::consts::LN_2;
            if bits.is_finite() && state.scale.accepts(norm) {
                break (bits, norm / f64::from(factor), factor, gradients);
            }
            // The same step again with half of the scale, unless that is not what is wrong.
            if !bits.is_finite() || state.scale.factor() == factor {
                return Err(TrainingError::Diverged { what: "training".to_owned(), step });
            }
        };
        let clip = if settings.clip > 0.0 && norm > settings.clip { (settings.clip / norm) as f32 } else { 1.0 };
        let scale = clip / factor;
        let rate = settings.rate().at(step, settings.steps);
        let rule = Adam { step: step + 1, rate, decay: settings.weight_decay, scale };
        state.parameters.update(rule, &gradients);
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
    let device: Arc<dyn Device> = device(Precision::F32);
    let leaves = Leaves::constants(&*device, prior.arrays(), |_| true);
    let (mut nats, mut codes) = (0.0, 0);
    for places in places.chunks(batch.max(1)) {
        if stop() {
            return Err(TrainingError::Stopped(0));
        }
        let windows = Windows::read(config, tokens, places).map_err(TrainingError::Tokens)?;
        let entropy = step::score(config, &*device, &leaves, &windows)?;
        nats += entropy.nats;
        codes += entropy.codes;
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
