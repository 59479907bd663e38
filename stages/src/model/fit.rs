//! Training of a codec.
//!
//! Levels are independent: each has its own batches, moments and codebook, and they are trained side by side. All
//! randomness is a function of (seed, level, step), so a checkpoint needs no generator's state, and a run that goes on from
//! one ends with the bytes of a run that was never stopped.
use std::io;

use serde::{Deserialize, Serialize};

use super::batch::Excerpts;
use super::checkpoint;
use super::codec::{Codec, CodecConfig};
use super::level::{LevelState, Trainer};
use super::loss::{Bandwidth, Spectral};
use super::weights::{Arrays, WeightsError};

/// Excerpts over which the bandwidths of the losses are measured.
pub(super) const MEASURED: usize = 256;

/// The audio to learn from: mono clips at the codec's rate, in an order that is a function of their content.
pub trait Clips: Sync {
    /// The number of clips.
    fn len(&self) -> usize;
    /// Whether there is no clip.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The frames of clip `i`.
    fn frames(&self, i: usize) -> u64;
    /// Fills `out` with the frames of clip `i` from `first` on; never asked for frames beyond the clip's end.
    fn read(&self, i: usize, first: u64, out: &mut [f32]) -> Result<(), String>;
}

/// What one training step of one level measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The level's own step, from 0.
    pub step: u64,
    /// The level, 0 at the bottom.
    pub level: usize,
    /// Mean squared error of the samples over the data's mean square.
    pub reconstruction: f64,
    /// Distance of the STFT magnitudes over the data's mean norm of them.
    pub spectral: f64,
    /// Mean distance of the logarithms of STFT magnitudes; 0 where it has no weight.
    pub log_spectral: f64,
    /// Mean squared distance of latents and their codewords; 0 while nothing is quantised.
    pub commitment: f64,
    /// Two to the power of the entropy of the step's codes; 0 while nothing is quantised.
    pub perplexity: f64,
    /// Different codes in the step.
    pub used: usize,
    /// Codewords revived by the step.
    pub revived: usize,
    /// The step belongs to the start without a codebook.
    pub unquantised: bool,
}

/// What follows a training run: its records, its checkpoints and the wish to stop it.
pub trait FitSink {
    /// After every step of every level, in one order.
    fn step(&mut self, record: &StepRecord);
    /// Whether a checkpoint is due; asked after each round. Clocks live outside of training.
    fn due(&mut self) -> bool;
    /// Takes a checkpoint made after `step` rounds.
    fn checkpoint(&mut self, step: u64, bytes: &[u8]) -> io::Result<()>;
    /// Whether to stop; asked after each round.
    fn stop(&mut self) -> bool;
}

/// How the learning rate moves after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It falls by half a cosine.
    Cosine,
    /// It falls on a straight line.
    Linear,
}

/// The training of one level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelFit {
    /// Steps of this level.
    pub steps: u64,
    /// Excerpts in a batch.
    pub batch: usize,
    /// Frames of an excerpt, a multiple of the level's hop.
    pub crop: usize,
    /// Weight of the spectral distance.
    pub spectral: f64,
    /// Weight of the distance of logarithms of STFT magnitudes.
    pub log_spectral: f64,
    /// The share of the steps, from the start, in which latents go to the decoder as they are.
    pub unquantised: f64,
}

/// Everything on which the outcome of training depends besides the audio and the seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitSettings {
    /// The network.
    pub codec: CodecConfig,
    /// How each of its levels is trained.
    pub levels: Vec<LevelFit>,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Steps over which the rate rises to its value on a straight line.
    pub warmup: u64,
    /// How it falls afterwards.
    pub schedule: Schedule,
    /// The share of the rate that is left at the end of the fall.
    pub final_rate: f64,
    /// Weight of the commitment loss.
    pub commitment: f64,
    /// The share that the codebook's averages keep in each step.
    pub ema_decay: f64,
    /// The share of mean use under which a codeword is revived.
    pub revival: f64,
    /// Passes of k-means when the codebook is made from the data.
    pub kmeans: usize,
}

impl FitSettings {
    /// Checks every number.
    pub fn validate(&self) -> Result<(), FitError> {
        self.codec.validate()?;
        let complain = |text: String| Err(FitError::Settings(text));
        if self.levels.len() != self.codec.levels.len() {
            return complain(format!(
                "training is given for {} levels, the codec has {}",
                self.levels.len(),
                self.codec.levels.len()
            ));
        }
        for (i, (fit, level)) in self.levels.iter().zip(&self.codec.levels).enumerate() {
            if fit.steps == 0 || fit.batch == 0 {
                return complain(format!("level {i} has {} steps with a batch of {}", fit.steps, fit.batch));
            }
            if fit.crop == 0 || fit.crop % level.hop() != 0 {
                return complain(format!("crop {} of level {i} is no multiple of its hop {}", fit.crop, level.hop()));
            }
            for (name, weight) in [("spectral", fit.spectral), ("log_spectral", fit.log_spectral)] {
                if !(weight.is_finite() && weight >= 0.0) {
                    return complain(format!("{name} weight {weight} of level {i}"));
                }
            }
            if !(0.0..=1.0).contains(&fit.unquantised) {
                return complain(format!("unquantised of level {i} is {}, expected 0 to 1", fit.unquantised));
            }
        }
        let shares = [("final_rate", self.final_rate), ("ema_decay", self.ema_decay), ("revival", self.revival)];
        if let Some((name, value)) = shares.iter().find(|(_, v)| !(0.0..=1.0).contains(v)) {
            return complain(format!("{name} is {value}, expected 0 to 1"));
        }
        let sizes = [("learning_rate", self.learning_rate), ("commitment", self.commitment)];
        if let Some((name, value)) = sizes.iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
            return complain(format!("{name} is {value}, expected a number that is not negative"));
        }
        Ok(())
    }

    /// The learning rate at `step` of `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup {
            return self.learning_rate * (step + 1) as f64 / self.warmup as f64;
        }
        let left = steps.saturating_sub(self.warmup).max(1) as f64;
        let done = (step - self.warmup) as f64 / left;
        let fall = match self.schedule {
            Schedule::Constant => return self.learning_rate,
            Schedule::Cosine => 0.5 + 0.5 * libm::cos(std::f64::consts::PI * done),
            Schedule::Linear => 1.0 - done,
        };
        self.learning_rate * (self.final_rate + (1.0 - self.final_rate) * fall)
    }

    /// Rounds of the whole training: in each, every level makes at most one step.
    pub fn rounds(&self) -> u64 {
        self.levels.iter().map(|l| l.steps).max().unwrap_or(0)
    }

    /// Steps that `level` has made after `rounds`: levels with fewer steps are spread evenly.
    pub(crate) fn steps_after(&self, level: usize, rounds: u64) -> u64 {
        (u128::from(self.levels[level].steps) * u128::from(rounds) / u128::from(self.rounds().max(1))) as u64
    }
}

/// Why training ended without a codec.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// A setting makes no sense.
    #[error("{0}")]
    Settings(String),
    /// The network or its weights make no sense.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// There is nothing to learn from.
    #[error("no audio to train on")]
    Empty,
    /// Everything is digital silence.
    #[error("the audio to train on is silent")]
    Silent,
    /// A clip cannot be read.
    #[error("clip {clip}: {message}")]
    Clip {
        /// The clip's number.
        clip: usize,
        /// What went wrong.
        message: String,
    },
    /// A loss is not a number any more.
    #[error("level {level} diverged at step {step}: lower the learning rate")]
    Diverged {
        /// The level.
        level: usize,
        /// Its step.
        step: u64,
    },
    /// A checkpoint is not of this training.
    #[error("the checkpoint cannot be resumed: {0}")]
    Checkpoint(String),
    /// A checkpoint cannot be kept.
    #[error("a checkpoint cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The sink asked to stop.
    #[error("stopped after {0} rounds")]
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

/// Trains a codec and returns the bytes of its file ([`Codec::load`] reads them).
///
/// `resume` is a checkpoint of the same settings, seed and clips. The result is a function of settings, seed and clips:
/// neither the number of threads nor interruptions change a bit.
pub fn fit(
    settings: &FitSettings,
    seed: [u8; 32],
    clips: &dyn Clips,
    resume: Option<&[u8]>,
    sink: &mut dyn FitSink,
) -> Result<Vec<u8>, FitError> {
    settings.validate()?;
    let excerpts = Excerpts::new(clips)?;
    let spectral = Spectral::new();
    let identity = checkpoint::identity(settings, &seed, clips);
    let (mut states, bandwidths, start) = match resume {
        Some(bytes) => checkpoint::read(bytes, settings, &identity)?,
        None => {
            let states = (0..settings.levels.len())
                .map(|level| LevelState::new(&settings.codec, level, &seed))
                .collect::<Vec<_>>();
            let bandwidths = (0..settings.levels.len())
                .map(|level| measure(settings.levels[level].crop, &excerpts, &seed, &spectral))
                .collect::<Result<Vec<_>, _>>()?;
            (states, bandwidths, 0)
        }
    };
    let trainers: Vec<Trainer> = bandwidths
        .iter()
        .enumerate()
        .map(|(level, bandwidth)| Trainer::new(settings, level, seed, &excerpts, &spectral, *bandwidth))
        .collect();
    for round in start..settings.rounds() {
        for record in step_levels(&trainers, &mut states, |level| settings.steps_after(level, round + 1)) {
            sink.step(&record?);
        }
        let stop = sink.stop();
        if (stop || sink.due()) && round + 1 < settings.rounds() {
            sink.checkpoint(round + 1, &checkpoint::write(&states, &bandwidths, round + 1, &identity)?)?;
        }
        if stop {
            return Err(FitError::Stopped(round + 1));
        }
    }
    let mut arrays = Arrays::new();
    for (trainer, state) in trainers.iter().zip(states) {
        trainer.finish(state, &mut arrays)?;
    }
    Ok(Codec::new(settings.codec.clone(), arrays)?.to_bytes()?)
}

/// One step of every level that is behind its `target`, side by side; the records in the order of levels.
fn step_levels(
    trainers: &[Trainer],
    states: &mut [LevelState],
    target: impl Fn(usize) -> u64,
) -> Vec<Result<StepRecord, FitError>> {
    let due = trainers
        .iter()
        .zip(states)
        .enumerate()
        .filter(|(level, (_, state))| state.step < target(*level))
        .map(|(_, pair)| pair);
    if rayon::current_num_threads() == 1 {
        return due.map(|(trainer, state)| trainer.step(state)).collect();
    }
    // Threads of their own, not tasks of the pool: a pool thread that waits inside the engine's locks could take up
    // another level's step and wait for itself.
    std::thread::scope(|scope| {
        let running: Vec<_> = due.map(|(trainer, state)| scope.spawn(|| trainer.step(state))).collect();
        running
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// The bandwidths of excerpts of `crop` frames.
fn measure(crop: usize, excerpts: &Excerpts, seed: &[u8; 32], spectral: &Spectral) -> Result<Bandwidth, FitError> {
    let batch = excerpts.batch(seed, "bandwidth", 0, MEASURED, crop)?;
    let power = batch.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>() / batch.len() as f64;
    let norm = spectral.norm(&batch, crop);
    if power == 0.0 {
        return Err(FitError::Silent);
    }
    Ok(Bandwidth {
        power,
        // Crops shorter than every transform have no spectrum, and then no spectral loss either.
        spectral: if norm > 0.0 { norm } else { 1.0 },
    })
}
