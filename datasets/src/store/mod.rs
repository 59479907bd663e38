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
mod checkpoint;
mod error;
pub mod fault;
mod log;
mod memo;
mod receipts;
mod roots;
mod sweep;

pub use atomic::{Temp, remove, replace, sync_folder, write_atomic};
pub use error::{FORMAT, StoreError};
pub use log::Log;
pub use memo::Memo;
use receipts::Receipts;
pub use receipts::{Receipt, Segment};
pub use roots::{Pins, Recorded, Root, turns};
pub use sweep::{Contents, Live};

use crate::Digest;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

/// An open store. Cheap to share; all methods take `&self`.
pub struct Store {
    root: PathBuf,
    receipts: Receipts,
    /// Whether a memo that cannot be read has been told of.
    unread: AtomicBool,
    /// Lock held for as long as the store is open; `None` where the disk lets nobody write.
    _lock: Option<File>,
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
    /// Opens the store in a folder; creates it where there is none.
    ///
    /// # Errors
    /// When the folder cannot be read or created, or holds a store of a newer version.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        Store::hold(root, Hold::Shared)
    }

    /// Opens the store for cleaning up: nobody else may have it open.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StoreError::Busy`].
    pub fn open_alone(root: &Path) -> Result<Store, StoreError> {
        Store::hold(root, Hold::Alone)
    }

    fn hold(root: &Path, hold: Hold) -> Result<Store, StoreError> {
        let format = root.join("format");
        match fs::read_to_string(&format) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(found) if found > FORMAT => return Err(StoreError::Newer { path: root.into(), found }),
                Ok(FORMAT) => {}
                // Its receipts did not say which objects they name: that work is done again.
                Ok(_) => write_atomic(&format, format!("{FORMAT}\n").as_bytes())?,
                Err(_) => return Err(StoreError::NotAStore(root.into())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(root).map_err(StoreError::io("create", root))?;
                write_atomic(&format, format!("{FORMAT}\n").as_bytes())?;
            }
            Err(error) => return Err(StoreError::Io { doing: "read", path: format, source: error }),
        }
        let lock = hold.take(root)?;
        // Any of them may be deleted.
        for folder in ["objects", "receipts", "checkpoints", "pcm", "runs"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        }
        let receipts = Receipts::open(&root.join("receipts"))?;
        Ok(Store { root: root.into(), receipts, unread: AtomicBool::new(false), _lock: lock })
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

    /// Stores bytes; a second copy costs one look.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        if !path.is_file() {
            self.folder_of(&path)?;
            write_atomic(&path, bytes)?;
        }
        Ok(digest)
    }

    /// Reads an object and checks its digest.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], or what the disk says.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let bytes = match fault::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing(*digest)),
            Err(error) => return Err(StoreError::Io { doing: "read", path, source: error }),
        };
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(StoreError::Damaged(*digest)) }
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
        fs::write(store.path(&digest), b"bites").expect("written");
        assert!(matches!(store.get(&digest), Err(StoreError::Damaged(d)) if d == digest));
        fs::remove_file(store.path(&digest)).expect("removed");
        assert!(matches!(store.get(&digest), Err(StoreError::Missing(d)) if d == digest));
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
