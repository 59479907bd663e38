//! `watch`: stays up, and builds and publishes whenever something changed.
//!
//! The dataflow of a plan stays in memory with its rows, and is fed with what came and went. Changed settings, another
//! opt-out list or freshly pinned weights render it anew: the store remembers what was done.

mod places;

use crate::{
    dataflow::session::{Changes, Session},
    error::Error,
    manifest::Complaints,
    plan::Plan,
    record::history::History,
    run::{
        self,
        finish::{Build, finish},
        finished::{self, Finished},
        follower,
        inputs::Facts,
        prepare::{Options, Prepared},
    },
    terminal::{
        output,
        progress::{Screen, Shared},
    },
};
use places::Places;
use serde_json::json;
use stages::flow::Cancel;
use std::{sync::Arc, time::Instant};

/// Stays up until Ctrl-C. `load` reads the manifest, at the start and after each change of it.
///
/// # Errors
/// What is wrong with the manifest at the start; later complaints are told and waited on. A store that fails, and Ctrl-C
/// amid a build.
pub fn watch(
    load: &dyn Fn() -> Result<Plan, Complaints>,
    options: &Options,
    cancel: &Cancel,
    json: bool,
) -> Result<(), Error> {
    let mut plan = Arc::new(load().map_err(Error::Manifest)?);
    let mut places = Places::of(&plan, &options.store)?;
    loop {
        tell(json, &json!({ "event": "watching", "paths": places.shown() }), &places.sentence());
        match session(load, &plan, &places, options, cancel, json)? {
            After::Ended => return Ok(()),
            After::Again => {}
        }
        // While the manifest is wrong, its places stay as they were: one of them will mend it.
        plan = loop {
            match load() {
                Ok(plan) => break Arc::new(plan),
                Err(complaints) => output::laid_out(&complaints.render(output::colored())),
            }
            if places.wait(cancel).is_none() {
                return Ok(());
            }
        };
        places = Places::of(&plan, &options.store)?;
    }
}

/// Next step after a session.
enum After {
    /// No further session, after Ctrl-C.
    Ended,
    /// Another session, with the dataflow rendered anew.
    Again,
}

fn session(
    load: &dyn Fn() -> Result<Plan, Complaints>,
    plan: &Arc<Plan>,
    places: &Places,
    options: &Options,
    cancel: &Cancel,
    json: bool,
) -> Result<After, Error> {
    let lists = follower::lists(plan);
    let screen = Arc::new(Screen::new(json));
    let prepared = run::prepare(plan, options, false, cancel.clone(), Box::new(Shared(screen.clone())), None);
    let Prepared { env, mut lock, pins, found } = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return wait_out(error, places, cancel),
    };
    let mut plan = plan.clone();
    let mut session = Session::start(&plan, &env, pins, options.workers)?;
    let (mut facts, mut held) = (Facts::of(&plan, &found), found);
    let mut changes = Changes { settings: session.settings(), ..Changes::default() };
    for (stage, scan) in held.iter().enumerate() {
        changes.sources.push((stage, Box::new(scan.rows(0..scan.len()).map(|row| (row, 1)))));
    }
    loop {
        let started = Instant::now();
        let (outcome, absorbed) = session.build(changes)?;
        env.store.flush()?;
        let history = History::of(&env.store, &plan.name)?.unwrap_or_default();
        let shrunk = match options.allow_shrink {
            true => Ok(()),
            false => run::guard::sources(&plan, &facts, &history).map_err(Error::Guard),
        };
        let broken = !outcome.failures.is_empty();
        let ended = Build { plan: &plan, env: &env, facts: &facts, options, started };
        let finished = shrunk.and_then(|()| finish(&ended, outcome, None, history, &mut lock));
        screen.end();
        match finished {
            Ok(finished) => {
                told(json, &finished, absorbed.as_secs_f64());
                // What failed may be tried again: the dataflow would not.
                if let Err(error) = finished.ended() {
                    return wait_out(error, places, cancel);
                }
                // From now on these weights are an input.
                if finished.locked.is_some() {
                    return Ok(After::Again);
                }
            }
            // What was fed is fed: a guard waits for the next change, anything else begins anew then.
            Err(error @ Error::Guard(_)) if !broken => output::error(&error.to_string()),
            Err(error) => return wait_out(error, places, cancel),
        }
        changes = loop {
            let Some(what) = places.wait(cancel) else {
                // Nothing is under way: it ends well, however long a large corpus takes to be let go.
                std::mem::forget(cancel.hold());
                return Ok(After::Ended);
            };
            if what.other {
                return Ok(After::Again);
            }
            let mut changes = Changes::default();
            if what.manifest {
                let same = |other: &Plan| follower::lists(other) == lists;
                let Some(other) = load().ok().filter(same).map(Arc::new) else { return Ok(After::Again) };
                let Some(settings) = session.adopt(&other) else { return Ok(After::Again) };
                (plan, changes.settings) = (other, settings);
            }
            if !what.sources {
                break changes;
            }
            env.sources.clear();
            let now = match run::prepare::scan(&plan, &env, Vec::new()) {
                Ok(now) => now,
                Err(error) => return wait_out(error, places, cancel),
            };
            // Which sources cannot be read is counted once for each session.
            let unreadable = facts.unreadable;
            facts = Facts::of(&plan, &now);
            if unreadable || facts.unreadable {
                return Ok(After::Again);
            }
            for (stage, (was, now)) in held.iter().zip(&now).enumerate() {
                let rows = was.until(now);
                if !rows.is_empty() {
                    changes.sources.push((stage, Box::new(rows.into_iter())));
                }
            }
            held = now;
            if what.manifest || !changes.sources.is_empty() {
                break changes;
            }
        };
    }
}

/// Tells of an error and waits for a change that may mend it. A store that fails, a bug and Ctrl-C end it all.
fn wait_out(error: Error, places: &Places, cancel: &Cancel) -> Result<After, Error> {
    if matches!(error.code(), 1 | 4 | 130) {
        return Err(error);
    }
    output::error(&error.to_string());
    Ok(if places.wait(cancel).is_some() { After::Again } else { After::Ended })
}

fn tell(json: bool, event: &serde_json::Value, sentence: &str) {
    if json {
        output::data(&format!("{event}\n"));
    } else {
        output::note(sentence);
    }
}

/// Prints one line about a build; dropped rows and results of a sweep are in the report.
fn told(json: bool, finished: &Finished, absorbed: f64) {
    if json {
        output::data(&format!("{}\n{}\n", json!({ "event": "built", "seconds": absorbed }), finished::done(finished)));
        return;
    }
    let (mut work, mut rows) = (Vec::new(), Vec::new());
    for line in &finished.summary.stages {
        if line.executed > 0 {
            work.push(format!("{} {}", line.name, line.executed));
        }
        if line.added + line.retracted > 0 {
            rows.push(format!("{} +{} -{}", line.name, line.added, line.retracted));
        }
    }
    let listed = |parts: &[String]| if parts.is_empty() { "none".to_owned() } else { parts.join(", ") };
    let seconds = finished.wall.as_secs_f64();
    let (run, work, rows) = (&finished.published.run, listed(&work), listed(&rows));
    output::summary(&format!("{run} ({seconds:.1} s)  executed: {work}; rows: {rows}\n"));
}
