//! What became of a plan: rows kept, dropped and pending, stage by stage.

use datasets::row::{Dropped, Pending};
use stages::{
    flow::{Failure, StageLedger},
    rows::kept::Kept,
};
use std::sync::Arc;

/// What became of one stage's rows.
#[derive(Debug, Default)]
pub struct StageOutcome {
    /// Kept rows.
    pub kept: Kept,
    /// Dropped rows, sorted.
    pub dropped: Arc<Vec<Dropped>>,
    /// Rows not known yet, in no order; only of a dry run.
    pub pending: Vec<Pending>,
    /// What ran and what was remembered.
    pub ledger: StageLedger,
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One entry per stage, in the order of the plan.
    pub stages: Vec<StageOutcome>,
    /// Why nothing may be published.
    pub failures: Vec<Failure>,
}
