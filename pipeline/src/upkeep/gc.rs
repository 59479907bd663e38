//! `gc`: cleans up a store. The last runs of each name and the weights that lock files name stay, with all they need;
//! everything else goes.
//!
//! Runs go first, then receipts, then what only they named: whenever it stops, what is left is whole, and another `gc`
//! goes on from there.

use crate::{
    error::Error,
    inspect::runs::{self, Tree},
    record::{
        self, Outline,
        history::{self, History},
        lockfile::Lock,
    },
};
use datasets::{
    Digest,
    corpus::{Member, Name},
    store::{Contents, Live, Pins, Receipt, Recorded, Root, Segment, Store, StoreError, fault, remove},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Options of `gc`.
#[derive(Clone, Debug)]
pub struct GcOptions {
    /// Number of runs of each name that stay.
    pub keep: usize,
    /// Whether only to say what would go.
    pub dry: bool,
}

/// Result of `gc`: what was removed, or would be.
#[derive(Debug, Default)]
pub struct Swept {
    /// Runs and why each goes.
    pub runs: Vec<(String, &'static str)>,
    /// Number and bytes of what goes, by kind; bytes that another name still holds count as none.
    pub gone: BTreeMap<&'static str, (u64, u64)>,
    /// Sentences on what stays although somebody may want it gone, or is gone although somebody may want it.
    pub notes: Vec<String>,
    /// Whether nothing was removed.
    pub dry: bool,
}

const RUNS: &str = "runs";
const RECEIPTS: &str = "receipts";
const OBJECTS: &str = "objects";
const CHECKPOINTS: &str = "checkpoints";
const CACHE: &str = "cached samples";
const HISTORIES: &str = "histories";
const LEFTOVERS: &str = "leftovers of killed runs";
const KINDS: [&str; 7] = [RUNS, RECEIPTS, OBJECTS, CHECKPOINTS, CACHE, HISTORIES, LEFTOVERS];

/// Reason for removing a run that would otherwise stay.
const WITHDRAWN: &str = "it holds tracks that a later run has withdrawn";
/// Reason for removing a partial run.
const PARTIAL: &str = "a stage of it failed, and there are later ones";

/// Cleans up a store.
///
/// # Errors
/// When there is none, when another process has it open, or when the disk refuses. What was not removed is whole.
pub fn gc(folder: &Path, options: &GcOptions) -> Result<Swept, Error> {
    let trees = runs::trees(folder)?;
    let store = if options.dry { Store::look(folder)? } else { Store::open_alone(folder)? };
    // What receipts have lost of pinned weights, such as their curves, is nobody's otherwise.
    if !options.dry {
        store.recover_pinned()?;
    }
    let roots = store.roots()?;
    let mut swept = Swept { dry: options.dry, ..Swept::default() };
    let kept = choose(&roots, &trees, options.keep, &mut swept);
    let pins = pins(&store, &roots, options.dry, &mut swept)?;
    let segments = store.segments()?;
    let mut live = Store::live(&segments, &roots, kept.iter().copied(), &pins);
    let contents = store.contents()?;
    // The state of a training may hold what it learned from tracks that are withdrawn now.
    if roots.iter().all(|recorded| recorded.root.withdrawn.is_empty()) {
        live.spare(&contents.checkpoints);
    }
    let mut doomed = doomed(&contents, &live);
    // A tree that the store knows nothing of is named like any other.
    let unknown = trees.keys().filter(|run| roots.iter().all(|known| known.run != **run));
    let named = unknown.filter_map(|run| Some(run.rsplit_once('-')?.0)).chain(kept.iter().map(|root| &*root.name));
    let under_way = segments.iter().filter(|segment| live.unfinished.contains(&segment.number));
    let named: BTreeSet<&str> = named.chain(under_way.map(|segment| &*segment.name)).collect();
    doomed.extend(histories(&store, &named, &pins)?.into_iter().map(|path| (HISTORIES, path)));
    count(&trees, &segments, &live, &doomed, &mut swept);
    if options.dry {
        return Ok(swept);
    }
    forget(&store, &roots, &swept)?;
    let gone: Vec<String> = swept.runs.iter().map(|(run, _)| run.clone()).collect();
    for run in gone {
        let Some(tree) = trees.get(&run) else { continue };
        let texts = roots.iter().find(|recorded| recorded.run == run).map(|recorded| &recorded.root.texts);
        let foreign = foreign(&tree.folder, texts);
        if foreign.is_empty() {
            remove_tree(&tree.folder)?;
        } else {
            remove_around(&tree.folder, &foreign)?;
            swept.notes.push(format!("of {run}, {} stays: it was not written by refrain", foreign[0].display()));
        }
    }
    for recorded in &roots {
        if !kept.iter().any(|root| std::ptr::eq(*root, &recorded.root)) {
            store.forget_root(&recorded.run)?;
        }
    }
    let closed: Vec<&Segment> = segments.iter().filter(|s| !live.unfinished.contains(&s.number)).collect();
    let all = closed.len() == 1 && !closed[0].damaged && closed[0].receipts.keys().all(|key| live.keys.contains(key));
    if !all {
        store.merge(&closed, |key, _| live.keys.contains(key))?;
    }
    for (_, path) in &doomed {
        if path.is_dir() && !path.is_symlink() { remove_tree(path)? } else { remove(path)? }
    }
    // A folder that is not empty refuses.
    let folders: BTreeSet<&Path> = contents.objects.iter().filter_map(|(_, path)| path.parent()).collect();
    folders.into_iter().for_each(|folder| drop(fs::remove_dir(folder)));
    Ok(swept)
}

/// The roots that stay: of each name the last whole runs, and a partial one after them, but for those that hold what its
/// last run has withdrawn.
fn choose<'r>(roots: &'r [Recorded], trees: &BTreeMap<String, Tree>, keep: usize, swept: &mut Swept) -> Vec<&'r Root> {
    let mut by_name: BTreeMap<&str, Vec<&Recorded>> = BTreeMap::new();
    for recorded in roots.iter().rev().filter(|recorded| trees.contains_key(&recorded.run)) {
        by_name.entry(&recorded.root.name).or_default().push(recorded);
    }
    let mut kept: Vec<&Recorded> = Vec::new();
    let mut withdrawn: HashMap<Name, &str> = HashMap::new();
    for (name, runs) in &by_name {
        // By the runs after the one that is looked at.
        let (mut members, mut contents): (HashSet<&Member>, HashSet<Name>) = Default::default();
        // Partial runs do not count: whoever keeps one run keeps a whole one.
        let (mut stay, mut whole) = (0, 0);
        for run in runs {
            let partial = trees.get(&run.run).is_some_and(|tree| tree.partial);
            let holds = |member: &Member| {
                members.contains(member) || member.content.is_some_and(|content| contents.contains(&content))
            };
            if stay > 0 && run.root.tracks.iter().any(holds) {
                swept.runs.push((run.run.clone(), WITHDRAWN));
            } else if stay > 0 && partial {
                swept.runs.push((run.run.clone(), PARTIAL));
            } else if whole > 0 && whole >= keep {
                swept.runs.push((run.run.clone(), "there are later ones"));
            } else {
                stay += 1;
                whole += usize::from(!partial);
                kept.push(run);
            }
            members.extend(&run.root.withdrawn);
            contents.extend(run.root.withdrawn.iter().filter_map(|member| member.content));
        }
        // Another corpus may use the same ids: for other names only the bytes tell.
        withdrawn.extend(contents.into_iter().map(|content| (content, *name)));
    }
    swept.runs.sort();
    for run in &kept {
        let held = run.root.tracks.iter().filter_map(|member| withdrawn.get(&member.content?));
        let by: BTreeSet<&str> = held.copied().filter(|name| *name != run.root.name).collect();
        for name in by {
            swept.notes.push(format!(
                "{} holds tracks that {name} has withdrawn: give its manifest the opt-out list and run it, or delete its folder",
                run.run
            ));
        }
    }
    let rooted: BTreeSet<&str> = roots.iter().map(|recorded| recorded.run.as_str()).collect();
    for run in trees.keys().filter(|run| !rooted.contains(run.as_str())) {
        swept.notes.push(format!(
            "{run} is left as it is: the store does not know what it rests on; a run of its manifest tells, or delete its folder"
        ));
    }
    kept.into_iter().map(|recorded| &recorded.root).collect()
}

/// Weights that the lock files name now, and named when a run last used them. Lock files whose record is lost are known from
/// the roots of the runs of their manifests; they get a record again.
fn pins(store: &Store, roots: &[Recorded], dry: bool, swept: &mut Swept) -> Result<Vec<Pins>, StoreError> {
    let mut all = Vec::new();
    for (record, mut pins) in store.pins()? {
        match Lock::at(pins.lock.clone()) {
            Ok(lock) if pins.lock.exists() => pins.weights.extend(lock.weights()),
            found => {
                let why = found.err().unwrap_or_else(|| format!("{} is not there", pins.lock.display()));
                swept.notes.push(format!(
                    "{why}: the weights that this lock named are kept; delete {} to let them go",
                    record.display()
                ));
            }
        }
        all.push(pins);
    }
    let recorded = roots.iter().filter_map(|recorded| recorded.root.lock.as_ref());
    for mut pins in recorded.cloned() {
        // One whose record somebody deleted while the file is away is let go.
        if all.iter().any(|known: &Pins| known.lock == pins.lock) || !pins.lock.exists() {
            continue;
        }
        match Lock::at(pins.lock.clone()) {
            Ok(lock) => pins.weights = lock.weights().collect(),
            Err(why) => swept.notes.push(format!("{why}: the weights that this lock named are kept")),
        }
        if !dry && !pins.weights.is_empty() {
            store.pin(&pins.lock, pins.weights.clone())?;
        }
        all.push(pins);
    }
    Ok(all)
}

/// Histories to remove: those of names that no published run has. A history stays if a lock file names weights of its
/// last run: the next run rests on these, and is compared with it.
fn histories(store: &Store, named: &BTreeSet<&str>, pins: &[Pins]) -> Result<Vec<PathBuf>, StoreError> {
    let locked = |name: &str| -> Result<bool, StoreError> {
        let history = History::of(store, name)?;
        let past = history.iter().flat_map(|history| &history.stages);
        let mut weights =
            pins.iter().flat_map(|pins| &pins.weights).map(|weights| history::Name::of(&weights.short(12)));
        let past: Vec<_> = past.collect();
        Ok(weights.any(|weights| past.iter().any(|past| past.kept(weights))))
    };
    let mut gone = Vec::new();
    for (name, path) in History::names(store)? {
        if !named.contains(name.as_str()) && !locked(&name)? {
            gone.push(path);
        }
    }
    Ok(gone)
}

/// Withdrawn tracks are no longer told of, not even by the digests of their names: where a run left out stages by `--to`,
/// its history knows former runs.
fn forget(store: &Store, roots: &[Recorded], swept: &Swept) -> Result<(), StoreError> {
    let gone: BTreeSet<&str> = swept.runs.iter().map(|(run, _)| &**run).collect();
    for (name, _) in History::names(store)? {
        let own = roots.iter().filter(|recorded| recorded.root.name == name && !gone.contains(&*recorded.run));
        let own: Vec<&Recorded> = own.collect();
        // Of a run that is gone nobody knows whether it held what was withdrawn since.
        if own.iter().all(|recorded| recorded.root.withdrawn.is_empty()) {
            continue;
        }
        let kept: BTreeSet<&str> = own.iter().map(|recorded| &*recorded.run).collect();
        let Some(mut history) = History::of(store, &name)? else { continue };
        if history.keep(&kept) {
            let (run, settled) = (history.run.clone(), history.settled.clone());
            history.record(store, &name, &run, settled)?;
        }
    }
    Ok(())
}

/// Every file that goes but runs, roots and receipts.
fn doomed(contents: &Contents, live: &Live) -> Vec<(&'static str, PathBuf)> {
    let objects = contents.objects.iter().filter(|(digest, _)| !live.objects.contains(digest));
    let checkpoints = contents.checkpoints.iter().filter(|(key, _)| !live.checkpoints.contains(key));
    // Codes as training reads them are quickly made again from the shards.
    let cached = contents.pcm.iter().filter(|(name, _)| name.is_none_or(|name| !live.pcm.contains(&name)));
    let of = |kind| move |path: &PathBuf| (kind, path.clone());
    (objects.map(|(_, path)| path).map(of(OBJECTS)))
        .chain(checkpoints.map(|(_, path)| path).map(of(CHECKPOINTS)))
        .chain(cached.map(|(_, path)| path).map(of(CACHE)))
        .chain(contents.leftovers.iter().map(of(LEFTOVERS)))
        .collect()
}

/// Adds up what goes. A file frees its bytes when its last name goes.
fn count(
    trees: &BTreeMap<String, Tree>,
    segments: &[Segment],
    live: &Live,
    doomed: &[(&'static str, PathBuf)],
    swept: &mut Swept,
) {
    let mut names: HashMap<(u64, u64), u64> = HashMap::new();
    let mut freed = |path: &Path| -> u64 {
        let Ok(facts) = fs::symlink_metadata(path) else { return 0 };
        let gone = names.entry((facts.dev(), facts.ino())).or_default();
        *gone += 1;
        if facts.is_file() && *gone == facts.nlink() { facts.len() } else { 0 }
    };
    let mut gone: BTreeMap<&str, (u64, u64)> = KINDS.map(|kind| (kind, (0, 0))).into();
    let mut add = |kind, number, bytes| {
        let slot = gone.entry(kind).or_default();
        *slot = (slot.0 + number, slot.1 + bytes);
    };
    for (run, _) in &swept.runs {
        let files = trees.get(run).map(|tree| runs::files(&tree.folder)).unwrap_or_default();
        add(RUNS, 1, files.iter().map(|path| freed(path)).sum());
    }
    for (kind, path) in doomed {
        let bytes = if path.is_dir() { runs::files(path).iter().map(|path| freed(path)).sum() } else { freed(path) };
        add(kind, 1, bytes);
    }
    let size = |receipt: &Receipt| 44 + 32 * receipt.objects.len() as u64 + receipt.value.len() as u64;
    for segment in segments.iter().filter(|segment| !live.unfinished.contains(&segment.number)) {
        let dead = segment.receipts.iter().filter(|(key, _)| !live.keys.contains(key));
        dead.for_each(|(_, receipt)| add(RECEIPTS, 1, size(receipt)));
    }
    swept.gone = gone;
}

/// Files in a run's tree that no run wrote: by their names, as the record and the run's root list them.
fn foreign(tree: &Path, texts: Option<&BTreeMap<PathBuf, Digest>>) -> Vec<PathBuf> {
    let Ok(record) = Outline::read(tree) else { return Vec::new() };
    let own = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A root of an earlier version lists no texts.
        let text = texts.is_none_or(BTreeMap::is_empty) && TEXTS.contains(&&*name);
        text || texts.is_some_and(|texts| texts.contains_key(path))
            || record.files.contains_key(&*path.to_string_lossy())
            || [record::FILE, record::timing::FILE].contains(&&*name)
    };
    let files = runs::files(tree).into_iter().filter_map(|path| Some(path.strip_prefix(tree).ok()?.to_owned()));
    files.filter(|path| !own(path)).collect()
}

/// Names of published files that are no objects of the store.
const TEXTS: [&str; 5] = ["report.html", "ATTRIBUTION.md", "README.md", "bundle.json", "quarantine.tsv"];

/// Removes a tree in which somebody has put files: these stay where they are. Without its record, which goes first, it is no
/// published run.
fn remove_around(tree: &Path, foreign: &[PathBuf]) -> Result<(), StoreError> {
    remove(&tree.join(record::FILE))?;
    for path in runs::files(tree) {
        if path.strip_prefix(tree).is_ok_and(|inside| !foreign.iter().any(|own| own == inside)) {
            remove(&path)?;
        }
    }
    // The deepest first; a folder that is not empty refuses.
    let mut folders = vec![tree.to_owned()];
    let mut at = 0;
    while let Some(folder) = folders.get(at).cloned() {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        folders.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
        at += 1;
    }
    folders.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
    Ok(())
}

/// Removes a tree: it loses its name first, so that at no time half of one is seen.
fn remove_tree(tree: &Path) -> Result<(), StoreError> {
    let name = tree.file_name().unwrap_or_default().to_string_lossy();
    let gone = tree.with_file_name(format!(".{}.gone", name.trim_start_matches('.').trim_end_matches(".gone")));
    let take =
        || fault::point("remove").and_then(|()| fs::remove_dir_all(&gone)).map_err(StoreError::io("remove", &gone));
    if gone != tree {
        // Of one that was published again since a removal of it was stopped halfway, this is in the way.
        if gone.exists() {
            take()?;
        }
        fault::point("rename").and_then(|()| fs::rename(tree, &gone)).map_err(StoreError::io("rename", tree))?;
    }
    take()
}

impl Swept {
    /// Bytes that were freed, or would be.
    pub fn bytes(&self) -> u64 {
        self.gone.values().map(|(_, bytes)| bytes).sum()
    }

    /// The result as text for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let goes = if self.dry { "would go" } else { "removed" };
        for (run, why) in &self.runs {
            text += &format!("{run} {goes}: {why}\n");
        }
        for kind in KINDS {
            let (number, bytes) = self.gone.get(kind).copied().unwrap_or_default();
            if number > 0 {
                text += &format!("{kind:<24} {number:>8} {:>10.1} MiB\n", mib(bytes));
            }
        }
        for note in &self.notes {
            text += &format!("note: {note}\n");
        }
        let nothing = self.gone.values().all(|(number, _)| *number == 0);
        text + &match (nothing, self.dry) {
            (true, _) => "nothing to clean up\n".to_owned(),
            (_, true) => format!("{:.1} MiB would be freed; nothing was removed\n", mib(self.bytes())),
            _ => format!("{:.1} MiB were freed\n", mib(self.bytes())),
        }
    }

    /// The same as one JSON event.
    pub fn json(&self) -> Value {
        let runs: Vec<Value> = self.runs.iter().map(|(run, why)| json!({ "run": run, "why": why })).collect();
        let gone: BTreeMap<&str, Value> = self
            .gone
            .iter()
            .map(|(kind, (number, bytes))| (*kind, json!({ "number": number, "bytes": bytes })))
            .collect();
        json!({ "event": "gc", "dry_run": self.dry, "runs": runs, "gone": gone, "bytes": self.bytes(), "notes": self.notes })
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(turn: u64, run: &str, tracks: &[&str], withdrawn: &[&str]) -> Recorded {
        let members = |ids: &[&str]| -> Vec<Member> {
            ids.iter()
                .map(|id| Member { content: Some(Name::digest(&Digest::of(id.as_bytes()))), ..Member::named(id) })
                .collect()
        };
        let name = run.split_once('-').map_or(run, |(name, _)| name).to_owned();
        let root = Root { name, tracks: members(tracks), withdrawn: members(withdrawn), ..Root::default() };
        Recorded { turn, run: run.into(), root, written: None }
    }

    #[test]
    fn the_last_runs_of_a_name_stay_but_for_what_the_last_withdrew() {
        let roots = [
            recorded(1, "a-1", &["x"], &[]),
            recorded(2, "b-1", &["x", "y"], &[]),
            recorded(3, "a-2", &["y"], &[]),
            recorded(4, "a-3", &["x", "y"], &[]),
            recorded(5, "a-4", &["z"], &[]),
            recorded(6, "a-5", &["y"], &["x"]),
            recorded(7, "c-1", &["x"], &[]),
        ];
        let trees: BTreeMap<String, Tree> = roots[..6].iter().map(|r| (r.run.clone(), Tree::default())).collect();
        let mut swept = Swept::default();
        let kept = choose(&roots, &trees, 2, &mut swept);
        assert_eq!(kept.iter().map(|root| root.name.as_str()).collect::<Vec<_>>(), ["a", "a", "b"]);
        let (withdrawn, later) = (WITHDRAWN, "there are later ones");
        let gone = [("a-1", withdrawn), ("a-2", later), ("a-3", withdrawn)];
        assert_eq!(swept.runs, gone.map(|(run, why)| (run.to_owned(), why)));
        assert_eq!(swept.notes.len(), 1, "{:?}", swept.notes);
        assert!(swept.notes[0].starts_with("b-1 holds tracks that a has withdrawn"));
    }

    #[test]
    fn a_partial_run_takes_no_whole_ones_place() {
        let roots = [1, 2, 3, 4, 5].map(|turn| recorded(turn, &format!("a-{turn}"), &[], &[]));
        let stay = |partial: &[u64], keep| {
            let tree = |r: &Recorded| (r.run.clone(), Tree { partial: partial.contains(&r.turn), ..Tree::default() });
            let mut swept = Swept::default();
            choose(&roots, &roots.iter().map(tree).collect(), keep, &mut swept);
            let gone: BTreeMap<String, &str> = swept.runs.into_iter().collect();
            let stay = roots.iter().filter(|r| !gone.contains_key(&r.run)).map(|r| r.turn).collect::<Vec<_>>();
            (stay, gone.into_values().filter(|why| *why == PARTIAL).count())
        };
        assert_eq!(stay(&[5], 1), (vec![4, 5], 0));
        assert_eq!(stay(&[3, 5], 2), (vec![2, 4, 5], 1));
        assert_eq!(stay(&[4], 1), (vec![5], 1));
        assert_eq!(stay(&[1, 2, 3, 4, 5], 1), (vec![5], 4));
    }
}
