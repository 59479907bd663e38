//! The process's pool: light effects take one slot each, heavy ones all of them, one at a time.
//!
//! # Threads, workers and locks
//!
//! `--workers N` gives a process N of each of the first three:
//!
//! | threads | do | wait for |
//! |---|---|---|
//! | timely's workers | step operators: move, group and pair rows, look keys up | rows and outcomes, never long: nobody wakes them for Ctrl-C |
//! | the pool, `effect-i` | run effects | jobs, their turn for a key |
//! | the engine's (rayon's) | split one heavy effect, a scan or a publication into parts | parts |
//! | `fit`'s own | a level's step each, side by side | the end of the round |
//! | `hear-i`, `beat-i` | with several processes: hear another one, tell it that this one is there | messages, the clock |
//!
//! **An operator never runs an effect.** It submits a job and goes on; the job sends its outcome through a channel and
//! wakes the worker by an activator. Until then a capability holds the time open, so that nothing after it takes the
//! build for finished. An operator has one heavy job or two light ones for each slot in flight, and queues the rest
//! itself.
//!
//! **No order reaches an output.** Which job ends first is chance. Outcomes are functions of their work; groups see their
//! values sorted; kept rows are sorted when they are read.
//!
//! | lock | guards | held |
//! |---|---|---|
//! | the turn of a key | two stages that need one result: the second waits and finds it | for a whole job |
//! | a cached track's | two jobs that decode one track: the second opens what the first made | while it is decoded |
//! | the pool's state, the ledger, sources | queues, counts, where files lie | for a few instructions |
//! | receipts | the index (many readers), the segment that is written | for a look, a write |
//! | the store's file `lock` | `gc` and `verify` against everybody else | as long as the store is open |
//!
//! The first four are taken from top to bottom and never the other way: whoever holds a turn runs, and asks for no other
//! turn but that of a greater key, for work that is done together, so every wait ends. A heavy job starts when nothing runs; while one waits, no light job starts, or it would wait
//! for ever.
//! A lock that a panic poisoned is taken all the same: what they guard is whole between any two changes.

use datasets::Digest;
use datasets::effect::Load;
use std::{
    collections::{HashSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    light: VecDeque<Job>,
    heavy: VecDeque<Job>,
    running: usize,
    alone: bool,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads that run effects. The queues are unbounded: each operator bounds its own work in flight,
/// since an operator is woken only by its own completions.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    turns: Turns,
}

/// The keys that are worked on now, whichever stage asked for them.
#[derive(Default)]
struct Turns {
    busy: Mutex<HashSet<Digest>>,
    freed: Condvar,
}

/// The right to work on a key; given back when dropped.
pub struct Turn<'p> {
    turns: &'p Turns,
    key: Digest,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        self.turns.freed.notify_all();
    }
}

impl Pool {
    /// A pool of `slots` threads.
    pub fn new(slots: usize) -> Pool {
        let shared = Arc::new(Shared::default());
        let threads = (0..slots.max(1))
            .filter_map(|i| {
                let shared = shared.clone();
                thread::Builder::new().name(format!("effect-{i}")).spawn(move || work(&shared)).ok()
            })
            .collect();
        Pool { shared, threads, turns: Turns::default() }
    }

    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.threads.len()
    }

    /// Waits until no other job works on this key. Whoever holds the key is running, so the wait ends.
    pub fn turn(&self, key: Digest) -> Turn<'_> {
        let mut busy = self.turns.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while !busy.insert(key) {
            busy = self.turns.freed.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        Turn { turns: &self.turns, key }
    }

    /// Waits until no job runs or waits, at most so long; whether that came about. For when the build is ending.
    pub fn quiet(&self, most: Duration) -> bool {
        let busy = |state: &mut State| state.running > 0 || !state.light.is_empty() || !state.heavy.is_empty();
        let waited = self.shared.wake.wait_timeout_while(self.shared.lock(), most, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Queues a job. A job that panics ends alone: what waits for its outcome has to hear of it from the job itself.
    pub fn submit(&self, load: Load, job: Job) {
        // The system gave no thread at all: slow is better than never.
        if self.threads.is_empty() {
            return job();
        }
        let mut state = self.shared.lock();
        match load {
            Load::Light => state.light.push_back(job),
            Load::Heavy => state.heavy.push_back(job),
        }
        self.shared.wake.notify_all();
    }
}

fn work(shared: &Shared) {
    let mut state = shared.lock();
    loop {
        // A queued heavy job holds new light ones back, or it would wait for ever.
        let (job, alone) = if state.alone {
            (None, false)
        } else if !state.heavy.is_empty() {
            (if state.running == 0 { state.heavy.pop_front() } else { None }, true)
        } else {
            (state.light.pop_front(), false)
        };
        match job {
            Some(job) => {
                state.running += 1;
                state.alone = alone;
                drop(state);
                // A thread that dies would be counted as running for ever, and no heavy job would start again.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = shared.lock();
                state.running -= 1;
                if alone {
                    state.alone = false;
                }
                shared.wake.notify_all();
            }
            None if state.closed && state.light.is_empty() && state.heavy.is_empty() => return,
            None => state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[test]
    fn heavy_jobs_run_alone_and_all_jobs_run() {
        let (running, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let crowded = Arc::new(AtomicUsize::new(0));
        let pool = Pool::new(4);
        for i in 0..200 {
            let load = if i % 20 == 7 { Load::Heavy } else { Load::Light };
            let (running, done, crowded) = (running.clone(), done.clone(), crowded.clone());
            pool.submit(
                load,
                Box::new(move || {
                    let beside = running.fetch_add(1, SeqCst);
                    thread::sleep(Duration::from_micros(200));
                    if load == Load::Heavy && (beside != 0 || running.load(SeqCst) != 1) {
                        crowded.fetch_add(1, SeqCst);
                    }
                    running.fetch_sub(1, SeqCst);
                    done.fetch_add(1, SeqCst);
                }),
            );
        }
        assert!(!pool.quiet(Duration::ZERO) || done.load(SeqCst) == 200);
        assert!(pool.quiet(Duration::from_secs(60)));
        assert_eq!(done.load(SeqCst), 200);
        assert_eq!(crowded.load(SeqCst), 0);
    }

    #[test]
    fn a_job_that_panics_takes_no_slot_with_it() {
        let pool = Pool::new(2);
        let done = Arc::new(AtomicUsize::new(0));
        for i in 0..40 {
            let done = done.clone();
            let load = if i % 5 == 0 { Load::Heavy } else { Load::Light };
            pool.submit(
                load,
                Box::new(move || {
                    assert!(i % 4 != 0, "on purpose");
                    done.fetch_add(1, SeqCst);
                }),
            );
        }
        assert!(pool.quiet(Duration::from_secs(60)));
        assert_eq!(done.load(SeqCst), 30);
    }

    #[test]
    fn a_pool_without_threads_does_its_work_all_the_same() {
        let pool = Pool { shared: Arc::default(), threads: Vec::new(), turns: Turns::default() };
        let done = Arc::new(AtomicUsize::new(0));
        let counted = done.clone();
        let job = move || {
            counted.fetch_add(1, SeqCst);
        };
        pool.submit(Load::Heavy, Box::new(job));
        assert_eq!(done.load(SeqCst), 1);
    }

    #[test]
    fn a_key_is_held_by_one_at_a_time() {
        let pool = Pool::new(1);
        let (key, other) = (Digest::of(b"key"), Digest::of(b"other"));
        let (held, crowded) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mine = pool.turn(key);
        // Another key is free meanwhile.
        drop(pool.turn(other));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let _turn = pool.turn(key);
                    crowded.fetch_add(held.fetch_add(1, SeqCst), SeqCst);
                    thread::sleep(Duration::from_millis(1));
                    held.fetch_sub(1, SeqCst);
                });
            }
            thread::sleep(Duration::from_millis(5));
            assert_eq!(held.load(SeqCst), 0, "somebody did not wait");
            drop(mine);
        });
        assert_eq!(crowded.load(SeqCst), 0);
    }
}
