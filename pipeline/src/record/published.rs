//! Where a run was published.

use std::path::PathBuf;

/// Where a run was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// Name and id: `name-0123456789ab`.
    pub run: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether it was there before, whole.
    pub known: bool,
}
