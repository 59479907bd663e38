//! The records of a training as a Parquet table.

use crate::model::fit::StepRecord;
use datasets::{
    effect::Fault,
    tables::curves::{Step, write},
};

pub(super) fn parquet(records: &[StepRecord]) -> Result<Vec<u8>, Fault> {
    let steps: Vec<Step> = records
        .iter()
        .map(|r| Step {
            level: r.level as u64,
            step: r.step,
            reconstruction: r.reconstruction,
            spectral: r.spectral,
            log_spectral: r.log_spectral,
            commitment: r.commitment,
            perplexity: r.perplexity,
            used: r.used as u64,
            revived: r.revived as u64,
        })
        .collect();
    write(&steps).map_err(|e| Fault::refused("no-curves", e.to_string()))
}
