//! The store: objects under their digest, receipts of finished work, and published runs.
//!
//! Knows bytes, keys and what a run rests on. Nothing of what receipts mean.
//!
//! ```text
//! format              the version of this layout
//! objects/ab/cdef..   bytes under their BLAKE3 digest: temp file, fsync, rename, fsync of the folder
//! receipts/N.seg      what finished: append-only, a segment per process run, a torn tail is ignored
//! roots/              what keeps receipts and objects: a file per published run, and one per lock file
//! history/NAME        what the last published run of a name was made of, for the plans of later ones
//! checkpoints/KEY     the state of training and sampling that has not finished
//! pcm/KEY             decoded and resampled samples: a cache, in no digest
//! runs/NAME-ID/       published trees
//! lock                held by every process that has the store open
//! ```
//! Several processes may write at once: an object's name is its content, and nobody shares a segment. Whoever cleans
//! up has the store alone.

mod atomic;
mod checked;
mod checkpoint;
mod error;
pub mod fault;
mod log;
mod memo;
mod place;
mod receipts;
mod roots;
mod sweep;

pub use atomic::{Temp, remove, replace, sync_folder, temp_name, write_atomic};
pub use checked::{Checked, CheckedTemp, Reader, is_checked, read_checked, read_kept, write_checked};
pub use error::{FORMAT, StoreError};
pub use log::Log;
pub use memo::Memo;
use receipts::Receipts;
pub use receipts::{Receipt, Segment};
pub use roots::{Pins, Recorded, Root, turns};
pub use sweep::{Contents, Live, REST};

use crate::Digest;
use place::Place;
use std::{
    collections::HashMap,
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, atomic::AtomicBool},
};

/// An open store. Cheap to share; all methods take `&self`.
pub struct Store {
    root: PathBuf,
    receipts: Receipts,
    /// Whether a memo that cannot be read has been told of.
    unread: AtomicBool,
    /// Objects whose bytes this process has checked or written, as their files were then.
    sound: Mutex<HashMap<Digest, Facts>>,
    /// Lock held for as long as the store is open; `None` where the disk lets nobody write.
    _lock: Option<File>,
}

/// Device, inode, size and time of the last write of a file, in seconds and nanoseconds.
type Facts = (u64, u64, u64, i64, i64);

fn facts(facts: &Metadata) -> Facts {
    (facts.dev(), facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec())
}

/// Lock mode of an open store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Shared lock: other processes may have the store open.
    Shared,
    /// Exclusive lock: no other process has the store open.
    Alone,
}

impl Hold {
    /// Takes the lock. One that cleans up is waited for: it takes seconds.
    fn take(self, root: &Path) -> Result<Option<File>, StoreError> {
        let path = root.join("lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = match (opened, self) {
            (Ok(file), _) => file,
            (Err(_), Hold::Shared) => return Ok(None),
            (Err(source), Hold::Alone) => return Err(StoreError::Io { doing: "write", path, source }),
        };
        let taken = if self == Hold::Alone { file.try_lock() } else { file.try_lock_shared() };
        match taken {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) if self == Hold::Alone => Err(StoreError::Busy(root.into())),
            Err(TryLockError::WouldBlock) => {
                tracing::warn!("waiting: another refrain cleans up the store {}", root.display());
                file.lock_shared().map_err(StoreError::io("lock", &path))?;
                Ok(Some(file))
            }
            // A disk without locks.
            Err(TryLockError::Error(_)) if self == Hold::Shared => Ok(None),
            Err(TryLockError::Error(source)) => Err(StoreError::Io { doing: "lock", path, source }),
        }
    }
}

impl Store {
    /// Opens the store in a folder; creates it where there is none and the folder is new or empty.
    ///
    /// # Errors
    /// When the folder cannot be read or created, holds other files, or a store of a newer version.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        match place::look(root)? {
            Place::Store => {}
            Place::Stale | Place::Free => place::make(root)?,
        }
        Store::hold(root, Hold::Shared)
    }

    /// Opens the store in a folder for somebody who only looks: where there is none, it is empty and stays in memory.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn look(root: &Path) -> Result<Store, StoreError> {
        if place::look(root)? == Place::Free {
            let receipts = Receipts::nowhere();
            let (unread, sound) = (AtomicBool::new(false), Mutex::default());
            return Ok(Store { root: root.into(), receipts, unread, sound, _lock: None });
        }
        Store::open(root)
    }

    /// Opens the store for cleaning up: nobody else may have it open.
    ///
    /// # Errors
    /// As [`Store::open`], [`StoreError::Busy`], and [`StoreError::NotAStore`] where there is none.
    pub fn open_alone(root: &Path) -> Result<Store, StoreError> {
        match place::look(root)? {
            Place::Store => {}
            Place::Stale => place::make(root)?,
            Place::Free => return Err(StoreError::NotAStore(root.into())),
        }
        Store::hold(root, Hold::Alone)
    }

    fn hold(root: &Path, hold: Hold) -> Result<Store, StoreError> {
        let lock = hold.take(root)?;
        // Any of them may be deleted.
        for folder in ["objects", "receipts", "checkpoints", "pcm", "runs"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        }
        let receipts = Receipts::open(&root.join("receipts"))?;
        let (unread, sound) = (AtomicBool::new(false), Mutex::default());
        Ok(Store { root: root.into(), receipts, unread, sound, _lock: lock })
    }

    /// Names the manifest whose run works on the store from here on: what it writes is unfinished work of that name
    /// until it is published.
    pub fn begin(&self, name: &str) {
        self.receipts.begin(name);
    }

    /// The folder of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Path of an object, whether it exists or not.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("objects").join(&hex[..2]).join(&hex[2..])
    }

    /// Whether an object is there.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Stores bytes. Where they are there already they are read and compared, unless this process has done so before: a
    /// damaged object gives way.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        if self.is_known(&digest, &path) {
            return Ok(digest);
        }
        let there = fs::metadata(&path).ok().filter(|there| there.len() == bytes.len() as u64);
        if let Some(there) = there
            && crate::untrusted::read(&path, crate::untrusted::LARGEST).is_ok_and(|there| there == bytes)
        {
            self.know(&digest, &there);
            return Ok(digest);
        }
        self.folder_of(&path)?;
        let mut temp = Temp::beside(&path)?;
        let written = temp.write_all(bytes).and_then(|()| temp.protect()).map_err(StoreError::io("write", &path))?;
        temp.commit(&path)?;
        self.know(&digest, &written);
        Ok(digest)
    }

    /// Whether this process has checked or written an object, and its file has not been written to since.
    fn is_known(&self, digest: &Digest, path: &Path) -> bool {
        let sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        sound.get(digest).is_some_and(|known| fs::metadata(path).is_ok_and(|now| facts(&now) == *known))
    }

    fn know(&self, digest: &Digest, examined: &Metadata) {
        self.sound.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest, facts(examined));
    }

    /// Reads an object and checks its digest. One whose bytes are others is removed, so that the next run makes it again.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], or what the disk says.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let bytes = fault::read(&path).map_err(|error| unread(digest, &path, error))?;
        if Digest::of(&bytes) == *digest {
            return Ok(bytes);
        }
        Err(self.damaged(digest))
    }

    /// Checks the bytes of an object that somebody is about to read or link by its path; once in a process, as long as
    /// nobody writes to its file. One whose bytes are others is removed, so that the next run makes it again.
    ///
    /// # Errors
    /// See [`Store::get`].
    pub fn check(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.path(digest);
        if self.is_known(digest, &path) {
            return Ok(path);
        }
        let mut hasher = blake3::Hasher::new();
        let mut read = || -> io::Result<Metadata> {
            fault::point("read")?;
            let file = crate::untrusted::open(&path)?;
            let examined = file.metadata()?;
            hasher.update_reader(file)?;
            Ok(examined)
        };
        let examined = read().map_err(|error| unread(digest, &path, error))?;
        if *hasher.finalize().as_bytes() != digest.0 {
            return Err(self.damaged(digest));
        }
        self.know(digest, &examined);
        Ok(path)
    }

    /// Removes an object whose bytes are others.
    fn damaged(&self, digest: &Digest) -> StoreError {
        // Where it cannot be removed, it is found again.
        let _ = remove(&self.path(digest));
        StoreError::Damaged(*digest)
    }

    fn folder_of(&self, path: &Path) -> Result<(), StoreError> {
        let Some(folder) = path.parent() else { return Ok(()) };
        if !folder.is_dir() {
            fault::point("write")
                .and_then(|()| fs::create_dir_all(folder))
                .map_err(StoreError::io("create", folder))?;
            sync_folder(&self.root.join("objects"))?;
        }
        Ok(())
    }

    /// Whether there is a receipt under a key, and every object that it names. The run that asks rests on it.
    pub fn complete(&self, key: &Digest) -> bool {
        self.receipts.objects(key).is_some_and(|objects| objects.iter().all(|object| self.has(object)))
    }

    /// Loads the receipts that other processes of the same run have made durable, and counts those of `keys` as used.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn adopt(&self, keys: &[Digest]) -> Result<(), StoreError> {
        self.receipts.adopt(keys)
    }

    /// Makes all receipts durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.receipts.flush()
    }

    /// Folder of published runs.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Folder of cached samples and codes.
    pub fn pcm(&self) -> PathBuf {
        self.root.join("pcm")
    }
}

fn unread(digest: &Digest, path: &Path, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::Missing(*digest),
        _ => StoreError::io("read", path)(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_receipts_survive_a_reopening() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = Digest::of(b"key");
        let digest = {
            let store = Store::open(folder.path()).expect("a store");
            assert!(Memo::<Digest>::at(key).get(&store).is_none());
            let digest = store.put(b"bytes").expect("stored");
            assert_eq!(store.put(b"bytes").expect("stored twice"), digest);
            Memo::at(key).put(&store, &digest, &[digest]).expect("remembered");
            digest
        };
        let store = Store::open(folder.path()).expect("a store");
        assert_eq!(Memo::at(key).get(&store), Some(digest));
        assert_eq!(store.get(&digest).expect("there"), b"bytes");
        damage(&store, &digest);
        assert!(matches!(store.get(&digest), Err(StoreError::Damaged(d)) if d == digest));
        assert!(matches!(store.get(&digest), Err(StoreError::Missing(d)) if d == digest));
    }

    /// Puts other bytes in the place of an object's.
    fn damage(store: &Store, digest: &Digest) {
        fs::remove_file(store.path(digest)).expect("removed");
        fs::write(store.path(digest), b"bites").expect("written");
    }

    #[test]
    fn a_damaged_object_gives_way_to_the_same_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let digest = store.put(b"bytes").expect("stored");
        assert!(fs::metadata(store.path(&digest)).expect("facts").permissions().readonly());
        assert_eq!(store.check(&digest).expect("sound"), store.path(&digest));
        damage(&store, &digest);
        assert_eq!(store.put(b"bytes").expect("stored again"), digest);
        assert_eq!(store.get(&digest).expect("whole"), b"bytes");
        damage(&store, &digest);
        assert!(matches!(store.check(&digest), Err(StoreError::Damaged(_))));
        assert!(matches!(store.check(&digest), Err(StoreError::Missing(_))));
        // Another process, which has not written it.
        store.put(b"bytes").expect("stored again");
        let other = Store::open(folder.path()).expect("a store");
        damage(&store, &digest);
        assert_eq!(other.put(b"bytes").expect("stored again"), digest);
        assert_eq!(other.get(&digest).expect("whole"), b"bytes");
    }

    #[test]
    fn whoever_only_looks_makes_no_store() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("store");
        let store = Store::look(&root).expect("nothing");
        Memo::at(Digest::of(b"key")).put(&store, &1u64, &[]).expect("in memory");
        assert_eq!(Memo::<u64>::at(Digest::of(b"key")).get(&store), Some(1));
        assert!(store.segments().expect("none").is_empty() && store.roots().expect("none").is_empty());
        store.flush().expect("nothing to write");
        assert!(!root.exists());
        assert!(matches!(Store::open_alone(&root), Err(StoreError::NotAStore(_))));
    }

    #[test]
    fn a_newer_store_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("format"), "3\n").expect("written");
        let error = Store::open(folder.path()).err().expect("refused").to_string();
        assert!(error.contains("has format 3"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn an_older_store_is_taken_over() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("format"), "1\n").expect("written");
        fs::create_dir(folder.path().join("receipts")).expect("a folder");
        fs::write(folder.path().join("receipts/00000001.log"), [7; 99]).expect("written");
        let store = Store::open(folder.path()).expect("a store");
        assert_eq!(fs::read_to_string(folder.path().join("format")).expect("a format"), "2\n");
        assert_eq!(store.contents().expect("contents").leftovers, [folder.path().join("receipts/00000001.log")]);
    }

    #[test]
    fn whoever_cleans_up_is_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (Store::open(folder.path()).expect("a store"), Store::open(folder.path()).expect("a store"));
        assert!(matches!(Store::open_alone(folder.path()), Err(StoreError::Busy(_))));
        drop(one);
        assert!(matches!(Store::open_alone(folder.path()), Err(StoreError::Busy(_))));
        drop(two);
        assert!(Store::open_alone(folder.path()).is_ok());
    }
}
