//! What happens while a build runs, as events for whoever shows it.

use datasets::Digest;

/// Something worth a line on the screen or in `--json`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An effect was queued.
    Queued {
        /// The stage's name.
        stage: String,
    },
    /// An effect ran.
    Executed {
        /// The stage's name.
        stage: String,
        /// The row's id.
        id: String,
        /// Digest of what came of it: two outcomes with one digest are the same.
        output: Digest,
    },
    /// A queued effect had been run meanwhile for another stage that needs the same result.
    Shared {
        /// The stage's name.
        stage: String,
    },
    /// Every stage is done; the tree of results is written now.
    Publishing {
        /// The run's name.
        run: String,
    },
    /// Sources, settings and store are as the last published run left them: nothing was gone through again.
    Unchanged {
        /// The run's name.
        run: String,
    },
    /// A row was dropped with a warning: its source could not be read.
    Warning {
        /// The stage's name.
        stage: String,
        /// A sentence that names the row first; behind its last colon is the cause, which others may have in common.
        message: String,
    },
    /// One step of training.
    Step {
        /// The stage's name.
        stage: String,
        /// Steps done, over all levels.
        done: u64,
        /// Steps in all.
        total: u64,
        /// Which level.
        level: u64,
        /// The level's own step.
        step: u64,
        /// Reconstruction loss.
        reconstruction: f64,
        /// Spectral loss.
        spectral: f64,
        /// Distance of logarithms of STFT magnitudes.
        log_spectral: f64,
        /// Commitment loss.
        commitment: f64,
        /// Codebook perplexity in the batch.
        perplexity: f64,
        /// Codewords used in the batch.
        used: u64,
        /// Codewords revived.
        revived: u64,
    },
    /// One step of the training of a prior.
    Learned {
        /// The stage's name.
        stage: String,
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
        /// The step.
        step: u64,
        /// Bits per code of the batch.
        bits: f64,
        /// Norm of all gradients together.
        norm: f64,
    },
    /// Codes of songs were sampled.
    Sampled {
        /// The stage's name.
        stage: String,
        /// Codes so far, of all songs and levels.
        done: u64,
        /// Codes in all.
        total: u64,
    },
    /// A sound was measured.
    Heard {
        /// The stage's name.
        stage: String,
        /// Sounds so far.
        done: u64,
        /// Sounds that are not remembered from before.
        total: u64,
    },
    /// Training or sampling went on from a checkpoint.
    Resumed {
        /// The stage's name.
        stage: String,
        /// Steps that need not be done again.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// The state of training was saved.
    Checkpoint {
        /// The stage's name.
        stage: String,
        /// Steps done.
        done: u64,
    },
}

/// Shows events as they happen.
pub trait Observer: Send + Sync {
    /// Called from any thread.
    fn event(&self, event: Event);
}

impl Observer for () {
    fn event(&self, _: Event) {}
}
