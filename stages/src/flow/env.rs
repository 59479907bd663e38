//! Environment of effects: the store, the sources, the pool, the ledger, and the cancellation flag.

use super::{Event, Ledger, Observer, Pool, Sources};
use datasets::{Digest, corpus::OptOut, effect::Fault, store::Store};
use std::{
    collections::BTreeMap,
    mem::take,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

/// The other processes that work on the same run.
pub trait Peers: Send + Sync {
    /// The first source that one of them could not read.
    ///
    /// # Errors
    /// [`Fault::Interrupted`] when the run is ending.
    fn unread(&self) -> Result<Option<String>, Fault>;
    /// The place of this process among all, from 0, and how many they are.
    fn place(&self) -> (usize, usize);
    /// Asks all others to take part in the work of a key, which the effect of a stage does here.
    fn call(&self, stage: &str, key: Digest, work: &[u8]);
    /// Gives all others a message about the work of a key, known by its stream and its turn.
    fn give(&self, key: Digest, turn: (u64, u64), message: &[u8]);
    /// Waits for such a message of the process at a place.
    ///
    /// # Errors
    /// [`Fault::Interrupted`] when the run is ending, [`Fault::Failed`] when that process takes no part any more.
    fn take(&self, key: Digest, turn: (u64, u64), place: usize) -> Result<Vec<u8>, Fault>;
    /// Tells all others why this process takes no part in the work of a key any more.
    fn leave(&self, key: Digest, why: &str);
    /// Forgets what others said about the work of a key.
    fn forget(&self, key: Digest);
}

/// Takes part in the work of a key, which is handed to it packed.
type Help = Box<dyn Fn(Digest, Vec<u8>) + Send + Sync>;

/// The stages of this process that take part in work which another process does, and calls for those that are not there yet.
#[derive(Default)]
pub struct Helpers(Mutex<Known>);

#[derive(Default)]
struct Known {
    stages: BTreeMap<String, Help>,
    early: Vec<(String, Digest, Vec<u8>)>,
}

impl Helpers {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a stage, and takes up the calls that came before it.
    pub(super) fn add(&self, stage: &str, help: Help) {
        let mut known = self.known();
        let (now, early) = take(&mut known.early).into_iter().partition(|(of, ..)| of == stage);
        known.early = early;
        let now: Vec<(String, Digest, Vec<u8>)> = now;
        now.into_iter().for_each(|(_, key, work)| help(key, work));
        known.stages.insert(stage.to_owned(), help);
    }

    /// Takes part in the work of a key, which a stage does in another process.
    pub fn called(&self, stage: String, key: Digest, work: Vec<u8>) {
        let mut known = self.known();
        match known.stages.get(&stage) {
            Some(help) => help(key, work),
            None => known.early.push((stage, key, work)),
        }
    }

    /// Forgets all stages: they hold the environment that holds them.
    pub fn clear(&self) {
        *self.known() = Known::default();
    }
}

/// The items that a run may execute, where its plan was approved beforehand.
pub trait Permit: Send + Sync {
    /// Whether the effect of a stage may run on the row of an id.
    fn allows(&self, stage: &str, id: &str) -> bool;
}

/// Cancellation flag: set by Ctrl-C, or when the store cannot be written.
///
/// Whatever takes long looks at it often and stops. The command line gives it a moment and then ends the process, since
/// everything on disk is whole at any time; only who holds the flag ([`Cancel::hold`]) is waited for, as it saves
/// where it is.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Flag>);

#[derive(Default)]
struct Flag {
    set: AtomicBool,
    holds: AtomicUsize,
}

/// Work that saves where it is once it is cancelled, and is worth waiting for. Ends when it is dropped.
pub struct Hold(Arc<Flag>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, SeqCst);
    }
}

impl Cancel {
    /// Sets the flag.
    pub fn cancel(&self) {
        self.0.set.store(true, SeqCst);
    }

    /// Whether the flag is set.
    pub fn cancelled(&self) -> bool {
        self.0.set.load(SeqCst)
    }

    /// Asks to be waited for.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.0.holds.fetch_add(1, SeqCst);
        Hold(self.0.clone())
    }

    /// Whether anything is waited for.
    pub fn held(&self) -> bool {
        self.0.holds.load(SeqCst) > 0
    }
}

/// Everything outside the dataflow that a stage may touch.
pub struct Env {
    /// The store: objects and receipts.
    pub store: Store,
    /// Paths of the corpus's files, by content digest.
    pub sources: Sources,
    /// Lists of withdrawn tracks, by the stage that heeds them.
    pub optouts: BTreeMap<String, Arc<OptOut>>,
    /// Pool of threads for effects.
    pub pool: Pool,
    /// Counts, costs and failures of this build.
    pub ledger: Ledger,
    /// Dry run: a memo miss becomes a pending row.
    pub dry: bool,
    /// Cancellation flag.
    pub cancel: Cancel,
    /// Reads every file again rather than trust a hint.
    pub rehash: bool,
    /// Size limit of the cache of decoded samples, in bytes.
    pub pcm_cache: u64,
    /// Receiver of events.
    pub observer: Box<dyn Observer>,
    /// The other processes of this run, where there are any.
    pub peers: Option<Arc<dyn Peers>>,
    /// The stages that take part in work which another process does.
    pub helpers: Helpers,
    /// Effects that may run, if the plan was approved beforehand. `None`: all of them.
    pub permit: Option<Arc<dyn Permit>>,
}

impl Env {
    /// Shows an event.
    pub fn event(&self, event: Event) {
        self.observer.event(event);
    }

    /// Reads the bytes behind a content digest: at the places that were scanned, one after the other until `read` does not
    /// find them gone or others, and then in the store, into which another process may have put them.
    ///
    /// # Errors
    /// What `read` says; [`Fault::Failed`] where all of them fail, with what was wrong with the first.
    pub fn read<T>(&self, content: &Digest, read: impl Fn(&Path) -> Result<T, Fault>) -> Result<T, Fault> {
        let stored = || Some(self.store.path(content)).filter(|path| path.is_file());
        let mut wrong: Option<String> = None;
        for path in self.sources.paths(content).into_iter().chain(std::iter::once_with(stored).flatten()) {
            match read(&path) {
                // An object of ours that holds other bytes is damaged, and no source that changed.
                Err(Fault::Failed(_)) if path == self.store.path(content) && path.is_file() => {
                    self.store.check(content)?;
                    wrong.get_or_insert_with(|| format!("{} cannot be read", path.display()));
                }
                Err(Fault::Failed(why)) => {
                    wrong.get_or_insert(why);
                }
                other => {
                    if let Some(why) = wrong.filter(|_| other.is_ok()) {
                        tracing::warn!("{why}; {} holds what is looked for", path.display());
                    }
                    return other;
                }
            }
        }
        Err(Fault::Failed(wrong.unwrap_or_else(|| "its file is gone".into())))
    }

    /// The first source that could not be read, here or in another process of this run.
    ///
    /// # Errors
    /// [`Fault::Interrupted`] when the run is ending.
    pub fn unread(&self) -> Result<Option<String>, Fault> {
        let elsewhere = self.peers.as_ref().map_or(Ok(None), |peers| peers.unread())?;
        Ok([self.ledger.unread(), elsewhere].into_iter().flatten().min())
    }
}
