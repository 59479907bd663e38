//! Preparation of a run before its plan executes: store, lock, pins, sources.

use crate::{
    dataflow::cluster::{Cluster, Seat},
    error::Error,
    explain::approved::{Approved, Named},
    plan::{Plan, PlannedStage},
    record::lockfile::Lock,
};
use datasets::{Digest, corpus::OptOut, store::Store};
use stages::{
    flow::{Cancel, Env, Helpers, Ledger, Observer, Permit, Pool, Sources},
    rows::scan::Scan,
    stage::{Refresh, SourceError},
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Once},
};

/// Options of the command line for a run.
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
    /// Publish although no row is left.
    pub allow_empty: bool,
    /// Size limit of the cache of decoded samples, in bytes.
    pub pcm_cache: u64,
    /// This process among several. `None` for a run of one process.
    pub seat: Option<Seat>,
    /// The saved plan beyond which nothing may run.
    pub approved: Option<Arc<Approved>>,
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
    // Whoever plans makes no store.
    let store = if dry { Store::look(&options.store)? } else { Store::open(&options.store)? };
    tracing::debug!("opened the store {}", store.root().display());
    let lock = Lock::read_all(&plan.file, &plan.bases).map_err(Error::Lock)?;
    let mut pins = Vec::new();
    for stage in &plan.stages {
        let anew = options.refresh.iter().any(|name| *name == stage.name || *name == stage.of);
        let pinned = stage.ready.refresh() == Some(Refresh::Pinned) && !anew;
        let pin = if pinned { lock.pin(stage) } else { None };
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
        if let Some((weights, path)) = pin {
            tracing::debug!(
                "stage `{}`: pinned to the weights {} by {}",
                stage.name,
                weights.short(12),
                path.display()
            );
        }
        pins.push(pin.map(|(weights, _)| weights));
    }
    // Weights that no lock names yet are named when the run has published: better told before they are trained.
    let named = |(stage, pin): (&PlannedStage, &Option<Digest>)| {
        stage.ready.refresh() != Some(Refresh::Pinned) || pin.is_some()
    };
    if !dry && cluster.is_none_or(Cluster::leads) && !plan.stages.iter().zip(&pins).all(named) {
        lock.writable().map_err(Error::Lock)?;
    }
    if !dry {
        store.begin(&plan.name);
    }
    if pins.iter().any(Option::is_some) {
        store.recover_pinned()?;
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
/// When a source as a whole cannot be read, when nothing is there of what one lists, or the store fails.
pub(crate) fn scan(plan: &Plan, env: &Env, mut unreadable: Vec<String>) -> Result<Vec<Arc<Scan>>, Error> {
    // The store, manifests and lock files may lie among the recordings.
    let manifests = plan.bases.iter().chain([&plan.file]);
    let own = manifests.flat_map(|file| [file.clone(), file.with_extension("lock")]);
    env.sources.leave_out(own.chain([env.store.root().to_owned()]));
    let (mut found, mut nothing) = (Vec::new(), Vec::new());
    for stage in &plan.stages {
        match stage.ready.scan(&plan.base, env) {
            Ok(rows) => {
                if stage.entry.ports.is_empty() {
                    tracing::debug!("stage `{}`: {} rows found", stage.name, rows.len());
                }
                found.push(Arc::new(rows));
            }
            Err(SourceError::Store(error)) => return Err(error.into()),
            Err(SourceError::Interrupted) => return Err(Error::Interrupted),
            Err(SourceError::Unreadable(why)) => {
                unreadable.push(format!("stage `{}`: {why}", stage.name));
                found.push(Arc::default());
            }
            Err(SourceError::Nothing(why)) => {
                nothing.push(format!("stage `{}`: {why}", stage.name));
                found.push(Arc::default());
            }
        }
    }
    match (unreadable.is_empty(), nothing.is_empty()) {
        (true, true) => Ok(found),
        (true, false) => Err(Error::Guard(nothing.join("\n"))),
        (false, _) => Err(Error::Source([unreadable, nothing].concat().join("\n"))),
    }
}

/// Creates the environment of effects for a run in this process alone.
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
        helpers: Helpers::default(),
        permit: options.approved.as_ref().map(|approved| Arc::new(Named::of(approved)) as Arc<dyn Permit>),
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
