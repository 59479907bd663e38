//! Partial runs: where stages over a whole corpus failed, what does not rest on them is whole, and is published.
//!
//! | failure | published |
//! |---|---|
//! | a stage over the whole corpus fails (`fit`, `train`, `sample`, `evaluate`) | every stage that does not rest on it, where one of these gives codes, models, songs or figures |
//! | a source kept one from starting, a pin or the store failed, Ctrl-C | nothing |
//!
//! A failed stage and those that rest on it count as left out: the record names them, history compares them with the last
//! run that had them, and no shortcut stands for the run, so the next one tries them again.

use crate::{
    dataflow::outcome::{Outcome, StageOutcome},
    error::Error,
    plan::Plan,
    record::stage_record::FailedStage,
    run::{conservation, failure::failure},
};
use stages::flow::Failure;
use std::{collections::BTreeSet, mem};

/// Stages that failed, each with what rests on it, in the order of the plan; empty where the run is whole.
#[derive(Debug, Default)]
pub(crate) struct Withheld {
    /// Stages that failed.
    pub(crate) failed: Vec<FailedStage>,
    /// Names of these and of all stages that rest on them.
    pub(crate) stages: BTreeSet<String>,
}

/// Takes what failed, and what rests on it, out of an outcome.
///
/// # Errors
/// All failures as one, where one of them is no stage's own, or nothing is left that is worth a tree.
pub(crate) fn divide(plan: &Plan, outcome: Outcome) -> Result<(Outcome, Withheld), Error> {
    let Outcome { mut stages, failures } = outcome;
    let index = |name: &str| plan.stages.iter().position(|stage| stage.name == name);
    let mut failed: BTreeSet<(usize, String)> = BTreeSet::new();
    for failure in &failures {
        match failure {
            Failure::Stage { stage, why } if let Some(stage) = index(stage) => failed.insert((stage, why.clone())),
            _ => return self::failure(failures).map_or_else(|| Err(Error::Bug("a failure is none".into())), Err),
        };
    }
    let outcome = |stages| Outcome { stages, failures: Vec::new() };
    let mut out = resting(plan, failed.iter().map(|(stage, _)| *stage));
    let so_far = outcome(mem::take(&mut stages));
    for (stage, why) in conservation::idle(plan, &so_far) {
        if !out.contains(&stage) {
            failed.insert((stage, why));
        }
    }
    stages = so_far.stages;
    if failed.is_empty() {
        return Ok((outcome(stages), Withheld::default()));
    }
    out.extend(resting(plan, failed.iter().map(|(stage, _)| *stage)));
    let left = stages.iter().enumerate().filter(|(stage, _)| !out.contains(stage));
    if !left.into_iter().any(|(_, own)| !own.kept.made().is_empty()) {
        let name = |stage: usize| plan.stages[stage].name.clone();
        let failures = failed.into_iter().map(|(stage, why)| Failure::Stage { stage: name(stage), why });
        return self::failure(failures.collect()).map_or_else(|| Ok((outcome(stages), Withheld::default())), Err);
    }
    let mut withheld = Withheld { failed: Vec::new(), stages: names(plan, &out).collect() };
    for (stage, why) in failed {
        let mut rest = resting(plan, [stage]);
        rest.remove(&stage);
        let name = plan.stages[stage].name.clone();
        stages[stage].ledger.notes.insert(format!("stage `{name}` failed: {why}"));
        withheld.failed.push(FailedStage { stage: name, why, withheld: names(plan, &rest).collect() });
    }
    for stage in out {
        let ledger = mem::take(&mut stages[stage].ledger);
        stages[stage] = StageOutcome { ledger, ..StageOutcome::default() };
    }
    Ok((outcome(stages), withheld))
}

/// These stages and all that rest on them. Each stage stands behind those that feed it.
fn resting(plan: &Plan, stages: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
    let mut all: BTreeSet<usize> = stages.into_iter().collect();
    for (index, stage) in plan.stages.iter().enumerate() {
        if stage.inputs.iter().flatten().any(|fed| all.contains(fed)) {
            all.insert(index);
        }
    }
    all
}

fn names<'a>(plan: &'a Plan, stages: &'a BTreeSet<usize>) -> impl Iterator<Item = String> + 'a {
    stages.iter().map(|stage| plan.stages[*stage].name.clone())
}
