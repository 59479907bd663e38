//! Read-only memory maps of PCM blobs and of tokens: the one place of this crate that uses `unsafe`.
#![expect(
    unsafe_code,
    reason = "a memory map is sound only while nobody shortens or rewrites the file, which no type can state"
)]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use memmap2::Mmap;

/// The samples of a PCM blob as [`materialize`](crate::audio::pcm::materialize) writes it: interleaved
/// little-endian `f32` frames. Cheap to hold, safe to share between threads, and valid after the file has been
/// unlinked.
///
/// The file must not be changed while it is mapped. Blobs in the store never are: they are written under another
/// name, then renamed, and eviction unlinks them.
#[derive(Debug)]
pub struct Samples {
    channels: usize,
    memory: Memory,
}

#[derive(Debug)]
enum Memory {
    /// A map whose bytes are samples of this host.
    Mapped(Mmap),
    /// A copy: empty files cannot be mapped, and a big-endian host must swap bytes.
    Copied(Vec<f32>),
}

impl Samples {
    /// Maps the blob at `path`, whose frames have `channels` channels.
    ///
    /// # Errors
    /// Where the file cannot be opened or mapped, or is no whole number of frames (`InvalidData`).
    pub fn open(path: &Path, channels: u16) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let frame = u64::from(channels) * 4;
        if frame == 0 || !length.is_multiple_of(frame) {
            let message = format!("{length} bytes are no whole number of frames of {channels} channels");
            return Err(io::Error::new(ErrorKind::InvalidData, message));
        }
        let channels = usize::from(channels);
        if length == 0 {
            return Ok(Samples { channels, memory: Memory::Copied(Vec::new()) });
        }
        // SAFETY: the map is read-only and private to this value. Nothing writes to or truncates a blob once it has
        // its name (see the type); removing the name leaves the mapped pages in place.
        let map = unsafe { Mmap::map(&file)? };
        if map.len() as u64 != length {
            return Err(io::Error::new(ErrorKind::InvalidData, "the file changed while it was opened"));
        }
        let memory = if cfg!(target_endian = "little") {
            Memory::Mapped(map)
        } else {
            let (words, _) = map.as_chunks::<4>();
            Memory::Copied(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
        };
        Ok(Samples { channels, memory })
    }

    /// Number of frames in the blob.
    pub fn frames(&self) -> usize {
        self.as_slice().len() / self.channels
    }

    /// Channels of a frame.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// All samples, frame after frame.
    pub fn as_slice(&self) -> &[f32] {
        match &self.memory {
            Memory::Copied(samples) => samples,
            Memory::Mapped(map) => {
                // SAFETY: every bit pattern is an `f32`, and `align_to` itself finds the aligned middle part; the
                // slice borrows from the map, which lives as long as `self`.
                let (before, samples, after) = unsafe { map.align_to::<f32>() };
                // A map begins on a page and its length was checked to be a multiple of four.
                assert!(before.is_empty() && after.is_empty(), "a map that is not aligned to samples");
                samples
            }
        }
    }
}

/// A file of little-endian 16-bit words, memory-mapped. As for [`Samples`], the file must not be changed while it is
/// mapped; it may be unlinked.
#[derive(Debug)]
pub struct Words(Option<Mmap>);

impl Words {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// Where the file cannot be opened or mapped, or is no whole number of words (`InvalidData`).
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        if !length.is_multiple_of(2) {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{length} bytes are no 16-bit words")));
        }
        if length == 0 {
            return Ok(Words(None));
        }
        // SAFETY: as in `Samples::open`: read-only, private to this value, and nobody writes to a file that has its name.
        let map = unsafe { Mmap::map(&file)? };
        if map.len() as u64 != length {
            return Err(io::Error::new(ErrorKind::InvalidData, "the file changed while it was opened"));
        }
        Ok(Words(Some(map)))
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |map| map.len() / 2)
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the words from `first` on; `None` beyond the end.
    pub fn read(&self, first: usize, out: &mut [u16]) -> Option<()> {
        let bytes: &[u8] = self.0.as_deref().unwrap_or_default();
        let (words, _) = bytes.as_chunks::<2>();
        let words = words.get(first..first.checked_add(out.len())?)?;
        out.iter_mut().zip(words).for_each(|(o, w)| *o = u16::from_le_bytes(*w));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn maps_what_was_written_and_outlives_the_name() {
        let written: Vec<f32> = (0..6_000).map(|i| i as f32 * 0.25 - 3.0).collect();
        let bytes: Vec<u8> = written.iter().flat_map(|x| x.to_le_bytes()).collect();
        let (folder, path) = blob(&bytes);
        let samples = Samples::open(&path, 2).unwrap();
        drop(folder);
        assert!(!path.exists());
        assert_eq!(samples.frames(), 3_000);
        assert_eq!(samples.channels(), 2);
        assert_eq!(samples.as_slice(), written);
    }

    #[test]
    fn words_are_read_anywhere() {
        let bytes: Vec<u8> = (0..500u16).flat_map(|n| (n * 131).to_le_bytes()).collect();
        let (_folder, path) = blob(&bytes);
        let words = Words::open(&path).unwrap();
        assert_eq!(words.len(), 500);
        let mut out = [0; 3];
        assert!(words.read(497, &mut out).is_some());
        assert_eq!(out, [497 * 131, 498 * 131, 499 * 131]);
        assert!(words.read(498, &mut out).is_none());
        let (_folder, path) = blob(&[1, 2, 3]);
        assert_eq!(Words::open(&path).unwrap_err().kind(), ErrorKind::InvalidData);
        let (_folder, path) = blob(&[]);
        assert!(Words::open(&path).unwrap().is_empty());
    }

    #[test]
    fn an_empty_blob_has_no_frames() {
        let (_folder, path) = blob(&[]);
        assert_eq!(Samples::open(&path, 1).unwrap().frames(), 0);
    }

    #[test]
    fn a_part_of_a_frame_is_refused() {
        for (bytes, channels) in [(6, 1), (12, 2), (8, 0)] {
            let (_folder, path) = blob(&vec![0; bytes]);
            let error = Samples::open(&path, channels).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{bytes} bytes, {channels} channels");
        }
    }
}
