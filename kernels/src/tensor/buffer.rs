//! Buffers: memory of a device, shared until someone writes.

use std::sync::Arc;

use super::arena::Arena;
use super::memory::{DType, Memory, Slice, SliceMut};

/// A handle of memory. Clones share it; a kernel writes only to a buffer of which there is one handle.
#[derive(Clone, Debug)]
pub struct Buffer(Arc<Block>);

#[derive(Debug)]
struct Block {
    /// `None` once it has gone back.
    memory: Option<Memory>,
    arena: Arc<Arena>,
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.arena.give(memory);
        }
    }
}

const PRESENT: &str = "memory goes back with the last handle";

impl Buffer {
    /// Memory of an arena, whose contents are left over.
    pub(crate) fn new(arena: &Arc<Arena>, dtype: DType, len: usize) -> Self {
        Self(Arc::new(Block { memory: Some(arena.take(dtype, len)), arena: arena.clone() }))
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
        let block = Arc::get_mut(&mut self.0).expect("a buffer that is shared cannot be written");
        block.memory.as_mut().expect(PRESENT).view_mut()
    }
}
