//! A plan's operators on one worker, and the handles that feed and collect rows.

use crate::plan::Plan;
use datasets::{
    Digest,
    row::{Dropped, Found, Pending, Waiting},
};
use differential_dataflow::input::{Input as _, InputSession};
use rayon::prelude::*;
use stages::rows::Row;
use stages::{
    flow::Env,
    rows::{
        Flow, Input, Rows, Time,
        kept::{Keeper, Kept},
    },
    stage::{Context, none, seed},
};
use std::sync::{Arc, Mutex, PoisonError};
use timely::{dataflow::ProbeHandle, worker::Worker};

/// Number of rows fed at a time, so that the rows of a large source are not held twice.
const FED: usize = 1 << 14;

/// Input handle of a stage, with the stage's index in the plan.
pub(crate) type Feed<R> = (usize, InputSession<Time, R, isize>);

/// The handles that feed a dataflow.
#[derive(Default)]
pub(crate) struct Feeds {
    /// Rows of the sources.
    pub(crate) sources: Vec<Feed<Found>>,
    /// Live settings, one input per stage that has some; only in a dataflow that stays up.
    pub(crate) settings: Vec<Feed<Vec<u8>>>,
}

impl Feeds {
    /// Nothing more comes before a time.
    pub(crate) fn advance_to(&mut self, end: Time) {
        fn advance<R: differential_dataflow::Data>(feeds: &mut [Feed<R>], end: Time) {
            for (_, input) in feeds {
                input.advance_to(end);
                input.flush();
            }
        }
        advance(&mut self.sources, end);
        advance(&mut self.settings, end);
    }
}

/// Builds a plan's operators on a worker; the handles that feed them. `stays`: another build comes after the first.
pub(crate) fn render(
    worker: &mut Worker,
    plan: &Plan,
    env: &Arc<Env>,
    pins: &[Option<Digest>],
    gathers: &[Gather],
    probe: &ProbeHandle<Time>,
    stays: bool,
) -> Feeds {
    let index = worker.index();
    worker.dataflow::<Time, _, _>(|scope| {
        let mut flows: Vec<Flow<'_>> = Vec::new();
        let mut feeds = Feeds::default();
        for (own, stage) in plan.stages.iter().enumerate() {
            let taken: Vec<Option<Flow<'_>>> = match stage.entry.ports.is_empty() {
                true => {
                    let (input, rows) = scope.new_collection::<Found, isize>();
                    feeds.sources.push((own, input));
                    let rows = Rows::from(rows);
                    let pending = none(&rows);
                    vec![Some(Found::flow(Input { kept: rows, pending }))]
                }
                false => stage
                    .inputs
                    .iter()
                    .map(|feeding| {
                        let mut feeding = feeding.iter().map(|i| flows[*i].clone());
                        Some(feeding.next()?.concat(feeding.collect()))
                    })
                    .collect(),
            };
            let settings = stage.ready.live().filter(|_| stays).map(|_| {
                let (input, rows) = scope.new_collection::<Vec<u8>, isize>();
                feeds.settings.push((own, input));
                rows.into()
            });
            let cx = Context {
                scope,
                stage: stage.name.as_str().into(),
                seed: seed(stage.seed, stage.entry.verb, &stage.salt),
                pinned: pins[own],
                settings,
                env: env.clone(),
            };
            let gather = &gathers[own];
            let rendered = stage.ready.render(&cx, taken, gather.keeper(index).clone());
            gather.dropped.watch(rendered.dropped, probe);
            flows.push(rendered.flow.probed(probe, gather.pending.waits()));
        }
        feeds
    })
}

/// Feeds rows little by little.
pub(crate) fn feed<R: differential_dataflow::Data>(
    worker: &mut Worker,
    input: &mut InputSession<Time, R, isize>,
    mut rows: impl Iterator<Item = (R, isize)>,
) {
    loop {
        let mut none = true;
        for (row, diff) in rows.by_ref().take(FED) {
            input.update(row, diff);
            none = false;
        }
        if none {
            return;
        }
        input.flush();
        worker.step();
    }
}

/// A place to gather what comes of each stage on so many workers of this process.
pub(crate) fn gathers(plan: &Plan, workers: usize) -> Arc<Vec<Gather>> {
    Arc::new(plan.stages.iter().map(|_| Gather::new(workers)).collect())
}

/// Collected rows of one stage.
pub(crate) struct Gather {
    /// Kept rows, by worker.
    kept: Vec<Keeper>,
    pub(crate) dropped: Gathered<Dropped>,
    pub(crate) pending: Gathered<Pending>,
}

impl Gather {
    pub(crate) fn new(workers: usize) -> Gather {
        let kept = (0..workers.max(1)).map(|_| Keeper::default()).collect();
        Gather { kept, dropped: Gathered::new(), pending: Gathered::new() }
    }

    /// The collector of kept rows for a worker of this process.
    pub(crate) fn keeper(&self, worker: usize) -> &Keeper {
        &self.kept[worker % self.kept.len()]
    }

    /// Kept rows since this was asked last, with their multiplicities added up.
    pub(crate) fn kept(&self) -> Kept {
        Kept::gathered(&self.kept)
    }
}

/// Rows of all workers with their multiplicities.
pub(crate) struct Gathered<R>(Arc<Mutex<Vec<(R, isize)>>>);

impl<R: Ord + Clone + Send + 'static> Gathered<R> {
    pub(crate) fn new() -> Gathered<R> {
        Gathered(Arc::default())
    }

    pub(crate) fn watch(&self, rows: Rows<'_, R>, probe: &ProbeHandle<Time>) {
        let all = self.0.clone();
        let watched = rows.inspect_batch(move |batch| {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(batch.iter().map(|(row, _, diff)| (row.clone(), *diff)));
        });
        watched.probe_with(probe);
    }

    /// Rows of another process.
    pub(crate) fn add(&self, rows: Vec<(R, isize)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(rows);
    }

    /// Every row with its multiplicities added up, sorted.
    pub(crate) fn sums(&self) -> Vec<(R, isize)> {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        all.par_sort_unstable();
        let mut sums: Vec<(R, isize)> = Vec::with_capacity(all.len());
        for (row, diff) in all {
            match sums.last_mut() {
                Some((last, count)) if *last == row => *count += diff,
                _ => sums.push((row, diff)),
            }
        }
        sums
    }

    /// Every row that is left when multiplicities are added up.
    pub(crate) fn take(&self) -> Vec<R> {
        self.sums().into_iter().flat_map(|(row, count)| std::iter::repeat_n(row, count.max(0) as usize)).collect()
    }
}

impl Gathered<Pending> {
    /// Callback that collects pending rows.
    pub(crate) fn waits(&self) -> impl Fn(&[(Waiting, Time, isize)]) + 'static {
        let all = self.0.clone();
        move |rows| {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(rows.iter().map(|(waiting, _, diff)| (waiting.row.clone(), *diff)));
        }
    }

    /// [`Gathered::take`], where nobody asks for the order: mostly no row went that came.
    pub(crate) fn unsorted(&self) -> Vec<Pending> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.iter().all(|(_, diff)| *diff == 1) {
            return std::mem::take(&mut *all).into_iter().map(|(row, _)| row).collect();
        }
        drop(all);
        self.take()
    }
}
