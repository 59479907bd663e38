//! The memoised effect as an operator: +1 looks the key up or runs the work, -1 retracts what was emitted.
//!
//! Rows are narrowed to their work, reduced to one row per key, run, and joined back. So a corrected
//! title never reaches a decoder, and two tracks with the same bytes are decoded once.

use super::{
    Env, Event, Failure,
    crew::help,
    divide, dry,
    failure::message,
    group, pair,
    relate::{Either, Travels},
};
use crate::{
    flow::memo::{Erased, Outcome, Receipt, recall},
    rows::{
        Rows, Time,
        pack::{pack, unpack},
    },
    stage::{Context, StageOutput},
};
use crossbeam_channel::unbounded;
use datasets::{
    Digest,
    effect::{Effect, Fault, Load, Refusal},
    row::{Dropped, Pending, Track, Waiting},
    store::{Memo, StoreError, fault},
};
use differential_dataflow::AsCollection;
use kernels::device::attempt as on_device;
use std::{
    collections::{BTreeSet, HashMap, VecDeque, hash_map::Entry},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};
use timely::dataflow::{
    channels::pact::Exchange,
    operators::{Capability, generic::Operator},
};

/// Rows with what became of their work. [`Done::split`] is the only way on: no outcome can be forgotten.
#[must_use]
pub struct Done<'s, R: 'static, O: 'static> {
    /// Rows with their result.
    ok: Rows<'s, (R, O)>,
    /// Rows whose work was refused.
    refused: Rows<'s, (R, Refusal)>,
    /// Rows whose source could not be read.
    failed: Rows<'s, (R, String)>,
    /// Rows whose work would run, with the id of the row it would run on.
    pending: Rows<'s, (R, Arc<str>)>,
}

/// A row without its result, as dropped and pending rows name it.
pub enum Item {
    /// A track.
    Track(Arc<Track>),
    /// A part of a track, by its own id.
    Part(String, Arc<Track>),
    /// A row that is no track and no part of one, by its id.
    Other(String),
}

impl Item {
    fn id(self) -> String {
        match self {
            Item::Track(track) => track.id.clone(),
            Item::Part(id, _) | Item::Other(id) => id,
        }
    }

    fn waiting(self, behind: &Arc<str>, cause: Arc<str>) -> Waiting {
        match self {
            Item::Track(track) => Waiting::of_track(&track.id, behind, cause, track.clone()),
            Item::Part(id, track) => Waiting::of_track(&id, behind, cause, track),
            Item::Other(id) => Pending::new(id.into(), behind.clone(), cause).into(),
        }
    }
}

/// One piece of work as it travels: the least id of the rows that share it, and the packed work.
type Job = (Digest, (String, Vec<u8>));

/// Runs an effect for every distinct work among the rows. `id` names a row; of the rows that share a
/// work, the least id names it on screen and in the plan.
pub fn memoised<'s, E: Effect, R: Travels>(
    cx: &Context<'s>,
    effect: E,
    rows: Rows<'s, (E::Work, R)>,
    id: fn(&R) -> String,
) -> Done<'s, R, E::Output>
where
    E::Work: Travels,
    E::Output: Travels,
{
    let effect = Arc::new(effect);
    let keys = effect.clone();
    let keyed = rows.map(move |(work, row)| (keys.key(&work), (work, row)));
    if cx.env.dry {
        let rows = keyed.map(move |(key, (_, row))| (key, (id(&row), pack(&row))));
        return Done::of(dry::look(cx, effect, rows).map(|(row, outcome)| (unpack(&row), outcome)));
    }
    let named = keyed.clone().map(move |(key, (work, row))| (key, (id(&row), pack(&work))));
    let work = group(named, &format!("{}: one per work", cx.stage), |_, jobs| {
        jobs.first().map(|(job, _)| (job.clone(), 1)).into_iter().collect()
    });
    let done = operator(cx, effect, work);
    Done::of(pair(keyed.map(|(key, (_, row))| (key, row)), done).map(|(_, row, outcome)| (row, outcome)))
}

impl<'s, R: Travels, O: Travels> Done<'s, R, O> {
    /// The output of the stage: rows with a result are kept, refused and failed ones dropped, and those whose work
    /// would run are pending. `item` names a row.
    pub fn split(self, cx: &Context<'s>, item: impl Fn(R) -> Item + Clone + 'static) -> StageOutput<'s, (R, O)> {
        let (refused, failed, stage) = (item.clone(), item.clone(), cx.stage.clone());
        StageOutput {
            kept: self.ok,
            dropped: self
                .refused
                .map(move |(row, refusal)| Dropped::refused(refused(row).id(), refusal))
                .concat(self.failed.map(move |(row, why)| Dropped::failed(failed(row).id(), why))),
            pending: self.pending.map(move |(row, cause)| item(row).waiting(&stage, cause)),
        }
    }

    /// Rows by what became of their work; none is copied.
    fn of(rows: Rows<'s, (R, Outcome)>) -> Done<'s, R, O> {
        let (ok, others) = divide(rows, |(row, outcome)| match outcome {
            Outcome::Ok(output) => Either::One((row, output)),
            Outcome::Refused(refusal) => Either::Other(Ok((row, refusal))),
            Outcome::Failed(why) => Either::Other(Err(Ok((row, why)))),
            Outcome::Pending(cause) => Either::Other(Err(Err((row, cause)))),
        });
        let (refused, others) = divide(others, Either::from);
        let (failed, pending) = divide(others, Either::from);
        // Packed by this effect, or checked when it was recalled.
        let ok = ok.flat_map(|(row, output)| postcard::from_bytes(&output).ok().map(|output| (row, output)));
        Done { ok, refused, failed, pending }
    }
}

/// Updates that wait for the outcome of a key: each capability holds its time open until the outcome is there.
type Waiters = Vec<(Capability<Time>, Time, isize)>;

pub(crate) fn operator<'s>(
    cx: &Context<'s>,
    effect: Arc<dyn Erased>,
    work: Rows<'s, Job>,
) -> Rows<'s, (Digest, Outcome)> {
    let (env, stage, scope) = (cx.env.clone(), cx.stage.clone(), cx.scope);
    let grouped = effect.clone();
    // Shared work has one place, so that no two processes wait for each other's help.
    let shared = effect.shared() && env.peers.is_some();
    if shared && env.peers.as_ref().is_some_and(|peers| peers.place().0 > 0) {
        let (env_, effect) = (env.clone(), effect.clone());
        env.helpers.add(&stage, Box::new(move |key, work| help(&env_, effect.clone(), key, work)));
    }
    let pact = Exchange::new(move |((key, (_, work)), _, _): &(Job, Time, isize)| match shared {
        true => 0,
        false => grouped.group(key, work).prefix(),
    });
    let name = format!("{}: effect", cx.stage);
    work.typed()
        .inner
        .unary_frontier(pact, &name, move |_, info| {
            // The only handle with which another thread may wake this worker.
            let waker = scope.worker().sync_activator_for(info.address.to_vec());
            let (sender, receiver) = unbounded::<Vec<(Digest, Option<Outcome>)>>();
            let mut live: HashMap<Digest, (Outcome, isize)> = HashMap::new();
            let mut waiting: HashMap<Digest, Waiters> = HashMap::new();
            let mut queue: VecDeque<(Job, Time)> = VecDeque::new();
            let mut running = 0usize;
            // Enough to keep the pool busy; a heavy effect has it alone anyway.
            let limit = if effect.load() == Load::Heavy { 1 } else { 2 * env.pool.slots() };
            move |(input, frontier), output| {
                input.for_each(|cap, data| {
                    for ((key, (id, work)), time, diff) in data.drain(..) {
                        if let Some(others) = waiting.get_mut(&key) {
                            others.push((cap.delayed(&time, 0), time, diff));
                            continue;
                        }
                        if let Entry::Vacant(slot) = live.entry(key) {
                            if let Some(outcome) = recall(&*effect, &env, &key) {
                                env.ledger.cached(&stage);
                                slot.insert((outcome, 0));
                            } else {
                                waiting.insert(key, vec![(cap.delayed(&time, 0), time, diff)]);
                                queue.push_back(((key, (id, work)), time));
                                env.event(Event::Queued { stage: stage.to_string() });
                                continue;
                            }
                        }
                        if let Some((outcome, count)) = live.get_mut(&key) {
                            *count += diff;
                            output.session(&cap).give(((key, outcome.clone()), time, diff));
                            if *count == 0 {
                                live.remove(&key);
                            }
                        }
                    }
                });
                while let Ok(done) = receiver.try_recv() {
                    running -= 1;
                    for (key, outcome) in done {
                        // Without an outcome the build is ending: dropping the capabilities lets it drain.
                        let (Some(others), Some(outcome)) = (waiting.remove(&key), outcome) else { continue };
                        let mut count = 0;
                        for (cap, time, diff) in others {
                            count += diff;
                            output.session(&cap).give(((key, outcome.clone()), time, diff));
                        }
                        if count != 0 {
                            live.insert(key, (outcome, count));
                        }
                    }
                }
                if env.cancel.cancelled() {
                    for ((key, _), _) in queue.drain(..) {
                        waiting.remove(&key);
                    }
                }
                while running < limit {
                    // What is done together waits until all of its time is there.
                    let jobs = next(&*effect, &mut queue, |time| frontier.less_equal(time));
                    if jobs.is_empty() {
                        break;
                    }
                    running += 1;
                    let (effect, env_, stage) = (effect.clone(), env.clone(), stage.clone());
                    let (sender, waker) = (sender.clone(), waker.clone());
                    env.pool.submit(
                        effect.load(),
                        Box::new(move || {
                            let outcomes = attempt(&env_, &stage, jobs, |jobs| perform(&*effect, &env_, &stage, jobs));
                            // The pool lives in the environment: its own threads must not be the last to hold it.
                            drop((effect, env_));
                            let _ = sender.send(outcomes);
                            let _ = waker.activate();
                        }),
                    );
                }
            }
        })
        .as_collection()
        .into()
}

/// Performs jobs, so that one which panics beside its effect ends the run with a sentence: nobody else would ever tell the
/// operator, which waits for their outcomes.
fn attempt(
    env: &Env,
    stage: &str,
    jobs: Vec<Job>,
    perform: impl FnOnce(Vec<Job>) -> Vec<(Digest, Option<Outcome>)>,
) -> Vec<(Digest, Option<Outcome>)> {
    let named: Vec<(Digest, String)> = jobs.iter().map(|(key, (id, _))| (*key, id.clone())).collect();
    catch_unwind(AssertUnwindSafe(|| perform(jobs))).unwrap_or_else(|panic| {
        let (why, ids) = (message(&*panic), named.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>().join(", "));
        env.ledger.fail(Failure::Bug(format!("a thread died in stage `{stage}` on {ids}: {why}")));
        env.cancel.cancel();
        named.into_iter().map(|(key, _)| (key, None)).collect()
    })
}

/// Takes the next job from a queue, with all others of its group where these are done together. Nothing is taken while
/// more may come to it.
fn next(effect: &dyn Erased, queue: &mut VecDeque<(Job, Time)>, open: impl Fn(&Time) -> bool) -> Vec<Job> {
    let Some(((key, (_, work)), time)) = queue.front() else { return Vec::new() };
    if !effect.together() {
        return queue.pop_front().map(|(job, _)| job).into_iter().collect();
    }
    if open(time) {
        return Vec::new();
    }
    let group = effect.group(key, work);
    let of_group = |((key, (_, work)), _): &(Job, Time)| effect.group(key, work) == group;
    let (mut jobs, others): (Vec<_>, Vec<_>) = queue.drain(..).partition(of_group);
    queue.extend(others);
    jobs.sort_unstable();
    jobs.into_iter().map(|(job, _)| job).collect()
}

/// Does jobs of one group, sorted by key, on a thread of the pool: an outcome for each. `None`: the build is ending.
fn perform(effect: &dyn Erased, env: &Env, stage: &str, jobs: Vec<Job>) -> Vec<(Digest, Option<Outcome>)> {
    // Two stages may need one result, such as variants of a sweep: the second waits for the first and finds it. Turns are
    // taken in the order of keys, so that no two jobs wait for each other.
    let _turns: Vec<_> = jobs.iter().map(|(key, _)| env.pool.turn(*key)).collect();
    let (mut done, mut todo) = (Vec::new(), Vec::new());
    for (key, (id, work)) in jobs {
        if env.cancel.cancelled() {
            done.push((key, None));
        } else if let Some(outcome) = recall(effect, env, &key) {
            env.ledger.cached(stage);
            env.event(Event::Shared { stage: stage.into() });
            done.push((key, Some(outcome)));
        } else if env.permit.as_ref().is_some_and(|permit| !permit.allows(stage, &id)) {
            env.ledger.fail(Failure::Unplanned { stage: stage.into(), id });
            env.cancel.cancel();
            done.push((key, None));
        } else {
            todo.push((key, id, work));
        }
    }
    if todo.is_empty() || env.cancel.cancelled() {
        done.extend(todo.into_iter().map(|(key, ..)| (key, None)));
        return done;
    }
    let started = Instant::now();
    let works: Vec<&[u8]> = todo.iter().map(|(.., work)| work.as_slice()).collect();
    let refused = |code: &str, why: String| {
        let refusal = || Fault::Refused(Refusal { code: code.into(), why: why.clone() });
        works.iter().map(|_| Err(refusal())).collect::<Vec<Result<Vec<u8>, Fault>>>()
    };
    let fault = if effect.corpus() { fault::stage(stage) } else { Ok(()) };
    let peers = env.peers.as_ref().filter(|_| effect.shared());
    if let Some(peers) = peers {
        todo.iter().for_each(|(key, _, work)| peers.call(stage, *key, work));
    }
    let results = match fault {
        Err(error) => refused("fault", error.to_string()),
        // A panic is a fault of ours, but it is a property of these bytes and this version, and one item must not stop a
        // corpus.
        Ok(()) => match catch_unwind(AssertUnwindSafe(|| on_device(|| effect.run(&works)))) {
            Ok(Ok(results)) => results,
            // What a device cannot is no property of the bytes: nothing remembers it.
            Ok(Err(device)) if effect.corpus() => refused("device", device.to_string()),
            Ok(Err(device)) => works.iter().map(|_| Err(Fault::Failed(device.to_string()))).collect(),
            Err(panic) => {
                let what = if effect.corpus() { "it" } else { "the stage" };
                refused("panic", format!("{what} panicked: {}", message(&*panic)))
            }
        },
    };
    if let Some(peers) = peers {
        for ((key, ..), result) in todo.iter().zip(&results) {
            // Whoever helps waits for what will not come.
            if let Err(fault) = result {
                peers.leave(*key, &fault.to_string());
            }
            peers.forget(*key);
        }
    }
    let took = started.elapsed() / works.len().max(1) as u32;
    let groups: BTreeSet<Digest> = todo.iter().map(|(key, _, work)| effect.group(key, work)).collect();
    let ids = todo.iter().map(|(key, id, _)| (*key, id.clone())).collect::<Vec<_>>();
    let results = ids.iter().zip(results).map(|((key, _), result)| remember(effect, env, stage, key, result));
    let remembered: Vec<Option<Remembered>> = results.collect();
    // What is unfinished of a group goes on from its checkpoint.
    let served = if remembered.iter().all(Option::is_some) { groups } else { BTreeSet::new() };
    let settled = if effect.load() == Load::Heavy { settle(env, &served) } else { Ok(()) };
    if let Err(error) = settled {
        abort::<()>(env, error);
        done.extend(ids.into_iter().map(|(key, _)| (key, None)));
        return done;
    }
    for ((key, id), remembered) in ids.into_iter().zip(remembered) {
        done.push((key, remembered.map(|remembered| tell(env, stage, id, remembered, took))));
    }
    done
}

/// An outcome, the digest of its receipt, and the bytes of the objects that it names.
type Remembered = (Outcome, Digest, u64);

/// Remembers the result of one piece of work. `None`: the build is ending.
fn remember(
    effect: &dyn Erased,
    env: &Env,
    stage: &str,
    key: &Digest,
    result: Result<Vec<u8>, Fault>,
) -> Option<Remembered> {
    if effect.corpus()
        && let Some(failure) = corpus_failure(stage, effect.source(), &result)
    {
        env.ledger.fail(failure);
        return None;
    }
    let (outcome, receipt) = match result {
        Ok(output) => (Outcome::Ok(output.clone()), Some(Receipt::Ok(output))),
        Err(Fault::Refused(refusal)) => (Outcome::Refused(refusal.clone()), Some(Receipt::Refused(refusal))),
        Err(Fault::Failed(why)) => (Outcome::Failed(why), None),
        Err(Fault::Interrupted) => return None,
        Err(Fault::Store(error)) => return abort(env, error),
    };
    let (mut said, mut bytes) = (Digest::default(), 0);
    if let Some(receipt) = receipt {
        let objects = if let Receipt::Ok(output) = &receipt { effect.objects(output) } else { None };
        let objects = objects.unwrap_or_default();
        bytes = objects.iter().filter_map(|object| Some(fs::metadata(env.store.path(object)).ok()?.len())).sum();
        match Memo::at(*key).put(&env.store, &receipt, &objects) {
            Ok(packed) => said = packed,
            Err(error) => return abort(env, error),
        }
    }
    Some((outcome, said, bytes))
}

/// Tells of an outcome.
fn tell(env: &Env, stage: &str, id: String, (outcome, said, bytes): Remembered, took: Duration) -> Outcome {
    match &outcome {
        Outcome::Failed(why) => {
            env.ledger.unreadable(format!("{id}: {why}"));
            env.event(Event::Warning { stage: stage.into(), message: format!("{id}: {why}") });
        }
        _ => {
            env.ledger.executed(stage, id.clone(), took, bytes);
            env.event(Event::Executed { stage: stage.into(), id, output: said });
        }
    }
    outcome
}

/// Makes receipts durable, and then the checkpoints of their work have served: in this order, a kill at any moment costs at
/// most what came after these checkpoints.
fn settle(env: &Env, groups: &BTreeSet<Digest>) -> Result<(), StoreError> {
    env.store.flush()?;
    for group in groups {
        // Most have none; one that stays is found by its age.
        let _ = fs::remove_file(env.store.checkpoint(group));
    }
    Ok(())
}

/// A corpus-level effect that gives no result ends the build after the other branches; it is no dropped row.
fn corpus_failure<O>(stage: &str, source: bool, result: &Result<O, Fault>) -> Option<Failure> {
    let stage = stage.to_owned();
    match result {
        Err(Fault::Refused(refusal)) if source => Some(Failure::Source { stage, why: refusal.why.clone() }),
        Err(Fault::Refused(refusal)) => Some(Failure::Stage { stage, why: refusal.why.clone() }),
        Err(Fault::Failed(why)) => Some(Failure::Source { stage, why: why.clone() }),
        _ => None,
    }
}

/// A failure of our own writes ends the run at once.
fn abort<T>(env: &Env, error: StoreError) -> Option<T> {
    env.ledger.fail(Failure::Store(error));
    env.cancel.cancel();
    None
}
