//! The memoised effect as an operator: +1 looks the key up or runs the work, -1 retracts what was emitted.
//!
//! Rows are narrowed to their work, reduced to one row per work, run, and joined back. So a corrected
//! title never reaches a decoder, and two tracks with the same bytes are decoded once.

use super::{Event, Failure};
use crate::stage::{Context, Rows, Time};
use crossbeam_channel::unbounded;
use datasets::{
    Digest,
    effect::{Effect, Fault, Load, Refusal},
};
use differential_dataflow::{AsCollection, ExchangeData};
use serde::{Deserialize, Serialize};
use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use timely::dataflow::{
    channels::pact::Exchange,
    operators::{Capability, generic::Operator},
};

/// What an effect left in the dataflow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome<O> {
    /// A result.
    Ok(O),
    /// A refusal, remembered like a result.
    Refused(Refusal),
    /// A source that could not be read: never remembered.
    Failed(String),
    /// A dry run met a memo miss; the id is that of the row it would run on.
    Pending(String),
}

/// What is remembered under an effect's key.
#[derive(Serialize, Deserialize)]
enum Receipt<O> {
    Ok(O),
    Refused(Refusal),
}

/// Rows joined with what became of their work.
pub struct Done<'s, R: 'static, O: 'static> {
    /// Rows with their result.
    pub ok: Rows<'s, (R, O)>,
    /// Rows whose work was refused.
    pub refused: Rows<'s, (R, Refusal)>,
    /// Rows whose source could not be read.
    pub failed: Rows<'s, (R, String)>,
    /// Rows whose work would run, with the id of the row it would run on.
    pub pending: Rows<'s, (R, String)>,
}

/// Runs an effect for every distinct work among the rows. `id` names a row; of the rows that share a
/// work, the least id names it on screen and in the plan.
pub fn memoised<'s, E: Effect, R: ExchangeData>(
    cx: &Context<'s>,
    effect: E,
    rows: Rows<'s, (E::Work, R)>,
    id: fn(&R) -> String,
) -> Done<'s, R, E::Output>
where
    E::Work: ExchangeData + std::hash::Hash,
    E::Output: ExchangeData + std::hash::Hash,
{
    let named = rows.clone().map(move |(work, row)| (work, id(&row)));
    let work = named.reduce_named(&format!("{}: one per work", cx.stage), |_, ids, out| {
        if let Some((least, _)) = ids.first() {
            out.push(((*least).clone(), 1isize));
        }
    });
    let done = operator(cx, Arc::new(effect), work);
    let joined = rows.join_map(done, |_, row, outcome| (row.clone(), outcome.clone()));
    Done {
        ok: joined.clone().flat_map(|(row, outcome)| match outcome {
            Outcome::Ok(output) => Some((row, output)),
            _ => None,
        }),
        refused: joined.clone().flat_map(|(row, outcome)| match outcome {
            Outcome::Refused(refusal) => Some((row, refusal)),
            _ => None,
        }),
        failed: joined.clone().flat_map(|(row, outcome)| match outcome {
            Outcome::Failed(why) => Some((row, why)),
            _ => None,
        }),
        pending: joined.flat_map(|(row, outcome)| match outcome {
            Outcome::Pending(cause) => Some((row, cause)),
            _ => None,
        }),
    }
}

type Waiting<W> = Vec<(W, Capability<Time>, Time, isize)>;

fn operator<'s, E: Effect>(
    cx: &Context<'s>,
    effect: Arc<E>,
    work: Rows<'s, (E::Work, String)>,
) -> Rows<'s, (E::Work, Outcome<E::Output>)>
where
    E::Work: ExchangeData,
    E::Output: ExchangeData,
{
    let (env, stage, scope) = (cx.env.clone(), cx.stage.clone(), cx.scope.clone());
    let route = effect.clone();
    let pact = Exchange::new(move |x: &((E::Work, String), Time, isize)| route.key(&x.0.0).prefix());
    let name = format!("{}: effect", cx.stage);
    work.inner
        .unary(pact, &name, move |_, info| {
            // The only handle with which another thread may wake this worker.
            let waker = scope.worker().sync_activator_for(info.address.to_vec());
            let (sender, receiver) = unbounded::<(Digest, Option<Outcome<E::Output>>)>();
            let mut live: HashMap<Digest, (Outcome<E::Output>, isize)> = HashMap::new();
            let mut waiting: HashMap<Digest, Waiting<E::Work>> = HashMap::new();
            let mut queue: VecDeque<(Digest, E::Work, String)> = VecDeque::new();
            let mut running = 0usize;
            // Enough to keep the pool busy; a heavy effect has it alone anyway.
            let limit = if E::LOAD == Load::Heavy { 1 } else { 2 * env.pool.slots() };
            move |input, output| {
                input.for_each(|cap, data| {
                    for ((work, id), time, diff) in data.drain(..) {
                        let key = effect.key(&work);
                        if let Some(others) = waiting.get_mut(&key) {
                            others.push((work, cap.delayed(&time, 0), time, diff));
                            continue;
                        }
                        if !live.contains_key(&key) {
                            if let Some(outcome) = recall(&*effect, &env, &key) {
                                env.ledger.cached(&stage);
                                live.insert(key, (outcome, 0));
                            } else if env.dry {
                                env.ledger.will(&stage, id.clone());
                                live.insert(key, (Outcome::Pending(id), 0));
                            } else {
                                waiting.insert(key, vec![(work.clone(), cap.delayed(&time, 0), time, diff)]);
                                queue.push_back((key, work, id));
                                env.event(Event::Queued { stage: stage.to_string() });
                                continue;
                            }
                        }
                        if let Some((outcome, count)) = live.get_mut(&key) {
                            *count += diff;
                            output.session(&cap).give(((work, outcome.clone()), time, diff));
                            if *count == 0 {
                                live.remove(&key);
                            }
                        }
                    }
                });
                while let Ok((key, outcome)) = receiver.try_recv() {
                    running -= 1;
                    // Without an outcome the build is ending: dropping the capabilities lets it drain.
                    let (Some(others), Some(outcome)) = (waiting.remove(&key), outcome) else { continue };
                    let mut count = 0;
                    for (work, cap, time, diff) in others {
                        count += diff;
                        output.session(&cap).give(((work, outcome.clone()), time, diff));
                    }
                    if count != 0 {
                        live.insert(key, (outcome, count));
                    }
                }
                if env.cancel.cancelled() {
                    for (key, _, _) in queue.drain(..) {
                        waiting.remove(&key);
                    }
                }
                while running < limit {
                    let Some((key, work, id)) = queue.pop_front() else { break };
                    running += 1;
                    let (effect, env_, stage, sender, waker) =
                        (effect.clone(), env.clone(), stage.clone(), sender.clone(), waker.clone());
                    env.pool.submit(
                        E::LOAD,
                        Box::new(move || {
                            let outcome = perform(&*effect, &env_, &stage, key, &work, id);
                            // The operator's worker hands in the capability; the pool's own handles go first.
                            drop((effect, env_));
                            let _ = sender.send((key, outcome));
                            let _ = waker.activate();
                        }),
                    );
                }
            }
        })
        .as_collection()
}

/// A remembered outcome, if the objects it names are still there.
fn recall<E: Effect>(effect: &E, env: &super::Env, key: &Digest) -> Option<Outcome<E::Output>> {
    match postcard_from::<Receipt<E::Output>>(&env.store.receipt(key)?)? {
        Receipt::Ok(output) => effect.objects(&output).iter().all(|o| env.store.has(o)).then_some(Outcome::Ok(output)),
        Receipt::Refused(refusal) => Some(Outcome::Refused(refusal)),
    }
}

fn postcard_from<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// Runs the work on a thread of the pool. `None`: the build is ending.
fn perform<E: Effect>(
    effect: &E,
    env: &super::Env,
    stage: &str,
    key: Digest,
    work: &E::Work,
    id: String,
) -> Option<Outcome<E::Output>> {
    if env.cancel.cancelled() {
        return None;
    }
    let result = catch_unwind(AssertUnwindSafe(|| effect.run(work)));
    if E::CORPUS
        && let Some(failure) = corpus_failure(stage, &result)
    {
        env.ledger.fail(failure);
        return None;
    }
    let (outcome, receipt) = match result {
        Ok(Ok(output)) => (Outcome::Ok(output.clone()), Some(Receipt::Ok(output))),
        Ok(Err(Fault::Refused(refusal))) => (Outcome::Refused(refusal.clone()), Some(Receipt::Refused(refusal))),
        Ok(Err(Fault::Failed(why))) => (Outcome::Failed(why), None),
        Ok(Err(Fault::Interrupted)) => return None,
        Ok(Err(Fault::Store(error))) => return abort(env, error),
        // A panic is a fault of ours, but it is a property of these bytes and this version, and one item
        // must not stop a corpus.
        Err(panic) => {
            let refusal = Refusal { code: "panic".into(), why: format!("the stage panicked: {}", message(&*panic)) };
            (Outcome::Refused(refusal.clone()), Some(Receipt::Refused(refusal)))
        }
    };
    if let Some(receipt) = receipt {
        let stored =
            postcard::to_stdvec(&receipt).map_err(|e| e.to_string()).map(|bytes| env.store.remember(key, &bytes));
        match stored {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return abort(env, error),
            Err(why) => env.ledger.fail(Failure::Stage { stage: stage.into(), why }),
        }
    }
    match &outcome {
        Outcome::Failed(why) => {
            env.ledger.unreadable(format!("{id}: {why}"));
            env.event(Event::Warning { stage: stage.into(), message: format!("{id}: {why}") });
        }
        _ => {
            env.ledger.executed(stage, id.clone());
            env.event(Event::Executed { stage: stage.into(), id });
        }
    }
    Some(outcome)
}

/// A corpus-level effect that gives no result ends the build after the other branches; it is no dropped row.
fn corpus_failure<O>(stage: &str, result: &Result<Result<O, Fault>, Box<dyn Any + Send>>) -> Option<Failure> {
    let stage = stage.to_owned();
    match result {
        Ok(Err(Fault::Refused(refusal))) => Some(Failure::Stage { stage, why: refusal.why.clone() }),
        Ok(Err(Fault::Failed(why))) => Some(Failure::Source { stage, why: why.clone() }),
        Err(panic) => Some(Failure::Stage { stage, why: format!("it panicked: {}", message(&**panic)) }),
        _ => None,
    }
}

/// A failure of our own writes ends the run at once.
fn abort<T>(env: &super::Env, error: datasets::store::StoreError) -> Option<T> {
    env.ledger.fail(Failure::Store(error));
    env.cancel.cancel();
    None
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}
