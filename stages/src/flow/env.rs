//! What effects may reach: the store, the sources, the pool, the ledger, and the word to stop.

use super::{Event, Ledger, Observer, Pool};
use datasets::{Digest, corpus::OptOut, effect::Fault, store::Store};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{self, AtomicBool},
    },
};

/// Where the bytes behind a content digest can be read in this process. Paths are in no row and no key.
#[derive(Default)]
pub struct Sources(RwLock<Places>);

/// Of several places the least path is the first, so that which one is read is no matter of luck. Most digests have one.
#[derive(Default)]
struct Places {
    first: HashMap<Digest, Box<Path>>,
    others: HashMap<Digest, BTreeSet<PathBuf>>,
}

impl Sources {
    /// Remembers a place.
    pub fn add(&self, content: Digest, path: &Path) {
        let Places { first, others } = &mut *self.0.write().unwrap_or_else(PoisonError::into_inner);
        match first.entry(content) {
            Entry::Vacant(slot) => drop(slot.insert(path.into())),
            Entry::Occupied(mut slot) => {
                let other = match path.cmp(slot.get()) {
                    Ordering::Equal => return,
                    Ordering::Less => slot.insert(path.into()).into_path_buf(),
                    Ordering::Greater => path.to_owned(),
                };
                others.entry(content).or_default().insert(other);
            }
        }
    }

    /// Forgets all places, before the sources are scanned again.
    pub fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Places::default();
    }

    /// The places where these bytes were, or were said to be, when the sources were scanned.
    pub fn paths(&self, content: &Digest) -> Vec<PathBuf> {
        let Places { first, others } = &*self.0.read().unwrap_or_else(PoisonError::into_inner);
        let first = first.get(content).map(|path| path.to_path_buf());
        first.into_iter().chain(others.get(content).into_iter().flatten().cloned()).collect()
    }

    /// Every place, by digest: for the processes that have not scanned the sources themselves.
    pub fn list(&self) -> Vec<(Digest, PathBuf)> {
        let Places { first, others } = &*self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(Digest, PathBuf)> = Vec::with_capacity(first.len());
        all.extend(first.iter().map(|(content, path)| (*content, path.to_path_buf())));
        all.extend(others.iter().flat_map(|(content, paths)| paths.iter().map(|path| (*content, path.clone()))));
        all.sort_unstable();
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
        self.0.store(true, atomic::Ordering::SeqCst);
    }

    /// Whether it was said.
    pub fn cancelled(&self) -> bool {
        self.0.load(atomic::Ordering::SeqCst)
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
                Err(Fault::Failed(why)) => drop(wrong.get_or_insert(why)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_places_the_least_comes_first_however_they_are_found() {
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let places = ["b", "a", "c", "a", "b", "c"].map(Path::new);
        for turn in 0..places.len() {
            let sources = Sources::default();
            let found = places.iter().cycle().skip(turn).take(places.len());
            found.for_each(|place| sources.add(one, place));
            sources.add(two, Path::new("d"));
            assert_eq!(sources.paths(&one), ["a", "b", "c"].map(PathBuf::from));
            assert_eq!((sources.paths(&two), sources.list().len()), (vec![PathBuf::from("d")], 4));
            assert!(sources.list().is_sorted());
            sources.clear();
            assert!(sources.paths(&one).is_empty() && sources.list().is_empty());
        }
    }
}
