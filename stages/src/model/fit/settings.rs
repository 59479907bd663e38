//! What the training of a codec is given, and what it tells.

use serde::{Deserialize, Serialize};

use crate::model::codec::CodecConfig;
use crate::model::device::Precision;
use crate::model::training::{Rate, Schedule, TrainingError};

/// The audio to learn from: clips at the codec's rate and with its channels, in an order that is a function of their content.
pub trait Clips: Sync {
    /// The number of clips.
    fn len(&self) -> usize;
    /// Whether there is no clip.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The frames of clip `i`.
    fn frames(&self, i: usize) -> u64;
    /// Fills `out` with the frames of clip `i` from `first` on, channels interleaved; never asked for frames beyond the clip's end.
    fn read(&self, i: usize, first: u64, out: &mut [f32]) -> Result<(), String>;
    /// Follows the making of a level's codebook, which takes long within one step: `done` of `total` parts are made.
    /// Returns whether to go on. Called from any thread.
    fn making(&self, _level: usize, _done: u64, _total: u64) -> bool {
        true
    }
}

/// What one training step of one level measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The level's own step, from 0.
    pub step: u64,
    /// The level, 0 at the bottom.
    pub level: usize,
    /// Mean squared error of the samples over the data's mean square; where the level plays oscillators, the weighted mean
    /// of the smooth distance of their amplitudes.
    pub reconstruction: f64,
    /// Distance of the STFT magnitudes over the data's mean norm of them.
    pub spectral: f64,
    /// Mean distance of the logarithms of STFT magnitudes; 0 where it has no weight. With oscillators, that of their
    /// amplitudes.
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

/// The training of one level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelFit {
    /// Steps of this level.
    pub steps: u64,
    /// Excerpts in a batch.
    pub batch: usize,
    /// Excerpts whose gradients are computed at a time; those of a batch are added in the order of a tree.
    pub micro_batch: usize,
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
    /// What activations are made of.
    pub precision: Precision,
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
    pub fn validate(&self) -> Result<(), TrainingError> {
        self.codec.validate()?;
        let complain = |text: String| Err(TrainingError::Settings(text));
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
            if !(1..=fit.batch).contains(&fit.micro_batch) {
                return complain(format!(
                    "a micro-batch of {} of {} excerpts of level {i}",
                    fit.micro_batch, fit.batch
                ));
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

    /// How the learning rate moves.
    pub(crate) fn rate(&self) -> Rate {
        let FitSettings { learning_rate, warmup, schedule, final_rate, .. } = *self;
        Rate { peak: learning_rate, warmup, schedule, last: final_rate }
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
