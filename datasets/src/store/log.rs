//! Logs that grow record by record: what was appended whole is there after a kill, and a torn tail is ignored.
//!
//! A record is its length and a check (both u32, little-endian), then its body.

use super::{StoreError, atomic::lone, remove, sync_folder};
use crate::{Digest, store::fault};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
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

/// The whole records among bytes of which some may be damaged.
///
/// What cannot be read at the end is a torn tail, as a kill leaves it, and no damage.
pub(super) struct Salvage<'b> {
    rest: &'b [u8],
    damaged: bool,
}

/// Longest record that is looked for behind damage.
const LONGEST: usize = 1 << 16;

impl<'b> Salvage<'b> {
    pub(super) fn of(bytes: &'b [u8]) -> Salvage<'b> {
        Salvage { rest: bytes, damaged: false }
    }

    /// Whether whole records followed some that could not be read, so far.
    pub(super) fn damaged(&self) -> bool {
        self.damaged
    }

    /// The record that begins there, and what follows it.
    fn whole(bytes: &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
        let body = bodies(bytes).next()?;
        Some((body, &bytes[HEAD + body.len()..]))
    }
}

impl<'b> Iterator for Salvage<'b> {
    type Item = &'b [u8];
    fn next(&mut self) -> Option<&'b [u8]> {
        if let Some((body, rest)) = Self::whole(self.rest) {
            self.rest = rest;
            return Some(body);
        }
        for at in 1..self.rest.len() {
            let rest = &self.rest[at..];
            let length = rest.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
            // Zeros, as a disk leaves them that lost a block, are no record either.
            if (1..=LONGEST).contains(&length)
                && let Some((body, rest)) = Self::whole(rest)
            {
                (self.rest, self.damaged) = (rest, true);
                return Some(body);
            }
        }
        self.rest = &[];
        None
    }
}

/// The log of one piece of work under way.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log at `path` with the bodies that it holds; begins it anew where there is none, or that of other work.
    /// `identity` says which work it is, and is the first record. A link in its place is removed and not followed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(path: &Path, identity: &Digest) -> Result<(Log, Vec<Vec<u8>>), StoreError> {
        if !lone(path) {
            remove(path)?;
        }
        let bytes = match fault::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        let mut kept: Vec<Vec<u8>> = bodies(&bytes).map(<[u8]>::to_vec).collect();
        let mut whole: usize = kept.iter().map(|body| HEAD + body.len()).sum();
        let others = kept.first().is_none_or(|first| *first != identity.0);
        // A record that is not torn off, as a kill leaves the last one, and yet not what was written.
        let length = bytes.get(whole..).and_then(|rest| rest.first_chunk::<4>());
        let torn = length.is_none_or(|length| bytes.len() - whole < HEAD + u32::from_le_bytes(*length) as usize);
        if !bytes.is_empty() && (!torn || others && !kept.is_empty()) {
            let (path, from) = (path.display(), if others { 0 } else { whole });
            tracing::warn!("{path} is damaged: what it holds from byte {from} on is thrown away and made again");
        }
        if others {
            (kept, whole) = (Vec::new(), 0);
        }
        let opened = || -> io::Result<File> {
            fault::point("write")?;
            let mut open = OpenOptions::new();
            let file = match open.append(true).create_new(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && lone(path) => {
                    OpenOptions::new().append(true).open(path)?
                }
                other => other?,
            };
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

    /// The identity of the work whose log lies at `path`. `None` if no log lies there.
    pub fn identity(path: &Path) -> Option<Digest> {
        let mut start = [0; HEAD + 32];
        let read = lone(path).then(|| crate::untrusted::open(path).and_then(|mut file| file.read_exact(&mut start)))?;
        read.ok()?;
        bodies(&start).next().and_then(|body| Some(Digest(body.try_into().ok()?)))
    }

    /// Whether a log lies at `path`: a whole first record, or the start of one whose process was killed amid it.
    pub fn lies(path: &Path) -> bool {
        let torn = || {
            let bytes = fs::metadata(path)
                .ok()
                .filter(|meta| meta.len() < (HEAD + 32) as u64)
                .and(crate::untrusted::read(path, crate::untrusted::LARGEST_TEXT).ok());
            bytes.is_some_and(|bytes| bytes.iter().zip((32u32).to_le_bytes()).all(|(own, byte)| *own == byte))
        };
        lone(path) && (Log::identity(path).is_some() || torn())
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
            assert!(Log::lies(&path), "cut at {cut}");
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
    fn a_link_in_its_place_leads_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other, work) = (folder.path().join("log"), folder.path().join("mine"), Digest::of(b"work"));
        fs::write(&other, "mine").expect("written");
        assert!(!Log::lies(&other) && !Log::lies(&path));
        let links: [fn(&Path, &Path) -> io::Result<()>; 2] =
            [|to, link| std::os::unix::fs::symlink(to, link), |to, link| fs::hard_link(to, link)];
        for link in links {
            link(&other, &path).expect("a link");
            assert!(Log::identity(&path).is_none() && !Log::lies(&path));
            let (mut log, kept) = Log::open(&path, &work).expect("a log");
            log.append(b"one").expect("appended");
            assert!(kept.is_empty() && lone(&path));
            assert_eq!((fs::read(&other).expect("read"), Log::identity(&path)), (b"mine".to_vec(), Some(work)));
            log.remove();
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
