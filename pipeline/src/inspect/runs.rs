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

/// A folder of a store that holds the record of a run.
struct Tree {
    /// The folder's name: name and id of the run.
    run: String,
    folder: PathBuf,
    /// `Err` with a sentence where another version of Refrain wrote it.
    record: Result<Outline, String>,
}

/// All published runs of a store, by name.
fn all(store: &Path) -> Result<Vec<Tree>, Error> {
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
    let mut runs: Vec<Tree> = entries
        .filter_map(|entry| {
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
            Some(Tree { run, folder, record })
        })
        .collect();
    runs.sort_by(|a, b| a.run.cmp(&b.run));
    Ok(runs)
}

/// The folders of all published runs of a store, those of other versions of Refrain included.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub fn trees(store: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    Ok(all(store)?.into_iter().map(|tree| (tree.run, tree.folder)).collect())
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
    let runs = all(store)?;
    let latest = fs::read_link(store.join("runs").join("latest")).ok();
    let width = runs.iter().map(|tree| tree.run.len()).max().unwrap_or(3).max(3);
    let mut text = format!("{:width$}  {:>8} {:>8} {:>10}\n", "run", "tracks", "shards", "MiB");
    let mut notes = String::new();
    for Tree { run, folder, record } in &runs {
        let of = |verb: &str| match record {
            Ok(record) => {
                let stages = record.stages.iter().filter(|stage| stage.verb == verb);
                stages.map(|stage| stage.kept).sum::<u64>().to_string()
            }
            Err(_) => "-".to_owned(),
        };
        let fingerprint = if latest.as_deref() == Some(Path::new(run)) { "  latest" } else { "" };
        let mib = size(folder) as f64 / f64::from(1 << 20);
        text += &format!("{run:width$}  {:>8} {:>8} {mib:>10.1}{fingerprint}\n", of("ingest"), of("shard"));
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
    let hits: Vec<(&String, &PathBuf)> =
        runs.iter().filter(|(name, _)| name.starts_with(word) || id(name).starts_with(word)).collect();
    match hits[..] {
        [(_, folder)] => Ok(folder.clone()),
        [] => Err(Error::Usage(format!("no run goes by `{word}`; `refrain runs` lists them"))),
        _ => {
            let names: Vec<&str> = hits.iter().map(|(name, _)| name.as_str()).collect();
            Err(Error::Usage(format!("`{word}` may be any of {}", names.join(", "))))
        }
    }
}
