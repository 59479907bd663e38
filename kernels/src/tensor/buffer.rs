//! Buffers: memory of a device, shared until someone writes.

use std::panic::RefUnwindSafe;
use std::sync::Arc;

use super::arena::Arena;
use super::dtype::DType;
use super::memory::{ELSEWHERE, Memory};
use super::view::{Slice, SliceMut};

/// A handle of memory. Clones share it; a kernel writes only to a buffer of which there is one handle.
#[derive(Clone, Debug)]
pub struct Buffer(Arc<Block>);

#[derive(Debug)]
struct Block {
    /// `None` once it has gone back.
    memory: Option<Memory>,
    arena: Arc<Arena>,
}

/// Memory is written by kernels alone, and only where no other handle could see it half written.
impl RefUnwindSafe for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.arena.give(memory);
        }
    }
}

const PRESENT: &str = "memory goes back with the last handle";

impl Buffer {
    /// Memory of an arena, whose contents are left over; what `new` makes where none is at rest.
    pub(crate) fn new(arena: &Arc<Arena>, dtype: DType, len: usize, new: impl FnOnce() -> Memory) -> Self {
        Self(Arc::new(Block { memory: Some(arena.take(dtype, len, new)), arena: arena.clone() }))
    }

    fn memory(&self) -> &Memory {
        self.0.memory.as_ref().expect(PRESENT)
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.memory().dtype()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.memory().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is the only handle.
    pub fn is_alone(&mut self) -> bool {
        Arc::get_mut(&mut self.0).is_some()
    }

    /// The elements.
    pub(crate) fn view(&self) -> Slice<'_> {
        self.memory().view()
    }

    /// The elements, to write.
    ///
    /// # Panics
    /// If there are other handles.
    pub(crate) fn view_mut(&mut self) -> SliceMut<'_> {
        self.alone().view_mut()
    }

    fn alone(&mut self) -> &mut Memory {
        let block = Arc::get_mut(&mut self.0).expect("a buffer that is shared cannot be written");
        block.memory.as_mut().expect(PRESENT)
    }

    /// Memory of the device with this arena.
    ///
    /// # Panics
    /// If it is of another.
    pub(crate) fn within<M: 'static>(&self, arena: &Arc<Arena>) -> &M {
        assert!(Arc::ptr_eq(&self.0.arena, arena), "{ELSEWHERE}");
        self.memory().foreign()
    }

    /// The same, to write.
    ///
    /// # Panics
    /// If it is of another device, or there are other handles.
    pub(crate) fn within_mut<M: 'static>(&mut self, arena: &Arc<Arena>) -> &mut M {
        assert!(Arc::ptr_eq(&self.0.arena, arena), "{ELSEWHERE}");
        self.alone().foreign_mut()
    }
}
