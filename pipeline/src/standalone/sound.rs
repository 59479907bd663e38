//! Samples of sound files.

use datasets::{
    Digest,
    audio::{
        decode::{DecodeError, decode as decode_file},
        pcm::{MaterializeError, materialize},
        resample::Resampler,
    },
};
use stages::flow::Cancel;
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::FileExt,
    path::Path,
    process,
};

/// A whole sound on the disk, of any length: raw PCM in a file without a name, which goes when this does.
pub(crate) struct Sound {
    pcm: File,
    channels: usize,
    /// Length in frames.
    pub(crate) frames: u64,
    /// Digest of the decoded samples.
    pub(crate) samples: Digest,
}

/// Writes until the command is cancelled.
struct Until<'a> {
    file: &'a File,
    cancel: &'a Cancel,
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.cancelled() {
            // Not `Interrupted`, after which a writer tries again.
            return Err(io::Error::other("interrupted"));
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Names that are tried for a file that loses its name at once.
const TRIES: usize = 100;

/// A new file without a name in a folder.
fn unnamed(folder: &Path) -> io::Result<File> {
    let mut tries = 0;
    loop {
        let path = folder.join(format!(".{}-{tries}.pcm.tmp", process::id()));
        match File::create_new(&path) {
            Ok(file) => return fs::remove_file(&path).map(|()| file),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

impl Sound {
    /// Decodes and resamples a file; its PCM lies in `folder`.
    pub(crate) fn of(path: &Path, folder: &Path, rate: u32, channels: u16, cancel: &Cancel) -> Result<Sound, String> {
        let pcm = unnamed(folder).map_err(|e| format!("no room for its samples in {}: {e}", folder.display()))?;
        let made =
            materialize(path, rate, channels, &mut Until { file: &pcm, cancel }).map_err(|error| match error {
                MaterializeError::Decode(DecodeError::Refused(refusal)) => {
                    format!("{} ({})", refusal.message, refusal.reason)
                }
                other => other.to_string(),
            })?;
        let (channels, samples) = (usize::from(channels), Digest(made.source.digest));
        Ok(Sound { pcm, channels, frames: made.frames, samples })
    }

    /// Fills `out` with interleaved frames from `first` on.
    pub(crate) fn read(&self, first: u64, out: &mut [f32]) -> io::Result<()> {
        let mut bytes = vec![0; size_of_val(out)];
        self.pcm.read_exact_at(&mut bytes, first * self.channels as u64 * 4)?;
        let (samples, _) = bytes.as_chunks::<4>();
        out.iter_mut().zip(samples).for_each(|(out, sample)| *out = f32::from_le_bytes(*sample));
        Ok(())
    }
}

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
