//! Stages, dropped rows and points of a sweep in the record; fields in the order of their names.

use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A stage: its settings and what became of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Number of rows dropped.
    pub dropped: u64,
    /// Names of the stages that feed it.
    pub from: Vec<String>,
    /// Number of rows kept.
    pub kept: u64,
    /// Name of the stage.
    pub name: String,
    /// Sentences, such as "codec pinned, 12 tracks newer than it".
    pub notes: BTreeSet<String>,
    /// Number of dropped rows by the code of the reason.
    pub reasons: BTreeMap<String, u64>,
    /// The verb's revision.
    pub revision: u32,
    /// Text that the manifest adds to the seed of this stage; empty if it adds nothing.
    pub salt: String,
    /// Settings as TOML; a setting without a value is empty.
    pub settings: BTreeMap<String, String>,
    /// Verb of the stage.
    pub verb: String,
}

/// A stage over the whole corpus that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedStage {
    /// Name of the stage.
    pub stage: String,
    /// The reason as a sentence.
    pub why: String,
    /// Names of the stages that rest on it, of which nothing was published.
    pub withheld: Vec<String>,
}

impl fmt::Display for FailedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage `{}` failed: {}", self.stage, self.why)
    }
}

/// A dropped row. It borrows what is written, and owns what was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedLine<'r> {
    /// The code of the reason.
    pub code: Cow<'r, str>,
    /// The row's id.
    pub id: Cow<'r, str>,
    /// The stage that dropped it.
    pub stage: Cow<'r, str>,
    /// The reason as a sentence. `None` where the sentence names a place or a withdrawn track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Cow<'r, str>>,
}

/// A point of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointRecord {
    /// The folder below `codes`, `model` and `audio` that holds what other points do not share.
    pub folder: String,
    /// Name of the point.
    pub name: String,
    /// Names of its stages that other points do not share.
    pub stages: Vec<String>,
    /// Values of the point as TOML, by setting.
    pub values: BTreeMap<String, String>,
}
