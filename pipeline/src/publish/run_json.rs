//! `run.json` from a plan and its outcome.

use crate::{
    publish::{layout, publication::Run},
    record::scores::Score,
    record::{Line, Record, kinds},
};
use datasets::Digest;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

/// What follows from plan and inputs.
pub(crate) fn record(run: &Run<'_>, name: &str, files: &BTreeMap<PathBuf, Digest>, scores: &[Score]) -> String {
    let stages: Vec<Value> = run
        .plan
        .stages
        .iter()
        .zip(&run.outcome.stages)
        .map(|(stage, own)| {
            let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
            own.dropped.iter().for_each(|row| *reasons.entry(&row.code).or_default() += 1);
            let settings: BTreeMap<&str, String> = stage.settings().collect();
            json!({
                "name": stage.name,
                "verb": stage.entry.verb,
                "revision": stage.entry.revision,
                "from": stage.inputs.iter().flatten().map(|i| &run.plan.stages[*i].name).collect::<Vec<_>>(),
                "settings": settings,
                "salt": stage.salt,
                "kept": own.kept.len(),
                "dropped": own.dropped.len(),
                "reasons": reasons,
                "notes": own.ledger.notes,
            })
        })
        .collect();
    let told = run.withdrawn.redact();
    let dropped = run.plan.stages.iter().zip(&run.outcome.stages).flat_map(|(stage, own)| {
        // Withdrawn tracks are named in the quarantine table alone.
        let named = own.dropped.iter().filter(|row| !row.withdrawn());
        named.map(|row| Line { code: &row.code, id: &row.id, stage: &stage.name, why: told(row) })
    });
    let record = Record {
        dropped: dropped.collect(),
        files: files.iter().map(|(path, digest)| (path.display().to_string(), digest)).collect(),
        format: 2,
        made: json!(kinds::made(run.plan, run.outcome)),
        name: &run.plan.name,
        numerics: datasets::effect::numerics(),
        refrain: env!("CARGO_PKG_VERSION"),
        run: name,
        scores: json!(scores),
        seed: run.plan.seed,
        stages,
        sweep: layout::points(run.plan),
        tainted: json!(run.withdrawn.tainted),
        views: layout::views(run.plan, run.outcome),
    };
    // Numbers, strings and lists of them: there is nothing that could fail.
    serde_json::to_string_pretty(&record).unwrap_or_default() + "\n"
}
