//! `run.json` from a plan and its outcome.

use crate::{
    dataflow::outcome::StageOutcome,
    plan::{Plan, PlannedStage},
    publish::{layout, publication::Run},
    record::{
        FORMAT, Record, kinds,
        scores::Score,
        stage_record::{DroppedLine, StageRecord},
    },
};
use datasets::Digest;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// The record of a run as text: what follows from plan and inputs.
pub(crate) fn text(run: &Run<'_>, name: &str, files: &BTreeMap<PathBuf, Digest>, scores: Vec<Score>) -> String {
    let told = run.withdrawn.redact();
    let dropped = run.plan.stages.iter().zip(&run.outcome.stages).flat_map(|(stage, own)| {
        // Withdrawn tracks are named in the quarantine table alone.
        let named = own.dropped.iter().filter(|row| !row.withdrawn());
        named.map(|row| DroppedLine {
            code: (&*row.code).into(),
            id: (&*row.id).into(),
            stage: (&*stage.name).into(),
            why: told(row).map(Into::into),
        })
    });
    let stages = run.plan.stages.iter().zip(&run.outcome.stages);
    let record = Record {
        dropped: dropped.collect::<Vec<_>>(),
        failed: run.failed.to_vec(),
        files: files.iter().map(|(path, digest)| (path.display().to_string(), *digest)).collect(),
        format: FORMAT,
        made: kinds::made(run.plan, run.outcome),
        name: run.plan.name.clone(),
        numerics: datasets::effect::networks().to_owned(),
        refrain: env!("CARGO_PKG_VERSION").to_owned(),
        run: name.to_owned(),
        scores,
        seed: run.plan.seed,
        stages: stages.map(|(planned, own)| stage(run.plan, planned, own)).collect(),
        sweep: layout::points(run.plan),
        tainted: run.withdrawn.tainted.clone(),
        views: layout::views(run.plan, run.outcome),
    };
    record.text()
}

fn stage(plan: &Plan, planned: &PlannedStage, own: &StageOutcome) -> StageRecord {
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    own.dropped.iter().for_each(|row| *reasons.entry(&row.code).or_default() += 1);
    StageRecord {
        dropped: own.dropped.len() as u64,
        from: planned.inputs.iter().flatten().map(|fed| plan.stages[*fed].name.clone()).collect(),
        kept: own.kept.len() as u64,
        name: planned.name.clone(),
        notes: own.ledger.notes.iter().cloned().collect::<BTreeSet<_>>(),
        reasons: reasons.into_iter().map(|(code, count)| (code.to_owned(), count)).collect(),
        revision: planned.entry.revision,
        salt: planned.salt.clone(),
        settings: planned.settings().map(|(name, value)| (name.to_owned(), value)).collect(),
        verb: planned.entry.verb.to_owned(),
    }
}
