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

/// The shortcut for a run that changes nothing, left by the last published run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// Digest of everything that the run rests on.
    pub(crate) key: Digest,
    /// Digest of the run's record.
    pub(crate) record: Digest,
    /// Files of the run's tree.
    pub(crate) files: Vec<PathBuf>,
    /// Summary of the next run, if nothing has changed by then.
    pub(crate) summary: Summary,
}

impl Settled {
    /// The shortcut for the next run of this name. `None` if that run may have work to do.
    pub fn of(key: Option<Digest>, outcome: &Outcome, published: &Published, summary: &Summary) -> Option<Settled> {
        let failed = outcome.stages.iter().flat_map(|stage| stage.dropped.iter()).any(|row| row.failed);
        let record =
            datasets::untrusted::read(&published.folder.join(crate::record::FILE), datasets::untrusted::LARGEST)
                .ok()?;
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
