//! Refused rows are rows: checks that every row that went in came out, kept or dropped.

use crate::{execute::Outcome, plan::Plan};
use stages::{
    flow::Failure,
    stage::{AnyRow, Shape},
};
use std::collections::{BTreeMap, BTreeSet};

/// Stages over a whole corpus that had rows, and none that they select: there is nothing to train on.
pub fn idle(plan: &Plan, outcome: &Outcome) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (stage, own) in plan.stages.iter().zip(&outcome.stages) {
        let first = stage.inputs.first().map(Vec::as_slice).unwrap_or_default();
        let rows: Vec<&AnyRow> = first.iter().flat_map(|i| &outcome.stages[*i].kept).map(|row| &**row).collect();
        if stage.entry.shape != Shape::Corpus || !own.kept.is_empty() || rows.is_empty() {
            continue;
        }
        let mut splits: BTreeMap<&str, usize> = BTreeMap::new();
        rows.iter().for_each(|row| *splits.entry(split(row)).or_default() += 1);
        let splits: Vec<String> = splits.iter().map(|(split, count)| format!("{count} in `{split}`")).collect();
        let selects = stage.ready.shown().into_iter().find(|(name, _)| *name == "split");
        let selects = selects.map_or_else(String::new, |(_, value)| format!(" of split = {value}"));
        failures.push(Failure::Stage {
            stage: stage.name.clone(),
            why: format!(
                "it got no row{selects} among its {}: {}; add recordings, or divide them otherwise by the settings of `split`",
                rows.len(),
                splits.join(", ")
            ),
        });
    }
    failures
}

/// The split that a row lies in.
fn split(row: &AnyRow) -> &str {
    match row {
        AnyRow::Clip(clip) => clip.track.split.as_deref().unwrap_or("no split"),
        AnyRow::Codes(codes) => codes.clip.track.split.as_deref().unwrap_or("no split"),
        AnyRow::Shard(shard) => &shard.split,
        _ => "no split",
    }
}

/// Checks every stage of a finished run.
///
/// # Errors
/// A sentence for each stage whose rows do not add up: a bug of ours.
pub fn check(plan: &Plan, outcome: &Outcome, found: &[usize]) -> Result<(), Vec<String>> {
    let wrong: Vec<String> = plan
        .stages
        .iter()
        .enumerate()
        .filter_map(|(index, stage)| {
            let own = &outcome.stages[index];
            let first = stage.inputs.first().map(Vec::as_slice).unwrap_or_default();
            let inputs = || first.iter().flat_map(|i| outcome.stages[*i].kept.iter());
            let (kept, dropped) = (own.kept.len(), own.dropped.len());
            let fine = match stage.entry.shape {
                Shape::Source => kept + dropped == found[index],
                Shape::OneToOne => kept + dropped == inputs().count(),
                Shape::OneToMany => {
                    let given: BTreeSet<String> = inputs().map(|row| row.id()).collect();
                    let made: BTreeSet<String> = own.kept.iter().map(|row| parent(row)).collect();
                    let refused: BTreeSet<String> = own.dropped.iter().map(|row| row.id.clone()).collect();
                    refused.len() == dropped && made.is_disjoint(&refused) && &made | &refused == given
                }
                Shape::Reduce => members(&own.kept) + own.dropped.len() == inputs().count(),
                Shape::Corpus => kept == 1 || inputs().next().is_none(),
                Shape::Made => kept >= 1 || inputs().next().is_none(),
            };
            let given = if stage.inputs.is_empty() { found[index] } else { inputs().count() };
            (!fine).then(|| format!("{}: {given} rows in, {kept} kept, {dropped} dropped", stage.name))
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn parent(row: &AnyRow) -> String {
    match row {
        AnyRow::Clip(clip) => clip.track.id.clone(),
        AnyRow::Codes(codes) => codes.clip.track.id.clone(),
        other => other.id(),
    }
}

/// Rows that kept rows stand for.
fn members(kept: &[std::sync::Arc<AnyRow>]) -> usize {
    kept.iter().map(|row| if let AnyRow::Shard(shard) = &**row { shard.clips as usize } else { 1 }).sum()
}
