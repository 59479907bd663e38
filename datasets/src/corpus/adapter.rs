//! Adapters: how a corpus is read, and who states a license in it.
//!
//! An [`Adapter`] holds resolved paths and plain options, and knows no manifest. `ingest` makes one of its settings (see
//! `CORPORA` in `stages/src/verbs/ingest/corpora/mod.rs`, where corpora are listed); `why` makes the same one of what a run
//! recorded. An adapter opens tables and sidecars, and sound never: files are digested, and their tags read, by `ingest`.

use super::{Entry, ScanError};
use crate::{audio::tags, row::Found};
use serde::Serialize;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A corpus on disk, or one that is made here.
pub trait Adapter: Send + Sync {
    /// Lists the recordings. Files go to `take` in parts, which have numbers of their own; it may be called on several threads,
    /// and in any order. Returned are the rows that need no reading, and what there is to say about the corpus as a whole.
    ///
    /// # Errors
    /// When the corpus as a whole cannot be read.
    fn scan(&self, take: &(dyn Fn(usize, Vec<Entry>) + Sync)) -> Result<Listing, ScanError>;

    /// Whether the files' tags fill in what the corpus does not state. False where the corpus's own tables are to be trusted alone.
    fn trusts_tags(&self) -> bool {
        true
    }

    /// Leaves files and folders out of the scans to come: what of ours may lie among the recordings. A corpus that names
    /// its files one by one holds none of them.
    fn leave_out(&mut self, _paths: Vec<PathBuf>) {}

    /// Looks up the license statement for the recording of a key, as [`Adapter::scan`] reads it; `None` if there is
    /// none. If several rows of a table state one, a row that says `words` is preferred.
    ///
    /// # Errors
    /// When the corpus cannot be read.
    fn evidence(&self, key: &str, words: Option<&str>) -> Result<Option<Evidence>, ScanError>;
}

/// Result of listing a corpus, beside its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Rows that need no reading: what is odd about the corpus, and pieces that are rendered.
    pub rows: Vec<Found>,
    /// Remarks on the corpus as a whole, one sentence a cause: files that are missing, counts that are not the data set's own.
    pub remarks: Vec<String>,
}

impl From<Vec<Found>> for Listing {
    fn from(rows: Vec<Found>) -> Listing {
        Listing { rows, remarks: Vec::new() }
    }
}

/// Which of a corpus's own columns are carried along with its rows, to shards and tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Carry {
    /// Every column that nothing else reads.
    #[default]
    All,
    /// Only the columns with these names.
    These(Vec<String>),
}

impl Carry {
    /// Whether a column is carried.
    pub fn takes(&self, column: &str) -> bool {
        match self {
            Carry::All => true,
            Carry::These(names) => names.iter().any(|name| name == column),
        }
    }
}

/// A license statement: its text and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The license text as stated.
    pub license: String,
    /// The place of the statement.
    pub place: Place,
}

impl Evidence {
    /// Reads the license from the tags of a file; `None` if they state none, or cannot be read now.
    pub fn in_tags(file: &Path) -> Option<Evidence> {
        let license = tags::read(file).ok()?.license?;
        Some(Evidence { license, place: Place::Tags })
    }
}

/// A place that may state a license, in the order in which `ingest` asks them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Place {
    /// A row of a sidecar.
    Sidecar {
        /// The sidecar's key: its path under the root.
        file: String,
        /// Number of the row, from 1, headers not counted.
        row: u64,
        /// The row's line, from 1, where the format has lines.
        line: Option<u64>,
    },
    /// A row of a corpus's table.
    Table {
        /// The table's name.
        file: String,
        /// Number of the row, from 1, headers not counted.
        row: u64,
        /// The row's line, from 1, where the format has lines.
        line: Option<u64>,
    },
    /// The tags of the file itself.
    Tags,
    /// The setting of `ingest` for tracks for which nobody states one.
    Setting {
        /// The stage.
        stage: String,
    },
    /// The rules of the built-in corpus.
    BuiltIn,
    /// The terms under which a data set is published as a whole.
    DataSet {
        /// The data set's name.
        name: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sidecar { file, line: Some(line), .. } => write!(f, "the sidecar `{file}`, line {line}"),
            Place::Sidecar { file, row, .. } => write!(f, "the sidecar `{file}`, row {row}"),
            Place::Table { file, line: Some(line), .. } => write!(f, "the table `{file}`, line {line}"),
            Place::Table { file, row, .. } => write!(f, "the table `{file}`, row {row}"),
            Place::Tags => f.write_str("the tags of its file"),
            Place::Setting { stage } => write!(f, "the setting `license` of `{stage}`"),
            Place::BuiltIn => f.write_str("the rules of the built-in corpus"),
            Place::DataSet { name } => write!(f, "the terms of the data set {name}"),
        }
    }
}
