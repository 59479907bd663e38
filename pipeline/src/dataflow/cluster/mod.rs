//! Several processes as one: they meet, agree on what to run, share one dataflow and one store, and end together.
//!
//! Every two processes have two connections, and each proves the secret that they share before anything is said on it
//! (`proof`). One carries the dataflow's rows and belongs to timely; over the other
//! they say when they are ready, what came of the dataflow, and that they are still there. Process 0 reads the sources,
//! tells the others where they lie, gathers what came of the dataflow everywhere, and publishes. Nothing survives the
//! loss of a process but what the store remembers, which is all that was finished.

mod connect;
mod handshake;
mod link;
mod peers;
mod proof;
mod protocol;
mod seat;
mod secret;
mod slots;
mod tls;
mod wire;

pub(crate) use protocol::{Account, Rows, Start, Work};
pub use seat::{PORT, Seat};
pub use secret::{Secret, new_secret, write_new_secret};

use crate::error::Error;
use link::Link;
use peers::Watch;
use protocol::Word;
use stages::flow::{Cancel, Env, Peers};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};
use timely::{
    WorkerConfig,
    communication::{
        AllocatorBuilder, Hooks, WorkerGuards,
        allocator::{ProcessBuilder, zero_copy::initialize::initialize_networking_from_sockets},
    },
    worker::Worker,
};
use wire::Wire;

/// Effects that run when the run ends early have so long to save where they are.
const SAVE: Duration = Duration::from_secs(10);
/// A process that ends says so within this time.
const TELL: Duration = Duration::from_secs(1);
/// Interval at which the end of the dataflow is polled.
const LOOK: Duration = Duration::from_millis(5);

/// The processes of a run, connected.
pub(crate) struct Cluster {
    watch: Arc<Watch>,
    rows: Mutex<Vec<Option<Wire>>>,
}

/// Tells when a worker panicked: the others would wait for it for ever.
struct Fell(Arc<AtomicBool>);

impl Drop for Fell {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

/// Workers of a dataflow that several processes share.
pub(crate) struct Workers {
    guards: WorkerGuards<()>,
    fell: Arc<AtomicBool>,
}

impl Cluster {
    /// Meets all others. `facts` must be the same everywhere: what each is called, and what it is here.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::Lost`] and [`Error::Interrupted`].
    pub(crate) fn join(seat: &Seat, facts: &[(String, String)], cancel: &Cancel) -> Result<Cluster, Error> {
        let met = handshake::meet(seat, facts, cancel)?;
        let watch = Watch::start(seat.clone(), met.words, cancel.clone())
            .map_err(|e| Error::Bug(format!("connections cannot be used: {e}")))?;
        Ok(Cluster { watch, rows: Mutex::new(met.rows) })
    }

    /// Whether this is process 0.
    pub(crate) fn leads(&self) -> bool {
        self.watch.seat.process == 0
    }

    /// This process as people know it.
    pub(crate) fn own_name(&self) -> String {
        self.watch.seat.name(self.watch.seat.process)
    }

    /// The questions that an effect may ask the other processes.
    pub(crate) fn peers(&self) -> Arc<dyn Peers> {
        self.watch.clone()
    }

    /// Answers what other processes ask about this one, and of it.
    pub(crate) fn answer_for(&self, env: &Arc<Env>) {
        let (asked, called) = (Arc::downgrade(env), Arc::downgrade(env));
        let called = move |stage, key, work| {
            if let Some(env) = called.upgrade() {
                env.helpers.called(stage, key, work);
            }
        };
        self.watch.answer_with(Box::new(move || asked.upgrade()?.ledger.unread()), Box::new(called));
    }

    /// Sends the start message to all other processes and waits until they are ready. Process 0 only.
    ///
    /// # Errors
    /// When one cannot, or is lost.
    pub(crate) fn start(&self, start: Start) -> Result<(), Error> {
        self.watch.say_all(&Word::Start(start));
        self.watch.all_ready()
    }

    /// Waits for the start message of process 0. All processes but 0.
    ///
    /// # Errors
    /// When process 0 does not get so far.
    pub(crate) fn started(&self) -> Result<Start, Error> {
        self.watch.started()
    }

    /// The reason of another process to end, if it is about to tell one, and otherwise this process's own.
    pub(crate) fn ending_before(&self, own: Error) -> Error {
        let until = Instant::now() + TELL;
        while Instant::now() < until {
            if let Some(error) = self.watch.ending() {
                return error;
            }
            thread::sleep(LOOK);
        }
        own
    }

    /// Why this process ends: the loss of another one, or its word that it ends, stops this one as Ctrl-C does, wherever it
    /// is at.
    pub(crate) fn reason(&self, own: Error) -> Error {
        match own {
            Error::Interrupted => self.watch.ending().unwrap_or(own),
            own => own,
        }
    }

    /// Says that what process 0 told fits.
    pub(crate) fn ready(&self) {
        self.watch.say(0, &Word::Ready);
    }

    /// Starts the workers of this process.
    ///
    /// # Errors
    /// When they cannot be started.
    pub(crate) fn execute(
        &self,
        workers: usize,
        logic: impl Fn(&mut Worker) + Send + Sync + 'static,
    ) -> Result<Workers, String> {
        let rows = std::mem::take(&mut *self.rows.lock().unwrap_or_else(PoisonError::into_inner));
        let link = |(process, stream): (usize, Option<Wire>)| {
            stream.map(|stream| Link { stream, process, watch: self.watch.clone() })
        };
        let links: Vec<Option<Link>> = rows.into_iter().enumerate().map(link).collect();
        let hooks = Hooks::default();
        let local = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), hooks.spill.clone());
        let (builders, sockets) =
            initialize_networking_from_sockets(local, links, self.watch.seat.process, workers, hooks)
                .map_err(|e| format!("connections cannot be used: {e}"))?;
        let fell = Arc::new(AtomicBool::new(false));
        let falls = fell.clone();
        let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
        let logic = move |worker: &mut Worker| {
            let _fell = Fell(falls.clone());
            logic(worker);
        };
        let guards = timely::execute::execute_from(builders, Box::new(sockets), WorkerConfig::default(), logic)?;
        Ok(Workers { guards, fell })
    }

    /// Waits until the dataflow has ended everywhere.
    ///
    /// # Errors
    /// Why the run ends before: a process was lost or ends, [`Error::Interrupted`], or a bug of ours. Workers and effects
    /// may then still run: nothing is left to do but to end this process. What failed here is in the ledger.
    pub(crate) fn finish(&self, workers: Workers, env: &Env) -> Result<(), Error> {
        let Workers { guards, fell } = workers;
        while !guards.guards().iter().all(thread::JoinHandle::is_finished) {
            let early = self.early(env, &fell);
            if let Some(error) = early {
                // Dropping would wait for workers that wait for the lost one.
                std::mem::forget(guards);
                return Err(error);
            }
            thread::sleep(LOOK);
        }
        self.watch.say_all(&Word::Drained);
        // Timely's own threads end when those of the others do.
        let (sender, receiver) = channel();
        thread::spawn(move || sender.send(guards.join()));
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(ends) => {
                    let first = ends.into_iter().find_map(Result::err);
                    return first.map_or(Ok(()), |why| Err(Error::Bug(why)));
                }
                Err(RecvTimeoutError::Timeout) => self.early(env, &fell).map_or(Ok(()), Err)?,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Bug("a connection broke".into())),
            }
        }
    }

    /// Why the run ends early, once effects have saved where they are.
    fn early(&self, env: &Env, fell: &AtomicBool) -> Option<Error> {
        let fallen = fell.load(Ordering::SeqCst);
        if !fallen && !env.cancel.cancelled() {
            return None;
        }
        env.cancel.cancel();
        // The others are told why it ends, and not left to find this process lost.
        let _hold = env.cancel.hold();
        env.pool.quiet(SAVE);
        let error = self.watch.ending();
        Some(error.unwrap_or(if fallen { Error::Bug("a worker panicked".into()) } else { Error::Interrupted }))
    }

    /// Receives the rows and accounts of the other processes, which are not needed from here on. Process 0 only.
    ///
    /// # Errors
    /// When one is lost before.
    pub(crate) fn gather(&self) -> Result<(Vec<Rows>, Vec<Account>), Error> {
        let (rows, accounts) = self.watch.accounts()?;
        let name = |(process, mut account): (usize, Account)| {
            let name = self.watch.seat.name(process);
            account.failures.iter_mut().for_each(|(_, why)| *why = format!("{name}: {why}"));
            account
        };
        Ok((rows, accounts.into_iter().map(name).collect()))
    }

    /// Sends this process's rows and account to process 0. All processes but 0.
    pub(crate) fn hand_in(&self, rows: impl Iterator<Item = Rows>, account: Account) {
        for rows in rows {
            if !self.watch.say(0, &Word::Rows(rows)) {
                return;
            }
        }
        self.watch.handed_in();
        self.watch.say(0, &Word::Account(account));
    }

    /// Waits for the name of the run that process 0 has published. All processes but 0.
    ///
    /// # Errors
    /// Why it has published none.
    pub(crate) fn published(&self) -> Result<String, Error> {
        self.watch.published()
    }

    /// Says how this process ends, so that the others do not take it for lost.
    pub(crate) fn end(&self, result: Result<&str, &Error>) {
        let name = self.own_name();
        let word = match result {
            Ok(run) => Word::End(0, run.to_owned()),
            Err(Error::Interrupted) => {
                let why = format!("{name} was interrupted; nothing was published; run again to go on");
                Word::End(Error::Lost(String::new()).code(), why)
            }
            Err(error @ (Error::Lost(why) | Error::Elsewhere { why, .. })) => Word::End(error.code(), why.clone()),
            Err(error) => {
                let why = error.to_string();
                // What another process said names it.
                let named = why.starts_with("process ");
                Word::End(error.code(), if named { why } else { format!("{name}: {why}") })
            }
        };
        self.watch.say_all(&word);
    }
}
