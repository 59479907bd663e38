//! The subject of `why`: the row or file that is asked about, and the tracks that it rests on.

use serde::Serialize;
use std::collections::BTreeMap;

/// The row or file that `why` was asked about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// A track that was kept.
    Track {
        /// Id of the track.
        id: String,
    },
    /// A clip of a track that was kept.
    Clip {
        /// Id of the clip.
        id: String,
        /// Id of its track.
        track: String,
    },
    /// A row that a stage dropped.
    Dropped {
        /// Id of the row.
        id: String,
        /// Name of the stage that dropped it.
        stage: String,
        /// The code of the reason.
        code: String,
        /// The reason as a sentence; empty if the record has none.
        why: String,
    },
    /// A track that an opt-out list names.
    Withdrawn {
        /// Id of the track.
        id: String,
        /// The day on which it was withdrawn.
        date: String,
        /// Evidence of the withdrawal, as the opt-out list states it.
        evidence: String,
    },
    /// A file of the published tree.
    File {
        /// Path of the file in the published tree.
        path: String,
        /// Digest of the file. `None` if the record does not state it.
        digest: Option<String>,
    },
}

/// Tracks that something rests on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tracks {
    /// Ids of the tracks that the run still lists.
    pub ids: Vec<String>,
    /// Number of these tracks under each license.
    pub licenses: BTreeMap<String, u64>,
    /// Recordings that the run does not list.
    pub gone: u64,
}
