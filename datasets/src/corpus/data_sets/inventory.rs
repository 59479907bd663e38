//! Data sets that come with a list of their recordings: what their adapters have in common.
//!
//! An adapter reads its lists into an [`Inventory`]. Here it is compared with what lies on disk: a recording that is listed and
//! not there becomes a row with the code `missing-file`, and all of them together one remark; a data set of which nothing is
//! there is an error.

use crate::corpus::adapter::{Evidence, Listing, Place};
use crate::corpus::rows::At;
use crate::corpus::{Entry, Oddity, ScanError, key};
use crate::row::{Found, Labels, Origin};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Name of the column with the split that a data set itself gives a recording: `split` reads it with `by = "official"`.
pub const OFFICIAL_SPLIT: &str = "split";

/// One recording as a data set lists it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The data set's own name for it.
    pub(super) key: String,
    pub(super) path: PathBuf,
    /// The license as stated, and where.
    pub(super) license: Option<Evidence>,
    pub(super) labels: Labels,
    /// Code and sentence, where the file is known to be unusable.
    pub(super) refused: Option<(&'static str, String)>,
}

/// What a data set lists.
#[derive(Clone, Debug)]
pub(super) struct Inventory {
    /// The name of the list, for sentences.
    pub(super) list: String,
    /// The folder with the recordings.
    pub(super) root: PathBuf,
    pub(super) items: Vec<Item>,
    /// Rows of the lists that name no recording.
    pub(super) odd: Vec<Found>,
    pub(super) remarks: Vec<String>,
}

impl Inventory {
    /// An inventory of the recordings under a folder.
    ///
    /// # Errors
    /// [`ScanError::NotAFolder`] if `root` is none.
    pub(super) fn of(list: &str, root: &Path) -> Result<Inventory, ScanError> {
        if !root.is_dir() {
            return Err(ScanError::NotAFolder(root.to_owned()));
        }
        let (items, odd, remarks) = Default::default();
        Ok(Inventory { list: list.to_owned(), root: root.to_owned(), items, odd, remarks })
    }

    /// Adds a recording by its path under the folder; one that leads out of the folder is an oddity.
    pub(super) fn add(&mut self, path: &str, license: Option<Evidence>, labels: Labels) {
        match key::resolve("", path) {
            Some(key) => {
                let path = self.root.join(path);
                self.items.push(Item { key, path, license, labels, refused: None });
            }
            None => {
                self.refuse(path.to_owned(), Oddity::OutsideRoot.code(), "its path is not under the root".to_owned())
            }
        }
    }

    /// Adds a row that names no recording.
    pub(super) fn refuse(&mut self, key: String, code: &str, why: String) {
        self.odd.push(Found::bare(key, Origin::Unusable(code.to_owned(), why)));
    }

    /// Adds a row of the list that cannot be used.
    pub(super) fn unusable(&mut self, at: At, why: String) {
        self.refuse(format!("row {}", at.row), "unusable-row", why);
    }

    /// The recordings that the list gives to an official split.
    pub(super) fn in_split(&self, split: &str) -> usize {
        let of = |item: &&Item| item.labels.extra.get(OFFICIAL_SPLIT).is_some_and(|own| own == split);
        self.items.iter().filter(of).count()
    }

    /// Remarks where the list differs from what its publisher says it holds, split by split.
    pub(super) fn compare(&mut self, name: &str, stated: &[(&str, usize)]) {
        let say = |counts: &[(&str, usize)]| {
            let each: Vec<String> = counts.iter().map(|(split, count)| format!("{split} {count}")).collect();
            each.join(", ")
        };
        let counts: Vec<(&str, usize)> = stated.iter().map(|(split, _)| (*split, self.in_split(split))).collect();
        if counts != stated {
            self.remarks.push(format!("{} lists {}, where {name} has {}", self.list, say(&counts), say(stated)));
        }
    }

    /// Hands over the files that are there, and returns what is to say about the others.
    ///
    /// # Errors
    /// [`ScanError::NothingThere`] if not one of the recordings exists.
    pub(super) fn list(self, take: &(dyn Fn(usize, Vec<Entry>) + Sync)) -> Result<Listing, ScanError> {
        let Inventory { list, root, items, odd: mut rows, mut remarks } = self;
        let listed = items.len();
        let first = items.iter().map(|item| &item.key).min().cloned();
        let (mut entries, mut missing) = (Vec::with_capacity(listed), Vec::new());
        for Item { key, path, license, labels, refused } in items {
            if let Some((code, why)) = refused {
                rows.push(Found::bare(key, Origin::Unusable(code.to_owned(), why)));
            } else if is_missing(&path) {
                missing.push(key);
            } else {
                let license = license.map(|stated| stated.license);
                entries.push(Entry { key, path, license, labels, digest: None });
            }
        }
        if entries.is_empty() {
            return Err(ScanError::NothingThere { root, list, listed, first });
        }
        missing.sort();
        if let Some(first) = missing.first() {
            let count = missing.len();
            remarks
                .push(format!("{count} of the {listed} recordings that {list} lists are not there, such as {first}"));
        }
        let code = Oddity::MissingFile.code();
        rows.extend(missing.into_iter().map(|key| {
            let why = format!("{list} lists this file, which is not there");
            Found::bare(key, Origin::Unusable(code.to_owned(), why))
        }));
        entries.sort();
        rows.sort();
        take(0, entries);
        Ok(Listing { rows, remarks })
    }

    /// Looks up the license statement of a recording; of several rows, one that says `words` is preferred.
    pub(super) fn evidence(self, key: &str, words: Option<&str>) -> Option<Evidence> {
        let of_key = self.items.into_iter().filter(|item| item.key == key);
        let mut stated: Vec<Evidence> = of_key.filter_map(|item| item.license).collect();
        let chosen = stated.iter().position(|stated| words == Some(&stated.license)).unwrap_or(0);
        (chosen < stated.len()).then(|| stated.swap_remove(chosen))
    }
}

/// Whether no file lies there. One that cannot be looked at is there, for `ingest` to say so.
pub(super) fn is_missing(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(facts) => !facts.is_file(),
        Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

/// The license that a data set states for all of its recordings.
pub(super) fn whole(name: &str, license: &str) -> Option<Evidence> {
    Some(Evidence { license: license.to_owned(), place: Place::DataSet { name: name.to_owned() } })
}

/// A folder that lies in `root` under its usual name, or `root` itself.
pub(super) fn inside(root: &Path, name: &str) -> PathBuf {
    let inner = root.join(name);
    if inner.is_dir() { inner } else { root.to_owned() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::corpus::Adapter;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    /// What a scan gives: entries by key, rows as `key code`, remarks.
    pub(in crate::corpus) type Scanned = (BTreeMap<String, Entry>, Vec<String>, Vec<String>);

    /// Scans a data set.
    pub(in crate::corpus) fn scanned(adapter: &dyn Adapter) -> Result<Scanned, ScanError> {
        let entries = Mutex::new(Vec::new());
        let Listing { rows, remarks } =
            adapter.scan(&|_, part| entries.lock().expect("entries").extend::<Vec<Entry>>(part))?;
        let rows = rows.into_iter().map(|row| match row.origin {
            Origin::Unusable(code, _) => format!("{} {code}", row.key),
            other => panic!("{other:?}"),
        });
        let entries: Vec<Entry> = entries.into_inner().expect("entries");
        let count = entries.len();
        let by_key: BTreeMap<String, Entry> = entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        assert_eq!(by_key.len(), count, "keys are unique");
        Ok((by_key, rows.collect(), remarks))
    }

    /// Writes a file and the folders above it.
    pub(in crate::corpus) fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, text).expect("written");
    }

    /// The columns of an entry as `name=text` lines.
    pub(in crate::corpus) fn columns(entry: &Entry) -> Vec<String> {
        entry.labels.extra.iter().map(|(column, text)| format!("{column}={text}")).collect()
    }

    /// The folder with real metadata.
    pub(in crate::corpus) fn shared(path: &str) -> PathBuf {
        let shared = std::env::var_os("REFRAIN_SHARED").expect("REFRAIN_SHARED");
        Path::new(&shared).join("data/metadata").join(path)
    }

    /// How many entries have each text in a column.
    pub(in crate::corpus) fn tally(entries: &BTreeMap<String, Entry>, column: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for entry in entries.values() {
            *counts.entry(entry.labels.extra.get(column).cloned().unwrap_or_default()).or_default() += 1;
        }
        counts
    }
}
