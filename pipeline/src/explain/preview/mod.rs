//! Preview of a run, the answer of `plan`: what it would do, why, and at what cost.

mod cost;
mod json;
mod text;

use crate::{
    explain::{Explainer, How, reason::Reason},
    record::history::{Name, parts},
};
pub use cost::Estimate;
use cost::{Pace, cost, first_of_each};
use datasets::row::Pending;
use rayon::prelude::*;
use stages::{rows::Kind, stage::Cardinality};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Maximum number of ids that are spelled out.
const EXAMPLES: usize = 5;

/// Preview of a run: what it would do, stage by stage.
#[derive(Debug)]
pub struct Preview {
    /// The last published run that it is compared with.
    pub run: Option<String>,
    /// Stages, in the order of the plan.
    pub stages: Vec<Stage>,
}

/// Preview of one stage.
#[derive(Debug)]
pub struct Stage {
    /// The stage's name.
    pub name: String,
    /// Ids of rows on which its effect will run, sorted.
    pub will: Vec<Arc<str>>,
    /// Rows on which its effect may run, with what they wait for, sorted.
    pub may: Vec<Pending>,
    /// Results that are remembered.
    pub cached: u64,
    /// Rows that are known and kept.
    pub kept: usize,
    /// Rows that are dropped.
    pub dropped: usize,
    /// Rows that an opt-out list names, with its sentence.
    pub withdrawn: Vec<(String, String)>,
    /// Rows to add and to retract; of what waits an estimate.
    pub rows: (u64, u64),
    /// Whether something waits.
    pub open: bool,
    /// Items that will run, and that may run when one counts for all that it stands for.
    pub items: (u64, u64),
    /// Reasons, each once, with the items that it holds for.
    pub reasons: Vec<Told>,
    /// Estimated cost of running all items.
    pub cost: Estimate,
}

/// A reason and the items that it holds for.
#[derive(Debug)]
pub struct Told {
    /// The reason; of items with several, what these have in common.
    pub reason: Reason,
    /// Whether the items will run; otherwise they may.
    pub certain: bool,
    /// Number of items.
    pub count: u64,
    /// The ids of the first.
    pub ids: Vec<String>,
}

impl Preview {
    /// Computes the preview from a dry run.
    pub fn of(explainer: &Explainer<'_>) -> Preview {
        let pace = Pace::of(explainer);
        let stages = (0..explainer.plan.stages.len()).map(|stage| of_stage(explainer, stage, &pace)).collect();
        Preview { run: explainer.last().map(str::to_owned), stages }
    }

    /// Total cost of all stages, and the names of those whose items were never measured.
    fn total(&self) -> (Estimate, Vec<&str>) {
        let busy = self.stages.iter().filter(|stage| stage.items != (0, 0));
        let total = busy.clone().fold(Estimate::default(), |total, stage| total.add(stage.cost));
        (total, busy.filter(|stage| stage.cost.seconds.is_none()).map(|stage| stage.name.as_str()).collect())
    }

    /// Items that will and that may run.
    fn items(&self) -> (u64, u64) {
        self.stages.iter().fold((0, 0), |(will, may), stage| (will + stage.items.0, may + stage.items.1))
    }
}

/// Reasons of items, grouped by what they have in common.
#[derive(Default)]
struct Families(BTreeMap<(bool, Reason), Family>);

/// Items that have their reason in common but for the names of inputs.
#[derive(Default)]
struct Family {
    /// One or two of their reasons.
    reasons: BTreeSet<Reason>,
    count: u64,
    /// The ids of the first.
    ids: Vec<String>,
}

impl Families {
    fn tell(&mut self, certain: bool, reason: Reason, id: &str) {
        let own = self.0.entry((!certain, reason.family())).or_default();
        // One or several is all that matters.
        if own.reasons.len() < 2 {
            own.reasons.insert(reason);
        }
        own.add(std::iter::once(id));
    }

    fn told(self) -> Vec<Told> {
        let told = self.0.into_iter().map(|((uncertain, family), mut own)| Told {
            reason: own.reasons.pop_first().filter(|_| own.reasons.is_empty()).unwrap_or(family),
            certain: !uncertain,
            count: own.count,
            ids: own.ids,
        });
        told.collect()
    }
}

impl Family {
    fn add<'i>(&mut self, ids: impl Iterator<Item = &'i str>) {
        for id in ids {
            self.count += 1;
            if self.ids.len() < EXAMPLES {
                self.ids.push(id.to_owned());
            }
        }
    }
}

fn reasons(explainer: &Explainer<'_>, stage: usize) -> Vec<Told> {
    let own = &explainer.outcome.stages[stage].ledger;
    let mut families = Families::default();
    if let Some(never) = explainer.never_run() {
        let mut all = |certain: bool, ids: &mut dyn Iterator<Item = &str>| {
            let mut family = Family { reasons: [never.clone()].into(), ..Family::default() };
            family.add(ids);
            if family.count > 0 {
                families.0.insert((!certain, never.family()), family);
            }
        };
        all(true, &mut own.will.iter().map(|id| &**id));
        all(false, &mut first_of_each(&own.may).map(|row| &*row.id));
        return families.told();
    }
    own.will.iter().for_each(|id| families.tell(true, explainer.item(stage, id), id));
    first_of_each(&own.may).for_each(|row| families.tell(false, explainer.waiting(stage, row), &row.id));
    families.told()
}

fn of_stage(explainer: &Explainer<'_>, stage: usize, pace: &Pace) -> Stage {
    let explainer = explainer.of(stage);
    let (planned, own) = (&explainer.plan.stages[stage], &explainer.outcome.stages[stage]);
    let clips = clips_of_a_track(explainer, stage);
    let each = |row: &Pending| if parts(&row.id).1.is_none() { clips } else { 1.0 };
    let may = first_of_each(&own.ledger.may).map(each).sum::<f64>().round() as u64;
    let items = (own.ledger.will.len() as u64, may);
    let withdrawn = own.dropped.iter().filter(|row| row.withdrawn());
    Stage {
        name: planned.name.clone(),
        cached: own.ledger.cached,
        kept: own.kept.len(),
        dropped: own.dropped.len(),
        withdrawn: withdrawn.map(|row| (row.id.clone(), row.why.to_string())).collect(),
        rows: changes(explainer, stage),
        open: !own.pending.is_empty(),
        items,
        reasons: reasons(explainer, stage),
        cost: cost(explainer, stage, items.0 + items.1, pace),
        will: own.ledger.will.clone(),
        may: own.ledger.may.clone(),
    }
}

/// Estimated number of clips per track, where a stage works on clips; 1 elsewhere.
fn clips_of_a_track(explainer: &Explainer<'_>, stage: usize) -> f64 {
    let planned = &explainer.plan.stages[stage];
    let clips = |kind: Kind| matches!(kind, Kind::Clip | Kind::Codes);
    if !clips(planned.entry.gives) {
        return 1.0;
    }
    let fed = planned.inputs.first().and_then(|fed| fed.first()).copied();
    let fed = fed.filter(|&fed| clips(explainer.plan.stages[fed].entry.gives)).unwrap_or(stage);
    let fingerprints = explainer.fingerprints(fed);
    let tracks: BTreeSet<Name> = fingerprints.iter().map(|fingerprint| fingerprint.name.track()).collect();
    if tracks.is_empty() { 1.0 } else { fingerprints.len() as f64 / tracks.len() as f64 }
}

/// The names of the rows of a stage that wait, sorted, each with whether the row will be the same: where only what was
/// remembered of it is lost.
fn waiting(explainer: &Explainer<'_>, stage: usize) -> Vec<(Name, bool)> {
    let rows = &explainer.outcome.stages[stage].pending;
    let mut waiting: Vec<(Name, bool)> = match explainer.never_run() {
        Some(_) => rows.par_iter().map(|row| (Name::of(&row.id), false)).collect(),
        None => rows.iter().map(|row| (Name::of(&row.id), explainer.stays(stage, row))).collect(),
    };
    waiting.par_sort_unstable();
    // Of several of one name, one that will be another decides: it comes first.
    waiting.dedup_by_key(|(name, _)| *name);
    waiting
}

/// Rows that a stage will add and retract against the last run. A row that waits is taken for another one, unless only
/// what was remembered of it is lost.
fn changes(explainer: &Explainer<'_>, stage: usize) -> (u64, u64) {
    let (planned, own) = (&explainer.plan.stages[stage], &explainer.outcome.stages[stage]);
    let waiting = waiting(explainer, stage);
    // Of a stage that was not there, all rows are new.
    let (diffs, new) = match explainer.past(stage) {
        Some(_) => (explainer.diffs(stage), 0),
        None => (&[][..], own.kept.len() as u64),
    };
    let all = matches!(planned.entry.cardinality, Cardinality::Corpus | Cardinality::Made);
    let find = |name: Name| Some(waiting[waiting.binary_search_by_key(&name, |(own, _)| *own).ok()?].1);
    let waits = |name: Name| match all {
        true => waiting.iter().map(|(_, same)| *same).min(),
        false => find(name).or_else(|| find(name.track())),
    };
    let (mut added, mut retracted, mut renewed) = (new, 0, 0);
    for diff in diffs {
        match (diff.how, waits(diff.name)) {
            (How::Added, _) => added += 1,
            (How::Changed, _) => (added, retracted) = (added + 1, retracted + 1),
            (How::Gone, None) => retracted += 1,
            (How::Gone, Some(true)) => {}
            (How::Gone, Some(false)) => (retracted, renewed) = (retracted + 1, renewed + 1),
        }
    }
    let clips = clips_of_a_track(explainer, stage);
    let fresh = waiting.iter().filter(|(_, same)| !same);
    let fresh: f64 = fresh.map(|(name, _)| if *name == name.track() { clips } else { 1.0 }).sum();
    // What is made of everything is as much as it was.
    added += if all && renewed > 0 { renewed } else { fresh.round() as u64 };
    (added, retracted)
}
