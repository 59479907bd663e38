//! Records of a training: as an event for the screen, and all together as a Parquet table of curves.

use crate::{
    flow::Event,
    model::{fit::StepRecord, prior::fit::PriorRecord},
};
use datasets::{
    shard::ShardError,
    tables::curves::{PriorStep, Step, write, write_prior},
};
use serde::{Serialize, de::DeserializeOwned};

/// What one training step measured.
pub(crate) trait Recorded: Copy + Serialize + DeserializeOwned {
    /// The event of this step, the `done`th of `total`.
    fn event(&self, stage: String, done: u64, total: u64) -> Event;
    /// The curves of a training; equal records give equal bytes.
    fn parquet(records: &[Self]) -> Result<Vec<u8>, ShardError>;
}

impl Recorded for StepRecord {
    fn event(&self, stage: String, done: u64, total: u64) -> Event {
        Event::Step {
            stage,
            done,
            total,
            level: self.level as u64,
            step: self.step,
            reconstruction: self.reconstruction,
            spectral: self.spectral,
            log_spectral: self.log_spectral,
            commitment: self.commitment,
            perplexity: self.perplexity,
            used: self.used as u64,
            revived: self.revived as u64,
        }
    }
    fn parquet(records: &[Self]) -> Result<Vec<u8>, ShardError> {
        let step = |r: &StepRecord| Step {
            level: r.level as u64,
            step: r.step,
            reconstruction: r.reconstruction,
            spectral: r.spectral,
            log_spectral: r.log_spectral,
            commitment: r.commitment,
            perplexity: r.perplexity,
            used: r.used as u64,
            revived: r.revived as u64,
        };
        write(&records.iter().map(step).collect::<Vec<_>>())
    }
}

impl Recorded for PriorRecord {
    fn event(&self, stage: String, done: u64, total: u64) -> Event {
        Event::Learned { stage, done, total, step: self.step, bits: self.bits, norm: self.norm }
    }
    fn parquet(records: &[Self]) -> Result<Vec<u8>, ShardError> {
        let step = |r: &PriorRecord| PriorStep { step: r.step, bits: r.bits, norm: r.norm };
        write_prior(&records.iter().map(step).collect::<Vec<_>>())
    }
}
