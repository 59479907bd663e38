//! Runs of several processes: what all must agree on, and the work of processes other than process 0.

use crate::{
    dataflow::{
        Share,
        cluster::{Account, Cluster, Start, Work},
        execute,
    },
    error::Error,
    plan::Plan,
    run::{self, prepare::Options},
};
use datasets::{
    Digest, Key,
    effect::{networks, numerics, revision},
    store::{Store, Temp},
};
use differential_dataflow::Hashable as _;
use stages::{
    STAGES,
    flow::{Cancel, Env, Failure, Observer, StageLedger},
};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::Write as _,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Number of sources probed before the work starts: enough to notice a missing disk.
const LOOKED_FOR: usize = 64;

/// Facts that must agree in all processes: name and value in this process.
pub(crate) fn facts(plan: &Plan, options: &Options) -> Vec<(String, String)> {
    let addresses = options.seat.as_ref().map_or(&[][..], |seat| &seat.addresses);
    let hosts = addresses.iter().fold(Key::new("hosts"), |key, address| key.text(address)).finish();
    let stages = STAGES.iter().fold(Key::new("stages"), |key, entry| {
        key.text(entry.verb).number(u64::from(revision(entry.verb, entry.revision)))
    });
    // Rows find their worker by this hash.
    let stages = stages.number(b"row".to_vec().hashed()).finish();
    // Stages are spoken of by their place, which does not make another plan.
    let manifest = plan.stages.iter().fold(Key::new("manifest").digest(&plan.digest()), |key, stage| {
        key.text(&stage.name).text(&format!("{:?}", stage.inputs))
    });
    let mut refresh = options.refresh.clone();
    refresh.sort();
    let refresh = if refresh.is_empty() { "none".to_owned() } else { refresh.join(" ") };
    let facts = [
        ("version of refrain", env!("CARGO_PKG_VERSION").to_owned()),
        ("build of refrain", stages.short(12)),
        ("numerics class", numerics().to_owned()),
        ("numerics class of networks", networks().to_owned()),
        ("number of processes (-n)", addresses.len().to_string()),
        ("list of hosts (--hosts)", hosts.short(12)),
        ("number of workers (-w)", options.workers.to_string()),
        ("manifest, --set or --to", manifest.finish().short(12)),
        ("--refresh", refresh),
        ("--plan", options.approved.as_ref().map_or_else(|| "none".to_owned(), |plan| plan.digest().short(12))),
        ("--rehash", options.rehash.to_string()),
        ("--allow-shrink", options.allow_shrink.to_string()),
        ("--allow-empty", options.allow_empty.to_string()),
    ];
    facts.into_iter().map(|(what, here)| (what.to_owned(), here)).collect()
}

/// Digest of the opt-out lists of a plan.
pub(crate) fn lists(plan: &Plan) -> Digest {
    let mut key = Key::new("lists");
    for stage in &plan.stages {
        if let Some(path) = stage.ready.exclude(&plan.base) {
            // One that cannot be read has been told where it was read for its lines.
            key = key
                .text(&stage.name)
                .digest(&Digest::of(&datasets::untrusted::read(&path, u64::MAX).unwrap_or_default()));
        }
    }
    key.finish()
}

/// Sends the start message to the other processes and waits until they are ready. Process 0 only.
///
/// # Errors
/// When one cannot start or is lost, or the store cannot be written.
pub(crate) fn start(cluster: &Cluster, plan: &Plan, env: &Arc<Env>, pins: &[Option<Digest>]) -> Result<(), Error> {
    cluster.answer_for(env);
    // Another store does not hold this file. It goes when all have looked for it.
    let mut token = Temp::beside(&env.store.root().join("token"))?;
    token.flush().map_err(datasets::store::StoreError::io("write", token.path()))?;
    let name = token.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let absolute_bytes = |(content, path): (Digest, PathBuf)| {
        let path = std::path::absolute(&path).unwrap_or(path);
        (content, path.as_os_str().as_bytes().to_vec())
    };
    let sources: Vec<(Digest, Vec<u8>)> = env.sources.list().into_iter().map(absolute_bytes).collect();
    let step = (sources.len() / LOOKED_FOR).max(1);
    let some = sources.iter().step_by(step).map(|(_, path)| path);
    // A table may name files that nobody has.
    let there = some.filter(|path| Path::new(OsStr::from_bytes(path)).is_file()).cloned().collect();
    cluster.start(Start {
        store: absolute(env.store.root()),
        token: name,
        sources,
        there,
        pins: pins.to_vec(),
        optouts: lists(plan),
    })
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Receives rows and accounts of the other processes. Process 0 only.
///
/// # Errors
/// When one is lost before it has told.
pub(crate) fn gather(cluster: &Cluster, share: &Share, env: &Env) -> Result<(), Error> {
    let (rows, accounts) = cluster.gather()?;
    rows.into_iter().for_each(|rows| share.add(rows));
    let mut keys: BTreeSet<Digest> = BTreeSet::new();
    for account in accounts {
        for Work { stage, executed, cost, cached, notes } in account.work {
            env.ledger.add(&stage, StageLedger { executed, cost, cached, notes, ..StageLedger::default() });
        }
        // Wherever a stage failed, the run says it in the same words.
        for (stage, why) in account.failed {
            env.ledger.fail(Failure::Stage { stage, why });
        }
        for (code, why) in account.failures {
            env.ledger.fail(Failure::Elsewhere { code, why });
        }
        keys.extend(account.keys);
    }
    // The run's root rests on what the others looked up and wrote, too.
    let keys: Vec<Digest> = keys.into_iter().collect();
    Ok(env.store.adopt(&keys)?)
}

/// Runs the dataflow of a process that does not lead. Returns the run that process 0 published.
///
/// # Errors
/// See [`Error`]. Whatever was finished before is kept.
pub(crate) fn follow(
    plan: &Arc<Plan>,
    options: &Options,
    cancel: Cancel,
    observer: Box<dyn Observer>,
    cluster: &Cluster,
) -> Result<String, Error> {
    run::prepare::size_engine(options.workers);
    let start = cluster.started()?;
    let mut unreadable = Vec::new();
    let optouts = run::prepare::optouts(plan, &mut unreadable);
    if !unreadable.is_empty() {
        return Err(Error::Source(unreadable.join("\n")));
    }
    // Process 0 may have ended meanwhile, and taken with it what is looked for.
    fits(plan, options, &start).map_err(|error| cluster.ending_before(error))?;
    let store = Store::open(&options.store)?;
    store.begin(&plan.name);
    let env = Arc::new(Env { peers: Some(cluster.peers()), ..run::env(options, store, optouts, cancel, observer) });
    let places = start.sources.iter().map(|(content, path)| (*content, PathBuf::from(OsStr::from_bytes(path))));
    env.sources.extend(places.collect());
    cluster.answer_for(&env);
    cluster.ready();
    let share = execute(plan, &env, Vec::new(), start.pins, options.workers, Some(cluster))
        .map_err(|error| run::early(&env, error))?;
    // What it helped with has ended where it was done.
    env.pool.quiet(Duration::MAX);
    env.helpers.clear();
    env.store.flush()?;
    // A dataflow that was told to stop drains without what was under way: its rows are no account of the run.
    if env.cancel.cancelled() {
        return Err(run::early(&env, Error::Interrupted));
    }
    let (ledgers, failures) = env.ledger.take();
    let work = ledgers.into_iter().map(|(stage, StageLedger { executed, cost, cached, notes, .. })| Work {
        stage,
        executed,
        cost,
        cached,
        notes,
    });
    let (mut failed, mut others) = (Vec::new(), Vec::new());
    for failure in failures {
        match failure {
            Failure::Stage { stage, why } => failed.push((stage, why)),
            other => others.push(run::failure::told(other)),
        }
    }
    let account = Account { work: work.collect(), failed, failures: others, keys: env.store.touched(&BTreeSet::new()) };
    cluster.hand_in(share.parts(), account);
    cluster.published()
}

/// Whether this process sees the store, the lists and the sources that process 0 sees.
fn fits(plan: &Plan, options: &Options, start: &Start) -> Result<(), Error> {
    if !options.store.join(&start.token).is_file() {
        return Err(Error::Usage(format!(
            "the store {} here is not the store {} of process 0: give all processes one folder that they share with --store",
            absolute(&options.store),
            start.store
        )));
    }
    if lists(plan) != start.optouts {
        return Err(Error::Usage("a list under `exclude` differs from the one that process 0 reads".into()));
    }
    match start.there.iter().map(|path| Path::new(OsStr::from_bytes(path))).find(|path| !path.is_file()) {
        None => Ok(()),
        Some(path) => Err(Error::Source(format!(
            "{} is not here, which process 0 reads: every host needs the corpus at the same place",
            path.display()
        ))),
    }
}
