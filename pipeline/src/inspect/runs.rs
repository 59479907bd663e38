//! Published runs of a store, and the choice of one by path, name, id or `latest`.

use crate::{
    error::Error,
    record::{self, Outline, RecordError},
};
use stages::settings::suggest;
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
pub(super) type Read = Result<Outline, String>;

/// Calls `of` on each published run of a store and collects the results by the run's name, reading one record at a
/// time.
pub(super) fn each<T>(store: &Path, of: impl Fn(PathBuf, Read) -> T) -> Result<BTreeMap<String, T>, Error> {
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
        [] => {
            let names = runs.keys().map(String::as_str);
            let near =
                suggest(word, names.chain(["latest"])).map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
            Err(Error::Usage(format!("no run goes by `{word}`{near}; `refrain runs` lists them")))
        }
        _ => {
            let names: Vec<&str> = hits.iter().map(|(name, _)| name.as_str()).collect();
            Err(Error::Usage(format!("`{word}` may be any of {}", names.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_other_versions_are_named_and_folders_without_a_record_are_none() {
        const RECORD: &str = include_str!("../../../tests/records/run.json");
        let store = tempfile::tempdir().expect("a folder");
        let write = |run: &str, text: &str| {
            let folder = store.path().join("runs").join(run);
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(record::FILE), text).expect("written");
        };
        let failed = "\"failed\": [{ \"stage\": \"scores\", \"why\": \"x\", \"withheld\": [] }],\n  \"files\"";
        write("a-1", RECORD);
        write("a-2", &RECORD.replacen("\"files\"", failed, 1));
        write("a-3", &RECORD.replace("\"format\": 2", "\"format\": 3"));
        write("a-4", &RECORD[..100]);
        let trees = trees(store.path()).expect("trees");
        let partial = trees.iter().map(|(run, tree)| (run.as_str(), tree.partial));
        assert_eq!(partial.collect::<Vec<_>>(), [("a-1", false), ("a-2", true), ("a-3", false)]);
        let listed = crate::inspect::list::listed(store.path()).expect("a list");
        let run = |name: &str| listed.iter().find(|run| run.run == name).expect("a run");
        assert_eq!((run("a-1").tracks, run("a-1").shards, run("a-1").partial), (Some(9), Some(3), false));
        assert!(run("a-2").partial);
        assert_eq!((run("a-3").tracks, run("a-3").shards), (None, None));
        assert!(run("a-3").note.as_ref().is_some_and(|note| note.contains("a-3 has format 3, ")), "{listed:?}");
        assert_eq!(find(store.path(), "a-2").expect("a run"), store.path().join("runs/a-2"));
        assert_eq!(find(store.path(), "a-4").expect_err("none").code(), 2);
    }
}
