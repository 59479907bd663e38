//! Conservation of rows: checks that every row that went in came out, kept or dropped.

use crate::{dataflow::outcome::Outcome, plan::Plan, record::kinds};
use rayon::prelude::*;
use stages::{rows::kept::Kept, settings::Role, stage::Cardinality};
use std::collections::{BTreeMap, BTreeSet};

/// Stages over a whole corpus that had rows, and none that they select, each with a sentence: there is nothing to train on.
pub fn idle(plan: &Plan, outcome: &Outcome) -> Vec<(usize, String)> {
    let mut failures = Vec::new();
    for (index, (stage, own)) in plan.stages.iter().zip(&outcome.stages).enumerate() {
        let first = stage.inputs.first().map(Vec::as_slice).unwrap_or_default();
        let count: usize = first.iter().map(|i| outcome.stages[*i].kept.len()).sum();
        if stage.entry.cardinality != Cardinality::Corpus || !own.kept.is_empty() || count == 0 {
            continue;
        }
        let mut splits: BTreeMap<String, usize> = BTreeMap::new();
        for row in first.iter().flat_map(|i| outcome.stages[*i].kept.iter()) {
            let split = if row.split().is_empty() { "no split" } else { row.split() };
            *splits.entry(split.to_owned()).or_default() += 1;
        }
        let splits: Vec<String> = splits.iter().map(|(split, count)| format!("{count} in `{split}`")).collect();
        let selects = stage.ready.with_role(&|role| role == Role::Selects).into_iter().next();
        let selects = selects.map_or_else(String::new, |(name, value)| format!(" of {name} = {value}"));
        failures.push((
            index,
            format!(
                "it got no row{selects} among its {count}: {}; add recordings, or divide them otherwise by the settings of `split`",
                splits.join(", ")
            ),
        ));
    }
    failures
}

/// Stages that lost every row, each with a sentence, where nothing is left for one on which nothing rests. `found`: the rows
/// that each source was fed.
pub(crate) fn lost(plan: &Plan, outcome: &Outcome, found: &[usize]) -> Vec<(usize, String)> {
    let fed: BTreeSet<usize> = plan.stages.iter().flat_map(|stage| stage.inputs.iter().flatten().copied()).collect();
    let left = |stage: usize| outcome.stages[stage].kept.len();
    let mut lost = Vec::new();
    for (index, (stage, own)) in plan.stages.iter().zip(&outcome.stages).enumerate() {
        let given = match stage.inputs.first() {
            None => found[index],
            Some(first) => first.iter().map(|fed| left(*fed)).sum(),
        };
        let whole = matches!(stage.entry.cardinality, Cardinality::Corpus | Cardinality::Made);
        // What stages over the whole corpus make of the rows that they get is said elsewhere.
        if left(index) > 0 || whole || (given == 0 && !stage.inputs.is_empty()) {
            continue;
        }
        let ends = resting(plan, [index]).into_iter().filter(|stage| !fed.contains(stage));
        if !ends.into_iter().any(|end| left(end) == 0) {
            continue;
        }
        let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
        own.dropped.iter().for_each(|row| *codes.entry(&row.code).or_default() += 1);
        let codes: Vec<String> = codes.iter().map(|(code, count)| format!("{count} {code}")).collect();
        let what = match own.dropped.first() {
            None => format!("it found no {}", stage.entry.unit),
            Some(first) => format!("it dropped all {given} rows ({}); the first: {first}", codes.join(", ")),
        };
        lost.push((index, format!("{what}. No row is left; --allow-empty publishes all the same")));
    }
    lost
}

/// Notes the splits that a stage assigns and into which no row fell.
pub(crate) fn note_empty_splits(plan: &Plan, outcome: &mut Outcome) {
    for (stage, own) in plan.stages.iter().zip(&mut outcome.stages) {
        let mut empty = stage.ready.splits().filter(|_| !own.kept.is_empty()).unwrap_or_default();
        empty.retain(|split| own.kept.views().all(|track| track.split != Some(*split)));
        let names: Vec<String> = empty.iter().map(|split| format!("`{split}`")).collect();
        if !names.is_empty() {
            let (unit, count) = (stage.entry.unit, own.kept.len());
            own.ledger.notes.insert(format!("none of the {count} {unit} fell into {}", names.join(" and ")));
        }
    }
}

/// Collects `stages` and all that rest on them. Each stage stands behind those that feed it.
pub(super) fn resting(plan: &Plan, stages: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
    let mut all: BTreeSet<usize> = stages.into_iter().collect();
    for (index, stage) in plan.stages.iter().enumerate() {
        if stage.inputs.iter().flatten().any(|fed| all.contains(fed)) {
            all.insert(index);
        }
    }
    all
}

/// Checks every stage of a finished run but those that are withheld, which have no rows.
///
/// # Errors
/// A sentence for each stage whose rows do not add up: a bug of ours.
pub fn check(plan: &Plan, outcome: &Outcome, found: &[usize], withheld: &BTreeSet<String>) -> Result<(), Vec<String>> {
    let wrong: Vec<String> = plan
        .stages
        .iter()
        .enumerate()
        .filter(|(_, stage)| !withheld.contains(&stage.name))
        .filter_map(|(index, stage)| {
            let own = &outcome.stages[index];
            let first = stage.inputs.first().map(Vec::as_slice).unwrap_or_default();
            let inputs = || first.iter().map(|i| &outcome.stages[*i].kept);
            let given = if stage.inputs.is_empty() { found[index] } else { inputs().map(Kept::len).sum() };
            let (kept, dropped) = (own.kept.len(), own.dropped.len());
            let fine = match stage.entry.cardinality {
                Cardinality::Source | Cardinality::OneToOne => kept + dropped == given,
                Cardinality::OneToMany => {
                    let given: BTreeSet<&str> = inputs().flat_map(tracks).collect();
                    let made: BTreeSet<&str> = tracks(&own.kept).collect();
                    let refused: BTreeSet<&str> = own.dropped.iter().map(|row| row.id.as_str()).collect();
                    refused.len() == dropped && made.is_disjoint(&refused) && &made | &refused == given
                }
                Cardinality::Reduce => kinds::members(&own.kept) + dropped == given,
                Cardinality::Corpus => kept == 1 || given == 0,
                Cardinality::Made => kept >= 1 || given == 0,
            };
            (!fine).then(|| format!("{}: {given} rows in, {kept} kept, {dropped} dropped", stage.name))
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The ids of the tracks that rows are or are parts of.
fn tracks(kept: &Kept) -> impl Iterator<Item = &str> {
    (0..kept.len()).map(|index| kept.track_id(index))
}
