//! Files that are there whole or not at all: temp file in the same folder, fsync, rename, fsync of the folder.

use super::StoreError;
use crate::{Digest, store::fault};
use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io::{self, BufWriter, Write},
    os::unix::fs::MetadataExt,
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
    /// Open until it has its name: where the temporary one is fixed, this holds the lock.
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    /// Whether it has its name.
    named: bool,
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
        let mut tries = 0;
        loop {
            let name = format!(".{}-{:x}-{}.tmp", process::id(), *BORN, COUNT.fetch_add(1, Ordering::Relaxed));
            let path = target.with_file_name(name);
            // Never one that is there: it may be a link that leads elsewhere.
            match fault::point("write").and_then(|()| File::create_new(&path)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => tries += 1,
                file => return Ok(Temp::new(path.clone(), file.map_err(StoreError::io("write", &path))?)),
            }
        }
    }

    fn new(path: PathBuf, file: File) -> Temp {
        Temp { path, file: BufWriter::with_capacity(1 << 16, file), hasher: blake3::Hasher::new(), named: false }
    }

    /// Starts a file outside of the store, where nobody cleans up: beside its final place, under a name that follows from
    /// the final one. One process has it at a time, the next waits; what a killed one left is written over. Where that name
    /// cannot be had, because it is somebody else's or the disk has no locks, the name says which process writes it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn at(target: &Path) -> Result<Temp, StoreError> {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".tmp");
        let path = target.with_file_name(name);
        for _ in 0..TRIES {
            match own(&path) {
                Ok(Some(file)) => return Ok(Temp::new(path, file)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        Temp::beside(target)
    }

    /// Digest of the bytes written so far.
    pub fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }

    /// The file for reading, whatever becomes of its name: all that was written so far is in it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn reader(&mut self) -> io::Result<File> {
        self.file.flush()?;
        File::open(&self.path)
    }

    /// Takes from everybody the right to write to the file, all of which has been written, and examines it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn protect(&mut self) -> io::Result<Metadata> {
        self.file.flush()?;
        let file = self.file.get_ref();
        let facts = file.metadata()?;
        let mut rights = facts.permissions();
        rights.set_readonly(true);
        // A disk without rights has none to take.
        let _ = file.set_permissions(rights);
        Ok(facts)
    }

    /// Path of the temporary file, before it gets its name.
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
        self.file.flush().map_err(StoreError::io("write", target))?;
        fault::point("fsync").and_then(|()| self.file.get_ref().sync_all()).map_err(StoreError::io("write", target))
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
        self.named = true;
        sync_parent(target)
    }
}

/// Number of tries to get a temporary file; another process may be faster each time.
const TRIES: usize = 100;

/// A file that no other process has, emptied; none where the process that had it gave it its name, or removed it, meanwhile.
fn own(path: &Path) -> io::Result<Option<File>> {
    fault::point("write")?;
    let file = match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A link, of either kind, would lead to what is somebody else's.
            if !lone(path) {
                return Err(error);
            }
            File::options().write(true).open(path)?
        }
        other => other?,
    };
    file.lock()?;
    let own = file.metadata()?;
    let there = fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()));
    if there && own.nlink() > 1 {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    if there {
        file.set_len(0)?;
    }
    Ok(there.then_some(file))
}

/// Whether a name is one that [`Temp::beside`] gives: `.PROCESS-TIME-COUNT.tmp`.
pub fn temp_name(name: &str) -> bool {
    let parts = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
    let parts: Option<Vec<&str>> = parts.map(|parts| parts.split('-').collect());
    let all = |part: &str, of: fn(&u8) -> bool| !part.is_empty() && part.as_bytes().iter().all(of);
    matches!(parts.as_deref(), Some([process, time, count])
        if all(process, u8::is_ascii_digit) && all(time, u8::is_ascii_hexdigit) && all(count, u8::is_ascii_digit))
}

/// Whether a path is a plain file with no other name: neither a link nor something that a link leads to.
pub(super) fn lone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_file() && there.nlink() == 1)
}

fn sync_parent(target: &Path) -> Result<(), StoreError> {
    target.parent().map_or(Ok(()), sync_folder)
}

impl Write for Temp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fault::point("write")?;
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // Once it has its name, the temporary one may be another's.
        if !self.named {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a whole file atomically.
///
/// # Errors
/// When the disk refuses; then what was there before is still there.
pub fn write_atomic(target: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_to(Temp::beside(target)?, target, bytes)
}

/// [`write_atomic`] for a file outside of the store, where nobody cleans up: a process that is killed leaves `.NAME.tmp`
/// beside it at most, which the next one writes over.
///
/// # Errors
/// See [`write_atomic`].
pub fn replace(target: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_to(Temp::at(target)?, target, bytes)
}

fn write_to(mut temp: Temp, target: &Path, bytes: &[u8]) -> Result<(), StoreError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_a_killed_process_left_is_written_over_and_nothing_else_comes_to_lie_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("m.lock");
        let names = || {
            let listed = fs::read_dir(folder.path()).expect("a folder");
            listed.map(|entry| entry.expect("an entry").file_name()).collect::<Vec<_>>()
        };
        fs::write(folder.path().join(".m.lock.tmp"), "what a killed process wrote, which was much longer")
            .expect("written");
        replace(&target, b"whole").expect("replaced");
        assert_eq!((names(), fs::read(&target).expect("read").as_slice()), (vec!["m.lock".into()], &b"whole"[..]));
        // One that fails leaves nothing.
        let mut temp = Temp::at(&target).expect("begun");
        temp.write_all(b"half").expect("written");
        drop(temp);
        assert_eq!((names(), fs::read(&target).expect("read").as_slice()), (vec!["m.lock".into()], &b"whole"[..]));
    }

    #[test]
    fn a_link_in_place_of_what_was_left_leads_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, other) = (folder.path().join("m.lock"), folder.path().join("mine"));
        fs::write(&other, "mine").expect("written");
        let planted = folder.path().join(".m.lock.tmp");
        let links: [fn(&Path, &Path) -> io::Result<()>; 2] =
            [|to, link| std::os::unix::fs::symlink(to, link), |to, link| fs::hard_link(to, link)];
        for link in links {
            link(&other, &planted).expect("a link");
            replace(&target, b"whole").expect("replaced");
            assert_eq!(
                (fs::read(&target).expect("read"), fs::read(&other).expect("read")),
                (b"whole".into(), b"mine".into())
            );
            assert!(fs::symlink_metadata(&planted).is_ok(), "it was there before");
            assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
            fs::remove_file(&planted).expect("removed");
        }
    }

    #[test]
    fn several_at_once_replace_a_file_one_after_the_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("m.lock");
        thread::scope(|scope| {
            for letter in b'a'..b'e' {
                let target = &target;
                scope.spawn(move || {
                    for round in 1..30 {
                        replace(target, &vec![letter; 100 * round]).expect("replaced");
                        let read = fs::read(target).expect("read");
                        assert!(read.len().is_multiple_of(100) && !read.is_empty(), "{} bytes", read.len());
                        assert!(read.iter().all(|byte| *byte == read[0]));
                    }
                });
            }
        });
        let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
