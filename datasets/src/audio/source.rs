//! The byte source that the demuxers read: it tells apart a source that fails from bytes that are wrong, and
//! bounds how much a demuxer may read of it.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::io::MediaSource;

/// How often a demuxer may read a whole file, and what it may read beyond that: reading it twice (once to scan,
/// once to decode) is usual, and small files are read in blocks larger than themselves.
const PASSES: u64 = 8;
const ALLOWANCE: u64 = 16 << 20;

/// What became of a source while a demuxer read it.
#[derive(Debug, Default)]
pub(super) struct Health {
    failure: Mutex<Option<io::Error>>,
    exhausted: AtomicBool,
}

impl Health {
    /// The first error of the source itself, if there was one. Demuxers pass on errors of their own making in
    /// the same type (the end of the file, a seek beyond it); those are properties of the bytes.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the source has given no error.
    pub(super) fn is_sound(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Whether the demuxer asked for more bytes than a sound file needs.
    pub(super) fn exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }

    fn record(&self, error: &io::Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            *failure = Some(io::Error::new(error.kind(), error.to_string()));
        }
    }
}

/// A seekable source of `length` bytes with a reading budget.
pub(super) struct Source<R> {
    inner: R,
    length: u64,
    budget: u64,
    health: Arc<Health>,
}

impl<R: Read + Seek + Send + Sync> Source<R> {
    pub(super) fn new(inner: R, length: u64) -> (Self, Arc<Health>) {
        let health = Arc::new(Health::default());
        let budget = length.saturating_mul(PASSES).saturating_add(ALLOWANCE);
        (Source { inner, length, budget, health: Arc::clone(&health) }, health)
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.budget == 0 {
            self.health.exhausted.store(true, Ordering::Relaxed);
            return Err(io::Error::other("the demuxer reads the file over and over"));
        }
        match self.inner.read(buffer) {
            Ok(read) => {
                self.budget = self.budget.saturating_sub(read as u64);
                Ok(read)
            }
            Err(error) => {
                if error.kind() != ErrorKind::Interrupted {
                    self.health.record(&error);
                }
                Err(error)
            }
        }
    }
}

impl<R: Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to).inspect_err(|error| {
            // A seek before the start is asked for by the bytes.
            if error.kind() != ErrorKind::InvalidInput {
                self.health.record(error);
            }
        })
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Source<R> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}
