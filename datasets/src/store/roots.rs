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
//! | unfinished work: a segment that was last written to after its name was last published | all of it | those that it names | none |
//!
//! A checkpoint stays while such a receipt says that its effect had one, and for two weeks after its own last write
//! ([`REST`](super::REST)), unless a receipt says that the effect finished. A receipt names its objects itself, so nobody has to know what its value means; an object that a value
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
//! let all = [Recorded { turn: 1, run: "songs-1".into(), root: root.clone(), written: None }];
//! assert!(Store::live(&store.segments()?, &all, [&root], &[]).objects.contains(&song));
//! assert!(Store::live(&store.segments()?, &all, [], &[]).objects.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A run's root also says who is in it, as digests of names: so a run that holds a track is found without the store
//! naming the track a second time.

use super::{Receipt, Store, StoreError, is_checked, read_checked, read_kept, remove, write_checked};
use crate::{Digest, Key, corpus::Member, store::fault};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
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
    /// Published files that are no objects, such as the report: path in the tree, digest.
    pub texts: BTreeMap<PathBuf, Digest>,
    /// The lock file of its manifest, and the weights that it named: beside the record that the lock file has of its own,
    /// for the case that this is lost.
    pub lock: Option<Pins>,
}

/// A root as earlier versions wrote it, without a check.
#[derive(Deserialize)]
struct Earlier {
    name: String,
    segment: u64,
    keys: Vec<Digest>,
    pcm: Vec<Digest>,
    tracks: Vec<Member>,
    withdrawn: Vec<Member>,
}

/// Reads a root. `None` where there is none, or none that is whole.
fn read_root(path: &Path, run: &str) -> Result<Option<Root>, StoreError> {
    if is_checked(path) {
        let packed = read_kept(path, &root_key(run))?;
        return Ok(packed.and_then(|packed| postcard::from_bytes(&packed).ok()));
    }
    let bytes = match fault::read(path) {
        // Another process has published the run again.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(StoreError::io("read", path))?,
    };
    let read = postcard::from_bytes(&bytes).ok();
    Ok(read.map(|Earlier { name, segment, keys, pcm, tracks, withdrawn }| {
        let (texts, lock) = Default::default();
        Root { name, segment, keys, pcm, tracks, withdrawn, texts, lock }
    }))
}

fn root_key(run: &str) -> Digest {
    Key::new("root").text(run).finish()
}

fn pins_key(record: &Path) -> Digest {
    Key::new("pins").bytes(record.file_name().unwrap_or_default().as_encoded_bytes()).finish()
}

/// A receipt once more: key, objects, value.
type Said = (Digest, Vec<Digest>, Vec<u8>);

/// The record of a lock file, with the receipts that name its weights; of an earlier version without these. `None` where
/// there is none that is whole.
fn read_pins(path: &Path) -> Result<Option<(Pins, Vec<Said>)>, StoreError> {
    if is_checked(path) {
        let packed = read_kept(path, &pins_key(path))?;
        return Ok(packed.and_then(|packed| postcard::from_bytes(&packed).ok()));
    }
    let packed = fault::read(path).map_err(StoreError::io("read", path))?;
    Ok(postcard::from_bytes(&packed).ok().map(|pins| (pins, Vec::new())))
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
    /// When it was published.
    pub written: Option<SystemTime>,
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
        let turn = parts.and_then(|(turn, run)| Some((super::receipts::number(turn)?, run.to_owned())));
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
        let old = old.map(|(_, (_, run, path))| -> Result<Option<PathBuf>, StoreError> {
            Ok(read_root(path, run)?.map(|_| path.clone()))
        });
        old.filter_map(Result::transpose).collect()
    }

    /// The roots of all runs, the last published one last. A file that is damaged is none, and gone.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn roots(&self) -> Result<Vec<Recorded>, StoreError> {
        let mut roots = Vec::new();
        let files = self.root_files()?;
        let later = |at: usize| files[at + 1..].iter().any(|(_, run, _)| *run == files[at].1);
        for (_, (turn, run, path)) in files.iter().enumerate().filter(|(at, _)| !later(*at)) {
            let written = fs::metadata(path).and_then(|facts| facts.modified()).ok();
            let root = read_root(path, run)?;
            roots.extend(root.map(|root| Recorded { turn: *turn, run: run.clone(), root, written }));
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
        read_root(path, run)
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
            && is_checked(path)
            && read_checked(path, &root_key(run))?.is_some_and(|known| known == bytes)
        {
            return self.superseded()?.iter().try_for_each(|path| remove(path));
        }
        let turn = files.last().map_or(0, |(turn, ..)| *turn) + 1;
        write_checked(&folder.join(format!("{turn:08}-{run}")), &root_key(run), &bytes)?;
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
            let known = read_pins(&path)?;
            pins.extend(known.map(|(known, _)| (path, known)));
        }
        Ok(pins)
    }

    /// Remembers again what the records of lock files say of their weights, where the receipts that said it are lost: unlike
    /// any other work, that of pinned weights is not done again.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn recover_pinned(&self) -> Result<(), StoreError> {
        for path in list(&self.roots_folder().join("locks"))? {
            for (key, objects, value) in read_pins(&path)?.map(|(_, said)| said).unwrap_or_default() {
                if self.receipts.find(&key).is_none() && objects.iter().all(|object| self.has(object)) {
                    self.receipts.put(key, &objects, &value)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the weights of a lock file a root.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn pin(&self, lock: &Path, weights: BTreeSet<Digest>) -> Result<(), StoreError> {
        let folder = self.roots_folder().join("locks");
        let named = |objects: &[Digest]| objects.iter().any(|object| weights.contains(object));
        let of_weights = |key: &Digest, receipt: &Receipt| -> Option<Said> {
            // What came with them, such as curves and lineage; not what was said of them alone, such as who withdrew.
            let names = named(&receipt.objects) && receipt.objects.len() > 1;
            names.then(|| (*key, receipt.objects.to_vec(), receipt.value.to_vec()))
        };
        let place = Key::new("lock").bytes(lock.as_os_str().as_encoded_bytes()).finish();
        let path = folder.join(&place.hex()[..HEX]);
        // A receipt that was lost since may stand in the record alone.
        let before = if path.is_file() { read_pins(&path)? } else { None };
        let before = before.into_iter().flat_map(|(_, said)| said);
        let before = before.filter(|(_, objects, _)| named(objects) && objects.iter().all(|object| self.has(object)));
        let now = self.receipts.all(of_weights);
        let said: BTreeMap<Digest, Said> = before.chain(now).map(|said| (said.0, said)).collect();
        let said: Vec<Said> = said.into_values().collect();
        let pins = Pins { lock: lock.to_owned(), weights };
        let Ok(bytes) = postcard::to_stdvec(&(&pins, &said)) else { return Ok(()) };
        if is_checked(&path) && read_checked(&path, &pins_key(&path))?.is_some_and(|known| known == bytes) {
            return Ok(());
        }
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        write_checked(&path, &pins_key(&path), &bytes)
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
    fn a_damaged_root_is_none_and_one_of_an_earlier_version_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let root = Root { name: "songs".into(), keys: vec![Digest::of(b"key")], ..Root::default() };
        store.record_root("songs-1", &root).expect("recorded");
        let path = store.roots_folder().join("00000001-songs-1");
        let mut bytes = fs::read(&path).expect("a root");
        bytes[40] ^= 1;
        fs::write(&path, bytes).expect("damaged");
        assert!(store.roots().expect("roots").is_empty() && !path.exists());
        let earlier = (&root.name, 7u64, &root.keys, &root.pcm, &root.tracks, &root.withdrawn);
        fs::write(&path, postcard::to_stdvec(&earlier).expect("packed")).expect("written");
        let read = store.root_of("songs-1").expect("read").expect("a root");
        assert_eq!(read, Root { segment: 7, ..root });
        // So is the record of a lock file.
        let pins = Pins { lock: "/songs.lock".into(), weights: BTreeSet::from([Digest::of(b"weights")]) };
        store.pin(&pins.lock, pins.weights.clone()).expect("pinned");
        let (record, known) = store.pins().expect("pins").remove(0);
        assert_eq!(known, pins);
        fs::write(&record, postcard::to_stdvec(&pins).expect("packed")).expect("written");
        assert_eq!(store.pins().expect("pins")[0].1, pins);
        store.pin(&pins.lock, pins.weights.clone()).expect("pinned");
        let mut bytes = fs::read(&record).expect("a record");
        bytes[20] ^= 1;
        fs::write(&record, bytes).expect("damaged");
        assert!(store.pins().expect("pins").is_empty() && !record.exists());
        // What was said of the weights comes back with the record.
        let weights = store.put(b"weights").expect("stored");
        let curves = store.put(b"curves").expect("stored");
        store.receipts.put(Digest::of(b"trained"), &[weights, curves], b"on what").expect("remembered");
        store.pin(&pins.lock, BTreeSet::from([weights])).expect("pinned");
        fs::remove_dir_all(store.root().join("receipts")).expect("lost");
        let store = Store::open(store.root()).expect("opened again");
        assert!(store.receipts.find(&Digest::of(b"trained")).is_none());
        store.pin(&pins.lock, BTreeSet::from([weights])).expect("pinned again, and nothing forgotten");
        store.recover_pinned().expect("recovered");
        assert_eq!(store.receipts.find(&Digest::of(b"trained")).expect("a receipt").value[..], b"on what"[..]);
        // Somebody's files stay.
        let mine = store.roots_folder().join("2020-diary");
        fs::write(&mine, "mine").expect("written");
        store.forget_root("diary").expect("forgotten");
        assert!(mine.exists() && store.contents().expect("contents").leftovers.is_empty());
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
