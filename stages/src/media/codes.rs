//! The codes of shards as one file: a cache like that of decoded samples, in no digest.
//!
//! Parquet is read once, a few rows at a time; training then reads windows anywhere without holding the corpus. They are
//! checked where they are read, and made again from the shards where they are damaged.

use crate::{flow::Env, model::prior::fit::Tokens};
use datasets::{
    Digest, Key,
    effect::Fault,
    shard::{ShardError, ShardReader},
    store::{Checked, CheckedTemp, StoreError, read_checked, remove, write_checked},
};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// One clip in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Entry {
    /// Digest of the samples; the first field, so that clips are ordered by content and not by position.
    samples: Digest,
    start: u64,
    frames: u64,
    split: String,
    genre: Option<String>,
    /// First word and number of codes, of each level.
    levels: Vec<(u64, u64)>,
}

/// All clips of a set of shards, read at one level.
pub(crate) struct Part<'e> {
    env: &'e Env,
    files: Vec<Digest>,
    /// Little-endian 16-bit words, all codes one after another.
    words: Mutex<Arc<Checked>>,
    entries: Vec<Entry>,
    level: usize,
}

/// A shard of the store that cannot be read: what the disk says, or that its bytes are no shard.
pub(crate) fn unread(error: ShardError, object: &Path, file: &Digest) -> StoreError {
    match error {
        ShardError::Io(error) if error.kind() == io::ErrorKind::NotFound => StoreError::Missing(*file),
        ShardError::Io(error) => StoreError::io("read", object)(error),
        _ => StoreError::Damaged(*file),
    }
}

/// Key and path of the words of shards, and of the list of clips in them.
fn places(env: &Env, files: &[Digest]) -> [(Digest, PathBuf); 2] {
    let key = files.iter().fold(Key::new("tokens 1"), |key, file| key.digest(file)).finish();
    ["tokens", "index"].map(|end| {
        let own = Key::new(end).digest(&key).finish();
        (own, env.store.pcm().join(format!("{}-{end}", key.hex())))
    })
}

/// The cache of shards: made where there is none, or where it is damaged.
fn words(env: &Env, files: &[Digest]) -> Result<(Checked, Vec<Entry>), Fault> {
    let [(key, path), (index_key, index)] = places(env, files);
    let known = read_checked(&index, &index_key)?.and_then(|packed| postcard::from_bytes::<Vec<Entry>>(&packed).ok());
    let there = if known.is_some() { Checked::open(&path, &key)? } else { None };
    if let Some(found) = there.zip(known) {
        return Ok(found);
    }
    // Codes are put where there are none.
    remove(&path)?;
    let mut entries = Vec::new();
    let mut temp = CheckedTemp::beside(&path, &key)?;
    let mut at = 0;
    for file in files {
        let object = env.store.check(file)?;
        let damaged = |error| Fault::Store(unread(error, &object, file));
        for row in ShardReader::open(&object).map_err(damaged)? {
            if env.cancel.cancelled() {
                return Err(Fault::Interrupted);
            }
            let row = row.map_err(damaged)?;
            let mut levels = Vec::new();
            for codes in &row.codes {
                let bytes: Vec<u8> = codes.iter().flat_map(|code| code.to_le_bytes()).collect();
                temp.write_all(&bytes).map_err(StoreError::io("write", &path))?;
                levels.push((at, codes.len() as u64));
                at += codes.len() as u64;
            }
            entries.push(Entry {
                samples: Digest(row.samples),
                start: row.start,
                frames: row.frames,
                split: row.split,
                genre: row.labels.genre,
                levels,
            });
        }
    }
    entries.sort();
    // Two tracks with the same sound count once, as in `fit`.
    entries.dedup_by(|b, a| (a.samples, a.start, a.frames) == (b.samples, b.start, b.frames));
    let words = temp.commit_unless_there(&path)?;
    let bytes = postcard::to_stdvec(&entries).map_err(|e| Fault::Failed(e.to_string()))?;
    write_checked(&index, &index_key, &bytes)?;
    Ok((words, entries))
}

impl Part<'_> {
    /// Opens the codes of shards, given as their files, at a level.
    ///
    /// # Errors
    /// A shard that is missing or damaged, or a cache that cannot be written.
    pub(crate) fn open(env: &Env, mut files: Vec<Digest>, level: usize) -> Result<Part<'_>, Fault> {
        files.sort();
        let (found, entries) = words(env, &files)?;
        Ok(Part { env, files, words: Mutex::new(Arc::new(found)), entries, level })
    }

    /// Every genre there is, sorted.
    pub(crate) fn genres(&self) -> Vec<String> {
        let mut genres: Vec<String> = self.entries.iter().filter_map(|entry| entry.genre.clone()).collect();
        genres.sort();
        genres.dedup();
        genres
    }

    /// The digests of all samples, sorted, each once.
    pub(crate) fn samples(&self) -> Vec<Digest> {
        let mut samples: Vec<Digest> = self.entries.iter().map(|entry| entry.samples).collect();
        samples.sort();
        samples.dedup();
        samples
    }

    fn words(&self, clip: usize, level: usize, first: u64, out: &mut [u16]) -> Result<(), String> {
        let (start, codes) = self.entries[clip].levels.get(level).copied().ok_or("the shard has fewer levels")?;
        if first + out.len() as u64 > codes {
            return Err("beyond the end of a clip".to_owned());
        }
        let mut bytes = vec![0; size_of_val(out)];
        let mut again = false;
        loop {
            let found = self.words.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Err(why) = found.read_at((start + first) * 2, &mut bytes) else { break };
            found.discard(&why).map_err(|error| error.to_string())?;
            if again {
                return Err(why.to_string());
            }
            let (made, entries) = words(self.env, &self.files).map_err(|fault| fault.to_string())?;
            if entries != self.entries {
                return Err("the shards hold other clips than before".to_owned());
            }
            *self.words.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
            again = true;
        }
        let (words, _) = bytes.as_chunks::<2>();
        out.iter_mut().zip(words).for_each(|(out, word)| *out = u16::from_le_bytes(*word));
        Ok(())
    }
}

impl Tokens for Part<'_> {
    fn clips(&self) -> usize {
        self.entries.len()
    }
    fn codes(&self, clip: usize) -> u64 {
        self.entries[clip].levels.get(self.level).map_or(0, |(_, codes)| *codes)
    }
    fn genre(&self, clip: usize) -> Option<&str> {
        self.entries[clip].genre.as_deref()
    }
    fn read(&self, clip: usize, first: u64, out: &mut [u16]) -> Result<(), String> {
        self.words(clip, self.level, first, out)
    }
    fn read_upper(&self, clip: usize, first: u64, out: &mut [u16]) -> Result<usize, String> {
        let codes = self.entries[clip].levels.get(self.level + 1).map_or(0, |(_, codes)| *codes);
        let there = codes.saturating_sub(first).min(out.len() as u64) as usize;
        self.words(clip, self.level + 1, first, &mut out[..there])?;
        Ok(there)
    }
}
