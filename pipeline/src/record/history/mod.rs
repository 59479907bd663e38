//! History: the last published run of a name, for the guards, for rows added and retracted, and for the reasons and
//! estimates of a plan.
//!
//! One file of the store for each name, `history/NAME`. It holds no id: rows go by digests of their names, so that a
//! track that is withdrawn is named in one place less.

mod records;

pub use stages::rows::fingerprint::{Fingerprint, Labels, Name, parts};

use crate::{
    dataflow::outcome::{Outcome, StageOutcome},
    plan::{Plan, PlannedStage},
    record::settled::Settled,
};
use datasets::{
    Digest, Key,
    store::{Checked, CheckedTemp, Reader, Store, StoreError, fault, is_checked, read_kept},
};
use rayon::prelude::*;
use records::Packed;
use serde::{Deserialize, Serialize};
use stages::{
    flow::Cost,
    stage::{Cardinality, Version},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

/// The version of the file.
const FORMAT: u32 = 4;

/// The last published run of a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    format: u32,
    /// The run: name and id.
    pub run: String,
    /// Versions that results rest on beside settings and inputs, and that depend on the host: text by name.
    pub versions: BTreeMap<String, String>,
    /// Stages of the run.
    pub stages: Vec<Past>,
    /// The shortcut for a run that changes nothing. `None` if the next run may have work to do.
    pub settled: Option<Settled>,
    /// The last one that went on to stages which this one left out by `--to`.
    former: Option<Box<History>>,
}

/// One stage of the last published run: the parts of which the keys of its items were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Name of the stage.
    pub name: String,
    /// Verb of the stage.
    pub verb: String,
    /// The verb's revision.
    pub revision: u32,
    /// Settings of the stage in TOML, in their order.
    pub settings: Vec<(String, String)>,
    /// The names of the stages that feed it.
    pub from: Vec<String>,
    /// Seed and salt, where its verb draws.
    pub seed: Option<(u64, String)>,
    /// Cost of the items when some were last executed. `None` if none ever were.
    pub cost: Option<Cost>,
    rows: Packed<{ Fingerprint::BYTES }>,
    labels: Packed<{ Labels::BYTES }>,
    failed: Packed<{ Name::BYTES }>,
}

impl Past {
    fn of(plan: &Plan, stage: &PlannedStage, own: &StageOutcome, before: Option<&Past>) -> Past {
        let mut labels = Vec::new();
        if stage.entry.cardinality == Cardinality::Source {
            labels = own.kept.views().map(|track| Labels::of(&track).bytes()).collect();
        }
        let failed = own.dropped.iter().filter(|row| row.failed).map(|row| Name::of(&row.id).bytes()).collect();
        let now = own.ledger.cost;
        Past {
            name: stage.name.clone(),
            verb: stage.entry.verb.to_owned(),
            revision: stage.revision(),
            settings: stage.settings().map(|(name, value)| (name.to_owned(), value)).collect(),
            from: stage.inputs.iter().flatten().map(|&fed| plan.stages[fed].name.clone()).collect(),
            seed: stage.entry.random.then(|| (stage.seed, stage.salt.clone())),
            cost: if now.executed > 0 { Some(now) } else { before.and_then(|before| before.cost) },
            rows: Packed::sorted(own.kept.fingerprints().map(Fingerprint::bytes).collect()),
            labels: Packed::sorted(labels),
            failed: Packed::sorted(failed),
        }
    }

    /// The rows that it kept, sorted by name.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Fingerprint> + '_ {
        self.rows.iter().map(Fingerprint::read)
    }

    /// Whether it kept a row of this name.
    pub fn kept(&self, name: Name) -> bool {
        self.rows.starts_with(&name.bytes()).is_some()
    }

    /// Whether it kept a row of a track, or of a part of it.
    pub fn kept_of(&self, track: Name) -> bool {
        self.rows.starts_with(track.track_bytes()).is_some()
    }

    /// Labels of a track, at a stage that lists a corpus. `None` if there is no such track.
    pub fn labels(&self, name: Name) -> Option<Labels> {
        self.labels.starts_with(&name.bytes()).map(Labels::read)
    }

    /// Whether the source of a row of this name could not be read.
    pub fn failed(&self, name: Name) -> bool {
        self.failed.starts_with(&name.bytes()).is_some()
    }
}

/// Versions of this program and this host that results rest on: text by name.
pub fn versions() -> BTreeMap<String, String> {
    Version::ALL.map(|version| (version.name().to_owned(), version.text())).into()
}

/// Packs a history, which may be large, piece by piece.
fn pack(history: &History, to: impl Write) -> io::Result<()> {
    let to = BufWriter::with_capacity(1 << 16, to);
    // Nothing here can fail to be packed: numbers, strings and bytes.
    postcard::to_io(history, to).map_err(io::Error::other)?.flush()
}

fn unpack(bytes: &[u8]) -> Option<History> {
    postcard::from_bytes(bytes).ok().filter(|history: &History| history.format == FORMAT)
}

/// A writer that compares what is written to it with the content of a file.
struct Against(BufReader<Reader>);

impl Write for Against {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let theirs = self.0.fill_buf()?;
        let both = bytes.len().min(theirs.len());
        if both == 0 || bytes[..both] != theirs[..both] {
            return Err(io::Error::other("it holds something else"));
        }
        self.0.consume(both);
        Ok(both)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a file holds this history.
fn holds(path: &Path, name: &str, history: &History) -> Result<bool, StoreError> {
    // One of an earlier version is written anew.
    if !is_checked(path) {
        return Ok(false);
    }
    let Some(file) = Checked::open(path, &key(name))? else { return Ok(false) };
    let mut against = Against(BufReader::with_capacity(1 << 16, file.reader()));
    Ok(pack(history, &mut against).is_ok() && against.0.fill_buf().is_ok_and(<[u8]>::is_empty))
}

fn key(name: &str) -> Digest {
    Key::new("history").text(name).finish()
}

fn place(store: &Store, name: &str) -> PathBuf {
    store.root().join("history").join(name)
}

impl History {
    /// The names of which there is one, and where it lies.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn names(store: &Store) -> Result<Vec<(String, PathBuf)>, StoreError> {
        let folder = store.root().join("history");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
        };
        let entries = entries.map_err(StoreError::io("read", &folder))?.into_iter();
        let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
        // Hidden ones are on the way; what is no history is somebody's.
        let visible = named.filter(|(name, _)| !name.starts_with('.'));
        let ours = |(_, path): &(String, PathBuf)| {
            is_checked(path)
                || datasets::untrusted::read(path, datasets::untrusted::LARGEST)
                    .is_ok_and(|bytes| unpack(&bytes).is_some())
        };
        let mut named: Vec<_> = visible.filter(ours).collect();
        named.sort();
        Ok(named)
    }

    /// Reads the history of the last published run of a name. `None` if there is none, or another version wrote it.
    ///
    /// # Errors
    /// When the disk refuses: a guard compares with it.
    pub fn of(store: &Store, name: &str) -> Result<Option<History>, StoreError> {
        let path = place(store, name);
        if is_checked(&path) {
            return Ok(read_kept(&path, &key(name))?.and_then(|bytes| unpack(&bytes)));
        }
        // As earlier versions wrote it.
        match fault::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => Ok(unpack(&read.map_err(StoreError::io("read", &path))?)),
        }
    }

    /// The stage of a name, as the last run had it that went so far.
    pub fn stage(&self, name: &str) -> Option<&Past> {
        self.own(name).or_else(|| self.former.as_ref()?.stage(name))
    }

    /// The stage of a name, where this very run had it.
    pub fn own(&self, name: &str) -> Option<&Past> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// The last run that went on to stages which this one left out by `--to`.
    pub fn former(&self) -> Option<&History> {
        self.former.as_deref()
    }

    /// The history of `run`, if it is this run or a former one.
    pub fn of_run(self, run: &str) -> Option<History> {
        if self.run == run { Some(self) } else { self.former?.of_run(run) }
    }

    /// Forgets all former runs but `runs`; returns whether there was another.
    pub fn keep(&mut self, runs: &BTreeSet<&str>) -> bool {
        let Some(mut former) = self.former.take() else { return false };
        let (deeper, here) = (former.keep(runs), !runs.contains(former.run.as_str()));
        self.former = if here { former.former.take() } else { Some(former) };
        deeper || here
    }

    /// The history to keep beside a run that leaves out some stages: the runs that last had them. `None` if there are
    /// none.
    fn beside(&self, mut left_out: BTreeSet<String>) -> Option<Box<History>> {
        let all = left_out.len();
        left_out.retain(|name| self.own(name).is_none());
        let had = left_out.len() < all;
        let former = self.former.as_ref().and_then(|former| former.beside(left_out));
        // Without what it was fed by, a stage could not be explained: all of that run stays.
        if had { Some(Box::new(History { settled: None, former, ..self.clone() })) } else { former }
    }

    /// Rows that a stage kept.
    pub fn kept(&self, stage: &str) -> Option<u64> {
        self.stage(stage).map(|stage| stage.rows.len() as u64)
    }

    /// The history after `outcome` has been published without the stages that are withheld: these count as left out.
    pub fn next(&self, plan: &Plan, outcome: &Outcome, withheld: &BTreeSet<String>) -> History {
        let stages = plan.stages.iter().zip(&outcome.stages).filter(|(stage, _)| !withheld.contains(&stage.name));
        let stages = stages.map(|(stage, own)| Past::of(plan, stage, own, self.stage(&stage.name)));
        let former = self.beside(plan.left_out.union(withheld).cloned().collect());
        let (stages, versions) = (stages.collect(), versions());
        History { format: FORMAT, run: String::new(), versions, stages, settled: None, former }
    }

    /// Rows added and retracted at each stage of a plan by the next run: none at one that it withholds.
    pub fn changes(&self, plan: &Plan, next: &History) -> Vec<(u64, u64)> {
        let none = Packed::default();
        let changes = plan.stages.iter().map(|stage| {
            let Some(now) = next.own(&stage.name) else { return (0, 0) };
            let before = self.stage(&now.name).map_or(&none, |before| &before.rows);
            (now.rows.without(before), before.without(&now.rows))
        });
        changes.collect()
    }

    /// Makes it that of the last published run.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn record(self, store: &Store, name: &str, run: &str, settled: Option<Settled>) -> Result<(), StoreError> {
        let history = History { run: run.to_owned(), settled, ..self };
        let path = place(store, name);
        if holds(&path, name, &history)? {
            return Ok(());
        }
        let folder = store.root().join("history");
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        let mut temp = CheckedTemp::beside(&path, &key(name))?;
        pack(&history, &mut temp).map_err(StoreError::io("write", &path))?;
        temp.commit(&path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_history_that_is_there_is_not_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let stage =
            |n: u32| Past { name: format!("s{n}"), rows: Packed::sorted(vec![[n as u8; 24]; 9]), ..Past::default() };
        let history =
            |count: u32| History { format: FORMAT, stages: (0..count).map(stage).collect(), ..History::default() };
        let record = |count: u32| {
            history(count).record(&store, "name", "name-1", None).expect("recorded");
            let read = History::of(&store, "name").expect("read").expect("there");
            assert_eq!(read, History { run: "name-1".into(), ..history(count) });
            fs::metadata(place(&store, "name")).expect("a file").ino()
        };
        let first = record(3);
        assert_eq!(record(3), first);
        assert_ne!(record(2), first);
        let path = place(&store, "name");
        let held = |count| holds(&path, "name", &History { run: "name-1".into(), ..history(count) }).expect("read");
        assert_eq!([held(1), held(2), held(3)], [false, true, false]);
        // One that is damaged is none, and gone.
        let mut bytes = fs::read(&path).expect("read");
        bytes[30] ^= 4;
        fs::write(&path, bytes).expect("written");
        assert_eq!(History::of(&store, "name").expect("read"), None);
        assert!(!path.exists());
        record(2);
        // One of an earlier version is read, and written anew.
        let mut earlier = Vec::new();
        pack(&History { run: "name-1".into(), ..history(2) }, &mut earlier).expect("packed");
        fs::write(&path, earlier).expect("written");
        assert_eq!(History::of(&store, "name").expect("read").expect("there").run, "name-1");
        assert!(!held(2));
        record(2);
        assert!(held(2));
        // What is no history of ours is nobody's to clean up.
        fs::write(path.with_file_name("2020.txt"), "diary").expect("written");
        assert_eq!(History::names(&store).expect("names").len(), 1);
    }
}
