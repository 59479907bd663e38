//! The byte source that the demuxers read: it tells apart a source that fails from bytes that are wrong, and
//! bounds how much a demuxer may read of it.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::io::MediaSource;

use super::view::{Piece, View};

/// Reading budget of a demuxer: `PASSES` times the length of the file, plus `ALLOWANCE` bytes. Reading a file twice
/// (once to scan, once to decode) is usual, and small files are read in blocks larger than themselves.
const PASSES: u64 = 8;
const ALLOWANCE: u64 = 16 << 20;

/// Read errors and limits met while a demuxer read a source.
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

/// A view of a seekable source, with a reading budget.
pub(super) struct Source<R> {
    inner: R,
    view: View,
    /// Read position, from the start of the view.
    at: u64,
    /// Whether `inner` stands where `at` says.
    aligned: bool,
    budget: u64,
    health: Arc<Health>,
}

impl<R: Read + Seek + Send + Sync> Source<R> {
    pub(super) fn new(inner: R, view: View) -> (Self, Arc<Health>) {
        let health = Arc::new(Health::default());
        let mut source = Source { inner, view, at: 0, aligned: false, budget: 0, health: Arc::clone(&health) };
        source.budget = source.length().saturating_mul(PASSES).saturating_add(ALLOWANCE);
        (source, health)
    }
}

impl<R> Source<R> {
    fn length(&self) -> u64 {
        self.view.length()
    }
}

impl<R: Read + Seek> Source<R> {
    /// Reads from the piece that `at` lies in, `within` bytes behind its start.
    fn read_piece(&mut self, piece: usize, within: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.view.pieces()[piece] {
            Piece::Own(bytes) => {
                let rest = usize::try_from(within).ok().and_then(|within| bytes.get(within..)).unwrap_or_default();
                let read = rest.len().min(buffer.len());
                buffer[..read].copy_from_slice(&rest[..read]);
                self.aligned = false;
                Ok(read)
            }
            Piece::File(range) => {
                let offset = range.start + within;
                let room = buffer.len().min(usize::try_from(range.end - offset).unwrap_or(usize::MAX));
                if !self.aligned {
                    self.inner.seek(SeekFrom::Start(offset))?;
                }
                let read = self.inner.read(&mut buffer[..room])?;
                // The next piece begins elsewhere in the file.
                self.aligned = offset + (read as u64) < range.end;
                Ok(read)
            }
        }
    }
}

impl<R: Read + Seek> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.budget == 0 {
            self.health.exhausted.store(true, Ordering::Relaxed);
            return Err(io::Error::other("the demuxer reads the file over and over"));
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = match self.view.piece_at(self.at) {
            None => 0,
            Some((piece, within)) => match self.read_piece(piece, within, buffer) {
                Ok(read) => read,
                Err(error) => {
                    if error.kind() != ErrorKind::Interrupted {
                        self.health.record(&error);
                    }
                    return Err(error);
                }
            },
        };
        self.at += read as u64;
        self.budget = self.budget.saturating_sub(read as u64);
        Ok(read)
    }
}

impl<R> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.length().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        // Beyond the end there is nothing to read; such an offset stands in the bytes, and so does one before the
        // start.
        let target = target.filter(|target| i64::try_from(*target).is_ok());
        self.at = target.ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
        self.aligned = false;
        Ok(self.at)
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Source<R> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length())
    }
}
