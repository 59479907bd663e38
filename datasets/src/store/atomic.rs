//! Files that are there whole or not at all: temp file in the same folder, fsync, rename, fsync of the folder.

use super::StoreError;
use crate::{Digest, fault};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// A file under way. Dropped without [`Temp::commit`], it is removed.
pub struct Temp {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    hasher: blake3::Hasher,
}

impl Temp {
    /// Starts a file beside its final place; the name says which process writes it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn beside(target: &Path) -> Result<Temp, StoreError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Processes of two hosts that share a store may have one number.
        static BORN: LazyLock<u128> =
            LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()));
        let name = format!(".{}-{:x}-{}.tmp", process::id(), *BORN, COUNT.fetch_add(1, Ordering::Relaxed));
        let path = target.with_file_name(name);
        let file = fault::point("write").and_then(|()| File::create(&path)).map_err(StoreError::io("write", &path))?;
        Ok(Temp { path, file: Some(BufWriter::with_capacity(1 << 16, file)), hasher: blake3::Hasher::new() })
    }

    /// Digest of the bytes written so far.
    pub fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }

    /// Where it lies while it is under way.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name unless that is taken, for caches that several processes fill with the same bytes: what
    /// another process has mapped stays the file of that name.
    ///
    /// # Errors
    /// See [`Temp::commit`].
    pub fn commit_unless_there(mut self, target: &Path) -> Result<(), StoreError> {
        self.sync(target)?;
        match fault::point("rename").and_then(|()| fs::hard_link(&self.path, target)) {
            // The name that it had while it was under way goes with `self`.
            Ok(()) => sync_parent(target),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // A disk without hard links.
            Err(_) => self.commit(target),
        }
    }

    fn sync(&mut self, target: &Path) -> Result<(), StoreError> {
        let Some(buffered) = self.file.take() else { return Ok(()) };
        let file = buffered.into_inner().map_err(|e| e.into_error()).map_err(StoreError::io("write", target))?;
        fault::point("fsync").and_then(|()| file.sync_all()).map_err(StoreError::io("write", target))
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// When the disk refuses; then nothing has that name that had it not before.
    pub fn commit(mut self, target: &Path) -> Result<(), StoreError> {
        self.sync(target)?;
        fault::point("rename")
            .and_then(|()| fs::rename(&self.path, target))
            .map_err(StoreError::io("rename", target))?;
        sync_parent(target)
    }
}

fn sync_parent(target: &Path) -> Result<(), StoreError> {
    target.parent().map_or(Ok(()), sync_folder)
}

impl Write for Temp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fault::point("write")?;
        let Some(file) = &mut self.file else { return Err(io::Error::other("the file is closed")) };
        let written = file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // After a rename the name is gone and this does nothing.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes a whole file atomically.
///
/// # Errors
/// When the disk refuses; then what was there before is still there.
pub fn write_atomic(target: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut temp = Temp::beside(target)?;
    temp.write_all(bytes).map_err(StoreError::io("write", target))?;
    temp.commit(target)
}

/// Removes a file.
///
/// # Errors
/// When the disk refuses. A file that is not there is no error.
pub fn remove(path: &Path) -> Result<(), StoreError> {
    match fault::point("remove").and_then(|()| fs::remove_file(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable.
///
/// # Errors
/// When the disk refuses.
pub fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    // The parent of a bare name.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    fault::point("fsync").and_then(|()| File::open(folder)?.sync_all()).map_err(StoreError::io("write", folder))
}
