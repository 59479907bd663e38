//! Input of a stage besides its rows ([`Context`]), and its output ([`StageOutput`]).

use crate::{
    flow::Env,
    rows::{Rows, Time},
};
use datasets::{
    Digest, Key,
    row::{Dropped, Waiting},
};
use std::sync::Arc;
use timely::dataflow::Scope;

/// Input of a stage besides its rows: name, seed, pinned weights, live settings, and the environment.
#[derive(Clone)]
pub struct Context<'s> {
    /// Scope in which the stage builds its operators.
    pub scope: Scope<'s, Time>,
    /// The stage's name, for the screen and the record; in no key.
    pub stage: Arc<str>,
    /// The stage's own seed, where its verb draws from it.
    pub seed: Digest,
    /// The weights that the lock file names for it.
    pub pinned: Option<Digest>,
    /// Live settings as rows, packed by [`Stage::live`]; `None` unless the dataflow stays up.
    pub settings: Option<Rows<'s, Vec<u8>>>,
    /// Store, sources, pool and ledger of this process.
    pub env: Arc<Env>,
}

impl<'s> Context<'s> {
    /// Writes rows that wait into the plan: this stage's effect may run on each.
    pub fn may(&self, pending: Rows<'s, Waiting>) -> Rows<'s, Waiting> {
        let (env, stage) = (self.env.clone(), self.stage.clone());
        pending.inspect_batch(move |rows| {
            env.ledger.may(&stage, rows.iter().map(|(waiting, _, diff)| (waiting.row.clone(), *diff)));
        })
    }

    /// A collection of at most one row that is there from the start.
    pub fn once<R: Clone + 'static>(&self, row: Option<R>) -> Rows<'s, R> {
        Rows::once(self.scope, if self.scope.index() == 0 { row } else { None })
    }
}

/// Output of a stage: kept, dropped and pending rows, which together account for every input row.
pub struct StageOutput<'s, R: 'static> {
    /// Rows for the next stage.
    pub kept: Rows<'s, R>,
    /// Rows refused here.
    pub dropped: Rows<'s, Dropped>,
    /// Rows not known yet; only in a dry run.
    pub pending: Rows<'s, Waiting>,
}

impl<'s, R: Clone + 'static> StageOutput<'s, R> {
    /// Maps every kept row to another row.
    #[must_use]
    pub fn map<K: Clone + 'static>(self, make: impl FnMut(R) -> K + 'static) -> StageOutput<'s, K> {
        StageOutput { kept: self.kept.map(make), dropped: self.dropped, pending: self.pending }
    }

    /// Maps every kept row to several rows.
    #[must_use]
    pub fn flat_map<K: Clone + 'static, I: IntoIterator<Item = K>>(
        self,
        make: impl FnMut(R) -> I + 'static,
    ) -> StageOutput<'s, K> {
        StageOutput { kept: self.kept.flat_map(make), dropped: self.dropped, pending: self.pending }
    }

    /// Adds rows that are refused here.
    #[must_use]
    pub fn and_dropped(self, more: Rows<'s, Dropped>) -> StageOutput<'s, R> {
        StageOutput { dropped: self.dropped.concat(more), ..self }
    }

    /// Adds rows that are not known yet.
    #[must_use]
    pub fn and_pending(self, more: Rows<'s, Waiting>) -> StageOutput<'s, R> {
        StageOutput { pending: self.pending.concat(more), ..self }
    }
}

/// An empty collection of rows.
pub fn none<'s, A: Clone + 'static, R: Clone + 'static>(like: &Rows<'s, A>) -> Rows<'s, R> {
    like.clone().flat_map(|_| None)
}

/// The seed of a verb: the manifest's seed, the verb and the stage's salt, never the stage's name.
pub fn seed(manifest: u64, verb: &str, salt: &str) -> Digest {
    Key::new("seed").number(manifest).text(verb).text(salt).finish()
}
