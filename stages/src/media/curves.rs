//! Records of a training: as figures for the screen, and all together as a Parquet table of curves.

use crate::{
    flow::Figure,
    model::{fit::StepRecord, prior::fit::PriorRecord},
};
use datasets::{
    shard::ShardError,
    tables::curves::{PriorStep, Step, write, write_prior},
};
use serde::{Serialize, de::DeserializeOwned};

/// Record of one training step.
pub(crate) trait Recorded: Copy + Serialize + DeserializeOwned {
    /// Figures of this step for the screen, the most telling first.
    fn figures(&self) -> Vec<Figure>;
    /// The curves of a training; equal records give equal bytes.
    fn parquet(records: &[Self]) -> Result<Vec<u8>, ShardError>;
}

impl Recorded for StepRecord {
    fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::plain("level", self.level as f64),
            Figure::plain("reconstruction", self.reconstruction),
            Figure::of("perplexity", self.perplexity, "codewords"),
            Figure::plain("spectral", self.spectral),
            Figure::plain("log_spectral", self.log_spectral),
            Figure::plain("commitment", self.commitment),
            Figure::of("used", self.used as f64, "codewords"),
            Figure::of("revived", self.revived as f64, "codewords"),
            Figure::of("step", self.step as f64, "of the level"),
        ]
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
    fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::of("loss", self.bits, "bits per code"),
            Figure::plain("norm", self.norm),
            Figure::plain("step", self.step as f64),
        ]
    }
    fn parquet(records: &[Self]) -> Result<Vec<u8>, ShardError> {
        let step = |r: &PriorRecord| PriorStep { step: r.step, bits: r.bits, norm: r.norm };
        write_prior(&records.iter().map(step).collect::<Vec<_>>())
    }
}
