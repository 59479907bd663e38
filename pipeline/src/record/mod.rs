//! What a run leaves: whoever writes or reads it goes through here.

pub mod corpus;
pub mod history;
pub mod kinds;
pub mod lineage;
pub mod lockfile;
pub mod made;
pub mod published;
pub mod scores;
pub mod settled;
pub mod summary;
pub mod sweep_table;

use datasets::Digest;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// `run.json`; its fields in the order of their names.
#[derive(Serialize)]
pub(crate) struct Record<'r> {
    pub(crate) dropped: Vec<Line<'r>>,
    pub(crate) files: BTreeMap<String, &'r Digest>,
    pub(crate) format: u32,
    pub(crate) made: Value,
    pub(crate) name: &'r str,
    pub(crate) numerics: &'r str,
    pub(crate) refrain: &'r str,
    pub(crate) run: &'r str,
    pub(crate) scores: Value,
    pub(crate) seed: u64,
    pub(crate) stages: Vec<Value>,
    pub(crate) sweep: Option<Value>,
    pub(crate) tainted: Value,
    pub(crate) views: BTreeMap<String, Digest>,
}

/// A dropped row.
#[derive(Serialize)]
pub(crate) struct Line<'r> {
    pub(crate) code: &'r str,
    pub(crate) id: &'r str,
    pub(crate) stage: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<&'r str>,
}
