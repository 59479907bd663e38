//! Refused rows are rows: checks that every row that went in came out, kept or dropped.

use crate::{execute::Outcome, plan::Plan};
use stages::stage::{AnyRow, Shape};
use std::collections::BTreeSet;

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
