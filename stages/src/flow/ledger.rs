//! The ledger: what ran, what was remembered, what would run, and what went wrong.

use super::order;
use crate::flow::failure::Failure;
use datasets::{Digest, row::Pending};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Cost of the effects that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// Number of effects that ran.
    pub executed: u64,
    /// Seconds of work, added up over all effects: run side by side, they take less.
    pub seconds: f64,
    /// Bytes of the objects that the effects made.
    pub bytes: u64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.executed += other.executed;
        self.seconds += other.seconds;
        self.bytes += other.bytes;
    }
}

/// Ledger of one stage: effects that ran or were remembered, their cost, and notes.
#[derive(Clone, Debug, Default)]
pub struct StageLedger {
    /// Ids of the rows on which an effect ran.
    pub executed: BTreeSet<String>,
    /// Cost of the executed effects.
    pub cost: Cost,
    /// Number of memo hits.
    pub cached: u64,
    /// Ids of the rows on which an effect would run, sorted. Dry run only.
    pub will: Vec<Arc<str>>,
    /// Rows on which an effect may run, with what they wait for, each once, sorted. Dry run only.
    pub may: Vec<Pending>,
    /// Sentences for the summary and the report, such as "codec pinned, 12 tracks newer than it".
    pub notes: BTreeSet<String>,
}

impl StageLedger {
    /// Whether an effect would run on the row of an id. Dry run only.
    pub fn will_run(&self, id: &str) -> bool {
        self.will.binary_search_by(|own| (**own).cmp(id)).is_ok()
    }
}

/// Collects what the operators report; shared by all workers of the process.
#[derive(Default)]
pub struct Ledger {
    stages: Mutex<BTreeMap<String, StageLedger>>,
    failures: Mutex<Vec<Failure>>,
    unread: Mutex<BTreeSet<String>>,
    /// Stages that would make a result, by the key of the effect. Dry run only.
    claims: Mutex<HashMap<Digest, Claim>>,
    /// Rows on which an effect may run, as they come, by stage. Dry run only.
    may: Mutex<BTreeMap<Arc<str>, Vec<(Pending, isize)>>>,
}

/// A stage and the id of its row on which an effect would run. Dry run only.
type Claimant = (Arc<str>, Arc<str>);

/// The rows that share one key, one for each stage. Dry run only.
struct Claim {
    first: Claimant,
    others: Vec<Claimant>,
}

impl Ledger {
    /// A source could not be read: no model is trained on the rest.
    pub fn unreadable(&self, why: String) {
        lock(&self.unread).insert(why);
    }

    /// The first source that could not be read.
    pub fn unread(&self) -> Option<String> {
        lock(&self.unread).first().cloned()
    }

    fn with(&self, stage: &str, change: impl FnOnce(&mut StageLedger)) {
        let mut stages = lock(&self.stages);
        match stages.get_mut(stage) {
            Some(entry) => change(entry),
            None => change(stages.entry(stage.to_owned()).or_default()),
        }
    }

    /// An effect ran, and took so long, and so many bytes came of it.
    pub fn executed(&self, stage: &str, id: String, took: Duration, bytes: u64) {
        self.with(stage, |s| {
            s.executed.insert(id);
            s.cost += Cost { executed: 1, seconds: took.as_secs_f64(), bytes };
        });
    }

    /// An outcome was remembered.
    pub fn cached(&self, stage: &str) {
        self.with(stage, |s| s.cached += 1);
    }

    /// An effect would run. Where two stages need the result of one key, one of them will make it and the other
    /// find it: which is not certain, so both may run, each behind the other. The id, to be had in common.
    pub fn will(&self, key: Digest, stage: &Arc<str>, id: &str) -> Arc<str> {
        let mut claims = lock(&self.claims);
        let claim = match claims.entry(key) {
            Entry::Occupied(claim) => claim.into_mut(),
            Entry::Vacant(free) => {
                let id: Arc<str> = id.into();
                free.insert(Claim { first: (stage.clone(), id.clone()), others: Vec::new() });
                return id;
            }
        };
        let Claim { first, others } = claim;
        if let Some((_, own)) = std::iter::once(&*first).chain(&*others).find(|(own, _)| own == stage) {
            return own.clone();
        }
        let id: Arc<str> = id.into();
        others.push((stage.clone(), id.clone()));
        id
    }

    /// An effect may run on rows that wait.
    pub fn may(&self, stage: &Arc<str>, rows: impl IntoIterator<Item = (Pending, isize)>) {
        let mut may = lock(&self.may);
        match may.get_mut(stage) {
            Some(all) => all.extend(rows),
            None => drop(may.insert(stage.clone(), rows.into_iter().collect())),
        }
    }

    /// Adds the account of a stage in another process of this run.
    pub fn add(&self, stage: &str, other: StageLedger) {
        self.with(stage, |s| {
            s.executed.extend(other.executed);
            s.cost += other.cost;
            s.cached += other.cached;
            s.notes.extend(other.notes);
        });
    }

    /// A sentence for the summary and the report.
    pub fn note(&self, stage: &str, note: String) {
        self.with(stage, |s| {
            s.notes.insert(note);
        });
    }

    /// Adds a failure, which keeps the run from publishing.
    pub fn fail(&self, failure: Failure) {
        lock(&self.failures).push(failure);
    }

    /// Whether anything failed so far.
    pub fn failed(&self) -> bool {
        !lock(&self.failures).is_empty()
    }

    /// Takes the ledgers of all stages, and all failures.
    pub fn take(&self) -> (BTreeMap<String, StageLedger>, Vec<Failure>) {
        let mut stages = std::mem::take(&mut *lock(&self.stages));
        let mut will: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
        for Claim { first, mut others } in std::mem::take(&mut *lock(&self.claims)).into_values() {
            if others.is_empty() {
                let (stage, id) = first;
                match will.get_mut(&stage) {
                    Some(ids) => ids.push(id),
                    None => drop(will.insert(stage, vec![id])),
                }
                continue;
            }
            // Whoever asked first: the least waits for the next, and all others for it.
            others.push(first);
            others.sort();
            for (at, (stage, id)) in others.iter().enumerate() {
                let (behind, cause) = others[usize::from(at == 0)].clone();
                self.may(stage, [(Pending::new(id.clone(), behind, cause), 1)]);
            }
        }
        for (stage, ids) in will {
            stages.entry(stage.to_string()).or_default().will = order::ids(ids);
        }
        for (stage, rows) in std::mem::take(&mut *lock(&self.may)) {
            stages.entry(stage.to_string()).or_default().may = order::summed(rows);
        }
        (stages, std::mem::take(&mut *lock(&self.failures)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_that_need_one_result_either_may_make_it() {
        let ledger = Ledger::default();
        let (key, other) = (Digest::of(b"key"), Digest::of(b"other"));
        let [a, b, c] = ["a", "b", "c"].map(Arc::<str>::from);
        // In whatever order they come.
        ledger.will(key, &c, "third");
        assert_eq!(&*ledger.will(key, &a, "row"), "row");
        ledger.will(other, &a, "own");
        assert_eq!(&*ledger.will(key, &b, "its row"), "its row");
        // Asked again, a stage has one item of a key.
        assert_eq!(&*ledger.will(other, &a, "again"), "own");
        assert_eq!(&*ledger.will(key, &c, "again"), "third");
        let (stages, _) = ledger.take();
        assert_eq!(stages["a"].will, [Arc::<str>::from("own")]);
        assert!(stages["a"].will_run("own") && !stages["a"].will_run("row"));
        assert!(stages["b"].will.is_empty() && stages["c"].will.is_empty());
        let may = |stage: &str| {
            let rows = stages[stage].may.iter();
            rows.map(|row| [&row.id, &row.behind, &row.cause].map(ToString::to_string)).collect::<Vec<_>>()
        };
        assert_eq!(may("a"), [["row", "b", "its row"]]);
        assert_eq!(may("b"), [["its row", "a", "row"]]);
        assert_eq!(may("c"), [["third", "a", "row"]]);
    }

    #[test]
    fn rows_that_may_run_are_summed() {
        let (ledger, stage) = (Ledger::default(), Arc::<str>::from("a"));
        let row = |id: &str| Pending::new(id.into(), "b".into(), "cause".into());
        ledger.may(&stage, [(row("2"), 1), (row("1"), 1), (row("3"), -1)]);
        ledger.may(&stage, [(row("3"), 1), (row("1"), 1)]);
        assert_eq!(ledger.take().0["a"].may, [row("1"), row("2")]);
        assert!(ledger.take().0.is_empty());
    }
}
