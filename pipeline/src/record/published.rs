//! Name and folder of a published run, and its list of tracks, checked before anything is said of it.

use crate::error::Error;
use datasets::{
    Digest,
    tables::tracks::{Listed, read},
    untrusted,
};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

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

/// The file that holds the list of a run's tracks.
pub const TRACKS: &str = "tracks.parquet";

/// Reads the list of tracks of the run in `folder`, whose record lists these `files` with their digests. `None` where there is no such
/// file: an older refrain has published the run.
///
/// # Errors
/// A file that cannot be read, or is not the one that was published.
pub fn tracks(folder: &Path, files: &BTreeMap<String, Digest>) -> Result<Option<Vec<Listed>>, Error> {
    let path = folder.join(TRACKS);
    let bytes = match untrusted::read(&path, untrusted::LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::Source(format!("cannot read {}: {error}", path.display()))),
    };
    if files.get(TRACKS).is_some_and(|digest| Digest::of(&bytes) != *digest) {
        return Err(Error::Damage(format!(
            "{} is damaged: it is not the file that was published; `refrain store verify` removes it, and the next run of \
             its manifest publishes it again",
            path.display()
        )));
    }
    read(&bytes).map(Some).map_err(|e| Error::Source(format!("{}: {e}", path.display())))
}
