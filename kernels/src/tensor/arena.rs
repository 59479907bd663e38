//! The arena that buffers come from and go back to.
//!
//! A training step asks for the same lengths in the same order as the one before it, so a buffer that is dropped waits for
//! the next request of its type and length. What the arena holds is bounded by the most that was in use of each length.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::dtype::DType;
use super::memory::Memory;

/// Memory in use and at rest, shared by threads.
#[derive(Debug, Default)]
pub(crate) struct Arena(Mutex<Shelves>);

#[derive(Debug, Default)]
struct Shelves {
    free: BTreeMap<(DType, usize), Vec<Memory>>,
    used: usize,
    peak: usize,
}

impl Arena {
    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        // a panic elsewhere leaves the shelves whole: each change is one push or pop
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory of this type and length, with whatever it held before; what `new` makes where none is at rest.
    pub(crate) fn take(&self, dtype: DType, len: usize, new: impl FnOnce() -> Memory) -> Memory {
        let found = self.shelves().free.get_mut(&(dtype, len)).and_then(Vec::pop);
        let memory = found.unwrap_or_else(new);
        let mut shelves = self.shelves();
        shelves.used += len * dtype.bytes();
        shelves.peak = shelves.peak.max(shelves.used);
        memory
    }

    /// Takes memory back.
    pub(crate) fn give(&self, memory: Memory) {
        let key = (memory.dtype(), memory.len());
        let mut shelves = self.shelves();
        shelves.used -= key.1 * key.0.bytes();
        shelves.free.entry(key).or_default().push(memory);
    }

    /// Gives back all memory that is at rest; whether there was any.
    pub(crate) fn empty(&self) -> bool {
        let free = std::mem::take(&mut self.shelves().free);
        free.values().any(|shelf| !shelf.is_empty())
    }

    /// The bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.shelves().used
    }

    /// The most bytes that were in use at once since the last call, and a new start from those in use now.
    pub(crate) fn peak(&self) -> usize {
        let mut shelves = self.shelves();
        let used = shelves.used;
        std::mem::replace(&mut shelves.peak, used)
    }
}
