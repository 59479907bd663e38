//! Receipts: an append-only log of finished work, key -> small bytes.
//!
//! A record is its length and a check (both u32, little-endian), then key and value. A segment is
//! written by one process run and never appended to by another, so that a torn tail ends only itself.

use super::StoreError;
use crate::{Digest, fault};
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

const HEAD: usize = 8;

pub(super) struct Receipts {
    folder: PathBuf,
    index: RwLock<HashMap<Digest, Arc<[u8]>>>,
    segment: Mutex<Option<(PathBuf, File)>>,
}

fn check(body: &[u8]) -> u32 {
    Digest::of(body).prefix() as u32
}

fn load(bytes: &[u8], index: &mut HashMap<Digest, Arc<[u8]>>) {
    let mut rest = bytes;
    while rest.len() >= HEAD + 32 {
        let word = |i: usize| u32::from_le_bytes([rest[i], rest[i + 1], rest[i + 2], rest[i + 3]]);
        let (length, expected) = (word(0) as usize, word(4));
        let Some(body) = rest.get(HEAD..HEAD + length).filter(|b| b.len() >= 32 && check(b) == expected) else {
            return;
        };
        let mut key = [0; 32];
        key.copy_from_slice(&body[..32]);
        index.insert(Digest(key), body[32..].into());
        rest = &rest[HEAD + length..];
    }
}

impl Receipts {
    pub(super) fn open(folder: &Path) -> Result<Receipts, StoreError> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(folder).map_err(StoreError::io("read", folder))? {
            let path = entry.map_err(StoreError::io("read", folder))?.path();
            if path.extension().is_some_and(|e| e == "log") {
                segments.push(path);
            }
        }
        // A later segment wins where two processes remembered one key.
        segments.sort();
        let mut index = HashMap::new();
        for path in segments {
            load(&fs::read(&path).map_err(StoreError::io("read", &path))?, &mut index);
        }
        Ok(Receipts { folder: folder.into(), index: RwLock::new(index), segment: Mutex::new(None) })
    }

    pub(super) fn get(&self, key: &Digest) -> Option<Arc<[u8]>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(super) fn put(&self, key: Digest, value: &[u8]) -> Result<(), StoreError> {
        let mut body = Vec::with_capacity(32 + value.len());
        body.extend(key.0);
        body.extend(value);
        let mut record = Vec::with_capacity(HEAD + body.len());
        record.extend((body.len() as u32).to_le_bytes());
        record.extend(check(&body).to_le_bytes());
        record.extend(&body);
        {
            let mut segment = self.segment.lock().unwrap_or_else(PoisonError::into_inner);
            let (path, file) = match &mut *segment {
                Some(open) => open,
                none => none.insert(create(&self.folder)?),
            };
            // One write per record: a crash tears at most the last one.
            fault::point("write").and_then(|()| file.write_all(&record)).map_err(StoreError::io("write", path))?;
        }
        self.index.write().unwrap_or_else(PoisonError::into_inner).insert(key, value.into());
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<(), StoreError> {
        match &*self.segment.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((path, file)) => {
                fault::point("fsync").and_then(|()| file.sync_all()).map_err(StoreError::io("write", path))
            }
            None => Ok(()),
        }
    }
}

/// The first free number; `create_new` settles a race between processes.
fn create(folder: &Path) -> Result<(PathBuf, File), StoreError> {
    let numbers = fs::read_dir(folder).map_err(StoreError::io("read", folder))?;
    let highest = numbers.filter_map(|e| e.ok()?.path().file_stem()?.to_str()?.parse::<u64>().ok()).max().unwrap_or(0);
    let mut number = highest + 1;
    loop {
        let path = folder.join(format!("{number:08}.log"));
        match fault::point("write").and_then(|()| OpenOptions::new().append(true).create_new(true).open(&path)) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(source) => return Err(StoreError::Io { doing: "create", path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_loses_only_the_last_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys: Vec<Digest> = (0..5u8).map(|i| Digest::of(&[i])).collect();
        let whole = {
            let receipts = Receipts::open(folder.path()).expect("open");
            for key in &keys {
                receipts.put(*key, b"value").expect("put");
            }
            fs::read(folder.path().join("00000001.log")).expect("a segment")
        };
        for cut in 0..whole.len() {
            let mut index = HashMap::new();
            load(&whole[..cut], &mut index);
            assert_eq!(index.len(), cut / (HEAD + 32 + 5), "cut at {cut}");
        }
        // A second run starts a segment of its own and sees all of the first.
        let receipts = Receipts::open(folder.path()).expect("open");
        receipts.put(Digest::of(b"new"), b"x").expect("put");
        assert!(folder.path().join("00000002.log").exists());
        assert!(keys.iter().all(|k| receipts.get(k).as_deref() == Some(b"value".as_slice())));
    }
}
