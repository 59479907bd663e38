//! One run of a manifest: look at the sources, execute, check, guard, publish.

use crate::{
    account,
    error::Error,
    execute::{Outcome, execute},
    explain::Explainer,
    follow, gather, guard,
    history::{History, Published},
    hosts::{Cluster, Seat},
    keep,
    lock::Lock,
    plan::{Plan, PlannedStage},
    preview::Preview,
    publish,
    settled::{self, Settled},
    summary::Summary,
    withdraw::{self, Withdrawn},
};
use datasets::{Digest, Key, corpus::OptOut, store::Store};
use rayon::prelude::*;
use stages::{
    flow::{Cancel, Env, Event, Failure, Ledger, Observer, Pool, Sources},
    scan::Scan,
    stage::{AnyRow, Refresh, SourceError},
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Once},
    time::{Duration, Instant},
};

/// What the command line says beside the manifest.
#[derive(Clone, Debug)]
pub struct Options {
    /// The store's folder.
    pub store: PathBuf,
    /// Timely workers, slots of the pool, threads of the engine.
    pub workers: usize,
    /// Stages to train anew although they are pinned.
    pub refresh: Vec<String>,
    /// Read every file again.
    pub rehash: bool,
    /// Publish although the corpus shrank or much was dropped.
    pub allow_shrink: bool,
    /// Size limit of the cache of decoded samples, in bytes.
    pub pcm_cache: u64,
    /// Which of several processes this is.
    pub seat: Option<Seat>,
}

/// How a run ended well.
#[derive(Debug)]
pub enum Ended {
    /// Here.
    Finished(Box<Finished>),
    /// In process 0, which published this run.
    Followed(String),
}

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    /// What it says of itself.
    pub summary: Summary,
    /// Where it was published.
    pub published: Published,
    /// How long it took.
    pub wall: Duration,
    /// The lock file, where this run wrote it.
    pub locked: Option<PathBuf>,
}

/// A plan with everything that is known before it executes.
pub(crate) struct Prepared {
    pub(crate) env: Arc<Env>,
    pub(crate) lock: Lock,
    pub(crate) pins: Vec<Option<Digest>>,
    pub(crate) found: Vec<Arc<Scan>>,
}

/// The engine's threads are the process's: sized once, before the first use.
pub(crate) fn size_engine(workers: usize) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(workers.max(1)).build_global() {
            tracing::warn!("the engine's threads were set up before: {error}");
        }
    });
}

/// Opens the store, reads lock and lists, and looks at all sources.
pub(crate) fn prepare(
    plan: &Plan,
    options: &Options,
    dry: bool,
    cancel: Cancel,
    observer: Box<dyn Observer>,
    cluster: Option<&Cluster>,
) -> Result<Prepared, Error> {
    size_engine(options.workers);
    let refreshable =
        |name: &str| plan.stages.iter().any(|s| (s.name == name || s.of == name) && s.ready.refresh().is_some());
    if let Some(wrong) = options.refresh.iter().find(|name| !refreshable(name)) {
        let can: Vec<String> =
            plan.stages.iter().filter(|s| s.ready.refresh().is_some()).map(|s| format!("`{}`", s.name)).collect();
        let can = if can.is_empty() {
            "no stage of this plan can be".to_owned()
        } else {
            format!("these can be: {}", can.join(", "))
        };
        return Err(Error::Usage(format!("--refresh names `{wrong}`, which cannot be refreshed; {can}")));
    }
    let store = Store::open(&options.store)?;
    let lock = Lock::read_all(&plan.file, &plan.bases).map_err(Error::Lock)?;
    let mut pins = Vec::new();
    for stage in &plan.stages {
        let anew = options.refresh.iter().any(|name| *name == stage.name || *name == stage.of);
        let pinned = stage.ready.refresh() == Some(Refresh::Pinned) && !anew;
        let pin = if pinned { lock.get(&stage.name, &stage.ready.digest()) } else { None };
        if let Some((weights, path)) = pin.filter(|(weights, _)| !store.has(weights)) {
            return Err(Error::Lock(format!(
                "{} pins `{}` to the weights {}, which the store {} does not hold: use the store in which they were trained, \
                 or train anew with --refresh {}",
                path.display(),
                stage.name,
                weights.short(12),
                store.root().display(),
                stage.name
            )));
        }
        pins.push(pin.map(|(weights, _)| weights));
    }
    if !dry {
        store.begin(&plan.name);
    }
    let mut unreadable = Vec::new();
    let optouts = optouts(plan, &mut unreadable);
    let peers = cluster.map(Cluster::peers);
    let env = Arc::new(Env { dry, peers, ..env(options, store, optouts, cancel, observer) });
    let found = scan(plan, &env, unreadable)?;
    Ok(Prepared { env, lock, pins, found })
}

/// Looks at all sources: the rows of each stage, by its index. `unreadable` are sentences on what could not be read before.
///
/// # Errors
/// When a source as a whole cannot be read, or the store fails.
pub(crate) fn scan(plan: &Plan, env: &Env, mut unreadable: Vec<String>) -> Result<Vec<Arc<Scan>>, Error> {
    let mut found = Vec::new();
    for stage in &plan.stages {
        match stage.ready.scan(&plan.base, env) {
            Ok(rows) => found.push(Arc::new(rows)),
            Err(SourceError::Store(error)) => return Err(error.into()),
            Err(SourceError::Unreadable(why)) => {
                unreadable.push(format!("stage `{}`: {why}", stage.name));
                found.push(Arc::default());
            }
        }
    }
    if unreadable.is_empty() { Ok(found) } else { Err(Error::Source(unreadable.join("\n"))) }
}

/// What effects may reach in a run of this process alone.
pub(crate) fn env(
    options: &Options,
    store: Store,
    optouts: BTreeMap<String, Arc<OptOut>>,
    cancel: Cancel,
    observer: Box<dyn Observer>,
) -> Env {
    Env {
        store,
        sources: Sources::default(),
        optouts,
        pool: Pool::new(options.workers),
        ledger: Ledger::default(),
        dry: false,
        cancel,
        rehash: options.rehash,
        pcm_cache: options.pcm_cache,
        observer,
        peers: None,
    }
}

/// The opt-out lists of a plan, by the stages that heed them.
pub(crate) fn optouts(plan: &Plan, unreadable: &mut Vec<String>) -> BTreeMap<String, Arc<OptOut>> {
    let mut lists = BTreeMap::new();
    for stage in &plan.stages {
        let Some(path) = stage.ready.exclude(&plan.base) else { continue };
        match OptOut::read(&path) {
            Ok(list) => drop(lists.insert(stage.name.clone(), Arc::new(list))),
            Err(error) => unreadable.push(format!("stage `{}`: {error}", stage.name)),
        }
    }
    lists
}

/// Looks what a run would do, without doing it, and why.
///
/// # Errors
/// See [`Error`].
pub fn dry(plan: Plan, options: &Options, cancel: Cancel) -> Result<Preview, Error> {
    let plan = Arc::new(plan);
    let prepared = prepare(&plan, options, true, cancel, Box::new(()), None)?;
    let pinned: Vec<bool> = prepared.pins.iter().map(Option::is_some).collect();
    let share = execute(&plan, &prepared.env, prepared.found, prepared.pins, options.workers, None)?;
    let outcome = share.outcome(&plan, &prepared.env);
    if let Some(error) = failure(outcome.failures) {
        return Err(error);
    }
    let outcome = Outcome { stages: outcome.stages, failures: Vec::new() };
    let store = &prepared.env.store;
    let refreshed = |stage: &PlannedStage| options.refresh.iter().any(|name| *name == stage.name || *name == stage.of);
    let refreshed: Vec<bool> = plan.stages.iter().map(refreshed).collect();
    let history = History::of(store, &plan.name)?;
    let preview = Preview::of(&Explainer::new(&plan, &outcome, history.as_ref(), &refreshed, &pinned, &store.runs()));
    // Millions of rows take a second to be freed, and nobody waits for it.
    std::thread::spawn(move || drop(outcome));
    Ok(preview)
}

/// Runs a plan and publishes what came of it, alone or as one of several processes.
///
/// # Errors
/// See [`Error`]. Whatever was finished before is kept.
pub fn run(plan: Plan, options: &Options, cancel: Cancel, observer: Box<dyn Observer>) -> Result<Ended, Error> {
    let plan = Arc::new(plan);
    let Some(seat) = &options.seat else {
        return lead(plan, options, cancel, observer, None).map(|finished| Ended::Finished(Box::new(finished)));
    };
    let cluster = Cluster::join(seat, &follow::facts(&plan, options), &cancel)?;
    if cluster.leads() {
        let finished = lead(plan, options, cancel, observer, Some(&cluster));
        let run = finished.as_ref().map(|finished| finished.published.run.as_str());
        cluster.end(run);
        return finished.map(|finished| Ended::Finished(Box::new(finished)));
    }
    let followed = follow::follow(&plan, options, cancel, observer, &cluster);
    cluster.end(followed.as_deref());
    followed.map(Ended::Followed)
}

fn lead(
    plan: Arc<Plan>,
    options: &Options,
    cancel: Cancel,
    observer: Box<dyn Observer>,
    cluster: Option<&Cluster>,
) -> Result<Finished, Error> {
    let started = Instant::now();
    let Prepared { env, mut lock, pins, found } = prepare(&plan, options, false, cancel, observer, cluster)?;
    let history = History::of(&env.store, &plan.name)?.unwrap_or_default();
    let facts = Facts::of(&plan, &found);
    if !options.allow_shrink {
        guard::sources(&plan, &facts, &history).map_err(Error::Guard)?;
    }
    let settled = settled::key(&plan, &facts, &pins, &lock, &env).filter(|_| cluster.is_none());
    if options.refresh.is_empty()
        && let Some((published, summary)) = settled::recall(&history, settled, &env.store)?
    {
        env.event(Event::Unchanged { run: published.run.clone() });
        publish::again(&plan, &env.store, &published, &summary, options.workers, started)?;
        keep::record(&env.store, &plan, &Outcome::default(), &Withdrawn::default(), &published.run, true)?;
        env.store.flush()?;
        return Ok(Finished { summary, published, wall: started.elapsed(), locked: None });
    }
    if let Some(cluster) = cluster {
        follow::start(cluster, &plan, &env, &pins).map_err(|error| early(&env, error))?;
    }
    let share = execute(&plan, &env, found, pins, options.workers, cluster).map_err(|error| early(&env, error))?;
    env.store.flush()?;
    if let Some(cluster) = cluster {
        follow::gather(cluster, &share, &env).map_err(|error| early(&env, error))?;
    }
    let outcome = share.outcome(&plan, &env);
    finish(&plan, &env, outcome, &facts, settled, history, &mut lock, options, started)
}

/// What a run needs to know of its sources once they are fed.
pub(crate) struct Facts {
    /// Everything outside the manifest that it depends on.
    pub(crate) inputs: Digest,
    /// How many rows each stage was fed.
    counts: Vec<usize>,
    /// How many of these are recordings that are there.
    pub(crate) there: Vec<u64>,
    /// Whether some could not be read.
    pub(crate) unreadable: bool,
}

impl Facts {
    pub(crate) fn of(plan: &Plan, found: &[Arc<Scan>]) -> Facts {
        Facts {
            inputs: inputs(plan, found),
            counts: found.iter().map(|scan| scan.len()).collect(),
            there: found.iter().map(|scan| scan.there()).collect(),
            unreadable: found.iter().any(|scan| scan.unreadable()),
        }
    }
}

/// Checks what became of a plan and publishes it.
///
/// # Errors
/// See [`Error`].
pub(crate) fn finish(
    plan: &Plan,
    env: &Env,
    outcome: Outcome,
    facts: &Facts,
    settled: Option<Digest>,
    history: History,
    lock: &mut Lock,
    options: &Options,
    started: Instant,
) -> Result<Finished, Error> {
    if let Some(error) = failure(outcome.failures) {
        return Err(error);
    }
    if env.cancel.cancelled() {
        return Err(Error::Interrupted);
    }
    let mut outcome = Outcome { stages: outcome.stages, failures: Vec::new() };
    if let Some(error) = failure(account::idle(plan, &outcome)) {
        return Err(error);
    }
    account::check(plan, &outcome, &facts.counts)
        .map_err(|wrong| Error::Bug(format!("rows were lost: {}", wrong.join("; "))))?;
    if !options.allow_shrink {
        guard::dropped(plan, &outcome).map_err(Error::Guard)?;
    }
    let withdrawn = withdraw::look(plan, &mut outcome, env)?;
    warn(env, &withdrawn);
    let id = run_id(plan, &facts.inputs, &outcome);
    let next = history.next(plan, &outcome);
    let summary = Summary::of(plan, &outcome, &history.changes(&next));
    // Of a large corpus it takes as much as the next one.
    drop(history);
    let published = publish::publish(&publish::Run {
        plan,
        outcome: &outcome,
        corpus: &gather::corpus(&outcome),
        env,
        id,
        summary: &summary,
        withdrawn: &withdrawn,
        workers: options.workers,
        processes: options.seat.as_ref().map_or(1, Seat::processes),
        started,
    })?;
    let settled = Settled::of(settled, &outcome, &published, &summary);
    next.record(&env.store, &plan.name, &published.run, settled)?;
    let locked = write_lock(plan, &outcome, lock, &env.store)?;
    keep::record(&env.store, plan, &outcome, &withdrawn, &published.run, published.known)?;
    env.store.flush()?;
    // Millions of rows take a second to be freed, and nobody waits for it.
    std::thread::spawn(move || drop(outcome));
    Ok(Finished { summary, published, wall: started.elapsed(), locked })
}

/// Lines of a list that name nothing may be slips, or about other corpora.
fn warn(env: &Env, withdrawn: &withdraw::Withdrawn) {
    for (stage, lines) in &withdrawn.idle {
        let all = env.optouts.get(stage).map_or(0, |list| list.lines().len());
        let first = lines.iter().min().copied().unwrap_or_default();
        let message =
            format!("{} of the {all} lines of `exclude` name no track here, the first in line {first}", lines.len());
        env.event(Event::Warning { stage: stage.clone(), message });
    }
}

/// Everything outside the manifest that a run depends on, without paths and times, and in no order of stages.
fn inputs(plan: &Plan, found: &[Arc<Scan>]) -> Digest {
    let mut key = Key::new("inputs");
    let names = plan.stages.iter().map(|stage| stage.name.as_str());
    let mut sources: Vec<(&str, Vec<Digest>)> = names.zip(found.iter().map(|scan| scan.digests())).collect();
    sources.retain(|(_, rows)| !rows.is_empty());
    sources.sort_by_key(|(name, _)| *name);
    for (name, mut rows) in sources {
        key.add(name.as_bytes());
        rows.par_sort_unstable();
        key.add(&(rows.len() as u64).to_le_bytes());
        rows.iter().for_each(|row| key.add(&row.0));
    }
    key.finish()
}

/// The weights of each stage whose weights are pinned, now or by this run: the run that trains them and the next one,
/// which finds them in the lock, are the same run.
fn pinned<'a>(plan: &'a Plan, outcome: &'a Outcome) -> impl Iterator<Item = (&'a PlannedStage, Digest)> {
    plan.stages.iter().zip(&outcome.stages).filter_map(|(stage, own)| match own.kept.made().first() {
        Some(AnyRow::Weights(weights)) if stage.ready.refresh() == Some(Refresh::Pinned) => {
            Some((stage, weights.digest))
        }
        Some(AnyRow::Prior(prior)) if stage.ready.refresh() == Some(Refresh::Pinned) => Some((stage, prior.digest)),
        _ => None,
    })
}

fn run_id(plan: &Plan, inputs: &Digest, outcome: &Outcome) -> Digest {
    let mut key = Key::new("run").digest(&plan.digest()).digest(inputs).text(datasets::effect::numerics());
    for (stage, weights) in pinned(plan, outcome) {
        key = key.text(&stage.name).digest(&weights);
    }
    for (stage, own) in plan.stages.iter().zip(&outcome.stages) {
        for row in own.dropped.iter().filter(|row| row.failed) {
            key = key.text(&stage.name).text(&row.id);
        }
        // A list counts as far as it names tracks of this corpus.
        for row in own.dropped.iter().filter(|row| row.withdrawn()) {
            key = key.text(&stage.name).text(&row.id).text(&row.why);
        }
    }
    key.finish()
}

/// Why a run of several processes ended early. What was finished is kept.
pub(crate) fn early(env: &Env, error: Error) -> Error {
    let flushed = env.store.flush();
    match error {
        // A failure stops a run by the same word as Ctrl-C.
        Error::Interrupted => failure(env.ledger.take().1).or(flushed.err().map(Error::from)).unwrap_or(error),
        other => other,
    }
}

/// A failure as other processes are told of it: exit code and sentence.
pub(crate) fn told(failure: Failure) -> (u8, String) {
    self::failure(vec![failure]).map_or_else(|| (1, String::new()), |error| (error.code(), error.to_string()))
}

/// The gravest failure decides the exit code; all are told.
fn failure(failures: Vec<Failure>) -> Option<Error> {
    let (mut stages, mut sources) = (Vec::new(), Vec::new());
    for failure in failures {
        match failure {
            Failure::Store(error) => return Some(error.into()),
            Failure::Pin(why) => return Some(Error::Lock(why)),
            Failure::Stage { stage, why } => stages.push(format!("stage `{stage}` failed: {why}")),
            Failure::Source { stage, why } => sources.push(format!("stage `{stage}` did not start: {why}")),
            Failure::Elsewhere { code: 6, why } => stages.push(why),
            Failure::Elsewhere { code: 3, why } => sources.push(why),
            Failure::Elsewhere { code, why } => return Some(Error::Elsewhere { code, why }),
        }
    }
    if !stages.is_empty() {
        stages.extend(sources);
        return Some(Error::Stage(stages.join("\n")));
    }
    (!sources.is_empty()).then(|| Error::Source(sources.join("\n")))
}

fn write_lock(plan: &Plan, outcome: &Outcome, lock: &mut Lock, store: &Store) -> Result<Option<PathBuf>, Error> {
    let (mut changed, mut any) = (false, false);
    for (stage, weights) in pinned(plan, outcome) {
        changed |= lock.set(&stage.name, stage.ready.digest(), weights);
        any = true;
    }
    if changed {
        lock.write()?;
    }
    // What it names stays when the store is cleaned up.
    if any && let Ok(path) = std::path::absolute(lock.path()) {
        store.pin(&path, lock.weights().collect())?;
    }
    Ok(changed.then(|| lock.path().to_owned()))
}
