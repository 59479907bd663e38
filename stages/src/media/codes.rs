//! The codes of shards as one memory-mapped file: a cache like that of decoded samples, in no digest.
//!
//! Parquet is read once, a few rows at a time; training then reads windows anywhere without holding the corpus.

use crate::{flow::Env, model::prior::fit::Tokens};
use datasets::{
    Digest, Key,
    effect::Fault,
    mmap::Words,
    shard::{ShardError, ShardReader},
    store::{StoreError, Temp, write_atomic},
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Write as _},
    path::Path,
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
pub(crate) struct Part {
    words: Words,
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

impl Part {
    /// Opens the codes of shards, given as their files, at a level.
    ///
    /// # Errors
    /// A shard that is missing or damaged, or a cache that cannot be written.
    pub(crate) fn open(env: &Env, mut files: Vec<Digest>, level: usize) -> Result<Part, Fault> {
        files.sort();
        let key = files.iter().fold(Key::new("tokens 1"), |key, file| key.digest(file)).finish();
        let path = env.store.pcm().join(format!("{}-tokens", key.hex()));
        let index = env.store.pcm().join(format!("{}-index", key.hex()));
        let read = || -> Option<Part> {
            let entries = postcard::from_bytes(&fs::read(&index).ok()?).ok()?;
            Some(Part { words: Words::open(&path).ok()?, entries, level })
        };
        // The index is written last, so where it is the words are whole.
        if let Some(part) = read() {
            return Ok(part);
        }
        // Codes are put where there are none.
        if Words::open(&path).is_err() {
            let _ = fs::remove_file(&path);
        }
        let mut entries = Vec::new();
        let mut temp = Temp::beside(&path)?;
        let mut at = 0;
        for file in &files {
            let object = env.store.path(file);
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
        temp.commit_unless_there(&path)?;
        let bytes = postcard::to_stdvec(&entries).map_err(|e| Fault::Failed(e.to_string()))?;
        write_atomic(&index, &bytes)?;
        let words = Words::open(&path).map_err(StoreError::io("read", &path))?;
        Ok(Part { words, entries, level })
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
        let inside = first + out.len() as u64 <= codes;
        let read = inside.then(|| self.words.read((start + first) as usize, out)).flatten();
        read.ok_or_else(|| "beyond the end of a clip".to_owned())
    }
}

impl Tokens for Part {
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
