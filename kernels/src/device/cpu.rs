//! The CPU: buffers are memory of the host, and a launch returns when the kernel is done.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Device, Kernel};
use crate::cpu::dispatch::Level;
use crate::tensor::{Arena, Buffer, DType, Half, Memory, Slice, SliceMut};

/// The CPU, with the widest instruction set that it has.
#[derive(Debug)]
pub struct Cpu {
    level: Level,
    precision: DType,
    arena: Arc<Arena>,
}

impl Cpu {
    /// The CPU, with an arena of its own and activations of 32 bits.
    pub fn new() -> Self {
        Self::of(DType::F32)
    }

    /// The CPU with activations of this element type. Those of 16 bits save memory, not time: a kernel widens what it reads,
    /// computes in 32 bits, and rounds what it writes.
    ///
    /// # Panics
    /// If that is no float of 16 or 32 bits.
    pub fn of(precision: DType) -> Self {
        assert!(precision == DType::F32 || precision.half().is_some(), "activations of {precision:?}");
        Self { level: Level::detect(), precision, arena: Arc::default() }
    }
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

/// Numbers that one thread converts.
const PIECE: usize = 1 << 14;

/// The 16-bit floats of a buffer in 32 bits; `None` for other types.
fn widened(from: Slice<'_>) -> Option<Vec<f32>> {
    let (half, data) = match from {
        Slice::F16(v) => (Half::F16, v),
        Slice::BF16(v) => (Half::Bf16, v),
        _ => return None,
    };
    let mut wide = vec![0.0; data.len()];
    let pieces = wide.par_chunks_mut(PIECE).zip(data.par_chunks(PIECE));
    pieces.for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(to, v)| *to = half.widen(*v)));
    Some(wide)
}

/// Rounds to 16 bits what a kernel wrote in 32.
fn round(wide: &[f32], to: SliceMut<'_>) {
    let (half, to) = match to {
        SliceMut::F16(v) => (Half::F16, v),
        SliceMut::BF16(v) => (Half::Bf16, v),
        _ => return,
    };
    let pieces = to.par_chunks_mut(PIECE).zip(wide.par_chunks(PIECE));
    pieces.for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(to, v)| *to = half.round(*v)));
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
        let wide: Vec<Option<Vec<f32>>> = inputs.iter().map(|b| widened(b.view())).collect();
        let pairs = inputs.iter().zip(&wide);
        let inputs: Vec<Slice<'_>> = pairs.map(|(b, wide)| wide.as_ref().map_or(b.view(), |v| Slice::F32(v))).collect();
        // what an output held is read by kernels that add to it
        let mut wide: Vec<Option<Vec<f32>>> = outputs.iter().map(|b| widened(b.view())).collect();
        let mut views: Vec<SliceMut<'_>> = Vec::with_capacity(outputs.len());
        for (b, wide) in outputs.iter_mut().zip(&mut wide) {
            views.push(match wide {
                Some(v) => SliceMut::F32(v),
                None => b.view_mut(),
            });
        }
        kernel.cpu(self.level, &inputs, &mut views);
        drop(views);
        for (output, wide) in outputs.iter_mut().zip(wide) {
            if let Some(wide) = wide {
                round(&wide, output.view_mut());
            }
        }
    }

    fn peak(&self) -> usize {
        self.arena.peak()
    }

    fn precision(&self) -> DType {
        self.precision
    }
}
