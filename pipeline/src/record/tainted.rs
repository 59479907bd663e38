//! Tombstones of withdrawn tracks, and the models that were trained on them, in the record.

use datasets::{Digest, corpus::Withdrawal};
use serde::{Deserialize, Serialize};

/// Tombstone of a withdrawn track: all that is kept of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tombstone {
    /// Id of the track; empty if its file is gone and the list names it otherwise.
    pub id: String,
    /// The day on which it was withdrawn.
    pub date: String,
    /// Evidence of the withdrawal, as the opt-out list states it.
    pub evidence: String,
}

impl Tombstone {
    /// The tombstone of a track that a line of an opt-out list names; `id` may be empty.
    pub(crate) fn new(id: &str, line: &Withdrawal) -> Tombstone {
        let id = if id.is_empty() { line.id.clone().unwrap_or_default() } else { id.to_owned() };
        Tombstone { id, date: line.date.clone(), evidence: line.evidence.clone() }
    }
}

/// A model that was trained on tracks that are withdrawn now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tainted {
    /// The stage that gives it.
    pub stage: String,
    /// Digest of the model.
    pub model: Digest,
    /// Tombstones of the withdrawn tracks that it was trained on.
    pub withdrawn: Vec<Tombstone>,
    /// Songs of this run that were made from it: `stage/name`.
    pub songs: Vec<String>,
}
