//! The CPU: buffers are memory of the host, and a launch returns when the kernel is done.

use std::sync::Arc;

use super::{Device, Kernel};
use crate::cpu::dispatch::Level;
use crate::tensor::{Arena, Buffer, DType, Memory, Slice, SliceMut};

/// The CPU, with the widest instruction set that it has.
#[derive(Debug)]
pub struct Cpu {
    level: Level,
    arena: Arc<Arena>,
}

impl Cpu {
    /// The CPU, with an arena of its own.
    pub fn new() -> Self {
        Self { level: Level::detect(), arena: Arc::default() }
    }
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

impl Device for Cpu {
    fn alloc(&self, dtype: DType, len: usize) -> Buffer {
        Buffer::new(&self.arena, dtype, len, || Memory::zeros(dtype, len))
    }

    fn upload(&self, from: Slice<'_>) -> Buffer {
        let mut buffer = self.alloc(from.dtype(), from.len());
        buffer.view_mut().copy_from(from);
        buffer
    }

    fn download(&self, from: &Buffer, mut to: SliceMut<'_>) {
        to.copy_from(from.view());
    }

    fn launch(&self, kernel: &dyn Kernel, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) {
        let inputs: Vec<Slice<'_>> = inputs.iter().map(|b| b.view()).collect();
        let mut outputs: Vec<SliceMut<'_>> = outputs.iter_mut().map(|b| b.view_mut()).collect();
        kernel.cpu(self.level, &inputs, &mut outputs);
    }

    fn peak(&self) -> usize {
        self.arena.peak()
    }
}
