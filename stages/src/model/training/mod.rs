//! The training loop that every network shares: steps, records, checkpoints, cancellation, and how a training fails.
//!
//! A network implements `Learner`: it makes a step and gives its state as bytes. All randomness of a step is a function of
//! (seed, purpose, counter), so a state needs no generator, and a training that goes on from a checkpoint ends with the
//! bytes of one that was never stopped. Clocks, files and the screen are the [`TrainingSink`]'s. No type of the engine
//! comes in here.

pub(crate) mod checkpoint;
pub mod crew;
pub(crate) mod parameters;
pub(crate) mod segments;
pub(crate) mod tree;

use std::fmt::Debug;
use std::io;

use serde::{Deserialize, Serialize};

use super::weights::WeightsError;

/// A network in training.
pub(crate) trait Learner {
    /// What one step measures.
    type Record;
    /// Steps of the whole training.
    fn total(&self) -> u64;
    /// Steps made so far, those before a checkpoint included.
    fn made(&self) -> u64;
    /// Whether the next step takes long and may be stopped amid: its checkpoint is kept before it.
    fn long(&self) -> bool {
        false
    }
    /// Whether the state is that after the last record handed out: a step that was cut off may have changed some of it.
    fn whole(&self) -> bool {
        true
    }
    /// Makes one step and hands its records out in one order; a network of several levels has one for each level.
    fn step(&mut self, record: &mut dyn FnMut(&Self::Record)) -> Result<(), TrainingError>;
    /// The bytes of a checkpoint: all that the steps to come depend on.
    fn state(&self) -> Result<Vec<u8>, TrainingError>;
}

/// Follows a training: takes its records and checkpoints, and may stop it.
pub trait TrainingSink<R> {
    /// Takes a record; called for each record of a step, once the step is made.
    fn step(&mut self, record: &R);
    /// Whether a checkpoint is due; asked after each step.
    fn due(&mut self) -> bool;
    /// Keeps a checkpoint made after `step` steps.
    ///
    /// # Errors
    /// When it cannot be kept; the training ends.
    fn checkpoint(&mut self, step: u64, bytes: &[u8]) -> io::Result<()>;
    /// Whether to stop; asked after each step. A training that stops leaves a checkpoint.
    fn stop(&mut self) -> bool;
}

/// Trains to the end, from wherever the learner is.
///
/// # Errors
/// What a step or the sink says, and [`TrainingError::Stopped`]. A long step that is stopped amid is made again. A
/// training that is asked to stop after its last step has no checkpoint to go on from, and makes that step again.
pub(crate) fn train<L: Learner>(learner: &mut L, sink: &mut dyn TrainingSink<L::Record>) -> Result<(), TrainingError> {
    let mut kept = learner.made();
    while learner.made() < learner.total() {
        if learner.long() && learner.made() > kept {
            sink.checkpoint(learner.made(), &learner.state()?)?;
        }
        let step = learner.step(&mut |record| sink.step(record));
        if matches!(step, Err(TrainingError::Stopped(_))) && learner.whole() && learner.made() > kept {
            sink.checkpoint(learner.made(), &learner.state()?)?;
        }
        step?;
        let stop = sink.stop();
        if (stop || sink.due()) && learner.made() < learner.total() {
            sink.checkpoint(learner.made(), &learner.state()?)?;
            kept = learner.made();
        }
        if stop {
            return Err(TrainingError::Stopped(learner.made()));
        }
    }
    Ok(())
}

/// Fall of the learning rate after the warm-up.
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

/// Learning rate over a training: up on a straight line for `warmup` steps, then down by `schedule`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// The rate at the end of the warm-up.
    pub(crate) peak: f64,
    /// Steps of the rise.
    pub(crate) warmup: u64,
    /// How it falls afterwards.
    pub(crate) schedule: Schedule,
    /// The share of `peak` that is left at the end.
    pub(crate) last: f64,
}

impl Rate {
    /// The rate at `step` of `steps`.
    pub(crate) fn at(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let left = steps.saturating_sub(self.warmup).max(1) as f64;
        let done = (step - self.warmup) as f64 / left;
        let fall = match self.schedule {
            Schedule::Constant => return self.peak,
            Schedule::Cosine => 0.5 + 0.5 * libm::cos(std::f64::consts::PI * done),
            Schedule::Linear => 1.0 - done,
        };
        self.peak * (self.last + (1.0 - self.last) * fall)
    }
}

/// Digest of what a training starts from: settings, seed, and the length of every clip. That they are the same clips is the
/// caller's to know.
pub(crate) fn identity(settings: &impl Debug, seed: &[u8; 32], lengths: impl IntoIterator<Item = u64>) -> String {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(format!("{settings:?}").as_bytes());
    for length in lengths {
        hasher.update(&length.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Why a training ended without a network.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// A setting makes no sense.
    #[error("{0}")]
    Settings(String),
    /// The network or its weights make no sense.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// There is nothing to learn from: no "audio", no "codes".
    #[error("no {0} to train on")]
    Empty(&'static str),
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
    /// Codes cannot be read.
    #[error("codes cannot be read: {0}")]
    Tokens(String),
    /// A loss is not a number any more.
    #[error("{what} diverged at step {step}: lower the learning rate")]
    Diverged {
        /// "training", or a level of a network whose levels are trained by themselves.
        what: String,
        /// Its step, from 0.
        step: u64,
    },
    /// A checkpoint is damaged or of another training.
    #[error("the checkpoint cannot be resumed: {0}")]
    Checkpoint(String),
    /// Another process that trains the same network cannot go on.
    #[error("{0}")]
    Together(String),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds up its steps.
    struct Sum {
        made: u64,
        sum: u64,
    }

    impl Learner for Sum {
        type Record = u64;
        fn total(&self) -> u64 {
            10
        }
        fn made(&self) -> u64 {
            self.made
        }
        fn step(&mut self, record: &mut dyn FnMut(&u64)) -> Result<(), TrainingError> {
            if self.sum == 1000 {
                return Err(TrainingError::Diverged { what: "training".into(), step: self.made });
            }
            record(&self.made);
            self.sum += self.made;
            self.made += 1;
            Ok(())
        }
        fn state(&self) -> Result<Vec<u8>, TrainingError> {
            Ok(vec![self.made as u8, self.sum as u8])
        }
    }

    /// What was asked and told, in order; stops after some steps.
    #[derive(Default)]
    struct Told {
        records: Vec<u64>,
        checkpoints: Vec<(u64, Vec<u8>)>,
        every: usize,
        stop: usize,
        full: bool,
    }

    impl TrainingSink<u64> for Told {
        fn step(&mut self, record: &u64) {
            self.records.push(*record);
        }
        fn due(&mut self) -> bool {
            self.every > 0 && self.records.len().is_multiple_of(self.every)
        }
        fn checkpoint(&mut self, step: u64, bytes: &[u8]) -> io::Result<()> {
            if self.full {
                return Err(io::Error::other("full"));
            }
            self.checkpoints.push((step, bytes.to_vec()));
            Ok(())
        }
        fn stop(&mut self) -> bool {
            self.records.len() == self.stop
        }
    }

    #[test]
    fn checkpoints_come_between_steps_and_none_at_the_end() {
        let (mut sum, mut told) = (Sum { made: 0, sum: 0 }, Told { every: 5, ..Told::default() });
        train(&mut sum, &mut told).expect("trained");
        assert_eq!((sum.sum, told.records), (45, (0..10).collect()));
        assert_eq!(told.checkpoints, [(5, vec![5, 10])]);
    }

    #[test]
    fn whoever_is_stopped_leaves_a_checkpoint_and_goes_on_from_it() {
        let (mut sum, mut told) = (Sum { made: 0, sum: 0 }, Told { stop: 4, ..Told::default() });
        assert!(matches!(train(&mut sum, &mut told), Err(TrainingError::Stopped(4))));
        assert_eq!(told.checkpoints, [(4, vec![4, 6])]);
        let (mut rest, mut told) = (Sum { made: 4, sum: 6 }, Told::default());
        train(&mut rest, &mut told).expect("trained");
        assert_eq!((rest.sum, told.records), (45, (4..10).collect()));
    }

    #[test]
    fn a_step_or_a_checkpoint_that_fails_ends_it() {
        let diverged = train(&mut Sum { made: 3, sum: 1000 }, &mut Told::default());
        assert_eq!(diverged.expect_err("diverged").to_string(), "training diverged at step 3: lower the learning rate");
        let mut told = Told { every: 2, full: true, ..Told::default() };
        let full = train(&mut Sum { made: 0, sum: 0 }, &mut told);
        assert_eq!(full.expect_err("no room").to_string(), "a checkpoint cannot be written: full");
        assert_eq!(told.records, [0, 1]);
    }

    #[test]
    fn the_rate_rises_and_falls() {
        let rate = |schedule| Rate { peak: 8.0, warmup: 4, schedule, last: 0.25 };
        let at = |schedule, step| rate(schedule).at(step, 12);
        assert_eq!([0, 1, 2, 3, 4].map(|step| at(Schedule::Linear, step)), [2.0, 4.0, 6.0, 8.0, 8.0]);
        assert_eq!([8, 12].map(|step| at(Schedule::Linear, step)), [5.0, 2.0]);
        assert_eq!([4, 8, 12].map(|step| at(Schedule::Cosine, step)), [8.0, 5.0, 2.0]);
        assert_eq!([4, 8, 12].map(|step| at(Schedule::Constant, step)), [8.0; 3]);
        // All of it is warm-up.
        assert_eq!(Rate { warmup: 20, ..rate(Schedule::Cosine) }.at(9, 10), 4.0);
    }
}
