//! One run of a manifest: look at the sources, execute, check, guard, publish.

pub mod conservation;
pub mod failure;
pub mod finish;
pub mod finished;
pub(crate) mod follower;
pub mod guard;
pub mod inputs;
pub mod prepare;
pub mod unchanged;
pub mod watch;

use crate::{
    dataflow::{cluster::Cluster, execute, outcome::Outcome},
    error::Error,
    explain::{Explainer, preview::Preview},
    plan::{Plan, PlannedStage},
    publish::{self, root, withdrawal::Withdrawn},
    record::history::History,
    run::{
        failure::{early, failure},
        finish::finish,
        finished::Finished,
        inputs::Facts,
        prepare::{Options, Prepared, env, prepare},
    },
};
use stages::flow::{Cancel, Event, Observer};
use std::{sync::Arc, time::Instant};

/// How a run ended well.
#[derive(Debug)]
pub enum Ended {
    /// Here.
    Finished(Box<Finished>),
    /// In process 0, which published this run.
    Followed(String),
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
    let cluster = Cluster::join(seat, &follower::facts(&plan, options), &cancel)?;
    if cluster.leads() {
        let finished = lead(plan, options, cancel, observer, Some(&cluster));
        let run = finished.as_ref().map(|finished| finished.published.run.as_str());
        cluster.end(run);
        return finished.map(|finished| Ended::Finished(Box::new(finished)));
    }
    let followed = follower::follow(&plan, options, cancel, observer, &cluster);
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
    let settled = unchanged::key(&plan, &facts, &pins, &lock, &env).filter(|_| cluster.is_none());
    if options.refresh.is_empty()
        && let Some((published, summary)) = unchanged::recall(&history, settled, &env.store)?
    {
        env.event(Event::Unchanged { run: published.run.clone() });
        publish::again(&plan, &env.store, &published, &summary, options.workers, started)?;
        root::record(&env.store, &plan, &Outcome::default(), &Withdrawn::default(), &published.run, true, None)?;
        env.store.flush()?;
        return Ok(Finished { summary, published, wall: started.elapsed(), locked: None });
    }
    if let Some(cluster) = cluster {
        follower::start(cluster, &plan, &env, &pins).map_err(|error| early(&env, error))?;
    }
    let share = execute(&plan, &env, found, pins, options.workers, cluster).map_err(|error| early(&env, error))?;
    env.store.flush()?;
    if let Some(cluster) = cluster {
        follower::gather(cluster, &share, &env).map_err(|error| early(&env, error))?;
    }
    let outcome = share.outcome(&plan, &env);
    finish(&plan, &env, outcome, &facts, settled, history, &mut lock, options, started)
}
