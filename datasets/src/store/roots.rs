//! Roots: what keeps receipts and objects from being cleaned up. Each published run is one, and each lock file.
//!
//! # What keeps bytes alive
//!
//! Nothing in the store is counted or leased. `gc` marks from the roots ([`Store::live`]) and removes the rest:
//!
//! | who needs it | receipts | objects | samples in `pcm/` |
//! |---|---|---|---|
//! | the root of a run that stays | the keys that the run looked up or wrote | those that these receipts name | those of its tracks |
//! | a lock file's record | those that name its weights | the weights, and what these receipts name: curves, lineage | none |
//! | unfinished work: a segment of a name that was not published after it | all of it | those that it names | none |
//!
//! A checkpoint stays while such a receipt says that its effect had one and no such receipt says that the effect
//! finished. A receipt names its objects itself, so nobody has to know what its value means; an object that a value
//! mentions without its receipt naming it is cleaned up, and made again when it is asked for. A published tree holds
//! bytes by links of its own.
//!
//! ```
//! use datasets::{Key, store::{Memo, Recorded, Root, Store}};
//!
//! let folder = tempfile::tempdir()?;
//! let store = Store::open(folder.path())?;
//! store.begin("songs");
//! let [song, other] = [store.put(b"a song")?, store.put(b"named by nobody")?];
//! Memo::at(Key::new("work").finish()).put(&store, &7_u64, &[song])?;
//!
//! // Work of a run that was not published yet.
//! let live = Store::live(&store.segments()?, &[], [], &[]);
//! assert!(live.objects.contains(&song) && !live.objects.contains(&other));
//!
//! // Published, it lives as long as the run's root.
//! let keys = store.touched(&Default::default());
//! let root = Root { name: "songs".into(), segment: store.last_segment()?, keys, ..Root::default() };
//! let all = [Recorded { turn: 1, run: "songs-1".into(), root: root.clone() }];
//! assert!(Store::live(&store.segments()?, &all, [&root], &[]).objects.contains(&song));
//! assert!(Store::live(&store.segments()?, &all, [], &[]).objects.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A run's root also says who is in it, as digests of names: so a run that holds a track is found without the store
//! naming the track a second time.

use super::{Receipt, Store, StoreError, remove, write_atomic};
use crate::{Digest, Key, corpus::Member, store::fault};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// GC root of a published run: the receipts, samples and tracks that it keeps or withdraws.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The manifest's name.
    pub name: String,
    /// The last segment of receipts when it was published: earlier ones of this name are no unfinished work.
    pub segment: u64,
    /// Keys of its receipts, sorted.
    pub keys: Vec<Digest>,
    /// Names of its decoded samples in the cache, sorted.
    pub pcm: Vec<Digest>,
    /// The tracks that it holds, sorted.
    pub tracks: Vec<Member>,
    /// The tracks that its opt-out lists withdraw, as far as the store knows them, sorted.
    pub withdrawn: Vec<Member>,
}

/// A root with its place among the others.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Counts up: a run that is published, or published again, comes after all others.
    pub turn: u64,
    /// The run: name and id.
    pub run: String,
    /// The GC root.
    pub root: Root,
}

/// A lock file and the weights that it named when a run last wrote or used it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// Path of the lock file.
    pub lock: PathBuf,
    /// Digests of the weights that it named.
    pub weights: BTreeSet<Digest>,
}

const HEX: usize = 32;

/// The turns of all published runs of the store in `folder`, without opening it: the last published run has the highest.
///
/// # Errors
/// When the disk refuses.
pub fn turns(folder: &Path) -> Result<BTreeMap<String, u64>, StoreError> {
    Ok(root_files(&folder.join("roots"))?.into_iter().map(|(turn, run, _)| (run, turn)).collect())
}

/// Files in a folder of roots: turn, run, path; in order of turns.
fn root_files(folder: &Path) -> Result<Vec<(u64, String, PathBuf)>, StoreError> {
    let mut files = Vec::new();
    for path in list(folder)? {
        let parts = path.file_name().and_then(|name| name.to_str()?.split_once('-'));
        let turn = parts.and_then(|(turn, run)| Some((turn.parse::<u64>().ok()?, run.to_owned())));
        if let Some((turn, run)) = turn {
            files.push((turn, run, path));
        }
    }
    files.sort();
    Ok(files)
}

impl Store {
    fn roots_folder(&self) -> PathBuf {
        self.root().join("roots")
    }

    /// Files under `roots/`: turn, run, path; in order of turns.
    fn root_files(&self) -> Result<Vec<(u64, String, PathBuf)>, StoreError> {
        root_files(&self.roots_folder())
    }

    /// Root files of runs that have a later one: what a kill between writing a root and removing the one before left.
    pub(super) fn superseded(&self) -> Result<Vec<PathBuf>, StoreError> {
        let files = self.root_files()?;
        let later = |at: usize, run: &String| files[at + 1..].iter().any(|(_, other, _)| other == run);
        let old = files.iter().enumerate().filter(|(at, (_, run, _))| later(*at, run));
        Ok(old.map(|(_, (.., path))| path.clone()).collect())
    }

    /// The roots of all runs, the last published one last. A file that cannot be read is none.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn roots(&self) -> Result<Vec<Recorded>, StoreError> {
        let mut roots = Vec::new();
        let files = self.root_files()?;
        let later = |at: usize| files[at + 1..].iter().any(|(_, run, _)| *run == files[at].1);
        for (_, (turn, run, path)) in files.iter().enumerate().filter(|(at, _)| !later(*at)) {
            let (turn, run) = (*turn, run.clone());
            let bytes = match fault::read(path) {
                // Another process has published the run again.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(StoreError::io("read", path))?,
            };
            if let Ok(root) = postcard::from_bytes(&bytes) {
                roots.push(Recorded { turn, run, root });
            }
        }
        Ok(roots)
    }

    /// The root of one run; none where there is none that can be read.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn root_of(&self, run: &str) -> Result<Option<Root>, StoreError> {
        let files = self.root_files()?;
        let Some((.., path)) = files.iter().rfind(|(_, known, _)| known == run) else { return Ok(None) };
        Ok(postcard::from_bytes(&fault::read(path).map_err(StoreError::io("read", path))?).ok())
    }

    /// Makes a run the last published one, with what it keeps.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn record_root(&self, run: &str, root: &Root) -> Result<(), StoreError> {
        let folder = self.roots_folder();
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        let files = self.root_files()?;
        // Nothing here can fail to be packed: numbers, strings and digests.
        let Ok(bytes) = postcard::to_stdvec(root) else { return Ok(()) };
        if let Some((_, last, path)) = files.last()
            && last == run
            && fs::read(path).is_ok_and(|known| known == bytes)
        {
            return self.superseded()?.iter().try_for_each(|path| remove(path));
        }
        let turn = files.last().map_or(0, |(turn, ..)| *turn) + 1;
        write_atomic(&folder.join(format!("{turn:08}-{run}")), &bytes)?;
        files.iter().filter(|(_, known, _)| known == run).try_for_each(|(.., path)| remove(path))
    }

    /// Removes the GC root of a run.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn forget_root(&self, run: &str) -> Result<(), StoreError> {
        self.root_files()?.iter().filter(|(_, known, _)| known == run).try_for_each(|(.., path)| remove(path))
    }

    /// Every lock file that a run has written or used, and where its record lies.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn pins(&self) -> Result<Vec<(PathBuf, Pins)>, StoreError> {
        let mut pins = Vec::new();
        for path in list(&self.roots_folder().join("locks"))? {
            let bytes = fault::read(&path).map_err(StoreError::io("read", &path))?;
            if let Ok(known) = postcard::from_bytes::<Pins>(&bytes) {
                pins.push((path, known));
            }
        }
        Ok(pins)
    }

    /// Makes the weights of a lock file a root.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn pin(&self, lock: &Path, weights: BTreeSet<Digest>) -> Result<(), StoreError> {
        let folder = self.roots_folder().join("locks");
        let pins = Pins { lock: lock.to_owned(), weights };
        let Ok(bytes) = postcard::to_stdvec(&pins) else { return Ok(()) };
        let place = Key::new("lock").bytes(lock.as_os_str().as_encoded_bytes()).finish();
        let path = folder.join(&place.hex()[..HEX]);
        if fs::read(&path).is_ok_and(|known| known == bytes) {
            return Ok(());
        }
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        write_atomic(&path, &bytes)
    }

    /// Keys of what this process looked up or wrote, sorted; without receipts that hold one of the digests `gone`.
    pub fn touched(&self, gone: &BTreeSet<Digest>) -> Vec<Digest> {
        let holds = |bytes: &[u8]| {
            bytes.windows(32).any(|window| <[u8; 32]>::try_from(window).is_ok_and(|w| gone.contains(&Digest(w))))
        };
        let which = |receipt: &Receipt| {
            gone.is_empty() || !holds(&receipt.value) && receipt.objects.iter().all(|object| !gone.contains(object))
        };
        self.receipts.touched(which)
    }
}

/// The visible files of a folder; none where there is no folder.
fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StoreError::Io { doing: "read", path: folder.into(), source }),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(StoreError::io("read", folder))?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_published_again_comes_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let root = |segment| Root { name: "songs".into(), segment, ..Root::default() };
        for (run, segment) in [("songs-1", 1), ("songs-2", 2), ("songs-2", 2), ("songs-1", 3)] {
            store.record_root(run, &root(segment)).expect("recorded");
        }
        let runs: Vec<_> = store.roots().expect("roots").into_iter().map(|r| (r.turn, r.run, r.root.segment)).collect();
        assert_eq!(runs, [(2, "songs-2".to_owned(), 2), (3, "songs-1".to_owned(), 3)]);
        // As a kill between writing a root and removing the one before leaves it.
        let folder = store.roots_folder();
        fs::copy(folder.join("00000003-songs-1"), folder.join("00000001-songs-1")).expect("copied");
        assert_eq!(store.roots().expect("roots").len(), 2);
        assert_eq!(store.contents().expect("contents").leftovers, [folder.join("00000001-songs-1")]);
        store.record_root("songs-1", &root(3)).expect("recorded");
        assert!(!folder.join("00000001-songs-1").exists());
        store.forget_root("songs-2").expect("forgotten");
        assert_eq!(store.roots().expect("roots").len(), 1);
    }

    #[test]
    fn what_holds_a_digest_that_is_gone_is_no_part_of_a_root() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let [a, b, c, gone] = [b"a", b"b", b"c", b"g"].map(|name| Digest::of(name));
        store.receipts.put(a, &[], b"value").expect("remembered");
        store.receipts.put(b, &[], &[&b"xyz"[..], &gone.0, b"t"].concat()).expect("remembered");
        store.receipts.put(c, &[gone], b"value").expect("remembered");
        assert_eq!(store.touched(&BTreeSet::new()).len(), 3);
        assert_eq!(store.touched(&BTreeSet::from([gone])), [a]);
    }
}
