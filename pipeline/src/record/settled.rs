//! The shortcut of a run that changes nothing.

use crate::{
    dataflow::outcome::Outcome,
    record::{published::Published, summary::Summary},
};
use datasets::Digest;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What the last published run leaves for one that changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// Everything that the run rests on.
    pub(crate) key: Digest,
    /// Digest of its record.
    pub(crate) record: Digest,
    /// The files of its tree.
    pub(crate) files: Vec<PathBuf>,
    /// What it says.
    pub(crate) summary: Summary,
}

impl Settled {
    /// Of a run that was published; none where the next one may have more to do.
    pub fn of(key: Option<Digest>, outcome: &Outcome, published: &Published, summary: &Summary) -> Option<Settled> {
        let failed = outcome.stages.iter().flat_map(|stage| stage.dropped.iter()).any(|row| row.failed);
        let record = fs::read(published.folder.join(crate::record::FILE)).ok()?;
        let mut files = Vec::new();
        list(&published.folder, Path::new(""), &mut files).ok()?;
        files.sort();
        let settled = Settled { key: key?, record: Digest::of(&record), files, summary: summary.again() };
        (!failed).then_some(settled)
    }
}

/// The files below a folder, in any order.
pub(crate) fn list(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => list(root, &path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}
