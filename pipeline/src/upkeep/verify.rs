//! `store verify`: checks every object and every published file against its digest, every receipt against the objects that
//! it names, and what the store keeps beside them: roots, histories, checkpoints. What is damaged goes, with the receipts
//! that name it, so that the next run makes it again. The cache of samples is checked where it is read.

use crate::{
    error::Error,
    inspect::runs::{self, Tree},
    record::{self, Outline, history::History, timing::Timing},
};
use datasets::{
    Digest,
    store::{Recorded, Store, StoreError, is_checked, remove},
};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Result of `store verify`.
#[derive(Debug, Default)]
pub struct Verified {
    /// Objects that were checked.
    pub objects: u64,
    /// Bytes of the objects that were checked.
    pub bytes: u64,
    /// Objects whose bytes have another digest or cannot be read: removed.
    pub damaged: BTreeSet<Digest>,
    /// Objects that a receipt names and that are not there.
    pub missing: BTreeSet<Digest>,
    /// Receipts that were checked.
    pub receipts: u64,
    /// Receipts that named something damaged or missing: removed.
    pub forgotten: u64,
    /// Published files that were checked.
    pub files: u64,
    /// Published files that were damaged (removed) or missing, as `run/path`; then damaged files that the store keeps
    /// beside its objects, by their path in it.
    pub lost: BTreeSet<String>,
    /// Sentences on weights that a lock file names and the store no longer holds.
    pub notes: Vec<String>,
    /// Published runs of other versions of Refrain, whose files were not checked: sentences.
    pub unread: Vec<String>,
}

/// A file's digest and size, and which file it is on its disk.
fn digest(path: &Path) -> io::Result<((u64, u64), Digest, u64)> {
    let file = datasets::untrusted::open(path)?;
    let facts = file.metadata()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(((facts.dev(), facts.ino()), Digest(*hasher.finalize().as_bytes()), facts.len()))
}

/// Checks a store, and removes what is damaged.
///
/// # Errors
/// When there is none, when another process has it open, or when the disk refuses.
pub fn verify(folder: &Path) -> Result<Verified, Error> {
    // Before anything else: whoever reads one that is damaged throws it away.
    let before = checked(folder);
    let trees = runs::trees(folder)?;
    let store = Store::open_alone(folder)?;
    let mut found = Verified::default();
    let objects = store.contents()?.objects;
    let read: Vec<io::Result<_>> = objects.par_iter().map(|(_, path)| digest(path)).collect();
    let mut known: HashMap<(u64, u64), Digest> = HashMap::new();
    let mut sound: HashSet<Digest> = HashSet::new();
    for ((name, path), read) in objects.iter().zip(read) {
        found.objects += 1;
        if let Ok((inode, digest, bytes)) = read {
            found.bytes += bytes;
            known.insert(inode, digest);
            if digest == *name {
                sound.insert(digest);
                continue;
            }
        }
        found.damaged.insert(*name);
        remove(path)?;
    }
    let roots = kept(&store, &before, &mut found)?;
    published(&store, &trees, &roots, &known, &mut found)?;
    // What came with weights, such as their curves, before its receipts are forgotten.
    let segments = store.segments()?;
    let receipts = || segments.iter().flat_map(|segment| segment.receipts.values());
    let lacks = |weights: &Digest| {
        let with = receipts().filter(|receipt| receipt.objects.contains(weights));
        with.flat_map(|receipt| receipt.objects.iter()).any(|object| !sound.contains(object))
    };
    let pinned = store.pins()?;
    let lame: BTreeSet<Digest> =
        pinned.iter().flat_map(|(_, pins)| &pins.weights).filter(|weights| lacks(weights)).copied().collect();
    forget(&store, &sound, &mut found)?;
    for (_, pins) in pinned {
        for weights in pins.weights.iter().filter(|weights| sound.contains(weights) && lame.contains(weights)) {
            found.notes.push(format!(
                "{} names the weights {}, whose curves or lineage are lost: bring them back from a copy, or train anew with \
                 --refresh",
                pins.lock.display(),
                weights.short(12)
            ));
        }
        for weights in pins.weights.iter().filter(|weights| !sound.contains(weights)) {
            found.notes.push(format!(
                "{} names the weights {}, which are lost: bring them back from a copy, or train anew with --refresh",
                pins.lock.display(),
                weights.short(12)
            ));
        }
    }
    Ok(found)
}

/// What carries its own digest in a store, by path in it: roots, records of lock files, histories and checkpoints.
fn checked(store: &Path) -> BTreeSet<PathBuf> {
    let folders = ["roots", "roots/locks", "history", "checkpoints"].map(|folder| store.join(folder));
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().filter_map(Result::ok);
    let paths = entries.map(|entry| entry.path()).filter(|path| is_checked(path));
    paths.filter_map(|path| Some(path.strip_prefix(store).ok()?.to_owned())).collect()
}

/// Reads what carries its own digest, so that of what there was `before` only what is sound stays. Gives the roots.
fn kept(store: &Store, before: &BTreeSet<PathBuf>, found: &mut Verified) -> Result<Vec<Recorded>, StoreError> {
    let roots = store.roots()?;
    store.pins()?;
    for (name, _) in History::names(store)? {
        History::of(store, &name)?;
    }
    for (key, _) in store.contents()?.checkpoints.iter().filter(|(_, path)| is_checked(path)) {
        store.saved(key)?;
    }
    let after = checked(store.root());
    found.lost.extend(before.difference(&after).map(|path| path.display().to_string()));
    Ok(roots)
}

/// Checks the files of published runs. Most are second names of objects and were read before; of the others the run's root
/// has the digests.
fn published(
    store: &Store,
    trees: &BTreeMap<String, Tree>,
    roots: &[Recorded],
    known: &HashMap<(u64, u64), Digest>,
    found: &mut Verified,
) -> Result<(), StoreError> {
    let rooted: BTreeMap<&str, &Recorded> = roots.iter().map(|recorded| (recorded.run.as_str(), recorded)).collect();
    // A tree whose record is damaged is a tree all the same, if a root says so.
    let folder = |run: &str| store.runs().join(run);
    let lame = rooted.keys().copied().filter(|run| !trees.contains_key(*run) && folder(run).is_dir());
    let all: BTreeSet<&str> = trees.keys().map(String::as_str).chain(lame).collect();
    for run in all {
        let tree = folder(run);
        let texts = rooted.get(run).map(|recorded| &recorded.root.texts).filter(|texts| !texts.is_empty());
        let mut expected: BTreeMap<PathBuf, Digest> =
            texts.into_iter().flatten().map(|(p, d)| (p.clone(), *d)).collect();
        if texts.is_none() {
            found.unread.push(format!(
                "the report and the other texts of {run} were not checked: the store does not know their digests; a run of \
                 its manifest tells"
            ));
        }
        let record = Path::new(record::FILE);
        let sound =
            expected.get(record).is_none_or(|stated| digest(&tree.join(record)).is_ok_and(|(_, is, _)| is == *stated));
        match Outline::read(&tree) {
            Ok(record) if sound => {
                expected.extend(record.files.into_iter().map(|(path, digest)| (path.into(), digest)))
            }
            Err(other @ record::RecordError::Format { .. }) => found.unread.push(other.to_string()),
            // The record itself is found below.
            _ => {}
        }
        for (path, stated) in &expected {
            found.files += 1;
            let file = tree.join(path);
            let seen = fs::metadata(&file).ok().and_then(|facts| known.get(&(facts.dev(), facts.ino())).copied());
            let is = seen.or_else(|| digest(&file).ok().map(|(_, digest, _)| digest));
            if is.as_ref() != Some(stated) {
                found.lost.insert(format!("{run}/{}", path.display()));
                // A tree that lacks a file is published again by the next run.
                remove(&file)?;
            }
        }
        // Every run writes it anew.
        let timing = tree.join(record::timing::FILE);
        if timing.is_file() && Timing::read(&tree).is_none() {
            found.lost.insert(format!("{run}/{}", record::timing::FILE));
            remove(&timing)?;
        }
    }
    Ok(())
}

/// Removes receipts that name missing objects.
fn forget(store: &Store, sound: &HashSet<Digest>, found: &mut Verified) -> Result<(), StoreError> {
    for segment in store.segments()? {
        found.receipts += segment.receipts.len() as u64;
        if segment.damaged {
            found.lost.insert(format!("receipts, in part: segment {}", segment.number));
        }
        let lacks = segment.receipts.values().flat_map(|receipt| &receipt.objects);
        let lacks: Vec<Digest> = lacks.filter(|object| !sound.contains(object)).copied().collect();
        if lacks.is_empty() && !segment.damaged {
            continue;
        }
        found.missing.extend(lacks.iter().filter(|object| !found.damaged.contains(object)));
        let whole = |receipt: &datasets::store::Receipt| receipt.objects.iter().all(|object| sound.contains(object));
        found.forgotten += segment.receipts.values().filter(|receipt| !whole(receipt)).count() as u64;
        store.merge(&[&segment], |_, receipt| whole(receipt))?;
    }
    Ok(())
}

impl Verified {
    /// The result as text for people.
    pub fn text(&self) -> String {
        let mib = self.bytes as f64 / f64::from(1 << 20);
        let mut text = format!(
            "objects   {:>8} checked, {mib:.1} MiB: {} damaged, {} missing\n\
             receipts  {:>8} checked: {} named what is damaged or missing\n\
             published {:>8} files checked: {} damaged or missing\n",
            self.objects,
            self.damaged.len(),
            self.missing.len(),
            self.receipts,
            self.forgotten,
            self.files,
            self.lost.len()
        );
        self.lost.iter().for_each(|file| text += &format!("lost: {file}\n"));
        self.notes.iter().chain(&self.unread).for_each(|note| text += &format!("note: {note}\n"));
        text
    }

    /// The same as one JSON event.
    pub fn json(&self) -> Value {
        json!({
            "event": "verify",
            "objects": self.objects,
            "bytes": self.bytes,
            "damaged": self.damaged,
            "missing": self.missing,
            "receipts": self.receipts,
            "forgotten": self.forgotten,
            "files": self.files,
            "lost": self.lost,
            "notes": self.notes,
            "unread": self.unread,
        })
    }

    /// Whether nothing was wrong.
    ///
    /// # Errors
    /// What was, in a sentence.
    pub fn sound(&self) -> Result<(), Error> {
        let wrong = self.damaged.len() + self.missing.len() + self.lost.len() + self.notes.len();
        match (wrong, self.notes.is_empty()) {
            (0, _) => Ok(()),
            (_, true) => Err(Error::Damage(
                "the store was damaged; what was wrong is removed, and the next run makes it again".into(),
            )),
            _ => Err(Error::Damage(
                "the store was damaged, and of weights that a lock file names something is lost, as the notes say"
                    .into(),
            )),
        }
    }
}
