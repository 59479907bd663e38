//! Name and folder of a published run.

use datasets::Digest;
use std::{collections::BTreeMap, path::PathBuf};

/// Name and folder of a published run.
#[derive(Clone, Debug)]
pub struct Published {
    /// Name and id: `name-0123456789ab`.
    pub run: String,
    /// Folder of the run's tree.
    pub folder: PathBuf,
    /// Whether it was there before, whole.
    pub known: bool,
    /// Files of the tree that are no objects of the store, as they were written: path in the tree, digest. Empty if it was
    /// there before.
    pub texts: BTreeMap<PathBuf, Digest>,
}
