//! What is asked about, and the tracks that it rests on.

use serde::Serialize;
use std::collections::BTreeMap;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// A track that was kept.
    Track {
        /// Its id.
        id: String,
    },
    /// A clip of one.
    Clip {
        /// Its id.
        id: String,
        /// Its track's.
        track: String,
    },
    /// A row that a stage dropped.
    Dropped {
        /// Its id.
        id: String,
        /// The stage.
        stage: String,
        /// The code of the reason.
        code: String,
        /// A sentence.
        why: String,
    },
    /// A track that an opt-out list names.
    Withdrawn {
        /// Its id.
        id: String,
        /// The day.
        date: String,
        /// What shows it.
        evidence: String,
    },
    /// A file of the published tree.
    File {
        /// Its path there.
        path: String,
        /// Its digest, where the record states it.
        digest: Option<String>,
    },
}

/// Tracks that something rests on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tracks {
    /// Those that the run still lists, by id.
    pub ids: Vec<String>,
    /// How many of them under each license.
    pub licenses: BTreeMap<String, u64>,
    /// Recordings that the run does not list.
    pub gone: u64,
}
