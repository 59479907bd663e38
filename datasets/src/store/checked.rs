//! Files of the store that carry their own digest: caches, checkpoints, histories and roots.
//!
//! An object's name is its digest. Whatever else the store keeps is in this one form, so that a flipped bit or a cut is
//! found before anything is made of it:
//!
//! ```text
//! 16 bytes            the mark `refrain checked\n`
//! the content
//! 16 bytes a block    the first half of the BLAKE3 of each 32 KiB of the content
//! 8 bytes             length of the content, little-endian
//! 32 bytes            digest of the file's key, the length and the list of blocks
//! 16 bytes            the mark again
//! ```
//!
//! A file is looked at in two steps. Opening it checks all but the content. Reading checks each block that is read, in
//! the very bytes that are handed out: so a file of gigabytes costs no pass of its own, and damage that comes after the
//! opening is found, too. A file is absent, or whole, or it is damaged: then it is removed with a warning, and whoever
//! asked makes it again. Files of earlier versions, which have no mark, count as damaged.

use super::{StoreError, Temp};
use crate::{Digest, Key, mmap::Bytes, store::fault};
use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// First and last bytes of a file of this form.
const MARK: &[u8; 16] = b"refrain checked\n";
/// Bytes of content that are checked together.
const BLOCK: usize = 32 << 10;
/// Bytes that are kept of a block's digest.
const SHORT: usize = 16;
/// Length, digest and mark.
const FOOT: usize = 8 + 32 + 16;

fn short(block: &[u8]) -> [u8; SHORT] {
    let mut short = [0; SHORT];
    short.copy_from_slice(&blake3::hash(block).as_bytes()[..SHORT]);
    short
}

/// Digest of everything but the content.
fn seal(key: &Digest, length: u64, blocks: &[[u8; SHORT]]) -> Digest {
    Key::new("checked file").digest(key).number(length).bytes(blocks.as_flattened()).finish()
}

fn damaged(why: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.into())
}

/// A checked file that is being written. Dropped without a commit, it is removed.
pub struct CheckedTemp {
    temp: Temp,
    key: Digest,
    block: Vec<u8>,
    blocks: Vec<[u8; SHORT]>,
    length: u64,
}

impl CheckedTemp {
    /// Starts a file beside its final place. `key` says what it is, and has to be said again to open it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn beside(target: &Path, key: &Digest) -> Result<CheckedTemp, StoreError> {
        let mut temp = Temp::beside(target)?;
        temp.write_all(MARK).map_err(StoreError::io("write", target))?;
        Ok(CheckedTemp { temp, key: *key, block: Vec::with_capacity(BLOCK), blocks: Vec::new(), length: 0 })
    }

    fn close(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.blocks.push(short(&self.block));
            self.block.clear();
        }
        self.temp.write_all(self.blocks.as_flattened())?;
        self.temp.write_all(&self.length.to_le_bytes())?;
        self.temp.write_all(&seal(&self.key, self.length, &self.blocks).0)?;
        self.temp.write_all(MARK)
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// When the disk refuses; then what had the name has it still.
    pub fn commit(mut self, target: &Path) -> Result<(), StoreError> {
        self.close().map_err(StoreError::io("write", target))?;
        self.temp.commit(target)
    }

    /// Makes the file durable, gives it its name unless that is taken, and opens it: for caches that several processes
    /// fill with the same bytes. It can be read whatever becomes of the name meanwhile.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn commit_unless_there(mut self, target: &Path) -> Result<Checked, StoreError> {
        self.close().map_err(StoreError::io("write", target))?;
        let file = self.temp.reader().map_err(StoreError::io("read", target))?;
        self.temp.commit_unless_there(target)?;
        let bytes = Bytes::of(file).map_err(StoreError::io("read", target))?;
        Ok(Checked { path: target.to_owned(), bytes, length: self.length, blocks: self.blocks })
    }
}

impl Write for CheckedTemp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = bytes.len().min(BLOCK - self.block.len());
        self.temp.write_all(&bytes[..part])?;
        self.block.extend_from_slice(&bytes[..part]);
        self.length += part as u64;
        if self.block.len() == BLOCK {
            self.blocks.push(short(&self.block));
            self.block.clear();
        }
        Ok(part)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.temp.flush()
    }
}

/// A checked file that is open for reading.
#[derive(Debug)]
pub struct Checked {
    path: PathBuf,
    bytes: Bytes,
    length: u64,
    blocks: Vec<[u8; SHORT]>,
}

impl Checked {
    /// Opens a file. `None` where there is none, or where it was not whole: then it is gone, with a warning.
    ///
    /// # Errors
    /// When a file that is not whole cannot be removed.
    pub fn open(path: &Path, key: &Digest) -> Result<Option<Checked>, StoreError> {
        match Checked::look(path, key) {
            Ok(checked) => Ok(Some(checked)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => discard(path, &error).map(|()| None),
        }
    }

    fn look(path: &Path, key: &Digest) -> io::Result<Checked> {
        fault::point("read")?;
        let file = crate::untrusted::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(damaged("it is no file"));
        }
        let bytes = Bytes::of(file)?;
        let short_of = || damaged("it is cut, or of an older refrain");
        let start = bytes.length().checked_sub(FOOT as u64).ok_or_else(short_of)?;
        let (mut head, mut foot) = ([0; MARK.len()], [0; FOOT]);
        bytes.read_at(0, &mut head)?;
        bytes.read_at(start, &mut foot)?;
        let mut length = [0; 8];
        length.copy_from_slice(&foot[..8]);
        let length = u64::from_le_bytes(length);
        let count = length.div_ceil(BLOCK as u64);
        let all =
            count.checked_mul(SHORT as u64).and_then(|table| table.checked_add(length)?.checked_add(head.len() as u64));
        if head != *MARK || !foot.ends_with(MARK) || all != Some(start) {
            return Err(short_of());
        }
        let mut table = vec![0; (count as usize) * SHORT];
        bytes.read_at(head.len() as u64 + length, &mut table)?;
        let blocks = table.as_chunks::<SHORT>().0.to_vec();
        if foot[8..40] != seal(key, length, &blocks).0 {
            return Err(damaged("its digest is another"));
        }
        Ok(Checked { path: path.to_owned(), bytes, length, blocks })
    }

    /// Length of the content in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Copies a part of the content, from `at` on, after checking the blocks in which it lies.
    ///
    /// # Errors
    /// `InvalidData` where these are not what was written, `UnexpectedEof` beyond the end, and what the disk says.
    pub fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(out.len() as u64).filter(|end| *end <= self.length).ok_or(ErrorKind::UnexpectedEof)?;
        let mut block = vec![0; BLOCK.min(self.length as usize)];
        let mut done = at;
        while done < end {
            let number = done / BLOCK as u64;
            let first = number * BLOCK as u64;
            let size = (self.length - first).min(BLOCK as u64) as usize;
            let block = &mut block[..size];
            self.bytes.read_at(MARK.len() as u64 + first, block)?;
            if short(block) != self.blocks[number as usize] {
                return Err(damaged(format!("its bytes from {first} on are others than were written")));
            }
            let (from, to) = ((done - first) as usize, (end - first).min(size as u64) as usize);
            let place = (done - at) as usize;
            out[place..place + to - from].copy_from_slice(&block[from..to]);
            done = first + to as u64;
        }
        Ok(())
    }

    /// The content as a stream, from its start.
    pub fn reader(self) -> Reader {
        Reader { checked: self, at: 0 }
    }

    /// The whole content.
    fn content(&self) -> io::Result<Vec<u8>> {
        let mut content = vec![0; usize::try_from(self.length).map_err(|_| damaged("it is too long"))?];
        self.read_at(0, &mut content)?;
        Ok(content)
    }

    /// Removes the file, of which something was found to be wrong, with a warning.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn discard(&self, why: &io::Error) -> Result<(), StoreError> {
        discard(&self.path, why)
    }
}

/// Content of a [`Checked`] file as a stream.
pub struct Reader {
    checked: Checked,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let part = (self.checked.length - self.at).min(out.len() as u64) as usize;
        self.checked.read_at(self.at, &mut out[..part])?;
        self.at += part as u64;
        Ok(part)
    }
}

/// Removes what cannot be used, so that it is in nobody's way.
pub(super) fn discard(path: &Path, why: &io::Error) -> Result<(), StoreError> {
    tracing::warn!("{} cannot be used ({why}): it is thrown away and made again", path.display());
    match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_dir() => {
            fault::point("remove").and_then(|()| fs::remove_dir(path)).map_err(StoreError::io("remove", path))
        }
        _ => super::remove(path),
    }
}

/// The content of a checked file. `None` where there is none, or where it was not whole: then it is gone, with a warning.
///
/// # Errors
/// When a file that is not whole cannot be removed.
pub fn read_checked(path: &Path, key: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(checked) = Checked::open(path, key)? else { return Ok(None) };
    match checked.content() {
        Ok(content) => Ok(Some(content)),
        Err(why) => checked.discard(&why).map(|()| None),
    }
}

/// [`read_checked`] for files that no result can replace, such as what the guards compare with: a disk that fails to read
/// one ends the command, and the file stays.
///
/// # Errors
/// When the disk fails, or a damaged file cannot be removed.
pub fn read_kept(path: &Path, key: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
    match Checked::look(path, key).and_then(|checked| checked.content()) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            discard(path, &error).map(|()| None)
        }
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Writes a checked file atomically.
///
/// # Errors
/// When the disk refuses; then what was there before is still there.
pub fn write_checked(path: &Path, key: &Digest, content: &[u8]) -> Result<(), StoreError> {
    let mut temp = CheckedTemp::beside(path, key)?;
    temp.write_all(content).map_err(StoreError::io("write", path))?;
    temp.commit(path)
}

/// Whether a file is of this form, however damaged: it begins or ends with the mark, or with as much of it as there is.
/// What else lies in the store's folders is somebody's.
pub fn is_checked(path: &Path) -> bool {
    let look = || -> io::Result<bool> {
        let mut file = crate::untrusted::open(path)?;
        let facts = file.metadata()?;
        if !facts.is_file() {
            return Ok(false);
        }
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(MARK.len() as u64).read_to_end(&mut head)?;
        if MARK.starts_with(&head) {
            return Ok(true);
        }
        let mut foot = [0; MARK.len()];
        let Some(at) = facts.size().checked_sub(foot.len() as u64) else { return Ok(false) };
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut foot, at)?;
        Ok(foot == *MARK)
    };
    look().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * i / 7) as u8).collect()
    }

    #[test]
    fn what_was_written_is_read_anywhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, key) = (folder.path().join("blob"), Digest::of(b"key"));
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17] {
            let content = content(length);
            write_checked(&path, &key, &content).expect("written");
            assert_eq!(read_checked(&path, &key).expect("read").as_ref(), Some(&content), "{length}");
            assert!(is_checked(&path));
            let checked = Checked::open(&path, &key).expect("opened").expect("whole");
            for (first, end) in [(0, length), (length / 3, length / 2), (length / 2, length), (length, length)] {
                let mut out = vec![0; end - first];
                checked.read_at(first as u64, &mut out).expect("read");
                assert_eq!(out, content[first..end], "{length}: {first}..{end}");
            }
            assert_eq!(checked.read_at(length as u64, &mut [0]).expect_err("beyond").kind(), ErrorKind::UnexpectedEof);
        }
        // The same bytes as those of something else.
        assert!(read_checked(&path, &Digest::of(b"other")).expect("read").is_none());
        assert!(!path.exists());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, key) = (folder.path().join("blob"), Digest::of(b"key"));
        write_checked(&path, &key, &content(300)).expect("written");
        let whole = fs::read(&path).expect("bytes");
        assert_eq!(whole.len(), 16 + 300 + SHORT + FOOT);
        let lost = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("written");
            assert!(is_checked(&path), "it is known for one of ours");
            assert!(read_checked(&path, &key).expect("read").is_none());
            assert!(!path.exists());
        };
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            lost(&bytes);
            lost(&whole[..at]);
        }
        lost(&[&whole[..], &[0]].concat());
        fs::write(&path, b"a text of somebody").expect("written");
        assert!(!is_checked(&path));
    }

    #[test]
    fn damage_after_the_opening_is_found_where_it_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, key) = (folder.path().join("blob"), Digest::of(b"key"));
        write_checked(&path, &key, &content(2 * BLOCK)).expect("written");
        let checked = Checked::open(&path, &key).expect("opened").expect("whole");
        let file = fs::File::options().write(true).open(&path).expect("opened");
        std::os::unix::fs::FileExt::write_all_at(&file, b"?", (16 + BLOCK + 5) as u64).expect("damaged");
        let mut out = [0; 4];
        checked.read_at(5, &mut out).expect("in the other block");
        assert_eq!(checked.read_at(BLOCK as u64, &mut out).expect_err("damaged").kind(), ErrorKind::InvalidData);
        assert!(Checked::open(&path, &key).expect("opened").is_some(), "the content is not read by then");
        assert!(read_checked(&path, &key).expect("read").is_none() && !path.exists());
    }

    #[test]
    fn what_another_has_put_there_stays_and_ones_own_can_be_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, key) = (folder.path().join("blob"), Digest::of(b"key"));
        write_checked(&path, &key, b"theirs").expect("written");
        let mut temp = CheckedTemp::beside(&path, &key).expect("begun");
        temp.write_all(b"ours").expect("written");
        let ours = temp.commit_unless_there(&path).expect("committed");
        assert_eq!(ours.content().expect("read"), b"ours");
        assert_eq!(read_checked(&path, &key).expect("read").expect("there"), b"theirs");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        // One that is evicted at once.
        let mut temp = CheckedTemp::beside(&path, &key).expect("begun");
        fs::remove_file(&path).expect("removed");
        temp.write_all(b"evicted").expect("written");
        let ours = temp.commit_unless_there(&path).expect("committed");
        fs::remove_file(&path).expect("evicted");
        assert_eq!(ours.content().expect("read"), b"evicted");
    }
}
