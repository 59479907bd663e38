//! Published runs of a store, and the choice of one by path, name, id or `latest`.

use crate::{
    error::Error,
    record::{self, Outline, RecordError},
};
use datasets::store::turns;
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

/// The record of a published run, or why it cannot be read.
pub(super) type Read = Result<Outline, RecordError>;

/// Calls `of` on each folder of published runs of a store and collects the results by the run's name, reading one record at a
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
        if run.starts_with('.') || !entry.file_type().ok()?.is_dir() {
            return None;
        }
        let folder = entry.path();
        let record = Outline::read(&folder);
        Some((run, of(folder, record)))
    });
    Ok(runs.collect())
}

/// All published runs of a store by name, those of other versions of Refrain included. A folder whose record is damaged or
/// gone is no whole tree: the next run publishes it again.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub fn trees(store: &Path) -> Result<BTreeMap<String, Tree>, Error> {
    let tree = |folder, record: Read| match record {
        Ok(record) => Some(Tree { folder, partial: !record.failed.is_empty() }),
        Err(RecordError::Format { .. }) => Some(Tree { folder, partial: false }),
        Err(RecordError::Unreadable { .. } | RecordError::Damaged { .. }) => None,
    };
    Ok(each(store, tree)?.into_iter().filter_map(|(run, tree)| Some((run, tree?))).collect())
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

/// The folder of a run: a path, `latest`, a run's name or id, the name of a manifest, or the start of one of these. What is
/// named exactly goes before what begins so; of several runs of one manifest the last is meant.
///
/// # Errors
/// When nothing, or more than one thing, goes by that word, or the record of the run is damaged.
pub fn find(store: &Path, word: &str) -> Result<PathBuf, Error> {
    let folder = place(store, word)?;
    match Outline::read(&folder) {
        Ok(_) | Err(RecordError::Format { .. }) => Ok(folder),
        Err(damaged) => Err(damaged.into()),
    }
}

fn place(store: &Path, word: &str) -> Result<PathBuf, Error> {
    if Path::new(word).join(record::FILE).is_file() {
        return Ok(PathBuf::from(word));
    }
    let latest = store.join("runs").join("latest");
    if word == "latest" && latest.is_dir() {
        return Ok(fs::canonicalize(&latest).unwrap_or(latest));
    }
    let runs = each(store, |folder, _| folder)?;
    let names: Vec<&str> = runs.keys().map(String::as_str).collect();
    let hits = meant(&names, word);
    let turns = turns(store)?;
    match hits.iter().max_by_key(|run| (turns.get(**run).copied().unwrap_or(0), **run)) {
        Some(last) if hits.len() == 1 || hits.iter().all(|run| parts(run).0.starts_with(word) && same(run, last)) => {
            Ok(runs[*last].clone())
        }
        Some(_) => Err(Error::Usage(format!("`{word}` may be any of {}", hits.join(", ")))),
        None => {
            let near = suggest(word, names.into_iter().chain(["latest"]));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Err(Error::Usage(format!("no run goes by `{word}`{near}; `refrain runs` lists them")))
        }
    }
}

/// The manifest's name and the id of a run.
fn parts(run: &str) -> (&str, &str) {
    run.rsplit_once('-').unwrap_or((run, ""))
}

/// Whether two runs are of one manifest.
fn same(one: &str, other: &str) -> bool {
    parts(one).0 == parts(other).0
}

/// The runs that a word names: exactly, or else by a start.
fn meant<'r>(runs: &[&'r str], word: &str) -> Vec<&'r str> {
    let exact = |run: &str| run == word || parts(run).1 == word;
    let named = |run: &str| parts(run).0 == word;
    let begun = |run: &str| run.starts_with(word) || parts(run).1.starts_with(word);
    let ways: [&dyn Fn(&str) -> bool; 3] = [&exact, &named, &begun];
    let hits = ways.iter().map(|way| runs.iter().copied().filter(|run| way(run)).collect::<Vec<&str>>());
    hits.into_iter().find(|hits| !hits.is_empty()).unwrap_or_default()
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
        let damaged = run("a-4").note.as_ref().expect("a note");
        assert!(damaged.contains("a-4/run.json is damaged"), "{damaged}");
        assert_eq!(find(store.path(), "a-2").expect("a run"), store.path().join("runs/a-2"));
        let damaged = find(store.path(), "a-4").expect_err("damaged");
        assert!(damaged.code() == 3 && damaged.to_string().contains("a-4/run.json is damaged"), "{damaged}");
        assert_eq!(find(store.path(), "b").expect_err("none").code(), 2);
    }

    #[test]
    fn what_is_named_exactly_goes_before_what_begins_so() {
        let runs = ["song-11aa", "songs-11ab", "songs-22", "11ab-77"];
        assert_eq!(meant(&runs, "song"), ["song-11aa"]);
        assert_eq!(meant(&runs, "songs"), ["songs-11ab", "songs-22"]);
        assert_eq!(meant(&runs, "son"), ["song-11aa", "songs-11ab", "songs-22"]);
        assert_eq!(meant(&runs, "22"), ["songs-22"]);
        assert_eq!(meant(&runs, "11ab"), ["songs-11ab"]);
        assert_eq!(meant(&runs, "11"), ["song-11aa", "songs-11ab", "11ab-77"]);
        assert!(meant(&runs, "7").eq(&["11ab-77"]) && meant(&runs, "x").is_empty());
    }

    #[test]
    fn of_several_runs_of_a_manifest_the_last_is_meant() {
        const RECORD: &str = include_str!("../../../tests/records/run.json");
        let store = tempfile::tempdir().expect("a folder");
        for run in ["song-1", "songs-1a", "songs-2b"] {
            let folder = store.path().join("runs").join(run);
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(record::FILE), RECORD).expect("written");
        }
        let found = |word: &str| find(store.path(), word).map(|folder| folder.file_name().map(|name| name.to_owned()));
        assert_eq!(found("songs").expect("the last"), Some("songs-2b".into()));
        assert_eq!(found("song").expect("its own"), Some("song-1".into()));
        assert_eq!(found("songs-1").expect("by the start of its id"), Some("songs-1a".into()));
        assert_eq!((found("so").expect_err("two manifests").code(), found("songs-").expect_err("ids").code()), (2, 2));
    }
}
