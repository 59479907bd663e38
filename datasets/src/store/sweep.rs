//! Contents of the store, and which of them are still needed: the part of cleaning up that knows no run.

use super::{
    Pins, Receipt, Recorded, Root, Segment, Store, StoreError, checkpoint::checkpoint_of, is_checked, log, receipts,
    temp_name,
};
use crate::Digest;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How long after its last write the state of work that nobody finished stays.
pub const REST: Duration = Duration::from_secs(14 * 24 * 3600);

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
    /// Keys of effects that had a checkpoint at some time, and of which the store does not know that they finished.
    began: HashSet<Digest>,
}

impl Live {
    /// Spares checkpoints that somebody may go on with, although other runs of their name were published since: those of
    /// work that did not finish and whose own last write is not long ago.
    pub fn spare(&mut self, checkpoints: &[(Digest, PathBuf)]) {
        let young = |path: &Path| {
            let written = fs::metadata(path).and_then(|facts| facts.modified());
            written.is_ok_and(|written| SystemTime::now().duration_since(written).is_ok_and(|age| age < REST))
        };
        for (key, _) in checkpoints.iter().filter(|(key, path)| self.began.contains(key) && young(path)) {
            self.checkpoints.insert(*key);
            self.keys.insert(checkpoint_of(key));
        }
    }
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
        let mut published: BTreeMap<&str, (u64, Option<SystemTime>)> = BTreeMap::new();
        for Recorded { root, written, .. } in all {
            let last = published.entry(&root.name).or_default();
            *last = (root.segment.max(last.0), (*written).max(last.1));
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
            // Another run of the name may have been published while this one went on.
            let goes_on = |last: &(u64, Option<SystemTime>)| {
                let later = segment.written.zip(last.1).is_some_and(|(written, published)| written > published);
                segment.number > last.0 || later
            };
            if !segment.name.is_empty() && published.get(segment.name.as_str()).is_none_or(goes_on) {
                live.unfinished.insert(segment.number);
                unfinished.extend(&segment.receipts);
            } else {
                finished.extend(&segment.receipts);
            }
        }
        let begun = |(key, receipt): (&Digest, &Receipt)| {
            let effect = <[u8; 32]>::try_from(&*receipt.value).map(Digest).ok()?;
            (*key == checkpoint_of(&effect)).then_some(effect)
        };
        live.began = segments.iter().flat_map(|segment| segment.receipts.iter().filter_map(begun)).collect();
        live.began.retain(|effect| segments.iter().all(|segment| !segment.receipts.contains_key(effect)));
        // What was said of weights that a lock names stays with them.
        let pinned = |receipt: &Receipt| receipt.objects.iter().any(|object| weights.contains(object));
        finished.retain(|key, receipt| wanted.contains(key) || pinned(receipt));
        live.keys.extend(finished.keys().copied());
        for (key, receipt) in finished.iter().chain(&unfinished) {
            live.objects.extend(receipt.objects.iter());
            if let Some(effect) = begun((*key, *receipt))
                && !finished.contains_key(&effect)
                && !unfinished.contains_key(&effect)
            {
                live.checkpoints.insert(effect);
            }
        }
        live
    }

    /// Lists everything but runs and roots that is the store's own by its name, and where a name may be anybody's, by its
    /// content. Other files are somebody's.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn contents(&self) -> Result<Contents, StoreError> {
        let mut contents = Contents::default();
        let left = &mut contents.leftovers;
        entries(self.root(), left, temp_name, |_, _| ())?;
        for folder in ["receipts", "roots", "roots/locks", "history"] {
            entries(&self.root().join(folder), left, temp_name, |_, _| ())?;
        }
        entries(&self.runs(), left, tree_under_way, |_, _| ())?;
        left.extend(self.superseded()?);
        let log = |path: &PathBuf| {
            path.extension().is_some_and(|e| e == "log")
                && path.file_stem().is_some_and(|stem| stem.to_str().and_then(receipts::number).is_some())
        };
        left.extend(paths(&self.root().join("receipts"))?.into_iter().filter(log));
        // Those of earlier versions are known by what was said of them.
        let said: HashSet<Digest> = self.receipts.all(|key, receipt| {
            let effect = <[u8; 32]>::try_from(&*receipt.value).map(Digest).ok()?;
            (*key == checkpoint_of(&effect)).then_some(effect)
        });
        entries(&self.root().join("checkpoints"), left, temp_name, |name, path| {
            let key: Option<Digest> = name.parse().ok();
            contents
                .checkpoints
                .extend(key.filter(|key| said.contains(key) || is_state(key, &path)).map(|key| (key, path)));
        })?;
        let rooted: HashSet<Digest> = self.roots()?.into_iter().flat_map(|recorded| recorded.root.pcm).collect();
        entries(&self.pcm(), left, temp_name, |name, path| {
            let key: Option<Digest> = name.parse().ok();
            let tokens = ["-tokens", "-index"].iter().find_map(|end| name.strip_suffix(*end)?.parse::<Digest>().ok());
            // Codes of earlier versions have no mark, and a name that is nobody else's.
            if tokens.is_some() || key.is_some_and(|key| rooted.contains(&key) || is_checked(&path)) {
                contents.pcm.push((key, path));
            }
        })?;
        let objects = self.root().join("objects");
        let mut folders = Vec::new();
        entries(&objects, left, temp_name, |name, path| folders.push((name.to_owned(), path)))?;
        for (first, folder) in folders.into_iter().filter(|(first, _)| first.len() == 2) {
            if folder.is_dir() {
                entries(&folder, left, temp_name, |rest, path| {
                    contents.objects.extend(format!("{first}{rest}").parse().ok().map(|digest| (digest, path)));
                })?;
            }
        }
        contents.objects.sort();
        contents.leftovers.sort();
        Ok(contents)
    }
}

/// Whether a file holds the state of the effect of a key: a checkpoint, or the log of a sampling.
fn is_state(key: &Digest, path: &Path) -> bool {
    let log = || {
        let mut start = Vec::new();
        let read = crate::untrusted::open(path).and_then(|file| file.take(256).read_to_end(&mut start));
        read.is_ok() && log::bodies(&start).next().is_some_and(|first| *first == key.0)
    };
    is_checked(path) || log()
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(StoreError::io("read", folder))?,
    };
    listed.map(|entry| Ok(entry.map_err(StoreError::io("read", folder))?.path())).collect()
}

/// Whether a name is that of a file or tree under way in `runs/`: only a process that was killed leaves one.
fn tree_under_way(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let process =
        |text: &str| [".tmp", ".old", ".latest"].iter().any(|end| text.strip_suffix(*end).is_some_and(digits));
    let run = |text: &str| {
        text.rsplit_once('-').is_some_and(|(_, id)| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let Some(rest) = name.strip_prefix('.') else { return false };
    temp_name(name) || process(rest) || rest.strip_suffix(".gone").is_some_and(|gone| run(gone) || process(gone))
}

/// Every entry of a folder by name and path; of hidden ones, those of our own go to the leftovers.
fn entries(
    folder: &Path,
    left: &mut Vec<PathBuf>,
    under_way: impl Fn(&str) -> bool,
    mut take: impl FnMut(&str, PathBuf),
) -> Result<(), StoreError> {
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
                store.checkpoint(&training);
                store.save(&training, b"state").expect("saved");
            } else {
                store.receipts.put(other, &[], b"").expect("remembered");
            }
        }
        let store = Store::open(folder.path()).expect("a store");
        let segments = store.segments().expect("segments");
        let recorded = |name: &str, segment, keys| Recorded {
            turn: 1,
            run: format!("{name}-1"),
            written: None,
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

    #[test]
    fn a_checkpoint_is_judged_by_its_own_last_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let training = Digest::of(b"t");
        let store = Store::open(folder.path()).expect("a store");
        store.begin("songs");
        let path = store.checkpoint(&training);
        store.save(&training, b"state").expect("saved");
        let published = |written| Recorded {
            turn: 1,
            run: "songs-1".into(),
            root: Root { name: "songs".into(), segment: 1, ..Root::default() },
            written,
        };
        let live = |all: &[Recorded]| {
            let segments = store.segments().expect("segments");
            let mut live = Store::live(&segments, all, all.iter().map(|r| &r.root), &[]);
            let whole = live.unfinished.len();
            live.spare(&store.contents().expect("contents").checkpoints);
            (whole, live.checkpoints.contains(&training), live.keys.contains(&checkpoint_of(&training)))
        };
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
        // Another run of the name was published while this one went on, or after it was killed.
        assert_eq!(live(&[published(Some(now - hour))]), (1, true, true));
        assert_eq!(live(&[published(Some(now + hour))]), (0, true, true));
        // Nobody has gone on with it.
        let file = fs::File::open(&path).expect("a checkpoint");
        file.set_modified(now - REST - hour).expect("aged");
        assert_eq!(live(&[published(Some(now + hour))]), (0, false, false));
        // It finished.
        file.set_modified(now).expect("touched");
        store.receipts.put(training, &[], b"done").expect("remembered");
        assert_eq!(live(&[published(Some(now + hour))]), (0, false, false));
    }

    #[test]
    fn what_is_not_the_stores_own_is_nothing_to_clean_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let theirs = [
            "pcm/take1.raw".to_owned(),
            format!("pcm/{}", "12".repeat(32)),
            format!("checkpoints/{}", "34".repeat(32)),
            ".x.tmp".to_owned(),
            "receipts/7.seg".to_owned(),
            "receipts/old.log".to_owned(),
            "runs/.mine.tmp/keep.txt".to_owned(),
            "runs/.mine.gone/keep.txt".to_owned(),
            "objects/notes/n.txt".to_owned(),
            "objects/ab/notes.txt".to_owned(),
        ];
        for path in &theirs {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, "somebody's").expect("written");
        }
        let contents = store.contents().expect("contents");
        let all = (contents.leftovers.len(), contents.pcm.len(), contents.checkpoints.len(), contents.objects.len());
        assert_eq!(all, (0, 0, 0, 0), "{contents:?}");
        let ours =
            [".12-3f-0.tmp", "runs/.12.tmp", "runs/.12.old", "runs/.songs-0123456789ab.gone", "runs/.12.tmp.gone"];
        ours.iter().for_each(|path| fs::write(folder.path().join(path), "").expect("written"));
        assert_eq!(store.contents().expect("contents").leftovers.len(), ours.len());
    }
}
