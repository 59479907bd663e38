//! The parts of a run that publishing needs.

use crate::{
    dataflow::outcome::Outcome,
    plan::Plan,
    publish::withdrawal::Withdrawn,
    record::{stage_record::FailedStage, summary::Summary},
};
use datasets::Digest;
use stages::{flow::Env, rows::kept::Corpus};
use std::time::Instant;

/// A run that is to be published.
pub struct Run<'a> {
    /// Plan of the run.
    pub plan: &'a Plan,
    /// Outcome of the plan.
    pub outcome: &'a Outcome,
    /// Corpus of the run, in the order of ids.
    pub corpus: &'a Corpus<'a>,
    /// Store and sources.
    pub env: &'a Env,
    /// The run's digest.
    pub id: Digest,
    /// Summary of the run.
    pub summary: &'a Summary,
    /// Stages that failed; if there are any, the run is partial.
    pub failed: &'a [FailedStage],
    /// Tracks that the opt-out lists of the run withdraw, and the models tainted by them.
    pub withdrawn: &'a Withdrawn,
    /// Number of workers.
    pub workers: usize,
    /// Number of processes.
    pub processes: usize,
    /// When the run started.
    pub started: Instant,
}

impl Run<'_> {
    /// The run's name: that of the manifest with the digest's first digits.
    pub fn name(&self) -> String {
        format!("{}-{}", self.plan.name, self.id.short(12))
    }
}
