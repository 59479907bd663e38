//! Errors of the store.

use crate::Digest;
use std::{
    io,
    path::{Path, PathBuf},
};

/// The layout that this version reads and writes.
pub const FORMAT: u32 = 2;

/// Errors of the store. Exit code 4.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An operation on the disk failed.
    #[error("{}", io_sentence(.doing, .path, .source))]
    Io {
        /// The operation that failed: "write", "read", "create".
        doing: &'static str,
        /// Path of the file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A store written by a newer version of Refrain.
    #[error("the store {} has format {found}; this version of refrain reads up to {FORMAT}: use the newer refrain, or another folder with --store", .path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Format of the store.
        found: u32,
    },
    /// A folder that is not a store, and holds files of somebody.
    #[error("{} is not a store of refrain: name a new or empty folder with --store; nothing there was touched", .0.display())]
    NotAStore(PathBuf),
    /// The place of a store holds something else than a folder.
    #[error("the store {} is no folder: name another with --store", .0.display())]
    NoFolder(PathBuf),
    /// A store that another process has open.
    #[error("the store {} is in use by another refrain: try again when that has ended", .0.display())]
    Busy(PathBuf),
    /// An object that a receipt names is gone.
    #[error("object {0} is missing from the store")]
    Missing(Digest),
    /// An object's bytes are not what its name says.
    #[error("object {0} is damaged: its bytes have another digest; it is thrown away, run again to make it anew")]
    Damaged(Digest),
}

fn io_sentence(doing: &str, path: &Path, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full; free some space and run again, what is finished is kept"
        }
        io::ErrorKind::FileTooLarge => {
            "the file is larger than this process may write; raise the limit (ulimit -f) and run again, what is finished is \
             kept"
        }
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only; choose a folder that can be written",
        io::ErrorKind::PermissionDenied => "permission denied; choose a folder that can be written",
        _ => return format!("cannot {doing} {}: {error}", path.display()),
    };
    format!("cannot {doing} {}: {why}", path.display())
}

impl StoreError {
    /// Makes a [`StoreError::Io`] of an I/O error, for `map_err`: `doing` is the operation, `path` the file.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { doing, path, source }
    }
}
