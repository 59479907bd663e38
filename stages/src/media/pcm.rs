//! Decoded and resampled samples, per track and on demand: blobs in a cache with a size limit.
//!
//! A blob is keyed by (samples, rate, channels, resampler) and stands in no digest: it can be removed at any time. Its
//! samples are checked where they are read; damaged ones are made again, and nobody notices but for a warning.

use crate::flow::{Env, Verified};
use datasets::{
    Digest, Key,
    audio::{
        pcm::{MaterializeError, materialize_from},
        resample::RESAMPLER,
    },
    effect::{Fault, numerics},
    row::Clip,
    store::{Checked, CheckedTemp, StoreError, is_checked, read_checked, write_checked},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::SystemTime,
};

/// A span of a track as an effect's work: what its samples are, and where to find them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Excerpt {
    /// Digest of the decoded samples.
    pub samples: Digest,
    /// First frame at `rate`.
    pub start: u64,
    /// Number of frames at `rate`.
    pub frames: u64,
    /// Frames per second after resampling.
    pub rate: u32,
    /// Channels after mixing down.
    pub channels: u16,
    /// Digest of a file that decodes to these samples: a hint, in no key.
    pub content: Digest,
}

impl Excerpt {
    /// The excerpt of a clip whose track is decoded and resampled; the plan checks that all are.
    pub fn of(clip: &Clip) -> Excerpt {
        let (Some(recording), Some(chain)) = (&clip.track.recording, &clip.track.chain) else {
            unreachable!("clips are cut from resampled tracks")
        };
        Excerpt {
            samples: recording.samples,
            start: clip.start,
            frames: clip.frames,
            rate: chain.rate,
            channels: chain.channels,
            content: clip.track.content,
        }
    }

    /// Adds all but the hint to a key.
    #[must_use]
    pub fn key(&self, key: Key) -> Key {
        key.digest(&self.samples)
            .number(self.start)
            .number(self.frames)
            .number(self.rate.into())
            .number(self.channels.into())
    }
}

/// The version of everything between decoded samples and the blob, for keys.
pub fn chain_version() -> String {
    format!("{RESAMPLER} {}", numerics())
}

/// Cache name of the blob of these samples at a rate and with so many channels.
pub fn name(samples: &Digest, rate: u32, channels: u16) -> Digest {
    let key = Key::new("pcm").text(&chain_version()).digest(samples);
    key.number(rate.into()).number(channels.into()).finish()
}

/// A track's samples: interleaved little-endian `f32` frames, readable whatever becomes of the file's name.
pub struct Track<'e> {
    env: &'e Env,
    /// The excerpt that it was opened for: where the samples come from.
    excerpt: Excerpt,
    blob: Mutex<Arc<Checked>>,
}

/// Times that a blob is made again under one reader. One that is damaged each time lies on a disk that nobody can use.
const TRIES: usize = 3;

impl Track<'_> {
    /// Copies samples of an excerpt of this track: from frame `first` of the excerpt on, as many as `out` takes.
    ///
    /// # Errors
    /// An excerpt beyond the track's end; where its blob was damaged, those of making it again.
    pub fn read(&self, excerpt: &Excerpt, first: u64, out: &mut [f32]) -> Result<(), Fault> {
        let channels = u64::from(excerpt.channels);
        let end = (first * channels + out.len() as u64).div_ceil(channels.max(1));
        let mut bytes = vec![0; size_of_val(out)];
        let mut tries = 0;
        loop {
            let blob = self.blob.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if end > excerpt.frames || (excerpt.start + end) * channels * 4 > blob.length() {
                return Err(Fault::Failed("the track is shorter than it was; run with --rehash".into()));
            }
            match blob.read_at((excerpt.start + first) * channels * 4, &mut bytes) {
                Ok(()) => break,
                Err(why) => {
                    tries += 1;
                    blob.discard(&why)?;
                    if tries == TRIES {
                        return Err(StoreError::io("read", &self.env.store.pcm())(why).into());
                    }
                }
            }
            let again = blob_of(self.env, &self.excerpt)?;
            *self.blob.lock().unwrap_or_else(PoisonError::into_inner) = again;
        }
        let (samples, _) = bytes.as_chunks::<4>();
        out.iter_mut().zip(samples).for_each(|(out, sample)| *out = f32::from_le_bytes(*sample));
        Ok(())
    }

    /// All samples of an excerpt of this track.
    ///
    /// # Errors
    /// See [`Track::read`].
    pub fn samples(&self, excerpt: &Excerpt) -> Result<Vec<f32>, Fault> {
        let mut samples = vec![0.0; excerpt.frames as usize * usize::from(excerpt.channels)];
        self.read(excerpt, 0, &mut samples)?;
        Ok(samples)
    }
}

/// Opens the samples of the whole track that an excerpt is cut from.
///
/// # Errors
/// When the source cannot be read or has changed, or the cache cannot be written.
pub fn open<'e>(env: &'e Env, excerpt: &Excerpt) -> Result<Track<'e>, Fault> {
    let blob = Mutex::new(blob_of(env, excerpt)?);
    Ok(Track { env, excerpt: excerpt.clone(), blob })
}

/// The blob of a track, made where there is none.
fn blob_of(env: &Env, excerpt: &Excerpt) -> Result<Arc<Checked>, Fault> {
    let key = name(&excerpt.samples, excerpt.rate, excerpt.channels);
    let path = env.store.pcm().join(key.hex());
    // All clips of a track are read from one decode: the first to ask makes it, the others wait.
    let making = lock_of(key);
    let _held = making.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(blob) = Checked::open(&path, &key)? {
        return Ok(Arc::new(blob));
    }
    env.read(&excerpt.content, |source| make(env, excerpt, source, &path, &key)).map(Arc::new)
}

/// Mono samples that the cache holds under a key, or that are made and put there. A damaged blob is made again.
///
/// # Errors
/// When they cannot be made, or the cache cannot be written.
pub fn cached(env: &Env, key: &Digest, make: impl FnOnce() -> Result<Vec<f32>, Fault>) -> Result<Vec<f32>, Fault> {
    let path = env.store.pcm().join(key.hex());
    if let Some(bytes) = read_checked(&path, key)? {
        let (samples, _) = bytes.as_chunks::<4>();
        return Ok(samples.iter().map(|sample| f32::from_le_bytes(*sample)).collect());
    }
    let samples = make()?;
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    trim(env, bytes.len() as u64, &path);
    write_checked(&path, key, &bytes)?;
    Ok(samples)
}

fn lock_of(key: Digest) -> Arc<Mutex<()>> {
    static MAKING: LazyLock<Mutex<HashMap<Digest, Arc<Mutex<()>>>>> = LazyLock::new(Mutex::default);
    let mut making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    // Nobody holds a lock that only this map knows: it would pile up otherwise.
    making.retain(|k, lock| *k == key || Arc::strong_count(lock) > 1);
    making.entry(key).or_default().clone()
}

fn make(env: &Env, excerpt: &Excerpt, source: &Path, path: &Path, key: &Digest) -> Result<Checked, Fault> {
    let name = source.display().to_string();
    let mut temp = CheckedTemp::beside(path, key)?;
    let file = Verified::open(source, &excerpt.content)?;
    let length = file.length();
    match materialize_from(file, length, excerpt.rate, excerpt.channels, &mut temp) {
        Ok(made) if Digest(made.source.digest) == excerpt.samples => {
            trim(env, made.frames * u64::from(excerpt.channels) * 4, path);
            Ok(temp.commit_unless_there(path)?)
        }
        Ok(_) => Err(Fault::Failed(format!("{name} decodes to other samples than before; run with --rehash"))),
        Err(MaterializeError::Write(error)) => Err(StoreError::io("write", path)(error).into()),
        Err(MaterializeError::Decode(error)) => Err(Fault::Failed(format!("cannot read {name}: {error}"))),
        Err(MaterializeError::Resample(error)) => Err(Fault::refused("no-conversion", error.to_string())),
    }
}

/// Removes the oldest blobs until `needed` bytes more fit under the limit. Whoever has opened one reads on, but not on a
/// shared disk if another host removes it: several processes remove none. Files that are none of the cache stay.
fn trim(env: &Env, needed: u64, keep: &Path) {
    if env.peers.is_some() {
        return;
    }
    let blob = |entry: io::Result<fs::DirEntry>| -> Option<(SystemTime, PathBuf, u64)> {
        let entry = entry.ok()?;
        let facts = entry.metadata().ok()?;
        Some((facts.modified().ok()?, entry.path(), facts.len()))
    };
    let Ok(entries) = fs::read_dir(env.store.pcm()) else { return };
    let hidden = |path: &Path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
    let mut blobs: Vec<_> = entries.filter_map(blob).filter(|(_, path, _)| !hidden(path) && path != keep).collect();
    blobs.sort();
    let mut held: u64 = blobs.iter().map(|(_, _, bytes)| bytes).sum();
    for (_, path, bytes) in blobs {
        if held + needed <= env.pcm_cache {
            return;
        }
        if is_checked(&path) && fs::remove_file(path).is_ok() {
            held -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Cancel, Helpers, Ledger, Pool, Sources};
    use datasets::store::Store;

    #[test]
    fn cached_samples_are_made_once_and_again_where_they_are_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let env = Env {
            store: Store::open(folder.path()).expect("a store"),
            sources: Sources::default(),
            optouts: Default::default(),
            pool: Pool::new(1),
            ledger: Ledger::default(),
            dry: false,
            cancel: Cancel::default(),
            rehash: false,
            pcm_cache: 1 << 20,
            observer: Box::new(()),
            peers: None,
            helpers: Helpers::default(),
            permit: None,
        };
        let key = Digest::of(b"key");
        let sound = vec![0.5f32, -1.0, f32::MIN_POSITIVE];
        let made = |make: Result<Vec<f32>, Fault>| cached(&env, &key, || make).ok();
        let unmade = || Err(Fault::Failed("asked for".into()));
        assert_eq!(made(unmade()), None);
        assert_eq!((made(Ok(sound.clone())), made(unmade())), (Some(sound.clone()), Some(sound.clone())));
        let path = env.store.pcm().join(key.hex());
        let mut bytes = fs::read(&path).expect("a blob");
        bytes[5] ^= 1;
        fs::write(&path, bytes).expect("damaged");
        assert_eq!((made(unmade()), made(Ok(sound.clone()))), (None, Some(sound.clone())));
        assert_eq!(made(unmade()), Some(sound));
    }
}
