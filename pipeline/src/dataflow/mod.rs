//! Runs a plan once: renders every stage on every worker, feeds the sources, waits for the end of the build.
//!
//! Knows plan and rows. Nothing of how a run is recorded, published or explained.

pub mod cluster;
pub mod outcome;
pub mod render;
pub(crate) mod session;

use crate::{
    dataflow::{
        cluster::Cluster,
        outcome::{Outcome, StageOutcome},
        render::{Gather, feed, gathers, render},
    },
    error::Error,
    plan::{Plan, PlannedStage},
};
use datasets::Digest;
use rayon::prelude::*;
use stages::{
    flow::Env,
    rows::{AnyRow, Time, end_of_build, kept::Kept, scan::Scan},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use timely::{dataflow::ProbeHandle, worker::Worker};

/// The largest input of a stage, which most likely holds the stage's own rows unchanged: bytes are shared with it. `kept`
/// are the rows of the stages before it. `None` for a source.
pub(crate) fn beside<'k>(stage: &PlannedStage, kept: &'k [Kept]) -> Option<&'k Kept> {
    stage.inputs.iter().flatten().filter_map(|from| kept.get(*from)).max_by_key(|kept| kept.len())
}

/// The one build of a run.
const BUILD: Time = 0;

/// Collected rows of a finished dataflow in this process.
pub(crate) struct Share(Arc<Vec<Gather>>);

/// Rows travel between processes so many at a time.
const PART: usize = 1000;

/// Runs a plan on `workers` timely workers. `found` are the rows of each source stage, `pins` the weights of
/// each pinned stage, both by the stage's index. Of several processes, the first feeds the rows.
///
/// # Errors
/// When the workers cannot be started, or a run of several processes ends early.
pub(crate) fn execute(
    plan: &Arc<Plan>,
    env: &Arc<Env>,
    found: Vec<Arc<Scan>>,
    pins: Vec<Option<Digest>>,
    workers: usize,
    cluster: Option<&Cluster>,
) -> Result<Share, Error> {
    let gathers = gathers(plan, workers);
    let workers = workers.max(1);
    // Each worker lets go of them once it has fed its part.
    let parts: Vec<Mutex<Vec<Arc<Scan>>>> = (0..workers).map(|_| Mutex::new(found.clone())).collect();
    drop(found);
    let (plan_, env_, gathers_) = (plan.clone(), env.clone(), gathers.clone());
    let logic = move |worker: &mut Worker| {
        let probe: ProbeHandle<Time> = ProbeHandle::new();
        let mut feeds = render(worker, &plan_, &env_, &pins, &gathers_, &probe, false);
        // The workers of the first process each feed a part, so that what follows is theirs to do.
        let index = worker.index();
        if let Some(part) = parts.get(index) {
            let found = std::mem::take(&mut *part.lock().unwrap_or_else(PoisonError::into_inner));
            for (stage, input) in &mut feeds.sources {
                let Some(scan) = found.get(*stage) else { continue };
                let range = scan.len() * index / workers..scan.len() * (index + 1) / workers;
                feed(worker, input, scan.rows(range).map(|row| (row, 1)));
            }
        }
        let end = end_of_build(&(BUILD << 32)) + 1;
        feeds.advance_to(end);
        while probe.less_than(&end) {
            // Effects wake the worker; the limit is for Ctrl-C, which wakes nobody.
            worker.step_or_park(Some(Duration::from_millis(100)));
        }
    };
    match cluster {
        None => {
            let guards = timely::execute(timely::Config::process(workers), logic).map_err(Error::Bug)?;
            let panicked = guards.join().into_iter().find_map(Result::err);
            panicked.map_or(Ok(()), |why| Err(Error::Bug(why)))?;
        }
        Some(cluster) => {
            let workers = cluster.execute(workers, logic).map_err(Error::Bug)?;
            cluster.finish(workers, env)?;
        }
    }
    Ok(Share(gathers))
}

impl Share {
    /// The rows of another process.
    pub(crate) fn add(&self, rows: cluster::Rows) {
        if let Some(own) = self.0.get(rows.stage) {
            rows.kept.iter().for_each(|(row, count)| own.keeper(0).add(row, *count));
            own.dropped.add(rows.dropped);
        }
    }

    /// All rows of this process, to be handed in.
    pub(crate) fn parts(&self) -> impl Iterator<Item = cluster::Rows> + '_ {
        self.0.iter().enumerate().flat_map(|(stage, own)| {
            let (kept, dropped) = (own.kept(), own.dropped.sums());
            let dropped: Vec<_> = dropped.chunks(PART).map(<[_]>::to_vec).collect();
            let mut first = 0;
            let kept = std::iter::from_fn(move || {
                let end = kept.len().min(first + PART);
                let kept: Vec<(AnyRow, isize)> = kept.changes(first..end).collect();
                first = end;
                (!kept.is_empty()).then_some(cluster::Rows { stage, kept, dropped: Vec::new() })
            });
            let dropped = dropped.into_iter().map(move |dropped| cluster::Rows { stage, kept: Vec::new(), dropped });
            kept.chain(dropped)
        })
    }

    /// Turns the collected rows into the outcome of the plan.
    pub(crate) fn outcome(self, plan: &Plan, env: &Env) -> Outcome {
        let (mut ledgers, failures) = env.ledger.take();
        let gathered = |gather: &Gather| (gather.kept(), gather.dropped.take(), gather.pending.unsorted());
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
