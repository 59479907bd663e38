//! Checks what became of a plan, publishes it, writes lock and history.

use crate::{
    dataflow::{cluster::Seat, outcome::Outcome},
    error::Error,
    plan::{Plan, PlannedStage},
    publish::{
        self, publication, root,
        withdrawal::{self},
    },
    record::{
        corpus::corpus, history::History, kinds, lockfile::Lock, settled::Settled, stage_record::FailedStage,
        summary::Summary,
    },
    run::{conservation, finished::Finished, guard, inputs::Facts, partial, prepare::Options},
};
use datasets::{Digest, Key, store::Store};
use stages::{
    flow::{Env, Event},
    stage::Refresh,
};
use std::{path::PathBuf, time::Instant};

/// A build that has ended: its plan, the environment in which it ran, the facts of its sources, and when it started.
pub(crate) struct Build<'b> {
    pub(crate) plan: &'b Plan,
    pub(crate) env: &'b Env,
    pub(crate) facts: &'b Facts,
    pub(crate) options: &'b Options,
    pub(crate) started: Instant,
}

/// Checks what became of a plan and publishes it.
///
/// Where a stage over the whole corpus failed, what does not rest on it is published: see [`Finished::ended`].
///
/// # Errors
/// See [`Error`].
pub(crate) fn finish(
    build: &Build<'_>,
    outcome: Outcome,
    settled: Option<Digest>,
    history: History,
    lock: &mut Lock,
) -> Result<Finished, Error> {
    let Build { plan, env, facts, options, started } = *build;
    let empty = conservation::lost(plan, &outcome, &facts.counts);
    let lost = if options.allow_empty { &[][..] } else { &empty[..] };
    let (mut outcome, withheld) = partial::divide(plan, outcome, lost, env.cancel.cancelled())?;
    conservation::note_empty_splits(plan, &mut outcome);
    conservation::check(plan, &outcome, &facts.counts, &withheld.stages)
        .map_err(|wrong| Error::Bug(format!("rows were lost: {}", wrong.join("; "))))?;
    if !options.allow_shrink {
        guard::dropped(plan, &outcome).map_err(Error::Guard)?;
    }
    let withdrawn = withdrawal::look(plan, &mut outcome, env)?;
    warn(env, &withdrawn);
    warn_idle(build, &outcome);
    let id = run_id(plan, &facts.inputs, &outcome, &withheld.failed);
    let next = history.next(plan, &outcome, &withheld.stages);
    let summary = Summary::of(plan, &outcome, &history.changes(plan, &next));
    // Of a large corpus it takes as much as the next one.
    drop(history);
    let corpus = corpus(plan, &outcome, &withheld.stages);
    let run = publication::Run {
        plan,
        outcome: &outcome,
        corpus: &corpus,
        env,
        id,
        summary: &summary,
        failed: &withheld.failed,
        withdrawn: &withdrawn,
        workers: options.workers,
        processes: options.seat.as_ref().map_or(1, Seat::processes),
        started,
    };
    // What the run's root holds is made while the tree is written.
    let rooted = env.store.root_of(&run.name())?.is_some();
    let (published, made) =
        rayon::join(|| publish::publish(&run), || (!rooted).then(|| root::members(plan, &outcome, &withdrawn)));
    let published = published?;
    // What failed is tried again: no shortcut stands for a partial run, nor for one that only an option let be empty.
    let settled = settled.filter(|_| withheld.failed.is_empty() && empty.is_empty());
    let settled = Settled::of(settled, &outcome, &published, &summary);
    next.record(&env.store, &plan.name, &published.run, settled)?;
    let locked = write_lock(plan, &outcome, lock, &env.store)?;
    root::record(&env.store, plan, &outcome, &withdrawn, &published, lock, made)?;
    env.store.flush()?;
    // Millions of rows take a second to be freed, and nobody waits for it.
    std::thread::spawn(move || drop(outcome));
    Ok(Finished { summary, published, wall: started.elapsed(), locked, failed: withheld.failed })
}

/// Lines of a list that name nothing may be slips, or about other corpora.
pub(crate) fn warn(env: &Env, withdrawn: &withdrawal::Withdrawn) {
    for (stage, lines) in &withdrawn.idle {
        let all = env.optouts.get(stage).map_or(0, |list| list.lines().len());
        let first = lines.iter().min().copied().unwrap_or_default();
        let message =
            format!("{} of the {all} lines of `exclude` name no track here, the first in line {first}", lines.len());
        env.event(Event::Warning { stage: stage.clone(), message });
    }
}

/// `--refresh` trains anew where something changed; what was trained on the same before is found, and not made again.
fn warn_idle(build: &Build<'_>, outcome: &Outcome) {
    let Build { plan, env, options, .. } = *build;
    for (stage, own) in plan.stages.iter().zip(&outcome.stages) {
        let asked = options.refresh.iter().any(|name| *name == stage.name || *name == stage.of);
        if asked && own.ledger.executed.is_empty() && own.ledger.cached > 0 {
            let message = "--refresh trained nothing: it was trained on the same rows with the same settings before";
            env.event(Event::Warning { stage: stage.name.clone(), message: message.to_owned() });
        }
    }
}

/// The digest that names a run: of its plan, its inputs and its class of arithmetic, of pinned weights and dropped sources,
/// and of what failed. So a partial run never goes by the name of the whole one, nor of one that failed otherwise.
pub(crate) fn run_id(plan: &Plan, inputs: &Digest, outcome: &Outcome, failed: &[FailedStage]) -> Digest {
    let mut key = Key::new("run").digest(&plan.digest()).digest(inputs).text(datasets::effect::networks());
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
    for FailedStage { stage, why, .. } in failed {
        key = key.text("failed").text(stage).text(why);
    }
    key.finish()
}

/// The weights of each stage whose weights are pinned, now or by this run: the run that trains them and the next one,
/// which finds them in the lock, are the same run.
pub(crate) fn pinned<'a>(plan: &'a Plan, outcome: &'a Outcome) -> impl Iterator<Item = (&'a PlannedStage, Digest)> {
    let pinned = plan.stages.iter().zip(&outcome.stages);
    let pinned = pinned.filter(|(stage, _)| stage.ready.refresh() == Some(Refresh::Pinned));
    pinned.filter_map(|(stage, own)| Some((stage, kinds::of(own.kept.made().first()?).pin()?)))
}

pub(crate) fn write_lock(
    plan: &Plan,
    outcome: &Outcome,
    lock: &mut Lock,
    store: &Store,
) -> Result<Option<PathBuf>, Error> {
    let (mut changed, mut any) = (false, false);
    for (stage, weights) in pinned(plan, outcome) {
        changed |= lock.set(&stage.name, stage.ready.digest(), weights);
        any = true;
    }
    if changed {
        lock.write().map_err(Error::Lock)?;
    }
    // What it names stays when the store is cleaned up.
    if any && let Ok(path) = std::path::absolute(lock.path()) {
        store.pin(&path, lock.weights().collect())?;
    }
    Ok(changed.then(|| lock.path().to_owned()))
}
