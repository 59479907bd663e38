//! The ledger: what ran, what was remembered, what would run, and what went wrong.

use datasets::{Digest, row::Pending, store::StoreError};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// One piece of work: a stage and the id of the row that it runs on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The stage's name.
    pub stage: String,
    /// The row's id.
    pub id: String,
}

/// What effects cost that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// How many ran.
    pub executed: u64,
    /// Seconds that they took, added up: beside each other they take less.
    pub seconds: f64,
    /// Bytes of the objects that came of them.
    pub bytes: u64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.executed += other.executed;
        self.seconds += other.seconds;
        self.bytes += other.bytes;
    }
}

/// What happened at one stage.
#[derive(Clone, Debug, Default)]
pub struct StageLedger {
    /// Ids of the rows on which an effect ran.
    pub executed: BTreeSet<String>,
    /// What these cost.
    pub cost: Cost,
    /// Memo hits.
    pub cached: u64,
    /// In a dry run: ids of the rows on which an effect would run.
    pub will: BTreeSet<String>,
    /// In a dry run: rows on which an effect may run, with what they wait for; multiplicities are summed.
    pub may: BTreeMap<Pending, i64>,
    /// Sentences for the summary and the report, such as "codec pinned, 12 tracks newer than it".
    pub notes: BTreeSet<String>,
}

/// Why a run ends without publishing.
#[derive(Debug)]
pub enum Failure {
    /// A corpus-level stage failed: exit code 6.
    Stage {
        /// The stage's name.
        stage: String,
        /// A sentence.
        why: String,
    },
    /// A source kept a corpus-level stage from starting: exit code 3.
    Source {
        /// The stage's name.
        stage: String,
        /// A sentence.
        why: String,
    },
    /// The store does not hold, or know, the model that a stage is pinned to: exit code 4.
    Pin(String),
    /// The store failed: exit code 4.
    Store(StoreError),
    /// Another process of this run failed.
    Elsewhere {
        /// Its exit code.
        code: u8,
        /// A sentence.
        why: String,
    },
}

/// Something worth a line on the screen or in `--json`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An effect was queued.
    Queued {
        /// The stage's name.
        stage: String,
    },
    /// An effect ran.
    Executed {
        /// The stage's name.
        stage: String,
        /// The row's id.
        id: String,
        /// Digest of what came of it: two outcomes with one digest are the same.
        output: Digest,
    },
    /// A queued effect had been run meanwhile for another stage that needs the same result.
    Shared {
        /// The stage's name.
        stage: String,
    },
    /// Every stage is done; the tree of results is written now.
    Publishing {
        /// The run's name.
        run: String,
    },
    /// Sources, settings and store are as the last published run left them: nothing was gone through again.
    Unchanged {
        /// The run's name.
        run: String,
    },
    /// A row was dropped with a warning: its source could not be read.
    Warning {
        /// The stage's name.
        stage: String,
        /// A sentence.
        message: String,
    },
    /// One step of training.
    Step {
        /// The stage's name.
        stage: String,
        /// Steps done, over all levels.
        done: u64,
        /// Steps in all.
        total: u64,
        /// Which level.
        level: u64,
        /// The level's own step.
        step: u64,
        /// Reconstruction loss.
        reconstruction: f64,
        /// Spectral loss.
        spectral: f64,
        /// Distance of logarithms of STFT magnitudes.
        log_spectral: f64,
        /// Commitment loss.
        commitment: f64,
        /// Codebook perplexity in the batch.
        perplexity: f64,
        /// Codewords used in the batch.
        used: u64,
        /// Codewords revived.
        revived: u64,
    },
    /// One step of the training of a prior.
    Learned {
        /// The stage's name.
        stage: String,
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
        /// The step.
        step: u64,
        /// Bits per code of the batch.
        bits: f64,
        /// Norm of all gradients together.
        norm: f64,
    },
    /// Codes of songs were sampled.
    Sampled {
        /// The stage's name.
        stage: String,
        /// Codes so far, of all songs and levels.
        done: u64,
        /// Codes in all.
        total: u64,
    },
    /// A sound was measured.
    Heard {
        /// The stage's name.
        stage: String,
        /// Sounds so far.
        done: u64,
        /// Sounds that are not remembered from before.
        total: u64,
    },
    /// Training or sampling went on from a checkpoint.
    Resumed {
        /// The stage's name.
        stage: String,
        /// Steps that need not be done again.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// The state of training was saved.
    Checkpoint {
        /// The stage's name.
        stage: String,
        /// Steps done.
        done: u64,
    },
}

/// Shows events as they happen.
pub trait Observer: Send + Sync {
    /// Called from any thread.
    fn event(&self, event: Event);
}

impl Observer for () {
    fn event(&self, _: Event) {}
}

/// Collects what the operators report; shared by all workers of the process.
#[derive(Default)]
pub struct Ledger {
    stages: Mutex<BTreeMap<String, StageLedger>>,
    failures: Mutex<Vec<Failure>>,
    unread: Mutex<BTreeSet<String>>,
    /// In a dry run: who would make a result first.
    claims: Mutex<BTreeMap<Digest, Item>>,
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
    /// find it: which is not certain, so both may run, each behind the other.
    pub fn will(&self, key: Digest, stage: &str, id: String) {
        let own = Item { stage: stage.to_owned(), id };
        let first = match lock(&self.claims).entry(key) {
            Entry::Occupied(first) => first.get().clone(),
            Entry::Vacant(free) => {
                self.with(stage, |s| {
                    s.will.insert(own.id.clone());
                });
                free.insert(own);
                return;
            }
        };
        let behind = |id: &str, other: &Item| Pending {
            id: id.to_owned(),
            behind: other.stage.clone(),
            cause: other.id.clone(),
            track: None,
        };
        self.with(&first.stage, |s| {
            if s.will.remove(&first.id) {
                *s.may.entry(behind(&first.id, &own)).or_default() += 1;
            }
        });
        self.with(stage, |s| *s.may.entry(behind(&own.id, &first)).or_default() += 1);
    }

    /// An effect may run on a row that waits.
    pub fn may(&self, stage: &str, pending: &Pending, diff: isize) {
        self.with(stage, |s| {
            let count = s.may.entry(pending.clone()).or_default();
            *count += diff as i64;
            if *count == 0 {
                s.may.remove(pending);
            }
        });
    }

    /// What another process of this run did at a stage.
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

    /// Something that keeps the run from publishing.
    pub fn fail(&self, failure: Failure) {
        lock(&self.failures).push(failure);
    }

    /// Whether anything failed so far.
    pub fn failed(&self) -> bool {
        !lock(&self.failures).is_empty()
    }

    /// Everything that failed, and every stage's account.
    pub fn take(&self) -> (BTreeMap<String, StageLedger>, Vec<Failure>) {
        (std::mem::take(&mut *lock(&self.stages)), std::mem::take(&mut *lock(&self.failures)))
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
        ledger.will(key, "a", "row".into());
        ledger.will(other, "a", "own".into());
        ledger.will(key, "b", "its row".into());
        ledger.will(key, "c", "third".into());
        let (stages, _) = ledger.take();
        assert_eq!(stages["a"].will, BTreeSet::from(["own".to_owned()]));
        assert!(stages["b"].will.is_empty() && stages["c"].will.is_empty());
        let may = |stage: &str| {
            let rows = stages[stage].may.keys();
            rows.map(|row| (row.id.clone(), row.behind.clone(), row.cause.clone())).collect::<Vec<_>>()
        };
        let text = |id: &str, behind: &str, cause: &str| (id.to_owned(), behind.to_owned(), cause.to_owned());
        assert_eq!(may("a"), [text("row", "b", "its row")]);
        assert_eq!(may("b"), [text("its row", "a", "row")]);
        assert_eq!(may("c"), [text("third", "a", "row")]);
    }
}
