//! Models and songs of a run, each with what it was made with.

use datasets::Digest;
use serde::{Deserialize, Serialize};

/// A model or a song, as the record tells of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Made {
    /// `codec`, `prior` or `song`.
    pub kind: String,
    /// The stage that it came from.
    pub stage: String,
    /// The digest of its file.
    pub digest: Digest,
    /// The models that it was made with.
    pub models: Vec<Digest>,
    /// Objects of the store that list the samples that it, or these models, were trained on.
    pub lineage: Vec<Digest>,
}
