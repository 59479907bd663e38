//! Runs a plan once: renders every stage on every worker, feeds the sources, waits for the end of the build.

use crate::{
    error::Error,
    hosts::{self, Cluster},
    plan::{Plan, PlannedStage},
};
use datasets::{
    Digest,
    row::{Dropped, Found, Pending},
};
use differential_dataflow::input::{Input as _, InputSession};
use rayon::prelude::*;
use stages::{
    flow::{Env, Failure, StageLedger},
    kept::{Keeper, Kept},
    stage::{AnyRow, Context, Flow, Input, Row, Rows, Time, none, seal, seed},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use timely::{dataflow::ProbeHandle, worker::Worker};

/// What became of one stage's rows.
#[derive(Debug, Default)]
pub struct StageOutcome {
    /// Kept rows.
    pub kept: Kept,
    /// Dropped rows, sorted.
    pub dropped: Arc<Vec<Dropped>>,
    /// Rows not known yet, sorted; only of a dry run.
    pub pending: Vec<Pending>,
    /// What ran and what was remembered.
    pub ledger: StageLedger,
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One entry per stage, in the order of the plan.
    pub stages: Vec<StageOutcome>,
    /// Why nothing may be published.
    pub failures: Vec<Failure>,
}

/// Rows of all workers with their multiplicities.
pub(crate) struct Gathered<R>(Arc<Mutex<Vec<(R, isize)>>>);

impl<R: Ord + Clone + Send + 'static> Gathered<R> {
    fn new() -> Gathered<R> {
        Gathered(Arc::default())
    }

    fn watch(&self, rows: Rows<'_, R>, probe: &ProbeHandle<Time>) {
        let all = self.0.clone();
        let watched = rows.inspect_batch(move |_, batch| {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(batch.iter().map(|(row, _, diff)| (row.clone(), *diff)));
        });
        watched.probe_with(probe);
    }

    /// Rows of another process.
    fn add(&self, rows: Vec<(R, isize)>) {
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
    fn take(&self) -> Vec<R> {
        self.sums().into_iter().flat_map(|(row, count)| std::iter::repeat_n(row, count.max(0) as usize)).collect()
    }
}

/// What comes of one stage.
pub(crate) struct Gather {
    /// Kept rows, by worker.
    kept: Vec<Keeper>,
    pub(crate) dropped: Gathered<Dropped>,
    pub(crate) pending: Gathered<Pending>,
}

impl Gather {
    fn new(workers: usize) -> Gather {
        let kept = (0..workers.max(1)).map(|_| Keeper::default()).collect();
        Gather { kept, dropped: Gathered::new(), pending: Gathered::new() }
    }

    /// Where a worker of this process leaves kept rows.
    fn keeper(&self, worker: usize) -> &Keeper {
        &self.kept[worker % self.kept.len()]
    }

    /// Kept rows since this was asked last, with their multiplicities added up.
    pub(crate) fn kept(&self) -> Kept {
        Kept::gathered(&self.kept)
    }
}

/// Of the rows that feed a stage, those among which most of its own may be as they are. `kept` are the rows of the stages
/// before it.
pub(crate) fn beside<'k>(stage: &PlannedStage, kept: &'k [Kept]) -> Option<&'k Kept> {
    stage.inputs.iter().flatten().filter_map(|from| kept.get(*from)).max_by_key(|kept| kept.len())
}

/// The one build of a run.
const BUILD: Time = 0;

/// What came of a dataflow in this process.
pub(crate) struct Share(Arc<Vec<Gather>>);

/// Rows travel between processes so many at a time.
const PART: usize = 1000;

/// What is fed to a stage, by its index in the plan.
pub(crate) type Feed<R> = (usize, InputSession<Time, R, isize>);

/// The handles that feed a dataflow.
#[derive(Default)]
pub(crate) struct Feeds {
    /// Rows of the sources.
    pub(crate) sources: Vec<Feed<Found>>,
    /// Where it stays up: settings that may become others.
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

/// A place to gather what comes of each stage on so many workers of this process.
pub(crate) fn gathers(plan: &Plan, workers: usize) -> Arc<Vec<Gather>> {
    Arc::new(plan.stages.iter().map(|_| Gather::new(workers)).collect())
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
            let settings = stage.ready.edited().filter(|_| stays).map(|_| {
                let (input, rows) = scope.new_collection::<Vec<u8>, isize>();
                feeds.settings.push((own, input));
                rows
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
            gather.pending.watch(rendered.pending, probe);
            flows.push(rendered.flow.probed(probe));
        }
        feeds
    })
}

/// So many rows are fed before the workers go on with them: the rows of a large source are not all there twice.
const FED: usize = 1 << 14;

/// Feeds rows little by little, each of them made of one that waits.
pub(crate) fn feed<W, R: differential_dataflow::Data>(
    worker: &mut Worker,
    input: &mut InputSession<Time, R, isize>,
    mut rows: Vec<W>,
    row: impl Fn(W) -> (R, isize),
) {
    // From behind, so that what was fed is freed.
    while !rows.is_empty() {
        let some = rows.split_off(rows.len().saturating_sub(FED));
        some.into_iter().map(&row).for_each(|(row, diff)| input.update(row, diff));
        rows.shrink_to(rows.len().next_power_of_two());
        input.flush();
        worker.step();
    }
}

/// The rows of each source, divided among workers.
fn parts(found: Vec<Vec<Found>>, workers: usize) -> Vec<Vec<Vec<Found>>> {
    let mut parts = vec![vec![Vec::new(); found.len()]; workers];
    for (stage, mut rows) in found.into_iter().enumerate() {
        for (left, part) in (1..=workers).rev().zip(parts.iter_mut().rev()) {
            part[stage] = rows.split_off(rows.len() - rows.len() / left);
        }
    }
    parts
}

/// Runs a plan on `workers` timely workers. `found` are the rows of each source stage, `pins` the weights of
/// each pinned stage, both by the stage's index. Of several processes, the first feeds the rows.
///
/// # Errors
/// When the workers cannot be started, or a run of several processes ends early.
pub(crate) fn execute(
    plan: &Arc<Plan>,
    env: &Arc<Env>,
    found: Vec<Vec<Found>>,
    pins: Vec<Option<Digest>>,
    workers: usize,
    cluster: Option<&Cluster>,
) -> Result<Share, Error> {
    let gathers = gathers(plan, workers);
    let found: Vec<Mutex<Vec<Vec<Found>>>> = parts(found, workers.max(1)).into_iter().map(Mutex::new).collect();
    let (plan_, env_, gathers_) = (plan.clone(), env.clone(), gathers.clone());
    let logic = move |worker: &mut Worker| {
        let probe: ProbeHandle<Time> = ProbeHandle::new();
        let mut feeds = render(worker, &plan_, &env_, &pins, &gathers_, &probe, false);
        // The workers of the first process each feed a part, so that what follows is theirs to do.
        if let Some(parts) = found.get(worker.index()) {
            let mut part = std::mem::take(&mut *parts.lock().unwrap_or_else(PoisonError::into_inner));
            for (stage, input) in &mut feeds.sources {
                feed(worker, input, std::mem::take(&mut part[*stage]), |row| (row, 1));
            }
        }
        let end = seal(&(BUILD << 32)) + 1;
        feeds.advance_to(end);
        while probe.less_than(&end) {
            // Effects wake the worker; the limit is for Ctrl-C, which wakes nobody.
            worker.step_or_park(Some(Duration::from_millis(100)));
        }
    };
    match cluster {
        None => {
            let guards = timely::execute(timely::Config::process(workers.max(1)), logic).map_err(Error::Bug)?;
            let panicked = guards.join().into_iter().find_map(Result::err);
            panicked.map_or(Ok(()), |why| Err(Error::Bug(why)))?;
        }
        Some(cluster) => {
            let workers = cluster.execute(workers.max(1), logic).map_err(Error::Bug)?;
            cluster.finish(workers, env)?;
        }
    }
    Ok(Share(gathers))
}

impl Share {
    /// The rows of another process.
    pub(crate) fn add(&self, rows: hosts::Rows) {
        if let Some(own) = self.0.get(rows.stage) {
            rows.kept.iter().for_each(|(row, count)| own.keeper(0).add(row, *count));
            own.dropped.add(rows.dropped);
        }
    }

    /// All rows of this process, to be handed in.
    pub(crate) fn parts(&self) -> impl Iterator<Item = hosts::Rows> + '_ {
        self.0.iter().enumerate().flat_map(|(stage, own)| {
            let (kept, dropped) = (own.kept(), own.dropped.sums());
            let dropped: Vec<_> = dropped.chunks(PART).map(<[_]>::to_vec).collect();
            let mut first = 0;
            let kept = std::iter::from_fn(move || {
                let end = kept.len().min(first + PART);
                let kept: Vec<(AnyRow, isize)> = kept.changes(first..end).collect();
                first = end;
                (!kept.is_empty()).then_some(hosts::Rows { stage, kept, dropped: Vec::new() })
            });
            let dropped = dropped.into_iter().map(move |dropped| hosts::Rows { stage, kept: Vec::new(), dropped });
            kept.chain(dropped)
        })
    }

    /// What became of the plan.
    pub(crate) fn outcome(self, plan: &Plan, env: &Env) -> Outcome {
        let (mut ledgers, failures) = env.ledger.take();
        let gathered = |gather: &Gather| (gather.kept(), gather.dropped.take(), gather.pending.take());
        let gathered: Vec<_> = self.0.par_iter().map(gathered).collect();
        let (mut laid, mut stages): (Vec<Kept>, Vec<StageOutcome>) = (Vec::new(), Vec::new());
        for ((kept, dropped, pending), stage) in gathered.into_iter().zip(&plan.stages) {
            let kept = kept.laid(beside(stage, &laid));
            laid.push(kept.clone());
            let ledger = ledgers.remove(&stage.name).unwrap_or_default();
            stages.push(StageOutcome { kept: kept.repeated(), dropped: Arc::new(dropped), pending, ledger });
        }
        Outcome { stages, failures }
    }
}
