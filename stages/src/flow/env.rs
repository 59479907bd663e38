//! What effects may reach: the store, the sources, the pool, the ledger, and the word to stop.

use super::{Event, Ledger, Observer, Pool};
use datasets::{Digest, corpus::OptOut, effect::Fault, store::Store};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// Where the bytes behind a content digest can be read in this process. Paths are in no row and no key.
#[derive(Default)]
pub struct Sources(RwLock<HashMap<Digest, PathBuf>>);

impl Sources {
    /// Remembers a place. Of several, the least path is kept, so that which one is read is no matter of luck.
    pub fn add(&self, content: Digest, path: &Path) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let slot = map.entry(content).or_insert_with(|| path.to_owned());
        if path < slot.as_path() {
            *slot = path.to_owned();
        }
    }

    /// Forgets all places, before the sources are scanned again.
    pub fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A place where these bytes were when the sources were scanned.
    pub fn path(&self, content: &Digest) -> Option<PathBuf> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(content).cloned()
    }

    /// Every place, by digest: for the processes that have not scanned the sources themselves.
    pub fn list(&self) -> Vec<(Digest, PathBuf)> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(Digest, PathBuf)> = map.iter().map(|(content, path)| (*content, path.clone())).collect();
        all.sort();
        all
    }
}

/// The other processes that work on the same run.
pub trait Peers: Send + Sync {
    /// The first source that one of them could not read.
    ///
    /// # Errors
    /// [`Fault::Interrupted`] when the run is ending.
    fn unread(&self) -> Result<Option<String>, Fault>;
}

/// The word to stop: Ctrl-C, or a store that cannot be written.
#[derive(Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Says it.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was said.
    pub fn cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Everything outside the dataflow that a stage may touch.
pub struct Env {
    /// Objects and receipts.
    pub store: Store,
    /// Where to read the corpus's files.
    pub sources: Sources,
    /// Lists of withdrawn tracks, by the stage that heeds them.
    pub optouts: BTreeMap<String, Arc<OptOut>>,
    /// Threads for effects.
    pub pool: Pool,
    /// What happened.
    pub ledger: Ledger,
    /// Look only: a memo miss becomes a pending row.
    pub dry: bool,
    /// The word to stop.
    pub cancel: Cancel,
    /// Read every file again rather than trust a hint.
    pub rehash: bool,
    /// Size limit of the cache of decoded samples, in bytes.
    pub pcm_cache: u64,
    /// Shows events.
    pub observer: Box<dyn Observer>,
    /// The other processes of this run, where there are any.
    pub peers: Option<Arc<dyn Peers>>,
}

impl Env {
    /// Shows an event.
    pub fn event(&self, event: Event) {
        self.observer.event(event);
    }

    /// Where the bytes behind a content digest can be read: a place that was scanned, or the store, into which another
    /// process may have put them.
    ///
    /// # Errors
    /// [`Fault::Failed`] when they are in neither.
    pub fn source(&self, content: &Digest) -> Result<PathBuf, Fault> {
        let stored = || Some(self.store.path(content)).filter(|path| path.is_file());
        self.sources.path(content).or_else(stored).ok_or_else(|| Fault::Failed("its file is gone".into()))
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
