//! One run of a manifest: look at the sources, execute, check, guard, publish.
//!
//! Uses every room below it, and nothing of `cli`.
//!
//! # The life of a run
//!
//! A run starts from a [`Plan`], in which every word of the manifest has been understood (else: exit code 2).
//!
//! | step | what happens | ends the run with |
//! |---|---|---|
//! | [`prepare`](mod@prepare) | opens the store beside others, reads lock file and opt-out lists, scans the sources; tries whether a lock file that will name weights can be written | 4 store or lock, 3 source, 5 nothing of what a source lists, 2 `--refresh` of what cannot be |
//! | [`guard`] | holds an approved plan against manifest, store and sources; compares the sources with the last published run | 5 something has moved, or a source lost over 20 % |
//! | [`unchanged`] | takes the short way where plan, sources, pins and versions are those of that run and its tree, receipts and objects are whole | |
//! | `dataflow::execute` | renders the plan on every worker and runs the one build; effects that are remembered do not run | 1 a thread died, 4 the store failed, 7 another process was lost, 130 Ctrl-C: each at once |
//! | flush | makes the receipts durable | 4 |
//! | `partial` | takes out stages over the whole corpus that failed or found nothing, with what rests on them; all other branches have finished | 3 a source kept one from starting, 4 a pin, 6 nothing is left to publish |
//! | [`conservation`] | sees that every row that went in came out | 1 a bug |
//! | [`guard`]`::dropped` | compares dropped rows with each stage's `max_dropped` | 5 |
//! | withdrawal | finds which tracks the opt-out lists name and what rests on them | 4 |
//! | `publish` | writes the tree beside its place and renames it | 4 |
//! | history, lock file, root | what the next run is compared with, which weights are pinned, what `gc` leaves | 4 |
//!
//! A partial run is published and recorded like a whole one, and ends with 6. The order carries promises:
//!
//! - Nothing is visible before everything has been checked: until the rename the last published tree stands.
//! - What finished is kept, however the run ends: each receipt is written when its effect ends, and the heavy ones are
//!   durable before their checkpoint goes. The next run finds them and does the rest.
//! - A run's name is its manifest's with a digest of plan, inputs, numerics class, pinned weights, and what failed or was
//!   withdrawn. So the same run again, or one that was killed after its tree was there, finds the tree and writes what
//!   comes after it.
//! - Times and workers are in `timing.json` alone: the same run gives the same bytes in every other file.
//!
//! Of several processes, each executes its share and hands in its rows; process 0 does all the rest (`follower`). A dry
//! run ([`dry`]) stops after the dataflow, in which effects only look. `watch` keeps the dataflow up and goes from
//! the scan to the root again for every change.

pub mod conservation;
pub mod failure;
pub mod finish;
pub mod finished;
pub(crate) mod follower;
pub mod guard;
pub mod inputs;
pub(crate) mod partial;
pub mod prepare;
pub mod unchanged;
pub mod watch;
pub mod what_if;

use crate::{
    dataflow::{cluster::Cluster, execute, outcome::Outcome},
    error::Error,
    explain::{
        Explainer,
        approved::{self, Approved, PlanBasis},
        preview::Preview,
    },
    plan::{Plan, PlannedStage},
    publish::{self, root, withdrawal::Withdrawn},
    record::history::History,
    run::{
        failure::{early, failure},
        finish::{Build, finish},
        finished::Finished,
        inputs::Facts,
        prepare::{Options, Prepared, env, prepare},
        what_if::WhatIf,
    },
};
use stages::flow::{Cancel, Event, Observer};
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// Outcome of a run that ended well.
#[derive(Debug)]
pub enum Ended {
    /// This process finished and published the run.
    Finished(Box<Finished>),
    /// Process 0 published the run of this name.
    Followed(String),
}

/// Previews a run without doing it, as if what `what_if` names were withdrawn.
///
/// # Errors
/// See [`Error`].
pub fn dry(plan: Plan, options: &Options, cancel: Cancel, what_if: &WhatIf) -> Result<Preview, Error> {
    let plan = Arc::new(what_if.denied(plan)?);
    look(&plan, options, cancel, what_if, false).map(|(preview, _)| preview)
}

/// [`dry`], and the plan as it can be saved for a run that keeps to it.
///
/// # Errors
/// See [`Error`].
pub fn approvable(plan: &Arc<Plan>, options: &Options, cancel: Cancel) -> Result<(Preview, Approved), Error> {
    let (preview, basis) = look(plan, options, cancel, &WhatIf::default(), true)?;
    let basis = basis.ok_or_else(|| Error::Bug("a plan without what it was computed from".into()))?;
    let approved = Approved::of(plan, &preview, basis);
    Ok((preview, approved))
}

/// Previews a run; with `basis`, also returns the data that the plan was computed from.
fn look<'o>(
    plan: &Arc<Plan>,
    options: &'o Options,
    cancel: Cancel,
    what_if: &WhatIf,
    basis: bool,
) -> Result<(Preview, Option<PlanBasis<'o>>), Error> {
    let mut prepared = prepare(plan, options, true, cancel, Box::new(()), None)?;
    let env = Arc::get_mut(&mut prepared.env).ok_or_else(|| Error::Bug("an environment in use".into()))?;
    what_if.withdraw(plan, env);
    let pinned: Vec<bool> = prepared.pins.iter().map(Option::is_some).collect();
    let basis = basis.then(|| PlanBasis {
        inputs: inputs::inputs(plan, &prepared.found),
        rows: prepared.found.iter().map(approved::rows).collect(),
        weights: BTreeMap::new(),
        refresh: &options.refresh,
    });
    let share = execute(plan, &prepared.env, prepared.found, prepared.pins, options.workers, None)?;
    let outcome = share.outcome(plan, &prepared.env);
    if let Some(error) = failure(outcome.failures) {
        return Err(error);
    }
    let outcome = Outcome { stages: outcome.stages, failures: Vec::new() };
    what_if.check(plan, &outcome)?;
    let basis = basis.map(|basis| {
        let weights = finish::pinned(plan, &outcome).map(|(stage, weights)| (stage.name.clone(), weights));
        PlanBasis { weights: weights.collect(), ..basis }
    });
    let store = &prepared.env.store;
    let refreshed = |stage: &PlannedStage| options.refresh.iter().any(|name| *name == stage.name || *name == stage.of);
    let refreshed: Vec<bool> = plan.stages.iter().map(refreshed).collect();
    let history = History::of(store, &plan.name)?;
    let preview = Preview::of(&Explainer::new(plan, &outcome, history.as_ref(), &refreshed, &pinned, &store.runs()));
    // Millions of rows take a second to be freed, and nobody waits for it.
    std::thread::spawn(move || drop(outcome));
    Ok((preview, basis))
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
        let finished = lead(plan, options, cancel, observer, Some(&cluster)).map_err(|own| cluster.reason(own));
        let ended = finished.as_ref().map(Finished::ended);
        cluster.end(match (&finished, &ended) {
            (Ok(finished), Ok(Ok(()))) => Ok(&finished.published.run),
            (_, Ok(Err(error))) | (Err(error), _) => Err(error),
            (Ok(_), Err(error)) => Err(error),
        });
        return finished.map(|finished| Ended::Finished(Box::new(finished)));
    }
    let followed = follower::follow(&plan, options, cancel, observer, &cluster).map_err(|own| cluster.reason(own));
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
    if let Some(approved) = &options.approved {
        guard::approved(approved, &approvable(&plan, options, cancel.clone())?.1)?;
    }
    let Prepared { env, mut lock, pins, found } = prepare(&plan, options, false, cancel, observer, cluster)?;
    let history = History::of(&env.store, &plan.name)?.unwrap_or_default();
    let facts = Facts::of(&plan, &found);
    if let Some(approved) = &options.approved {
        guard::still(approved, &facts)?;
    }
    if !options.allow_shrink {
        guard::sources(&plan, &facts, &history).map_err(Error::Guard)?;
    }
    let settled = unchanged::key(&plan, &facts, &pins, &lock, &env).filter(|_| cluster.is_none());
    if options.refresh.is_empty()
        && let Some((published, summary)) = unchanged::recall(&history, settled, &env.store)?
    {
        tracing::debug!("nothing changed since {}: the dataflow is not begun", published.run);
        env.event(Event::Unchanged { run: published.run.clone() });
        publish::again(&plan, &env.store, &published, &summary, options.workers, started)?;
        root::record(&env.store, &plan, &Outcome::default(), &Withdrawn::default(), &published, &lock, None)?;
        env.store.flush()?;
        return Ok(Finished { summary, published, wall: started.elapsed(), locked: None, failed: Vec::new() });
    }
    tracing::debug!("starting the dataflow: {} stages on {} workers", plan.stages.len(), options.workers);
    if let Some(cluster) = cluster {
        follower::start(cluster, &plan, &env, &pins).map_err(|error| early(&env, error))?;
    }
    let share = execute(&plan, &env, found, pins, options.workers, cluster).map_err(|error| early(&env, error))?;
    env.store.flush()?;
    tracing::debug!("the dataflow ended after {:.2} s", started.elapsed().as_secs_f64());
    if let Some(cluster) = cluster {
        follower::gather(cluster, &share, &env).map_err(|error| early(&env, error))?;
    }
    let outcome = share.outcome(&plan, &env);
    finish(&Build { plan: &plan, env: &env, facts: &facts, options, started }, outcome, settled, history, &mut lock)
}
