//! Bytes of Parquet, read at any position by several readers at once.

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

/// The bytes of a file, on disk or in memory.
#[derive(Clone, Debug)]
pub enum Input {
    /// A file on disk.
    File(Arc<Disk>),
    /// Bytes in memory.
    Bytes(Bytes),
}

/// An open file, with the first error of reading it: the reader of Parquet turns errors of the disk into words about the
/// bytes.
#[derive(Debug)]
pub struct Disk {
    file: File,
    failed: OnceLock<io::Error>,
}

impl Disk {
    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if error.kind() != io::ErrorKind::UnexpectedEof {
                self.failed.get_or_init(|| again(error));
            }
        })
    }
}

/// The same error once more.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

impl Input {
    /// A file that was opened.
    pub fn file(file: File) -> Input {
        Input::File(Arc::new(Disk { file, failed: OnceLock::new() }))
    }

    /// The error of the disk, if reading met one.
    pub(super) fn failure(&self) -> Option<io::Error> {
        match self {
            Input::File(disk) => disk.failed.get().map(again),
            Input::Bytes(_) => None,
        }
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        match self {
            Input::File(disk) => Ok(disk.file.metadata()?.len()),
            Input::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Bytes that are known to lie inside the file.
    pub(super) fn at(&self, start: u64, length: u64) -> io::Result<Bytes> {
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let length = usize::try_from(length).map_err(|_| ended())?;
        match self {
            Input::File(disk) => {
                let mut bytes = Vec::new();
                bytes.try_reserve_exact(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
                bytes.resize(length, 0);
                disk.noted(disk.file.read_exact_at(&mut bytes, start))?;
                Ok(bytes.into())
            }
            Input::Bytes(bytes) => {
                let start = usize::try_from(start).map_err(|_| ended())?;
                let end = start.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(ended)?;
                Ok(bytes.slice(start..end))
            }
        }
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        self.size().unwrap_or(0)
    }
}

/// A reader of an [`Input`] from a position on.
pub struct Rest {
    input: Input,
    at: u64,
}

impl Read for Rest {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = match &self.input {
            Input::File(disk) => disk.noted(disk.file.read_at(out, self.at))?,
            Input::Bytes(bytes) => {
                let rest = usize::try_from(self.at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let read = rest.len().min(out.len());
                out[..read].copy_from_slice(&rest[..read]);
                read
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl ChunkReader for Input {
    type T = io::BufReader<Rest>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(io::BufReader::new(Rest { input: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.at(start, length as u64).map_err(|error| ParquetError::External(Box::new(error)))
    }
}
