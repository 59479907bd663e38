//! The texts that make up a manifest.

use super::complain::Source;
use stages::settings::{At, Complaint, Table};
use std::path::{Path, PathBuf};

/// A file that a manifest is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    /// Path of the file that was read.
    pub(crate) path: PathBuf,
    /// Path relative to the manifest's folder, through the `extends` before it; empty for the manifest itself.
    pub(crate) seen: PathBuf,
}

impl File {
    /// Folder relative to the manifest's folder.
    pub(crate) fn folder(&self) -> &Path {
        self.seen.parent().unwrap_or(Path::new(""))
    }
}

/// The texts that make up a manifest, and their values put together.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// The files, then each `--set`.
    pub(crate) sources: Vec<Source>,
    /// The manifest, what it extends, what that extends: the first of the sources, in this order.
    pub(crate) files: Vec<File>,
    /// The values of all of them.
    pub(crate) table: Table,
    /// Values of `--set` that are no TOML and so became strings: their place, and what TOML said.
    pub(crate) strings: Vec<(At, String)>,
    /// Complaints about `extends`: how the files go together.
    pub(crate) complaints: Vec<Complaint>,
}

impl Text {
    /// The file in which a place is; none for an option on the command line.
    pub(crate) fn file(&self, at: At) -> Option<&File> {
        self.files.get(usize::from(at.source))
    }
}
