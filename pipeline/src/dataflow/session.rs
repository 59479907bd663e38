//! A dataflow that stays up: one build of a plan after another, each with what changed of its sources.

use crate::{
    dataflow::{
        beside,
        outcome::{Outcome, StageOutcome},
        render::{Feed, Feeds, Gather, feed, gathers, render},
    },
    error::Error,
    plan::Plan,
};
use datasets::{
    Digest,
    row::{Dropped, Found},
};
use stages::{
    flow::Env,
    rows::{Time, kept::Kept},
};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::Thread,
    time::{Duration, Instant},
};
use timely::{communication::WorkerGuards, dataflow::ProbeHandle, worker::Worker};

/// Rows that came (1) and went (-1), by the index of the stage that they are fed to.
type Fed<R> = Vec<(usize, Box<dyn Iterator<Item = (R, isize)> + Send>)>;

/// Changes to feed: rows of sources and live settings.
#[derive(Default)]
pub(crate) struct Changes {
    /// Rows of the sources.
    pub(crate) sources: Fed<Found>,
    /// Settings that are rows.
    pub(crate) settings: Fed<Vec<u8>>,
}

fn rows<R: Send + 'static, const N: usize>(rows: [(R, isize); N]) -> Box<dyn Iterator<Item = (R, isize)> + Send> {
    Box::new(rows.into_iter())
}

/// The settings of a plan that are rows.
fn settings(plan: &Plan) -> Vec<Option<Vec<u8>>> {
    plan.stages.iter().map(|stage| stage.ready.live()).collect()
}

/// Sorted rows with changes, in the order of rows, too.
fn apply<R: Ord + Clone>(held: &mut Arc<Vec<R>>, changes: Vec<(R, isize)>) {
    if changes.is_empty() {
        return;
    }
    // What was published of them is gone by now, so that mostly none is copied.
    let mut rows = Arc::unwrap_or_clone(std::mem::take(held)).into_iter().peekable();
    let mut now = Vec::with_capacity(rows.len() + changes.len());
    for (row, diff) in changes {
        now.extend(std::iter::from_fn(|| rows.next_if(|own| *own < row)));
        let same = std::iter::from_fn(|| rows.next_if(|own| *own == row)).count() as isize;
        now.extend(std::iter::repeat_n(row, (same + diff).max(0) as usize));
    }
    now.extend(rows);
    *held = Arc::new(now);
}

/// The workers of a plan, waiting for changes.
pub(crate) struct Session {
    plan: Arc<Plan>,
    env: Arc<Env>,
    gathers: Arc<Vec<Gather>>,
    /// The rows of each stage, with how often each is there.
    kept: Vec<Kept>,
    dropped: Vec<Arc<Vec<Dropped>>>,
    changes: Option<Sender<Changes>>,
    built: Receiver<bool>,
    feeder: Thread,
    workers: Option<WorkerGuards<()>>,
}

/// Tells the session of a build's end, and of the worker's own when it panics.
struct Teller(Sender<bool>);

impl Drop for Teller {
    fn drop(&mut self) {
        let _ = self.0.send(false);
    }
}

/// Input of the first worker: the rows to feed. It takes them once.
struct Feeder {
    changes: Receiver<Changes>,
    built: Teller,
    ready: Sender<Thread>,
}

impl Session {
    /// Builds the operators on `workers` timely workers. Nothing is fed yet.
    ///
    /// # Errors
    /// When the workers cannot be started.
    pub(crate) fn start(
        plan: &Arc<Plan>,
        env: &Arc<Env>,
        pins: Vec<Option<Digest>>,
        workers: usize,
    ) -> Result<Session, Error> {
        let gathers = gathers(plan, workers);
        let (changes, fed) = channel();
        let (tell, built) = channel();
        let (ready, started) = channel();
        let feeder = std::sync::Mutex::new(Some(Feeder { changes: fed, built: Teller(tell), ready }));
        let (plan_, env_, gathers_) = (plan.clone(), env.clone(), gathers.clone());
        let logic = move |worker: &mut Worker| {
            let probe = ProbeHandle::new();
            let feeds = render(worker, &plan_, &env_, &pins, &gathers_, &probe, true);
            // The other workers feed nothing; timely steps them until the first one has closed its inputs.
            if worker.index() == 0 {
                let mut slot = feeder.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(feeder) = slot.take() {
                    drop(slot);
                    feeder.feed(worker, feeds, &probe);
                }
            }
        };
        let guards = timely::execute(timely::Config::process(workers.max(1)), logic).map_err(Error::Bug)?;
        let feeder = started.recv().map_err(|_| Error::Bug("the first worker did not start".into()))?;
        let kept = plan.stages.iter().map(|_| Kept::default()).collect();
        let dropped = plan.stages.iter().map(|_| Arc::default()).collect();
        let (plan, env) = (plan.clone(), env.clone());
        Ok(Session { plan, env, gathers, kept, dropped, changes: Some(changes), built, feeder, workers: Some(guards) })
    }

    /// Live settings to feed before the first build, equal to those of the plan.
    pub(crate) fn settings(&self) -> Fed<Vec<u8>> {
        let own = settings(&self.plan).into_iter().enumerate();
        own.filter_map(|(stage, row)| Some((stage, rows([(row?, 1)])))).collect()
    }

    /// Goes on with a plan that differs from this one in nothing but settings that are rows: what to feed then. None where
    /// it differs in anything else.
    pub(crate) fn adopt(&mut self, plan: &Arc<Plan>) -> Option<Fed<Vec<u8>>> {
        if !self.plan.stands(plan) {
            return None;
        }
        let both = settings(&self.plan).into_iter().zip(settings(plan)).enumerate();
        let changes = both.filter_map(|(stage, (was, now))| match (was, now) {
            (Some(was), Some(now)) if was != now => Some((stage, rows([(was, -1), (now, 1)]))),
            _ => None,
        });
        let changes = changes.collect();
        self.plan = plan.clone();
        Some(changes)
    }

    /// Feeds changes and waits until everything that rests on them is done; what then became of the plan, and how long it
    /// took until the last row was there. Its ledgers tell of this build alone.
    ///
    /// # Errors
    /// When a worker panicked.
    pub(crate) fn build(&mut self, changes: Changes) -> Result<(Outcome, Duration), Error> {
        let started = Instant::now();
        let gone = || Error::Bug("a worker of the dataflow panicked".into());
        self.changes.as_ref().and_then(|to| to.send(changes).ok()).ok_or_else(gone)?;
        self.feeder.unpark();
        if !self.built.recv().unwrap_or(false) {
            return Err(gone());
        }
        // All rows at once are laid out before those of the next stage are gathered, as both are large; changes afterwards.
        let mut changes = Vec::new();
        let gathers = self.gathers.clone();
        for (index, gather) in gathers.iter().enumerate() {
            let kept = gather.kept();
            match self.kept[index].is_empty() {
                true => self.change(index, kept),
                false => changes.push((index, kept)),
            }
            apply(&mut self.dropped[index], gather.dropped.sums());
        }
        let took = started.elapsed();
        for (index, kept) in changes {
            self.change(index, kept);
        }
        let (mut ledgers, failures) = self.env.ledger.take();
        let held = self.kept.iter().zip(&self.dropped);
        let stages = self.plan.stages.iter().zip(held).map(|(stage, (kept, dropped))| StageOutcome {
            kept: kept.clone().repeated(),
            dropped: dropped.clone(),
            // Only in a dry run does a row wait.
            pending: Vec::new(),
            ledger: ledgers.remove(&stage.name).unwrap_or_default(),
        });
        Ok((Outcome { stages: stages.collect(), failures }, took))
    }

    /// Goes on to the rows that a stage keeps now.
    fn change(&mut self, index: usize, changes: Kept) {
        let beside = beside(&self.plan.stages[index], &self.kept[..index]);
        self.kept[index] = self.kept[index].changed(changes, beside);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without changes to come the first worker closes the inputs, and the dataflow ends on all.
        self.changes.take();
        self.feeder.unpark();
        if let Some(workers) = self.workers.take() {
            let ended = workers.join();
            if let Some(why) = ended.into_iter().find_map(Result::err) {
                tracing::warn!("a worker of the dataflow ended badly: {why}");
            }
        }
    }
}

/// Ctrl-C and a change that comes just before the worker rests wake nobody: it looks again after this.
const REST: Duration = Duration::from_millis(100);

fn update<R: differential_dataflow::Data>(worker: &mut Worker, feeds: &mut [Feed<R>], changes: Fed<R>) {
    for (stage, rows) in changes {
        if let Some((_, input)) = feeds.iter_mut().find(|(index, _)| *index == stage) {
            feed(worker, input, rows);
        }
    }
}

impl Feeder {
    fn feed(self, worker: &mut Worker, mut feeds: Feeds, probe: &ProbeHandle<Time>) {
        let Feeder { changes, built, ready } = self;
        let _ = ready.send(std::thread::current());
        let mut build: Time = 0;
        loop {
            match changes.try_recv() {
                Ok(changes) => {
                    update(worker, &mut feeds.sources, changes.sources);
                    update(worker, &mut feeds.settings, changes.settings);
                    build += 1;
                    let end = build << 32;
                    feeds.advance_to(end);
                    while probe.less_than(&end) {
                        worker.step_or_park(Some(REST));
                    }
                    let _ = built.0.send(true);
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => {
                    worker.step_or_park(Some(REST));
                }
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
            }
        }
    }
}
