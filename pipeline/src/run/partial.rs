//! Partial runs: where stages over a whole corpus failed, what does not rest on them is whole, and is published.
//!
//! | failure | published |
//! |---|---|
//! | a stage over the whole corpus fails (`fit`, `train`, `sample`, `evaluate`), or a stage loses every row | every stage that does not rest on it, where one of these gives codes, models, songs or figures |
//! | a source kept one from starting, a pin or the store failed, Ctrl-C | nothing |
//!
//! A failed stage and those that rest on it count as left out: the record names them, history compares them with the last
//! run that had them, and no shortcut stands for the run, so the next one tries them again.

use crate::{
    dataflow::outcome::{Outcome, StageOutcome},
    error::Error,
    plan::Plan,
    record::stage_record::FailedStage,
    run::{
        conservation::{self, resting},
        failure::failure,
    },
};
use stages::flow::Failure;
use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

/// Stages that failed, each with what rests on it, in the order of the plan; empty where the run is whole.
#[derive(Debug, Default)]
pub(crate) struct Withheld {
    /// Stages that failed.
    pub(crate) failed: Vec<FailedStage>,
    /// Names of these and of all stages that rest on them.
    pub(crate) stages: BTreeSet<String>,
}

/// Takes what failed, and what rests on it, out of an outcome. `lost`: the stages that lost every row, with sentences.
/// `cancelled`: the dataflow was told to stop, so that nothing in
/// it is whole.
///
/// # Errors
/// All failures as one, where one of them is no stage's own, or nothing is left that is worth a tree.
/// [`Error::Interrupted`] where there is none and the run was cancelled.
pub(crate) fn divide(
    plan: &Plan,
    mut outcome: Outcome,
    lost: &[(usize, String)],
    cancelled: bool,
) -> Result<(Outcome, Withheld), Error> {
    let failures = mem::take(&mut outcome.failures);
    let index = |name: &str| plan.stages.iter().position(|stage| stage.name == name);
    let own = failures.iter().map_while(|failure| match failure {
        Failure::Stage { stage, why } => Some((index(stage)?, why.clone())),
        _ => None,
    });
    // In the order of the plan: failures come as threads meet them.
    let mut failed: BTreeMap<usize, String> = BTreeMap::new();
    let mut known = 0;
    for (stage, why) in own {
        known += 1;
        // Of several the least, whichever came first.
        match failed.get_mut(&stage) {
            Some(first) if *first <= why => {}
            _ => drop(failed.insert(stage, why)),
        }
    }
    if cancelled || known < failures.len() {
        return Err(failure(failures).unwrap_or(Error::Interrupted));
    }
    let out = resting(plan, failed.keys().copied());
    failed.extend(lost.iter().filter(|(stage, _)| !out.contains(stage)).cloned());
    let out = resting(plan, failed.keys().copied());
    failed.extend(conservation::idle(plan, &outcome).into_iter().filter(|(stage, _)| !out.contains(stage)));
    let out = resting(plan, failed.keys().copied());
    let mut left = outcome.stages.iter().enumerate().filter(|(stage, _)| !out.contains(stage));
    if !failed.is_empty() && left.all(|(_, own)| own.kept.made().is_empty()) {
        let name = |stage: usize| plan.stages[stage].name.clone();
        let failures = failed.into_iter().map(|(stage, why)| Failure::Stage { stage: name(stage), why });
        return Err(failure(failures.collect()).unwrap_or(Error::Interrupted));
    }
    let mut withheld = Withheld { failed: Vec::new(), stages: names(plan, &out).collect() };
    for (stage, why) in failed {
        let mut rest = resting(plan, [stage]);
        rest.remove(&stage);
        let failed =
            FailedStage { stage: plan.stages[stage].name.clone(), why, withheld: names(plan, &rest).collect() };
        outcome.stages[stage].ledger.notes.insert(failed.to_string());
        withheld.failed.push(failed);
    }
    for stage in out {
        let ledger = mem::take(&mut outcome.stages[stage].ledger);
        outcome.stages[stage] = StageOutcome { ledger, ..StageOutcome::default() };
    }
    Ok((outcome, withheld))
}

fn names<'a>(plan: &'a Plan, stages: &'a BTreeSet<usize>) -> impl Iterator<Item = String> + 'a {
    stages.iter().map(|stage| plan.stages[*stage].name.clone())
}
