//! Random access to large files of the store: the one place of this crate that uses `unsafe`.
#![expect(
    unsafe_code,
    reason = "a memory map is sound only while nobody shortens or rewrites the file, which no type can state"
)]

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    sync::atomic::{AtomicUsize, Ordering},
};

use memmap2::Mmap;

/// Files that are kept open at a time. A process may have 1024 files open on most systems.
const OPEN: usize = 384;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// The bytes of a file: readable anywhere, from any thread, and valid after the file has been unlinked.
///
/// The first [`OPEN`] of them are read through their descriptor, so that a file that somebody shortens, or a disk that
/// fails, gives an error. Those beyond are memory-mapped, which takes no descriptor: there, both end the process.
#[derive(Debug)]
pub struct Bytes {
    length: u64,
    from: From,
}

#[derive(Debug)]
enum From {
    Opened(Opened),
    Mapped(Mmap),
    Empty,
}

/// A file that takes one of the places for open files.
#[derive(Debug)]
struct Opened(File);

impl Opened {
    /// Takes a place, if one is free; gives the file back where none is.
    fn take(file: File, most: usize) -> Result<Opened, File> {
        match HELD.fetch_add(1, Ordering::Relaxed) < most {
            true => Ok(Opened(file)),
            false => {
                HELD.fetch_sub(1, Ordering::Relaxed);
                Err(file)
            }
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Bytes {
    /// The bytes of a file as long as it is now.
    ///
    /// # Errors
    /// When the file cannot be examined or mapped.
    pub fn of(file: File) -> io::Result<Bytes> {
        Bytes::among(file, OPEN)
    }

    fn among(file: File, most: usize) -> io::Result<Bytes> {
        let length = file.metadata()?.len();
        if length == 0 {
            return Ok(Bytes { length, from: From::Empty });
        }
        let file = match Opened::take(file, most) {
            Ok(opened) => return Ok(Bytes { length, from: From::Opened(opened) }),
            Err(file) => file,
        };
        // SAFETY: the map is read-only and private to this value. Nothing of ours writes to or shortens a file of the store
        // once it has its name; removing the name leaves the mapped pages in place.
        let map = unsafe { Mmap::map(&file)? };
        if map.len() as u64 != length {
            return Err(io::Error::new(ErrorKind::InvalidData, "the file changed while it was opened"));
        }
        Ok(Bytes { length, from: From::Mapped(map) })
    }

    /// Length of the file in bytes when it was opened.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Copies the bytes from `at` on.
    ///
    /// # Errors
    /// `UnexpectedEof` beyond the end, and what the disk says.
    pub fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        match &self.from {
            From::Opened(Opened(file)) => file.read_exact_at(out, at),
            From::Mapped(map) => {
                let part = usize::try_from(at).ok().and_then(|at| map.get(at..)?.get(..out.len()));
                out.copy_from_slice(part.ok_or(ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            From::Empty if out.is_empty() => Ok(()),
            From::Empty => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn bytes_are_read_anywhere_and_outlive_the_name() {
        let written: Vec<u8> = (0..6_000u32).map(|i| (i * 7) as u8).collect();
        for most in [usize::MAX, 0] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("blob");
            fs::write(&path, &written).unwrap();
            let bytes = Bytes::among(File::open(&path).unwrap(), most).unwrap();
            assert_eq!(matches!(bytes.from, From::Mapped(_)), most == 0);
            drop(folder);
            assert!(!path.exists());
            let mut out = [0; 10];
            bytes.read_at(4_321, &mut out).unwrap();
            assert_eq!(out, written[4_321..4_331]);
            for beyond in [5_991, u64::MAX] {
                assert!(bytes.read_at(beyond, &mut out).is_err());
            }
            assert_eq!(bytes.length(), 6_000);
        }
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let bytes = Bytes::of(tempfile::tempfile().unwrap()).unwrap();
        assert!(bytes.read_at(0, &mut []).is_ok());
        assert_eq!(bytes.read_at(0, &mut [0]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn one_that_is_shortened_gives_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        fs::write(&path, [1; 100]).unwrap();
        let bytes = Bytes::of(File::open(&path).unwrap()).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
        assert!(bytes.read_at(50, &mut [0]).is_err());
    }
}
