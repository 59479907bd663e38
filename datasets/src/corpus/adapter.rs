//! Adapters: how a corpus is read, and who states a license in it.
//!
//! An [`Adapter`] holds resolved paths and plain options, and knows no manifest. `ingest` makes one of its settings (see
//! `CORPORA` in `stages/src/verbs/ingest/corpora/mod.rs`, where corpora are listed); `why` makes the same one of what a run
//! recorded. An adapter opens tables and sidecars, and sound never: files are digested, and their tags read, by `ingest`.

use super::{Entry, ScanError};
use crate::{audio::tags, row::Found};
use serde::Serialize;
use std::{fmt, path::Path};

/// A corpus on disk, or one that is made here.
pub trait Adapter: Send + Sync {
    /// Lists the recordings. Files go to `take` in parts, which have numbers of their own; it may be called on several threads,
    /// and in any order. Rows that need no reading are returned: what is odd about the corpus, and pieces that are rendered.
    ///
    /// # Errors
    /// When the corpus as a whole cannot be read.
    fn scan(&self, take: &(dyn Fn(usize, Vec<Entry>) + Sync)) -> Result<Vec<Found>, ScanError>;

    /// Looks up the license statement for the recording of a key, as [`Adapter::scan`] reads it; `None` if there is
    /// none. If several rows of a table state one, a row that says `words` is preferred.
    ///
    /// # Errors
    /// When the corpus cannot be read.
    fn evidence(&self, key: &str, words: Option<&str>) -> Result<Option<Evidence>, ScanError>;
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
    /// Reads the license from the tags of a file; `None` if they state none.
    pub fn in_tags(file: &Path) -> Option<Evidence> {
        let license = tags::read(file).license?;
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
        }
    }
}
