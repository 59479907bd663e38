//! What became of a plan: rows kept, dropped and pending, stage by stage.

use datasets::row::{Dropped, Pending};
use stages::{
    flow::{Failure, StageLedger},
    rows::kept::Kept,
};
use std::sync::Arc;

/// Outcome of one stage: kept, dropped and pending rows, and its ledger.
#[derive(Debug, Default)]
pub struct StageOutcome {
    /// Kept rows.
    pub kept: Kept,
    /// Dropped rows, sorted.
    pub dropped: Arc<Vec<Dropped>>,
    /// Rows not known yet, in no order; only of a dry run.
    pub pending: Vec<Pending>,
    /// Executed and cached effects.
    pub ledger: StageLedger,
}

/// Outcome of a plan: one entry per stage, and failures.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One entry per stage, in the order of the plan.
    pub stages: Vec<StageOutcome>,
    /// Why nothing may be published.
    pub failures: Vec<Failure>,
}
