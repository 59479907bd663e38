//! Finds the reason of an item: the present plan against the last published run, by the parts of which keys are made.
//!
//! Knows plan, dry runs and the history of the last published run. Uses nothing of the commands above it.
//!
//! An item's key is made of its verb with revision, settings, seed, versions and what it reads of its input rows. All but
//! the rows are compared stage by stage, the rows by the digests of what heavy work reads of them. A row that differs is
//! followed back to the stage where the difference starts.

pub mod approved;
mod compare;
mod pending;
pub mod preview;
pub mod reason;

use crate::{
    dataflow::outcome::Outcome,
    explain::reason::{Differences, Reason},
    plan::Plan,
    record::{
        Outline,
        history::{Fingerprint, History, Labels, Name, Past, parts},
        kinds,
        published::tracks,
    },
};
use compare::Reads;
pub use compare::{How, RowDiff};
use datasets::row::{Pending, Unknown};
use pending::Waits;
use stages::{
    rows::{AnyRow, Kind},
    settings::Role,
    stage::Cardinality,
};
use std::{
    cell::{OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    path::{Path, PathBuf},
};

/// Explains why items of a plan run, by comparison with the last published run.
pub struct Explainer<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) outcome: &'a Outcome,
    history: Option<&'a History>,
    refreshed: &'a [bool],
    pinned: &'a [bool],
    runs: PathBuf,
    /// Each stage as the last run had it, possibly under another name. `None` if that run had no such stage.
    past: Vec<Option<&'a Past>>,
    /// Rows of each stage that differ, by name.
    diffs: Vec<OnceCell<Vec<RowDiff>>>,
    /// Rows that wait at each stage, computed on first use.
    waits: Vec<OnceCell<Waits<'a>>>,
    /// Results of `stays`, by the address of the waiting row: whether it will be the row of the last run.
    stay: RefCell<HashMap<usize, bool>>,
    /// Ids of the last run's tracks by name, to name those that are gone.
    tracks: OnceCell<BTreeMap<Name, String>>,
    /// Names of the stages that failed in the last run, or rest on one that did.
    withheld: OnceCell<BTreeSet<String>>,
    /// Explainer against the former run that had the stages which the last run left out. `None` if there is none.
    former: Option<Box<Explainer<'a>>>,
}

/// The rows that an item or a row was made from and that differ.
struct Inputs<'d> {
    /// Whether it was made from one row, and maybe models, rather than from many rows.
    single: bool,
    rows: Vec<(usize, &'d RowDiff)>,
}

impl<'a> Explainer<'a> {
    /// Creates an explainer from a dry run's outcome and the last published run. `refreshed` are the stages that are
    /// asked for anew, `pinned` those whose weights a lock file names; `runs` is the folder of the published trees.
    pub fn new(
        plan: &'a Plan,
        outcome: &'a Outcome,
        history: Option<&'a History>,
        refreshed: &'a [bool],
        pinned: &'a [bool],
        runs: &Path,
    ) -> Explainer<'a> {
        let diffs = plan.stages.iter().map(|_| OnceCell::new()).collect();
        let waits = plan.stages.iter().map(|_| OnceCell::new()).collect();
        let past = compare::matched(plan, history);
        let former = history.and_then(History::former).map(|former| {
            let former = Explainer::new(plan, outcome, Some(former), refreshed, pinned, runs);
            Box::new(former)
        });
        let (runs, stay, tracks, withheld) = (runs.into(), RefCell::default(), OnceCell::new(), OnceCell::new());
        Explainer {
            plan,
            outcome,
            history,
            refreshed,
            pinned,
            runs,
            past,
            diffs,
            waits,
            stay,
            tracks,
            withheld,
            former,
        }
    }

    /// The explainer for a stage: against the last run that had it, with all that fed it then.
    pub fn of(&self, stage: usize) -> &Explainer<'a> {
        match &self.former {
            Some(former) if self.past[stage].is_none() && former.of(stage).past[stage].is_some() => former.of(stage),
            _ => self,
        }
    }

    /// The last published run, where one is known.
    pub(crate) fn last(&self) -> Option<&str> {
        self.history.map(|history| history.run.as_str())
    }

    /// The stage as it was in the last run.
    pub(crate) fn past(&self, stage: usize) -> Option<&'a Past> {
        self.past[stage]
    }

    /// Rows of a stage that differ from those of the last run, by name.
    pub(crate) fn diffs(&self, stage: usize) -> &[RowDiff] {
        self.diffs[stage].get_or_init(|| compare::rows(self.past[stage], &self.outcome.stages[stage].kept))
    }

    /// The reason of everything, where nothing is known of an earlier run and nothing is asked for anew.
    pub(crate) fn never_run(&self) -> Option<Reason> {
        let never = self.history.is_none() && !self.refreshed.contains(&true);
        never.then(|| Reason::NeverRun { name: self.plan.name.clone() })
    }

    /// Reason for which the effect of a stage would run on a row.
    pub fn item(&self, stage: usize, id: &str) -> Reason {
        let planned = &self.plan.stages[stage];
        if self.refreshed[stage] {
            return Reason::Refreshed { stage: planned.of.clone() };
        }
        if self.history.is_none() {
            return Reason::NeverRun { name: self.plan.name.clone() };
        }
        let Some(past) = self.past[stage] else { return self.new_stage(stage) };
        let id = self.row_of(stage, id);
        let name = Name::of(&id);
        let reads = match planned.entry.cardinality {
            Cardinality::Reduce => Reads::Whole,
            Cardinality::Corpus | Cardinality::Made => Reads::Placed,
            _ => Reads::Substance,
        };
        if planned.entry.cardinality == Cardinality::Source {
            let own = compare::own(planned, past, self.history);
            let failed = past.failed(name).then_some(Reason::Failed);
            let new = (!past.kept(name)).then_some(Reason::New { input: id });
            return own.or(failed).or(new).unwrap_or(Reason::Lost);
        }
        let inputs = self.inputs(stage, name, Some(&id), reads);
        let single: &[_] = if inputs.single { &inputs.rows } else { &[] };
        let new = single.iter().find(|(_, diff)| diff.how == How::Added);
        if let Some((fed, diff)) = new {
            return self.row(*fed, diff, reads);
        }
        compare::own(planned, past, self.history)
            .or_else(|| self.of_rows(&inputs, reads))
            .or_else(|| self.wiring(stage))
            .or_else(|| compare::settings(planned, past, |role| role == Role::Refresh))
            .or_else(|| past.failed(name).then_some(Reason::Failed))
            .unwrap_or(Reason::Lost)
    }

    /// Names of the stages that failed in the last run, or rest on one that did.
    fn withheld(&self) -> &BTreeSet<String> {
        self.withheld.get_or_init(|| {
            let last = self.history.and_then(|history| Outline::read(&self.runs.join(&history.run)).ok());
            let failed = last.into_iter().flat_map(|last| last.failed);
            failed.flat_map(|failed| std::iter::once(failed.stage).chain(failed.withheld)).collect()
        })
    }

    /// Reason for a stage that the last run did not have.
    fn new_stage(&self, stage: usize) -> Reason {
        let planned = &self.plan.stages[stage];
        if self.withheld().contains(&planned.name) {
            return Reason::Unfinished { stage: planned.name.clone() };
        }
        let label = planned.name.strip_prefix(&planned.of).and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'));
        let variant = |past: &Past| past.name.split('[').next() == Some(planned.of.as_str());
        let known = self.history.is_some_and(|history| history.stages.iter().any(variant));
        match label.filter(|_| known) {
            Some(point) => Reason::NewPoint { stage: planned.of.clone(), point: point.to_owned() },
            None => Reason::NewStage { stage: planned.name.clone() },
        }
    }

    /// Why an item of a stage may run, or a row of it is not known: it waits for an effect, maybe through models that may
    /// become others.
    pub fn waiting(&self, stage: usize, row: &Pending) -> Reason {
        let planned = &self.plan.stages[stage];
        // An item that waits for another of its stage waits for what that waits for.
        if *row.behind == *planned.name
            && let Some(first) = self.waits(stage).behind(&row.cause).find(|item| *item.behind != *planned.name)
        {
            return self.waiting(stage, first);
        }
        // A track waits for itself first.
        let own = parts(&row.id).0 == parts(&row.cause).0;
        if let Some((model, item)) = if own { None } else { self.through(stage, row) } {
            let because = self.waiting(model, item);
            return match because {
                Reason::NeverRun { .. } => because,
                _ => {
                    let stage = self.plan.stages[model].name.clone();
                    Reason::Waits { stage, certain: false, because: Box::new(because) }
                }
            };
        }
        let (origin, cause, certain) = self.origin(&row.behind, &row.cause);
        let because = origin.map_or(Reason::Lost, |origin| self.item(origin, &cause));
        if let Reason::NeverRun { .. } = because {
            return because;
        }
        let stage = origin.map_or(&*row.behind, |origin| &self.plan.stages[origin].name).to_owned();
        Reason::Waits { stage, certain, because: Box::new(because) }
    }

    /// Whether a row that is not known yet will be that of the last run: only its remembered result is lost.
    pub(crate) fn stays(&self, stage: usize, row: &'a Pending) -> bool {
        let stays = || matches!(self.waiting(stage, row).first(), Reason::Lost | Reason::Failed);
        let planned = &self.plan.stages[stage];
        let own = parts(&row.id).0 == parts(&row.cause).0;
        let alone = *row.behind != *planned.name || self.outcome.stages[stage].ledger.may.is_empty();
        // A track that waits for itself does so for the same reason at every stage, and comes by at most of them.
        if !(own && alone) {
            return stays();
        }
        let place = std::ptr::from_ref::<Unknown>(row).addr();
        if let Some(known) = self.stay.borrow().get(&place) {
            return *known;
        }
        let stays = stays();
        self.stay.borrow_mut().insert(place, stays);
        stays
    }

    fn waits(&self, stage: usize) -> &Waits<'a> {
        self.waits[stage].get_or_init(|| Waits::of(&self.outcome.stages[stage]))
    }

    /// The nearest stage before another that makes one result of a corpus and waits for the same.
    fn through(&self, stage: usize, row: &Pending) -> Option<(usize, &Pending)> {
        let mut open: VecDeque<usize> = self.plan.stages[stage].inputs.iter().flatten().copied().collect();
        while let Some(fed) = open.pop_front() {
            let planned = &self.plan.stages[fed];
            if *planned.name == *row.behind {
                continue;
            }
            if matches!(planned.entry.cardinality, Cardinality::Corpus | Cardinality::Made)
                && let Some(item) = self.waits(fed).behind(&row.cause).find(|other| other.behind == row.behind)
            {
                return Some((fed, item));
            }
            open.extend(planned.inputs.iter().flatten());
        }
        None
    }

    /// The effect that something waits for in the end, by stage and row, and whether it will run.
    fn origin(&self, behind: &str, cause: &str) -> (Option<usize>, String, bool) {
        let index = |name: &str| self.plan.stages.iter().position(|stage| stage.name == name);
        let (mut stage, mut cause, mut seen) = (index(behind), cause.to_owned(), BTreeSet::new());
        while let Some(own) = stage {
            if self.waits(own).will_run(&cause) {
                return (stage, cause, true);
            }
            if !seen.insert((own, cause.clone())) {
                break;
            }
            match self.waits(own).item(&cause) {
                Some(row) => (stage, cause) = (index(&row.behind), row.cause.to_string()),
                // The item of a corpus waits for what its corpus waits for, by the name of that.
                None => match (0..self.plan.stages.len()).find(|&other| self.waits(other).will_run(&cause)) {
                    Some(other) => return (Some(other), cause, true),
                    None => break,
                },
            }
        }
        (stage, cause, false)
    }

    /// The row that an item stands for: a source names it by its key.
    fn row_of(&self, stage: usize, id: &str) -> String {
        match self.plan.stages[stage].entry.cardinality == Cardinality::Source {
            true => self.waits(stage).row(id).map_or_else(|| id.to_owned(), |row| row.id.to_string()),
            false => id.to_owned(),
        }
    }

    /// The stages that feed a stage by a port, each by one that the last run had: what a new stage lets through is what
    /// comes in.
    fn fed(&self, stage: usize, port: usize) -> impl Iterator<Item = usize> {
        let stages = &self.plan.stages;
        let basis = |mut fed: usize| {
            while self.past[fed].is_none()
                && let Some(&[one]) = stages[fed].inputs.first().map(Vec::as_slice)
                && stages[one].entry.gives == stages[fed].entry.gives
            {
                fed = one;
            }
            fed
        };
        stages[stage].inputs.get(port).into_iter().flatten().map(move |fed| basis(*fed))
    }

    /// The changed rows that an item or row was made from. `id` is that of an item; its name alone is known of rows.
    fn inputs(&self, stage: usize, name: Name, id: Option<&str>, reads: Reads) -> Inputs<'_> {
        let planned = &self.plan.stages[stage];
        let one_to_one = matches!(planned.entry.cardinality, Cardinality::OneToOne | Cardinality::OneToMany);
        // A reduce of tracks judges each beside the others.
        let judged = planned.entry.cardinality == Cardinality::Reduce && planned.entry.gives == Kind::Track;
        let own = || self.fed(stage, 0).any(|fed| compare::find(self.diffs(fed), name).is_some_and(|d| d.seen(reads)));
        let single = one_to_one || judged && own();
        let splits = compare::splits(planned);
        let shard = id.and_then(|id| id.split_once('/')).filter(|_| planned.entry.gives == Kind::Shard);
        let mut rows: Vec<(usize, &RowDiff)> = Vec::new();
        for port in 0..planned.inputs.len() {
            for fed in self.fed(stage, port) {
                let diffs = self.diffs(fed);
                if single && port == 0 {
                    let name = if planned.entry.cardinality == Cardinality::OneToMany { name.track() } else { name };
                    rows.extend(compare::find(diffs, name).filter(|diff| diff.seen(reads)).map(|diff| (fed, diff)));
                    continue;
                }
                let chosen = diffs.iter().filter(|diff| {
                    diff.seen(reads)
                        && match shard {
                            Some((split, prefix)) => diff.within(split, prefix),
                            None => diff.placed(&splits),
                        }
                });
                rows.extend(chosen.map(|diff| (fed, diff)));
            }
        }
        Inputs { single, rows }
    }

    /// The reason that lies in the rows that something is made from.
    fn of_rows(&self, inputs: &Inputs<'_>, reads: Reads) -> Option<Reason> {
        let first = [How::Added, How::Changed, How::Gone].into_iter();
        let (fed, diff) = first.filter_map(|how| inputs.rows.iter().find(|(_, diff)| diff.how == how)).next()?;
        let because = self.row(*fed, diff, reads);
        let of_one = kinds::is_model(self.plan.stages[*fed].entry.gives);
        if inputs.single || of_one {
            return Some(because);
        }
        let mut differ = Differences::default();
        for (_, diff) in inputs.rows.iter().filter(|(own, _)| own == fed) {
            match diff.how {
                How::Added => differ.added += 1,
                How::Changed => differ.changed += 1,
                How::Gone => differ.gone += 1,
            }
        }
        Some(Reason::Rows { stage: self.plan.stages[*fed].name.clone(), differ, because: Box::new(because) })
    }

    /// Reason of a row's difference. At a stage that makes one result of many rows, it says so.
    fn row(&self, stage: usize, diff: &RowDiff, reads: Reads) -> Reason {
        let planned = &self.plan.stages[stage];
        let because = self.cause(stage, diff, reads);
        match planned.entry.cardinality {
            Cardinality::Corpus | Cardinality::Made => {
                Reason::Upstream { stage: planned.name.clone(), because: Box::new(because) }
            }
            _ => because,
        }
    }

    fn cause(&self, stage: usize, diff: &RowDiff, reads: Reads) -> Reason {
        let planned = &self.plan.stages[stage];
        if self.refreshed[stage] {
            return Reason::Refreshed { stage: planned.of.clone() };
        }
        let Some(past) = self.past[stage] else { return self.new_stage(stage) };
        if self.pinned[stage] {
            // What a lock file names does not follow from rows.
            return compare::canonical(planned, past)
                .or_else(|| compare::settings(planned, past, |role| role == Role::Refresh))
                .unwrap_or_else(|| Reason::Pinned { stage: planned.name.clone() });
        }
        let own = || compare::own(planned, past, self.history);
        if planned.entry.cardinality == Cardinality::Source {
            return own().unwrap_or_else(|| self.source(stage, past, diff, reads));
        }
        let inputs = self.inputs(stage, diff.name, None, reads);
        if inputs.single && !inputs.rows.is_empty() {
            let other = || Reason::Other { stage: planned.name.clone() };
            return self.of_rows(&inputs, reads).unwrap_or_else(other);
        }
        let mut withdrawn = self.waits(stage).withdrawn.iter();
        if let Some(row) = withdrawn.find(|row| diff.how == How::Gone && Name::of(&row.id) == diff.name) {
            return Reason::Withdrawn { input: row.id.clone() };
        }
        // What is said about a track may decide whether it is kept, and where it is put.
        let whole = || self.of_rows(&self.inputs(stage, diff.name, None, Reads::Whole), Reads::Whole);
        own()
            .or_else(|| self.of_rows(&inputs, reads))
            .or_else(whole)
            .or_else(|| self.wiring(stage))
            .or_else(|| compare::settings(planned, past, |role| role == Role::Refresh))
            .unwrap_or_else(|| Reason::Other { stage: planned.name.clone() })
    }

    /// Reason of a difference in a source's rows.
    fn source(&self, stage: usize, past: &Past, diff: &RowDiff, reads: Reads) -> Reason {
        let kept = &self.outcome.stages[stage].kept;
        let row = diff.now.map(|index| kept.get(index));
        let input = row.as_ref().map_or_else(|| self.track(diff.name), |row| parts(&row.id()).0.to_owned());
        match diff.how {
            How::Added if past.failed(diff.name) => Reason::Failed,
            How::Added => Reason::New { input },
            How::Gone => Reason::Removed { input },
            How::Changed if reads != Reads::Whole || diff.content_digest => Reason::Bytes { input },
            How::Changed => {
                let labels = if let Some(AnyRow::Track(track)) = &row { Some(Labels::of(&track.view())) } else { None };
                let what = labels.zip(past.labels(diff.name)).map(|(now, was)| now.differences(&was));
                Reason::Labels { input, what: what.unwrap_or_default() }
            }
        }
    }

    /// Id of a track that is gone, from the list of the last run; empty if the list does not hold it.
    fn track(&self, name: Name) -> String {
        let read = || {
            // The name is for the reader's eyes alone: without a list of this run the reason stands without it.
            let listed = |run: PathBuf| tracks(&run, &Outline::read(&run).ok()?.files).ok()?;
            let run = self.history.map(|history| self.runs.join(&history.run));
            let tracks = run.and_then(listed).unwrap_or_default();
            tracks.into_iter().map(|track| (Name::of(&track.track), track.track)).collect()
        };
        self.tracks.get_or_init(read).get(&name.track()).cloned().unwrap_or_default()
    }

    /// Whether other stages feed a stage.
    fn wiring(&self, stage: usize) -> Option<Reason> {
        let past = self.past[stage]?;
        let fed = self.plan.stages[stage].inputs.iter().flatten();
        let (as_was, now): (Vec<&str>, Vec<&str>) = fed
            .map(|&fed| {
                let now = self.plan.stages[fed].name.as_str();
                (self.past[fed].map_or(now, |past| past.name.as_str()), now)
            })
            .unzip();
        let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let was: Vec<&str> = past.from.iter().map(String::as_str).collect();
        let sorted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        (sorted(&as_was) != sorted(&was)).then(|| Reason::Wiring {
            stage: self.plan.stages[stage].name.clone(),
            was: quoted(&was),
            now: quoted(&now),
        })
    }

    /// The fingerprints of the rows that a stage keeps now, or kept in the last run where none is known now.
    pub(crate) fn fingerprints(&self, stage: usize) -> Vec<Fingerprint> {
        let kept = &self.outcome.stages[stage].kept;
        match self.past[stage] {
            Some(past) if kept.is_empty() => past.rows().collect(),
            _ => kept.fingerprints().collect(),
        }
    }
}
