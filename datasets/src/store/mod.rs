//! The store: objects under their digest, receipts of finished work, and published runs.
//!
//! ```text
//! format              the version of this layout
//! objects/ab/cdef..   bytes under their BLAKE3 digest: temp file, fsync, rename, fsync of the folder
//! receipts/N.log      what finished: append-only, a segment per process run, a torn tail is ignored
//! checkpoints/KEY     the state of training and sampling that has not finished
//! pcm/KEY             decoded and resampled samples: a cache, in no digest
//! runs/NAME-ID/       published trees
//! ```
//! Several processes may write at once: an object's name is its content, and nobody shares a segment.

mod atomic;
mod log;
mod receipts;

pub use atomic::{Temp, sync_folder, write_atomic};
pub use log::Log;
use receipts::Receipts;

use crate::{Digest, fault};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The layout that this version reads and writes.
pub const FORMAT: u32 = 1;

/// What can go wrong with the store. Exit code 4.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error("{}", io_sentence(.doing, .path, .source))]
    Io {
        /// What was tried: "write", "read", "create".
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Written by a newer version of Refrain.
    #[error("the store {} has format {found}; this version of refrain reads up to {FORMAT}: use the newer refrain, or another folder with --store", .path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Not a store.
    #[error("{} is not a store of refrain: its file `format` does not hold a number", .0.display())]
    NotAStore(PathBuf),
    /// An object that a receipt names is gone.
    #[error("object {0} is missing from the store")]
    Missing(Digest),
    /// An object's bytes are not what its name says.
    #[error("object {0} is damaged: its bytes have another digest")]
    Damaged(Digest),
}

fn io_sentence(doing: &str, path: &Path, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full; free some space and run again, what is finished is kept"
        }
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only; choose a folder that can be written with --store",
        io::ErrorKind::PermissionDenied => "permission denied; choose a folder that can be written with --store",
        _ => return format!("cannot {doing} {}: {error}", path.display()),
    };
    format!("cannot {doing} {}: {why}", path.display())
}

impl StoreError {
    /// For `map_err`: names what was tried, and where.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { doing, path, source }
    }
}

/// An open store. Cheap to share; all methods take `&self`.
pub struct Store {
    root: PathBuf,
    receipts: Receipts,
}

impl Store {
    /// Opens the store in a folder; creates it where there is none.
    ///
    /// # Errors
    /// When the folder cannot be read or created, or holds a store of a newer version.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        let format = root.join("format");
        match fs::read_to_string(&format) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(found) if found > FORMAT => return Err(StoreError::Newer { path: root.into(), found }),
                Ok(_) => {}
                Err(_) => return Err(StoreError::NotAStore(root.into())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                for folder in ["objects", "receipts", "checkpoints", "pcm", "runs"] {
                    let folder = root.join(folder);
                    fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
                }
                write_atomic(&format, format!("{FORMAT}\n").as_bytes())?;
            }
            Err(error) => return Err(StoreError::Io { doing: "read", path: format, source: error }),
        }
        Ok(Store { root: root.into(), receipts: Receipts::open(&root.join("receipts"))? })
    }

    /// The folder of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where an object lies, or would lie.
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
        let bytes = match fs::read(&path) {
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

    /// What was remembered under a key.
    pub fn receipt(&self, key: &Digest) -> Option<Arc<[u8]>> {
        self.receipts.get(key)
    }

    /// Remembers bytes under a key. Whatever objects they name must have been stored before.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remember(&self, key: Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.receipts.put(key, bytes)
    }

    /// Makes all receipts durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.receipts.flush()
    }

    /// Where the unfinished state of an effect lies.
    pub fn checkpoint(&self, key: &Digest) -> PathBuf {
        self.root.join("checkpoints").join(key.hex())
    }

    /// Where published runs lie.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Where decoded samples are cached.
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
            assert!(store.receipt(&key).is_none());
            let digest = store.put(b"bytes").expect("stored");
            assert_eq!(store.put(b"bytes").expect("stored twice"), digest);
            store.remember(key, &digest.0).expect("remembered");
            digest
        };
        let store = Store::open(folder.path()).expect("a store");
        assert_eq!(store.receipt(&key).as_deref(), Some(&digest.0[..]));
        assert_eq!(store.get(&digest).expect("there"), b"bytes");
        fs::write(store.path(&digest), b"bites").expect("written");
        assert!(matches!(store.get(&digest), Err(StoreError::Damaged(d)) if d == digest));
        fs::remove_file(store.path(&digest)).expect("removed");
        assert!(matches!(store.get(&digest), Err(StoreError::Missing(d)) if d == digest));
    }

    #[test]
    fn a_newer_store_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("format"), "2\n").expect("written");
        let error = Store::open(folder.path()).err().expect("refused").to_string();
        assert!(error.contains("has format 2"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
