//! A whole track as raw PCM: what `fit` and `encode` read.
//!
//! The form is interleaved little-endian `f32` frames without a header; rate, channels and length stand in the row
//! that names the blob.

use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::decode::{self, DecodeError, Decoded};
use super::resample::{ResampleError, Resampler};

/// Result of [`materialize`]: frames read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Materialized {
    /// The facts of the source, as [`decode`](decode::decode) gives them.
    pub source: Decoded,
    /// Frames written: [`output_frames`](super::resample::output_frames) of the source's.
    pub frames: u64,
}

/// Why a track could not be written as PCM.
#[derive(Debug, thiserror::Error)]
pub enum MaterializeError {
    /// The source was refused or failed.
    #[error(transparent)]
    Decode(DecodeError),
    /// The source's rate or channels have no conversion.
    #[error(transparent)]
    Resample(#[from] ResampleError),
    /// The output could not be written.
    #[error("the PCM could not be written: {0}")]
    Write(#[source] io::Error),
}

/// Decodes the file at `source`, averages or keeps its channels, resamples it to `rate` Hz and writes raw
/// little-endian `f32` frames of `channels` channels to `out`, in bounded memory. `out` gets large writes and
/// needs no buffer; it is not flushed.
///
/// # Errors
/// See [`MaterializeError`]. What was written before an error is of no use.
pub fn materialize(
    source: &Path,
    rate: u32,
    channels: u16,
    out: &mut dyn Write,
) -> Result<Materialized, MaterializeError> {
    let failed = |error| MaterializeError::Decode(DecodeError::Failed(error));
    let file = crate::untrusted::open(source).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    materialize_from(file, length, rate, channels, out)
}

/// [`materialize`] from a seekable source of `length` bytes.
///
/// # Errors
/// See [`MaterializeError`].
pub fn materialize_from<R: Read + Seek + Send + Sync>(
    source: R,
    length: u64,
    rate: u32,
    channels: u16,
    out: &mut dyn Write,
) -> Result<Materialized, MaterializeError> {
    let mut stage: Option<Resampler> = None;
    let mut problem: Option<ResampleError> = None;
    let mut samples = Vec::new();
    let mut bytes = Vec::new();
    let mut written = 0_u64;
    let mut write = |samples: &mut Vec<f32>| -> io::Result<()> {
        bytes.clear();
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        out.write_all(&bytes)?;
        written += (samples.len() / usize::from(channels)) as u64;
        samples.clear();
        Ok(())
    };
    let decoded = decode::decode_reader(source, length, &mut |block, from, channels_in| {
        let result = match &mut stage {
            Some(stage) => stage.push(block, &mut samples),
            None => Resampler::new(from, rate, channels_in, channels)
                .and_then(|new| stage.insert(new).push(block, &mut samples)),
        };
        match result {
            Ok(()) => write(&mut samples),
            Err(error) => {
                problem = Some(error);
                Err(io::Error::other("the resampler stopped"))
            }
        }
    });
    if let Some(problem) = problem {
        return Err(problem.into());
    }
    let source = decoded.map_err(|error| match error {
        DecodeError::Sink(error) => MaterializeError::Write(error),
        other => MaterializeError::Decode(other),
    })?;
    if let Some(stage) = stage {
        stage.finish(&mut samples)?;
        write(&mut samples).map_err(MaterializeError::Write)?;
    }
    Ok(Materialized { source, frames: written })
}
