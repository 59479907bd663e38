//! Contents of the store, and which of them are still needed: the part of cleaning up that knows no run.

use super::{Pins, Receipt, Recorded, Root, Segment, Store, StoreError, checkpoint::checkpoint_of};
use crate::Digest;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

/// Live contents of the store: what roots, lock files and unfinished work need.
#[derive(Debug, Default)]
pub struct Live {
    /// Numbers of the segments that hold unfinished work: they stay as they are.
    pub unfinished: BTreeSet<u64>,
    /// Keys of receipts in the other segments.
    pub keys: HashSet<Digest>,
    /// Digests of objects.
    pub objects: HashSet<Digest>,
    /// Samples in the cache.
    pub pcm: HashSet<Digest>,
    /// Keys of trainings that have not finished.
    pub checkpoints: HashSet<Digest>,
}

/// Everything in the store but runs and roots.
#[derive(Debug, Default)]
pub struct Contents {
    /// Objects and where they lie, sorted.
    pub objects: Vec<(Digest, PathBuf)>,
    /// States of trainings.
    pub checkpoints: Vec<(Digest, PathBuf)>,
    /// Samples and codes in the cache; a digest where they are samples.
    pub pcm: Vec<(Option<Digest>, PathBuf)>,
    /// Leftovers of killed processes and of older versions: hidden files, roots that have a later one, old formats.
    pub leftovers: Vec<PathBuf>,
}

impl Store {
    /// The log's segments in their order.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn segments(&self) -> Result<Vec<Segment>, StoreError> {
        self.receipts.read()
    }

    /// Puts one segment, with the receipts that `keep` picks, in the place of several.
    ///
    /// # Errors
    /// When the disk refuses; then every receipt that stays is still there.
    pub fn merge(&self, segments: &[&Segment], keep: impl Fn(&Digest, &Receipt) -> bool) -> Result<(), StoreError> {
        self.receipts.merge(segments, keep)
    }

    /// The number of the last segment: what a root says it was published after.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn last_segment(&self) -> Result<u64, StoreError> {
        self.receipts.last()
    }

    /// Marks what the roots `kept`, the weights that lock files name, and unfinished work need. `all` are the roots of
    /// all runs: work is unfinished while no run of its name was published after it.
    pub fn live<'r>(
        segments: &[Segment],
        all: &[Recorded],
        kept: impl IntoIterator<Item = &'r Root>,
        pins: &[Pins],
    ) -> Live {
        let mut live = Live::default();
        let mut published: BTreeMap<&str, u64> = BTreeMap::new();
        for Recorded { root, .. } in all {
            let last = published.entry(&root.name).or_default();
            *last = root.segment.max(*last);
        }
        let mut wanted: HashSet<Digest> = HashSet::new();
        for root in kept {
            wanted.extend(&root.keys);
            live.pcm.extend(&root.pcm);
        }
        let weights: BTreeSet<Digest> = pins.iter().flat_map(|pins| pins.weights.iter().copied()).collect();
        live.objects.extend(&weights);
        // A later segment wins.
        let mut finished: HashMap<&Digest, &Receipt> = HashMap::new();
        let mut unfinished: HashMap<&Digest, &Receipt> = HashMap::new();
        for segment in segments {
            let last = published.get(segment.name.as_str());
            if !segment.name.is_empty() && last.is_none_or(|last| segment.number > *last) {
                live.unfinished.insert(segment.number);
                unfinished.extend(&segment.receipts);
            } else {
                finished.extend(&segment.receipts);
            }
        }
        // What was said of weights that a lock names stays with them.
        let pinned = |receipt: &Receipt| receipt.objects.iter().any(|object| weights.contains(object));
        finished.retain(|key, receipt| wanted.contains(key) || pinned(receipt));
        live.keys.extend(finished.keys().copied());
        for (key, receipt) in finished.iter().chain(&unfinished) {
            live.objects.extend(receipt.objects.iter());
            if let Ok(effect) = <[u8; 32]>::try_from(&*receipt.value).map(Digest)
                && **key == checkpoint_of(&effect)
                && !finished.contains_key(&effect)
                && !unfinished.contains_key(&effect)
            {
                live.checkpoints.insert(effect);
            }
        }
        live
    }

    /// Lists everything but runs and roots.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn contents(&self) -> Result<Contents, StoreError> {
        let mut contents = Contents::default();
        let left = &mut contents.leftovers;
        entries(self.root(), left, |_, _| ())?;
        entries(&self.root().join("receipts"), left, |_, _| ())?;
        for folder in ["roots", "roots/locks", "history", "runs"] {
            entries(&self.root().join(folder), left, |_, _| ())?;
        }
        left.extend(self.superseded()?);
        let log = |path: &PathBuf| path.extension().is_some_and(|e| e == "log");
        left.extend(paths(&self.root().join("receipts"))?.into_iter().filter(log));
        entries(&self.root().join("checkpoints"), left, |name, path| {
            contents.checkpoints.extend(name.parse().ok().map(|key| (key, path)));
        })?;
        entries(&self.pcm(), left, |name, path| contents.pcm.push((name.parse().ok(), path)))?;
        let objects = self.root().join("objects");
        let mut folders = Vec::new();
        entries(&objects, left, |name, path| folders.push((name.to_owned(), path)))?;
        for (first, folder) in folders {
            if folder.is_dir() {
                entries(&folder, left, |rest, path| {
                    contents.objects.extend(format!("{first}{rest}").parse().ok().map(|digest| (digest, path)));
                })?;
            }
        }
        contents.objects.sort();
        contents.leftovers.sort();
        Ok(contents)
    }
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(StoreError::io("read", folder))?,
    };
    listed.map(|entry| Ok(entry.map_err(StoreError::io("read", folder))?.path())).collect()
}

/// Whether a hidden name is that of a file or tree under way: only a process that was killed leaves one.
fn under_way(name: &str) -> bool {
    [".tmp", ".old", ".latest", ".gone"].iter().any(|end| name.ends_with(end))
}

/// Every entry of a folder by name and path; hidden ones go to the leftovers.
fn entries(folder: &Path, left: &mut Vec<PathBuf>, mut take: impl FnMut(&str, PathBuf)) -> Result<(), StoreError> {
    for path in paths(folder)? {
        match path.file_name().and_then(|name| name.to_str()).map(str::to_owned) {
            Some(name) if name.starts_with('.') => left.extend(under_way(&name).then_some(path)),
            Some(name) => take(&name, path),
            // Nothing of ours.
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_lives_until_its_name_is_published() {
        let folder = tempfile::tempdir().expect("a folder");
        let [work, other, training] = [b"w", b"o", b"t"].map(|key| Digest::of(key));
        for name in ["songs", "other"] {
            let store = Store::open(folder.path()).expect("a store");
            store.begin(name);
            if name == "songs" {
                let object = store.put(b"object").expect("stored");
                store.receipts.put(work, &[object], b"").expect("remembered");
                fs::write(store.checkpoint(&training), "state").expect("written");
            } else {
                store.receipts.put(other, &[], b"").expect("remembered");
            }
        }
        let store = Store::open(folder.path()).expect("a store");
        let segments = store.segments().expect("segments");
        let recorded = |name: &str, segment, keys| Recorded {
            turn: 1,
            run: format!("{name}-1"),
            root: Root { name: name.into(), segment, keys, ..Root::default() },
        };
        let live = |all: &[Recorded], pins: &[Pins]| Store::live(&segments, all, all.iter().map(|r| &r.root), pins);
        let first = live(&[], &[]);
        assert_eq!((first.unfinished.len(), first.objects.len(), first.checkpoints.len()), (2, 1, 1));
        assert!(first.checkpoints.contains(&training));
        let published = live(&[recorded("songs", 1, vec![])], &[]);
        assert_eq!((published.unfinished.len(), published.objects.len(), published.checkpoints.len()), (1, 0, 0));
        assert!(published.unfinished.contains(&2) && !published.keys.contains(&work));
        let kept = live(&[recorded("songs", 1, vec![work]), recorded("other", 2, vec![])], &[]);
        assert_eq!((kept.unfinished.len(), kept.objects.len(), kept.keys.contains(&other)), (0, 1, false));
        // What a lock names keeps what was said of it.
        let pins = Pins { lock: "songs.lock".into(), weights: BTreeSet::from([Digest::of(b"object")]) };
        assert!(live(&[recorded("songs", 1, vec![])], &[pins]).keys.contains(&work));
        let contents = store.contents().expect("contents");
        assert_eq!((contents.objects.len(), contents.checkpoints.len(), contents.leftovers.len()), (1, 1, 0));
    }
}
