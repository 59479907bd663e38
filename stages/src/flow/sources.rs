//! Paths of the corpus's files, by the digests of their bytes.

use datasets::{Digest, effect::Fault};
use rayon::prelude::*;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::FileExt,
    },
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

/// Paths at which the bytes behind a content digest can be read in this process. No row and no key holds a path.
#[derive(Default)]
pub struct Sources {
    places: RwLock<Places>,
    /// Paths that no scan lists.
    left_out: RwLock<BTreeSet<PathBuf>>,
}

#[derive(Default)]
struct Places {
    scanned: Vec<Scanned>,
    added: BTreeSet<(Digest, PathBuf)>,
}

/// The places of one scan, of which there may be millions: in the order of digests, paths one after another.
struct Scanned {
    digests: Vec<Digest>,
    /// End offset of each path.
    ends: Vec<usize>,
    paths: Vec<u8>,
}

impl Scanned {
    fn of(mut places: Vec<(Digest, PathBuf)>) -> Scanned {
        places.par_sort_unstable();
        places.dedup();
        let bytes = places.iter().map(|(_, path)| path.as_os_str().len()).sum();
        let digests = places.iter().map(|(content, _)| *content).collect();
        let (mut ends, mut paths) = (Vec::with_capacity(places.len()), Vec::with_capacity(bytes));
        for (_, path) in places {
            paths.append(&mut path.into_os_string().into_vec());
            ends.push(paths.len());
        }
        Scanned { digests, ends, paths }
    }

    fn path(&self, index: usize) -> &Path {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Path::new(OsStr::from_bytes(&self.paths[start..self.ends[index]]))
    }

    /// The paths of a digest, the least first.
    fn paths(&self, content: &Digest) -> impl Iterator<Item = &Path> {
        let first = self.digests.partition_point(|own| own < content);
        let all = self.digests[first..].iter().take_while(move |own| *own == content).count();
        (first..first + all).map(|index| self.path(index))
    }
}

impl Sources {
    /// Adds a path of the bytes with a digest.
    pub fn add(&self, content: Digest, path: &Path) {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        places.added.insert((content, path.to_owned()));
    }

    /// Remembers all places of a scan.
    pub fn extend(&self, places: Vec<(Digest, PathBuf)>) {
        let scanned = Scanned::of(places);
        self.places.write().unwrap_or_else(PoisonError::into_inner).scanned.push(scanned);
    }

    /// Leaves files and folders out of scans from here on, whatever folder holds them: the store, manifests, lock files.
    pub fn leave_out(&self, paths: impl IntoIterator<Item = PathBuf>) {
        self.left_out.write().unwrap_or_else(PoisonError::into_inner).extend(paths);
    }

    /// What no scan lists.
    pub fn left_out(&self) -> Vec<PathBuf> {
        self.left_out.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Forgets all places, before the sources are scanned again.
    pub fn clear(&self) {
        *self.places.write().unwrap_or_else(PoisonError::into_inner) = Places::default();
    }

    /// The places where these bytes were, or were said to be, when the sources were scanned. Of several the least path is
    /// the first, so that which one is read is no matter of luck.
    pub fn paths(&self, content: &Digest) -> Vec<PathBuf> {
        let Places { scanned, added } = &*self.places.read().unwrap_or_else(PoisonError::into_inner);
        let scanned = scanned.iter().flat_map(|scanned| scanned.paths(content)).map(Path::to_owned);
        let added = added.range((*content, PathBuf::new())..).take_while(|(own, _)| own == content);
        let all: BTreeSet<PathBuf> = scanned.chain(added.map(|(_, path)| path.clone())).collect();
        all.into_iter().collect()
    }

    /// Lists every path, by digest: for the processes that have not scanned the sources themselves.
    pub fn list(&self) -> Vec<(Digest, PathBuf)> {
        let Places { scanned, added } = &*self.places.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(Digest, PathBuf)> = Vec::new();
        for scanned in scanned {
            all.extend(scanned.digests.iter().enumerate().map(|(i, content)| (*content, scanned.path(i).to_owned())));
        }
        all.extend(added.iter().cloned());
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Bytes of a file that are checked together.
const BLOCK: usize = 64 << 10;

/// A file whose bytes are those of a digest, wherever and whenever they are read.
///
/// It is opened once and read twice: first as a whole, for its digest and those of its blocks; then by whoever asked, with
/// each block checked in the bytes that are handed out. So a file that is exchanged, or rewritten and put back, while it
/// is decoded leaves no result under the old bytes' digest: the reading fails.
pub(crate) struct Verified {
    file: File,
    length: u64,
    blocks: Vec<[u8; 16]>,
    at: u64,
    /// Number and bytes of the block that was read last.
    held: Option<(u64, Vec<u8>)>,
}

fn short(block: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(block).as_bytes()[..16]);
    short
}

impl Verified {
    /// Opens a file and sees that it holds the bytes of a digest.
    ///
    /// # Errors
    /// [`Fault::Failed`] where it cannot be read or holds others.
    pub(crate) fn open(path: &Path, content: &Digest) -> Result<Verified, Fault> {
        let unread = |error: io::Error| Fault::failed(&path.display().to_string(), &error);
        let file = datasets::untrusted::open(path).map_err(unread)?;
        let (mut hasher, mut blocks, mut length) = (blake3::Hasher::new(), Vec::new(), 0);
        let mut block = vec![0; BLOCK];
        loop {
            let read = fill(&file, length, &mut block).map_err(unread)?;
            if read == 0 {
                break;
            }
            hasher.update(&block[..read]);
            blocks.push(short(&block[..read]));
            length += read as u64;
            if read < BLOCK {
                break;
            }
        }
        if hasher.finalize().as_bytes() != &content.0 {
            let (path, stated) = (path.display(), content.short(12));
            return Err(Fault::Failed(format!(
                "{path}, {stated}: it changed while it was read, or a table states a wrong digest for it; run again"
            )));
        }
        Ok(Verified { file, length, blocks, at: 0, held: None })
    }

    /// Length of the file in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    fn block(&mut self, number: u64) -> io::Result<&[u8]> {
        if self.held.as_ref().is_none_or(|(held, _)| *held != number) {
            let first = number * BLOCK as u64;
            let mut block = self.held.take().map_or_else(Vec::new, |(_, block)| block);
            block.resize((self.length - first).min(BLOCK as u64) as usize, 0);
            let read = fill(&self.file, first, &mut block)?;
            if read < block.len() || short(&block) != self.blocks[number as usize] {
                return Err(io::Error::other("it changed while it was read; run again"));
            }
            self.held = Some((number, block));
        }
        Ok(self.held.as_ref().map_or(&[][..], |(_, block)| block))
    }
}

/// Reads at an offset until the buffer is full or the file ends; gives how much.
fn fill(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Read for Verified {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length || out.is_empty() {
            return Ok(0);
        }
        let (number, inside) = (self.at / BLOCK as u64, (self.at % BLOCK as u64) as usize);
        let block = self.block(number)?;
        let read = out.len().min(block.len() - inside);
        out[..read].copy_from_slice(&block[inside..inside + read]);
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Verified {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_under_a_reader_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (folder.path().join("sound"), folder.path().join("other"));
        let bytes: Vec<u8> = (0..3 * BLOCK + 100).map(|i| (i * 31 / 7) as u8).collect();
        let content = Digest::of(&bytes);
        let read = |file: &mut Verified, from: u64| {
            file.seek(SeekFrom::Start(from)).expect("a place");
            let mut rest = Vec::new();
            file.read_to_end(&mut rest).map(|_| rest)
        };
        std::fs::write(&path, &bytes).expect("written");
        std::fs::write(&other, vec![7; bytes.len()]).expect("written");
        assert!(
            Verified::open(&other, &content).is_err() && Verified::open(&folder.path().join("gone"), &content).is_err()
        );
        let mut file = Verified::open(&path, &content).expect("its bytes");
        assert_eq!(file.length(), bytes.len() as u64);
        for from in [0, 5, BLOCK as u64 - 1, 3 * BLOCK as u64 + 99, bytes.len() as u64, bytes.len() as u64 + 9] {
            let rest = bytes.get(from as usize..).unwrap_or_default();
            assert_eq!(read(&mut file, from).expect("read"), rest, "{from}");
        }
        // Exchanged: what was opened is read on.
        std::fs::rename(&other, &path).expect("exchanged");
        assert_eq!(read(&mut file, 0).expect("read"), bytes);
        // Rewritten in place, and put back later.
        std::fs::write(&path, &bytes).expect("written");
        let mut file = Verified::open(&path, &content).expect("its bytes");
        std::fs::write(&path, vec![7; bytes.len()]).expect("rewritten");
        assert!(read(&mut file, 0).is_err());
        std::fs::write(&path, &bytes[..BLOCK]).expect("cut");
        assert!(read(&mut file, BLOCK as u64 + 3).is_err());
        std::fs::write(&path, &bytes).expect("put back");
        assert_eq!(read(&mut file, 0).expect("read"), bytes);
    }

    #[test]
    fn of_several_places_the_least_comes_first_however_they_are_found() {
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let places = ["b", "a", "c", "a", "b", "c"].map(PathBuf::from);
        for turn in 0..places.len() {
            let sources = Sources::default();
            let found = || places.iter().cycle().skip(turn).take(places.len());
            found().take(2).for_each(|place| sources.add(one, place));
            sources.extend(found().skip(2).map(|place| (one, place.clone())).collect());
            sources.extend(found().skip(4).map(|place| (one, place.clone())).chain([(two, "d".into())]).collect());
            sources.extend(Vec::new());
            assert_eq!(sources.paths(&one), ["a", "b", "c"].map(PathBuf::from));
            assert_eq!((sources.paths(&two), sources.list().len()), (vec![PathBuf::from("d")], 4));
            assert_eq!(sources.paths(&Digest::of(b"three")), Vec::<PathBuf>::new());
            assert!(sources.list().is_sorted());
            sources.clear();
            assert!(sources.paths(&one).is_empty() && sources.list().is_empty());
        }
    }
}
