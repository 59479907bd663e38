//! Samples of sound files.

use datasets::{
    Digest,
    audio::{
        decode::{DecodeError, decode as decode_file},
        resample::Resampler,
    },
};
use stages::flow::Cancel;
use std::{
    io::{self},
    path::Path,
};

/// A whole file as mono samples at a rate.
pub(crate) fn samples(path: &Path, rate: u32, cancel: &Cancel) -> Result<(Vec<f32>, Digest), String> {
    let (mut samples, mut resampler, mut problem) = (Vec::new(), None, None);
    let found = decode_file(path, &mut |block, from, channels| {
        if cancel.cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let result = match &mut resampler {
            Some(resampler) => Resampler::push(resampler, block, &mut samples),
            none => Resampler::new(from, rate, channels, 1).and_then(|new| none.insert(new).push(block, &mut samples)),
        };
        result.map_err(|error| {
            problem = Some(error.to_string());
            io::Error::other("the resampler stopped")
        })
    });
    if let Some(problem) = problem {
        return Err(problem);
    }
    let found = found.map_err(|error| match error {
        DecodeError::Refused(refusal) => format!("{} ({})", refusal.message, refusal.reason),
        other => other.to_string(),
    })?;
    if let Some(resampler) = resampler {
        resampler.finish(&mut samples).map_err(|e| e.to_string())?;
    }
    Ok((samples, Digest(found.digest)))
}
