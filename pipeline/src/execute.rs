//! Runs a plan once: renders every stage on every worker, feeds the sources, waits for the end of the build.

use crate::plan::Plan;
use datasets::{
    Digest,
    row::{Dropped, Found, Pending},
};
use differential_dataflow::input::Input as _;
use rayon::prelude::*;
use stages::{
    flow::{Env, Failure, StageLedger},
    stage::{AnyRow, Context, Flow, Input, Row, Rows, Time, none, seal, seed},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use timely::dataflow::ProbeHandle;

/// What became of one stage's rows.
#[derive(Debug, Default)]
pub struct StageOutcome {
    /// Kept rows, sorted.
    pub kept: Vec<Arc<AnyRow>>,
    /// Dropped rows, sorted.
    pub dropped: Vec<Dropped>,
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
struct Gathered<R>(Arc<Mutex<Vec<(R, isize)>>>);

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

    /// Every row that is left when multiplicities are added up.
    fn take(&self) -> Vec<R> {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        all.par_sort_unstable();
        let mut left: Vec<(R, isize)> = Vec::with_capacity(all.len());
        for (row, diff) in all {
            match left.last_mut() {
                Some((last, count)) if *last == row => *count += diff,
                _ => left.push((row, diff)),
            }
        }
        left.into_iter().flat_map(|(row, count)| std::iter::repeat_n(row, count.max(0) as usize)).collect()
    }
}

struct Gather {
    kept: Gathered<Arc<AnyRow>>,
    dropped: Gathered<Dropped>,
    pending: Gathered<Pending>,
}

/// The one build of a run.
const BUILD: Time = 0;

/// Runs a plan on `workers` timely workers. `found` are the rows of each source stage, `pins` the weights of
/// each pinned stage, both by the stage's index.
///
/// # Errors
/// When the workers cannot be started.
pub fn execute(
    plan: &Arc<Plan>,
    env: &Arc<Env>,
    found: Vec<Vec<Found>>,
    pins: Vec<Option<Digest>>,
    workers: usize,
) -> Result<Outcome, String> {
    let gathers: Arc<Vec<Gather>> = Arc::new(
        plan.stages
            .iter()
            .map(|_| Gather { kept: Gathered::new(), dropped: Gathered::new(), pending: Gathered::new() })
            .collect(),
    );
    let found = Arc::new(Mutex::new(found));
    let (plan_, env_, gathers_) = (plan.clone(), env.clone(), gathers.clone());
    let guards = timely::execute(timely::Config::process(workers.max(1)), move |worker| {
        let (plan, env, gathers) = (&plan_, &env_, &gathers_);
        let probe: ProbeHandle<Time> = ProbeHandle::new();
        let mut inputs = worker.dataflow::<Time, _, _>(|scope| {
            let mut flows: Vec<Flow<'_>> = Vec::new();
            let mut inputs = Vec::new();
            for (index, stage) in plan.stages.iter().enumerate() {
                let taken: Vec<Option<Flow<'_>>> = match stage.entry.ports.is_empty() {
                    true => {
                        let (input, rows) = scope.new_collection::<Found, isize>();
                        inputs.push((index, input));
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
                let cx = Context {
                    scope,
                    stage: stage.name.as_str().into(),
                    seed: seed(stage.seed, stage.entry.verb, &stage.salt),
                    pinned: pins[index],
                    env: env.clone(),
                };
                let rendered = stage.ready.render(&cx, taken);
                gathers[index].kept.watch(rendered.kept, &probe);
                gathers[index].dropped.watch(rendered.dropped, &probe);
                gathers[index].pending.watch(rendered.pending, &probe);
                flows.push(rendered.flow);
            }
            inputs
        });
        if worker.index() == 0 {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            for (index, input) in &mut inputs {
                for row in std::mem::take(&mut found[*index]) {
                    input.insert(row);
                }
            }
        }
        let end = seal(&(BUILD << 32)) + 1;
        for (_, input) in &mut inputs {
            input.advance_to(end);
            input.flush();
        }
        while probe.less_than(&end) {
            // Effects wake the worker; the limit is for Ctrl-C, which wakes nobody.
            worker.step_or_park(Some(Duration::from_millis(100)));
        }
    })?;
    let panicked: Vec<String> = guards.join().into_iter().filter_map(Result::err).collect();
    if let Some(first) = panicked.into_iter().next() {
        return Err(first);
    }
    let (mut ledgers, failures) = env.ledger.take();
    let stages = plan
        .stages
        .iter()
        .zip(gathers.iter())
        .map(|(stage, gather)| StageOutcome {
            kept: gather.kept.take(),
            dropped: gather.dropped.take(),
            pending: gather.pending.take(),
            ledger: ledgers.remove(&stage.name).unwrap_or_default(),
        })
        .collect();
    Ok(Outcome { stages, failures })
}
