//! Corpora as they lie on disk: a folder with sidecars, or a table that names files.
//!
//! Knows names and what is stated about files. Opens no audio, judges no license.
//!
//! Reading a corpus lists its files with what is stated about them. It opens sidecars and tables,
//! never the audio. Lists are sorted by key, so that the order in which a file system or a table
//! lists files reaches no output.

mod adapter;
mod built_in;
pub mod data_sets;
pub mod evidence;
mod folder;
mod key;
mod lines;
mod member;
mod optout;
mod rows;
mod sidecar;
mod table;
mod table_file;

pub use adapter::{Adapter, Carry, Evidence, Listing, Place};
pub use built_in::BuiltIn;
pub use folder::{Folder, scan};
pub use key::{key_of, resolve};
pub use member::{Member, Name};
pub use optout::{OptOut, Withdrawal};
pub use sidecar::{SIDECARS, Sidecar, SidecarRow};
pub use table::{RowError, Table, TableOptions};
pub use table_file::TableFile;

use crate::license::both;
use crate::row::Labels;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Sets the license or a label by the name of a column, in any case; `licence` is a spelling of `license`. A label that is
/// set stays; a second license is told beside the first.
fn state(license: &mut Option<String>, labels: &mut Labels, name: &str, text: &str) {
    let text = text.trim();
    match is_license(name) {
        true if text.is_empty() => {}
        true => *license = Some(license.take().map_or_else(|| text.to_owned(), |first| both(first, text))),
        false => labels.set(name, text),
    }
}

fn is_license(name: &str) -> bool {
    ["license", "licence"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// One file of a corpus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The corpus's own name for it: the path under the root, see [`key_of`].
    pub key: String,
    /// Path of the file on disk.
    pub path: PathBuf,
    /// The license as stated, to be read by [`crate::license::License::read`].
    pub license: Option<String>,
    /// Labels as stated. Texts are trimmed; an empty one counts as absent.
    pub labels: Labels,
    /// BLAKE3 of its bytes, where a table states it. It is a claim, not a finding.
    pub digest: Option<[u8; 32]>,
}

/// Kinds of oddities that a scan reports and goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Oddity {
    /// A sidecar names a file that is not there.
    MissingFile,
    /// A sidecar names one file twice.
    DuplicateRow,
    /// A sidecar names something outside the root.
    OutsideRoot,
    /// Two files have one key.
    DuplicateKey,
    /// A folder that cannot be listed: its files are missing from the scan.
    UnreadableFolder,
    /// A link that leads nowhere.
    BrokenLink,
    /// A link of which the disk does not say where it leads.
    UnreadableLink,
    /// A link to a folder that holds the link, or that the scan lists under another name.
    RepeatedFolder,
    /// A pipe, socket or device.
    NotAFile,
}

impl Oddity {
    /// The reason code in reports.
    pub fn code(self) -> &'static str {
        match self {
            Oddity::MissingFile => "missing-file",
            Oddity::DuplicateRow => "duplicate-row",
            Oddity::OutsideRoot => "outside-root",
            Oddity::DuplicateKey => "duplicate-key",
            Oddity::UnreadableFolder => "unreadable-folder",
            Oddity::BrokenLink => "broken-link",
            Oddity::UnreadableLink => "unreadable-link",
            Oddity::RepeatedFolder => "repeated-folder",
            Oddity::NotAFile => "not-a-file",
        }
    }
}

/// An oddity of one file or folder, which the scan went on from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// The key of the file or folder that it is about.
    pub key: String,
    /// Kind of the oddity.
    pub oddity: Oddity,
    /// The oddity in words for people, as a fragment; names sidecars by their key and line.
    pub sentence: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.sentence)
    }
}

/// The files under a root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Files, sorted by key, then by path. Files with one key all stay; the caller keeps one of them.
    pub entries: Vec<Entry>,
    /// Complaints, sorted.
    pub complaints: Vec<Complaint>,
}

/// Errors that keep a corpus from being read at all.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The file system did not let a file or folder be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder that could not be read.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The root of a folder corpus is not a folder.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// A data set whose lists are there, and none of whose recordings is.
    #[error(
        "none of the {listed} recordings that {list} lists is under {}{}: is this the folder that the data set lies in?",
        root.display(),
        first.as_ref().map(|key| format!(", such as {key}")).unwrap_or_default()
    )]
    NothingThere {
        /// The folder in which they were looked for.
        root: PathBuf,
        /// The name of the list.
        list: String,
        /// Number of recordings that it lists.
        listed: usize,
        /// The first of them.
        first: Option<String>,
    },
    /// A sidecar or table is broken.
    #[error("{}{}: {reason}", path.display(), line.map(|l| format!(":{l}")).unwrap_or_default())]
    Syntax {
        /// The sidecar or table.
        path: PathBuf,
        /// Line of the error, from 1; `None` if the format has no lines.
        line: Option<u64>,
        /// Description of the error, as a sentence fragment.
        reason: String,
    },
    /// Lines of a list that cannot be passed over.
    #[error("{}", .wrong.iter().map(|(line, why)| format!("{}:{line}: {why}", path.display())).collect::<Vec<_>>().join("\n"))]
    Lines {
        /// The list.
        path: PathBuf,
        /// Line, or row where the format has no lines, from 1, and what is wrong, as a fragment.
        wrong: Vec<(u64, String)>,
    },
    /// A table lacks a column that the settings name.
    #[error(
        "{} has no column `{name}`{}; it has {}",
        path.display(),
        suggestion.as_ref().map(|s| format!(", did you mean `{s}`?")).unwrap_or_default(),
        columns.join(", ")
    )]
    Column {
        /// The sidecar or table.
        path: PathBuf,
        /// The column that was looked for.
        name: String,
        /// The columns that the table has.
        columns: Vec<String>,
        /// The name among `columns` that is nearest to `name`, if one is near.
        suggestion: Option<String>,
    },
    /// The name of a table tells no format.
    #[error("{}: tables are .csv, .tsv, .json, .jsonl, .ndjson or .parquet", .0.display())]
    Format(PathBuf),
}
