//! Published runs: what there is, and which one is meant.

use crate::{
    error::Error,
    record::{self, Outline, RecordError},
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The folder of a published run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The folder.
    pub folder: PathBuf,
    /// Whether a stage failed, so that a part of the run was published.
    pub partial: bool,
}

/// The record of a published run. `Err` with a sentence where another version of Refrain wrote it.
type Read = Result<Outline, String>;

/// What `of` says of each published run of a store, by the run's name. Records are read one after the other.
fn each<T>(store: &Path, of: impl Fn(PathBuf, Read) -> T) -> Result<BTreeMap<String, T>, Error> {
    let folder = store.join("runs");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Usage(format!(
                "there is no store at {}: run a manifest first, or name another with --store",
                store.display()
            )));
        }
        Err(error) => return Err(datasets::store::StoreError::io("read", &folder)(error).into()),
    };
    let runs = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let run = entry.file_name().into_string().ok()?;
        if run.starts_with('.') || entry.file_type().ok()?.is_symlink() {
            return None;
        }
        let folder = entry.path();
        let record = match Outline::read(&folder) {
            Ok(record) => Ok(record),
            Err(other @ RecordError::Format { .. }) => Err(other.to_string()),
            // A folder without a record is no tree of ours, or not a whole one: the next run publishes it again.
            Err(RecordError::Unreadable { .. } | RecordError::Damaged { .. }) => return None,
        };
        Some((run, of(folder, record)))
    });
    Ok(runs.collect())
}

/// All published runs of a store by name, those of other versions of Refrain included.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub fn trees(store: &Path) -> Result<BTreeMap<String, Tree>, Error> {
    each(store, |folder, record| Tree { folder, partial: record.is_ok_and(|record| !record.failed.is_empty()) })
}

/// All files under a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// Bytes of all files under a folder.
fn size(folder: &Path) -> u64 {
    files(folder).iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum()
}

/// A table of the published runs of a store.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub fn list(store: &Path) -> Result<String, Error> {
    let runs = each(store, |folder, record| (folder, record))?;
    let latest = fs::read_link(store.join("runs").join("latest")).ok();
    let width = runs.keys().map(String::len).max().unwrap_or(3).max(3);
    let mut text = format!("{:width$}  {:>8} {:>8} {:>10}\n", "run", "tracks", "shards", "MiB");
    let mut notes = String::new();
    for (run, (folder, record)) in &runs {
        let of = |verb: &str| match record {
            Ok(record) => {
                let stages = record.stages.iter().filter(|stage| stage.verb == verb);
                stages.map(|stage| stage.kept).sum::<u64>().to_string()
            }
            Err(_) => "-".to_owned(),
        };
        let fingerprint = if latest.as_deref() == Some(Path::new(run)) { "  latest" } else { "" };
        let partial = if record.as_ref().is_ok_and(|record| !record.failed.is_empty()) { "  partial" } else { "" };
        let mib = size(folder) as f64 / f64::from(1 << 20);
        text += &format!("{run:width$}  {:>8} {:>8} {mib:>10.1}{fingerprint}{partial}\n", of("ingest"), of("shard"));
        if let Err(other) = record {
            notes += &format!("note: {other}\n");
        }
    }
    if runs.is_empty() {
        text += "no run was published yet\n";
    }
    Ok(text + &notes)
}

/// The folder of a run: a path, `latest`, a name, or a prefix of a name or of an id.
///
/// # Errors
/// When nothing, or more than one run, goes by that word.
pub fn find(store: &Path, word: &str) -> Result<PathBuf, Error> {
    if Path::new(word).join(record::FILE).is_file() {
        return Ok(PathBuf::from(word));
    }
    let latest = store.join("runs").join("latest");
    if word == "latest" && latest.join(record::FILE).is_file() {
        return Ok(fs::canonicalize(&latest).unwrap_or(latest));
    }
    let runs = trees(store)?;
    let id = |name: &str| name.rsplit_once('-').map(|(_, id)| id.to_owned()).unwrap_or_default();
    let hits: Vec<(&String, &Tree)> =
        runs.iter().filter(|(name, _)| name.starts_with(word) || id(name).starts_with(word)).collect();
    match hits[..] {
        [(_, tree)] => Ok(tree.folder.clone()),
        [] => Err(Error::Usage(format!("no run goes by `{word}`; `refrain runs` lists them"))),
        _ => {
            let names: Vec<&str> = hits.iter().map(|(name, _)| name.as_str()).collect();
            Err(Error::Usage(format!("`{word}` may be any of {}", names.join(", "))))
        }
    }
}
