//! Paths of the corpus's files, by the digests of their bytes.

use datasets::{Digest, effect::Fault};
use rayon::prelude::*;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

/// Paths at which the bytes behind a content digest can be read in this process. No row and no key holds a path.
#[derive(Default)]
pub struct Sources(RwLock<Places>);

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
        let mut places = self.0.write().unwrap_or_else(PoisonError::into_inner);
        places.added.insert((content, path.to_owned()));
    }

    /// Remembers all places of a scan.
    pub fn extend(&self, places: Vec<(Digest, PathBuf)>) {
        let scanned = Scanned::of(places);
        self.0.write().unwrap_or_else(PoisonError::into_inner).scanned.push(scanned);
    }

    /// Forgets all places, before the sources are scanned again.
    pub fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Places::default();
    }

    /// The places where these bytes were, or were said to be, when the sources were scanned. Of several the least path is
    /// the first, so that which one is read is no matter of luck.
    pub fn paths(&self, content: &Digest) -> Vec<PathBuf> {
        let Places { scanned, added } = &*self.0.read().unwrap_or_else(PoisonError::into_inner);
        let scanned = scanned.iter().flat_map(|scanned| scanned.paths(content)).map(Path::to_owned);
        let added = added.range((*content, PathBuf::new())..).take_while(|(own, _)| own == content);
        let all: BTreeSet<PathBuf> = scanned.chain(added.map(|(_, path)| path.clone())).collect();
        all.into_iter().collect()
    }

    /// Lists every path, by digest: for the processes that have not scanned the sources themselves.
    pub fn list(&self) -> Vec<(Digest, PathBuf)> {
        let Places { scanned, added } = &*self.0.read().unwrap_or_else(PoisonError::into_inner);
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

/// Whether a file still holds the bytes that the scan saw. A file that changes under a run must not
/// leave a result under the old bytes' digest.
pub(crate) fn unchanged(path: &Path, content: &Digest) -> Result<(), Fault> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).map_err(|e| Fault::failed(&path.display().to_string(), &e))?;
    hasher.update_reader(file).map_err(|e| Fault::failed(&path.display().to_string(), &e))?;
    if hasher.finalize().as_bytes() == &content.0 {
        Ok(())
    } else {
        let (path, stated) = (path.display(), content.short(12));
        Err(Fault::Failed(format!(
            "{path}, {stated}: it changed while it was read, or a table states a wrong digest for it; run again"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
