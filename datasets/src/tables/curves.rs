//! Training curves as Parquet tables: of a codec one row for each step of each level, of a prior one for each step.

use super::{Column, table};
use crate::shard::ShardError;
use arrow_array::{Array, Float64Array, RecordBatch, UInt64Array};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Measurements of one training step of one level of a codec.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// The level, 0 at the bottom.
    pub level: u64,
    /// The level's own step, from 0.
    pub step: u64,
    /// Mean squared error of the samples over the data's mean square.
    pub reconstruction: f64,
    /// Distance of the STFT magnitudes over the data's mean norm of them.
    pub spectral: f64,
    /// Mean distance of the logarithms of STFT magnitudes; 0 where it had no weight.
    pub log_spectral: f64,
    /// Mean squared distance of latents and their codewords; 0 while nothing is quantised.
    pub commitment: f64,
    /// Perplexity of the step's codes; 0 while nothing is quantised.
    pub perplexity: f64,
    /// Different codes in the step.
    pub used: u64,
    /// Codewords revived by the step.
    pub revived: u64,
}

/// The table's bytes; equal steps give equal bytes.
///
/// # Errors
/// What Parquet says.
pub fn write(steps: &[Step]) -> Result<Vec<u8>, ShardError> {
    let whole = |of: fn(&Step) -> u64| Column::U64(steps.iter().map(of).collect());
    let real = |of: fn(&Step) -> f64| Column::F64(steps.iter().map(of).collect());
    let columns = [
        ("level", whole(|s| s.level)),
        ("step", whole(|s| s.step)),
        ("reconstruction", real(|s| s.reconstruction)),
        ("spectral", real(|s| s.spectral)),
        ("log_spectral", real(|s| s.log_spectral)),
        ("commitment", real(|s| s.commitment)),
        ("perplexity", real(|s| s.perplexity)),
        ("used", whole(|s| s.used)),
        ("revived", whole(|s| s.revived)),
    ];
    let mut bytes = Vec::new();
    table(&columns, &mut bytes)?;
    Ok(bytes)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// When the bytes are no such table.
pub fn read(bytes: &[u8]) -> Result<Vec<Step>, ShardError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes))?.build()?;
    let mut steps = Vec::new();
    for batch in reader {
        let batch = batch?;
        let (level, step) = (whole(&batch, "level")?, whole(&batch, "step")?);
        let (reconstruction, spectral) = (real(&batch, "reconstruction")?, real(&batch, "spectral")?);
        let log_spectral = real(&batch, "log_spectral")?;
        let (commitment, perplexity) = (real(&batch, "commitment")?, real(&batch, "perplexity")?);
        let (used, revived) = (whole(&batch, "used")?, whole(&batch, "revived")?);
        steps.extend((0..batch.num_rows()).map(|i| Step {
            level: level.value(i),
            step: step.value(i),
            reconstruction: reconstruction.value(i),
            spectral: spectral.value(i),
            log_spectral: log_spectral.value(i),
            commitment: commitment.value(i),
            perplexity: perplexity.value(i),
            used: used.value(i),
            revived: revived.value(i),
        }));
    }
    Ok(steps)
}

/// Measurements of one training step of a prior.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PriorStep {
    /// The step, from 0.
    pub step: u64,
    /// Bits per code of the batch.
    pub bits: f64,
    /// Norm of all gradients together, before it was scaled down.
    pub norm: f64,
}

/// The table's bytes; equal steps give equal bytes.
///
/// # Errors
/// What Parquet says.
pub fn write_prior(steps: &[PriorStep]) -> Result<Vec<u8>, ShardError> {
    let columns = [
        ("step", Column::U64(steps.iter().map(|s| s.step).collect())),
        ("bits", Column::F64(steps.iter().map(|s| s.bits).collect())),
        ("norm", Column::F64(steps.iter().map(|s| s.norm).collect())),
    ];
    let mut bytes = Vec::new();
    table(&columns, &mut bytes)?;
    Ok(bytes)
}

/// Reads what [`write_prior`] wrote.
///
/// # Errors
/// When the bytes are no such table.
pub fn read_prior(bytes: &[u8]) -> Result<Vec<PriorStep>, ShardError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes))?.build()?;
    let mut steps = Vec::new();
    for batch in reader {
        let batch = batch?;
        let (step, bits, norm) = (whole(&batch, "step")?, real(&batch, "bits")?, real(&batch, "norm")?);
        let row = |i| PriorStep { step: step.value(i), bits: bits.value(i), norm: norm.value(i) };
        steps.extend((0..batch.num_rows()).map(row));
    }
    Ok(steps)
}

fn column<'b, A: Array + 'static>(batch: &'b RecordBatch, name: &str) -> Result<&'b A, ShardError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref::<A>());
    column.ok_or_else(|| ShardError::NotAShard(format!("no column `{name}` of the right type")))
}

fn whole<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b UInt64Array, ShardError> {
    column(batch, name)
}

fn real<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b Float64Array, ShardError> {
    column(batch, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_both_ways() {
        let steps: Vec<Step> = (0..2500)
            .map(|i| Step {
                level: i % 3,
                step: i / 3,
                reconstruction: 1.0 / (i + 1) as f64,
                used: i,
                ..Step::default()
            })
            .collect();
        let bytes = write(&steps).expect("written");
        assert_eq!(bytes, write(&steps).expect("written"));
        assert_eq!(read(&bytes).expect("read"), steps);
        assert!(read(b"PAR1").is_err());
        let steps: Vec<PriorStep> =
            (0..1500).map(|step| PriorStep { step, bits: 11.0 - step as f64 / 1e3, norm: 0.5 }).collect();
        let bytes = write_prior(&steps).expect("written");
        assert_eq!(read_prior(&bytes).expect("read"), steps);
        assert!(read(&bytes).is_err());
    }
}
