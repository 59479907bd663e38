//! Logs that grow record by record: what was appended whole is there after a kill, and a torn tail is ignored.
//!
//! A record is its length and a check (both u32, little-endian), then its body.

use super::{StoreError, sync_folder};
use crate::{Digest, store::fault};
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// Bytes before the body of a record: its length and its check.
pub(super) const HEAD: usize = 8;

fn check(body: &[u8]) -> u32 {
    Digest::of(body).prefix() as u32
}

/// Makes a record of a body: length, check and body.
pub(super) fn record(body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD + body.len());
    record.extend((body.len() as u32).to_le_bytes());
    record.extend(check(body).to_le_bytes());
    record.extend(body);
    record
}

/// The bodies of all whole records from the start on.
pub(super) fn bodies(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (expected, after) = after.split_first_chunk::<4>()?;
        let (body, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        (check(body) == u32::from_le_bytes(*expected)).then(|| {
            rest = after;
            body
        })
    })
}

/// The log of one piece of work under way.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log at `path` with the bodies that it holds; begins it anew where there is none, or that of other work.
    /// `identity` says which work it is, and is the first record.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(path: &Path, identity: &Digest) -> Result<(Log, Vec<Vec<u8>>), StoreError> {
        let bytes = match fault::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        let mut kept: Vec<Vec<u8>> = bodies(&bytes).map(<[u8]>::to_vec).collect();
        let mut whole: usize = kept.iter().map(|body| HEAD + body.len()).sum();
        if kept.first().is_none_or(|first| *first != identity.0) {
            (kept, whole) = (Vec::new(), 0);
        }
        let opened = || -> io::Result<File> {
            fault::point("write")?;
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            // What a kill tore off must not stand between whole records.
            file.set_len(whole as u64)?;
            Ok(file)
        };
        let mut log = Log { path: path.to_owned(), file: opened().map_err(StoreError::io("write", path))? };
        if kept.is_empty() {
            log.append(&identity.0)?;
            path.parent().map_or(Ok(()), sync_folder)?;
        } else {
            kept.remove(0);
        }
        Ok((log, kept))
    }

    /// Appends a record and makes it durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, body: &[u8]) -> Result<(), StoreError> {
        // One write per record: a kill tears at most the last one.
        fault::append(&mut self.file, &record(body))
            .and_then(|()| fault::point("fsync"))
            .and_then(|()| self.file.sync_data())
            .map_err(StoreError::io("write", &self.path))
    }

    /// Removes the log: the work is done.
    pub fn remove(self) {
        // One that stays is found by its age.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_costs_the_last_record_and_stands_in_nobodys_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, work) = (folder.path().join("log"), Digest::of(b"work"));
        let (mut log, kept) = Log::open(&path, &work).expect("a log");
        assert!(kept.is_empty());
        for body in [&b"one"[..], b"", b"three"] {
            log.append(body).expect("appended");
        }
        let whole = fs::read(&path).expect("bytes");
        let all = [b"one".to_vec(), Vec::new(), b"three".to_vec()];
        let ends = [HEAD + 32, HEAD + 32 + HEAD + 3, HEAD + 32 + 2 * HEAD + 3, whole.len()];
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).expect("written");
            let (mut log, kept) = Log::open(&path, &work).expect("a log");
            let expected = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            assert_eq!(kept, all[..expected], "cut at {cut}");
            log.append(b"more").expect("appended");
            let (_, kept) = Log::open(&path, &work).expect("a log");
            assert_eq!(kept.last().map(Vec::as_slice), Some(b"more".as_slice()), "cut at {cut}");
            assert_eq!(kept.len(), expected + 1);
        }
    }

    #[test]
    fn the_log_of_other_work_is_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let (mut log, _) = Log::open(&path, &Digest::of(b"one")).expect("a log");
        log.append(b"body").expect("appended");
        let (log, kept) = Log::open(&path, &Digest::of(b"other")).expect("a log");
        assert!(kept.is_empty());
        log.remove();
        assert!(!path.exists());
    }
}
