//! `timing.json`: the only published file that tells times and places. Fields in the order of their names.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// The file's name.
pub(crate) const FILE: &str = "timing.json";

/// Duration, workers and sources of the run that last published a tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// Number of processes.
    pub processes: usize,
    /// The run: name and id.
    pub run: String,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Absolute paths of each source, by the name of its stage.
    pub sources: BTreeMap<String, Vec<String>>,
    /// Work of each stage, by name.
    pub stages: BTreeMap<String, StageTiming>,
    /// Number of workers of each process.
    pub workers: usize,
}

/// Work of a stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageTiming {
    /// Rows added against the last published run of this name.
    pub added: u64,
    /// Bytes of the objects that effects made.
    pub bytes: u64,
    /// Number of results that were remembered.
    pub cached: u64,
    /// Number of effects that ran.
    pub executed: u64,
    /// Rows that this run no longer has.
    pub retracted: u64,
    /// Seconds that effects took, added up.
    pub seconds: f64,
}

impl Timing {
    /// Reads the file of a published tree. `None` if there is none, or it is damaged: it is of use to people alone.
    pub fn read(folder: &Path) -> Option<Timing> {
        serde_json::from_slice(&datasets::untrusted::read(&folder.join(FILE), datasets::untrusted::LARGEST).ok()?).ok()
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        // Numbers, strings and lists of them: there is nothing that could fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
