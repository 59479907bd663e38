//! Name and folder of a published run.

use std::path::PathBuf;

/// Name and folder of a published run.
#[derive(Clone, Debug)]
pub struct Published {
    /// Name and id: `name-0123456789ab`.
    pub run: String,
    /// Folder of the run's tree.
    pub folder: PathBuf,
    /// Whether it was there before, whole.
    pub known: bool,
}
