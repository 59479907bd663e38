//! The search and the sums on a device, for vectors that lie in the columns of activations.

use rayon::prelude::*;

use super::{Nearest, accumulate};
use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check, floats};
use crate::launch::{Plan, nearest as launch};
use crate::tensor::{Buffer, DType, Shape, Slice, SliceMut, Tensor};

/// Codes `[items, frames]` of the vectors of z `[items, dim, frames]`: of each the nearest of `codebook` `[codewords, dim, 1]`,
/// the lowest among equals.
///
/// # Panics
/// If the shapes do not fit each other, or there is no codeword or no dimension.
pub fn search(device: &dyn Device, z: &Tensor, codebook: &Tensor) -> Buffer {
    let ([items, dim, frames], [codewords, own, _]) = (z.shape(), codebook.shape());
    assert!(own == dim && dim > 0 && codewords > 0, "nearest: {codewords} codewords of {own} for vectors of {dim}");
    let mut codes = device.alloc(DType::U32, items * frames);
    device.launch(&Search { z: z.shape(), codewords }, &[z.buffer(), codebook.buffer()], &mut [&mut codes]);
    codes
}

/// How many of the vectors of z `[items, dim, frames]` have each code, and the sum of those vectors `[codewords, dim, 1]`,
/// added in the order of items and frames.
///
/// # Panics
/// If there is another number of codes than of vectors; on the CPU, if a code is not below `codewords`.
pub fn tally(device: &dyn Device, z: &Tensor, codes: &Buffer, codewords: usize) -> (Buffer, Tensor) {
    let mut counts = device.alloc(DType::U32, codewords);
    let mut sums = device.empty([codewords, z.shape()[1], 1]);
    let kernel = Tally { z: z.shape(), codewords };
    device.launch(&kernel, &[z.buffer(), codes], &mut [&mut counts, sums.buffer_mut()]);
    (counts, sums)
}

fn extents([items, dim, frames]: Shape, codewords: usize) -> launch::Search {
    launch::Search { items, dim, frames, codewords }
}

struct Search {
    z: Shape,
    codewords: usize,
}
impl Kernel for Search {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let [z, codebook] = floats(inputs);
        let [codes] = outputs else { panic!("nearest: operands") };
        let ([_, dim, frames], codes) = (self.z, codes.u32());
        let book = Nearest::new(codebook, dim);
        let items = codes.par_chunks_mut(frames.max(1)).zip(z.par_chunks(dim * frames.max(1)));
        items.for_each(|(codes, z)| book.columns(z, codes, None));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let ([items, dim, frames], dtype) = (self.z, inputs[0].dtype);
        check("nearest", inputs, &[(dtype, items * dim * frames), (DType::F32, self.codewords * dim)]);
        check("nearest", outputs, &[(DType::U32, items * frames)]);
        launch::search(extents(self.z, self.codewords), dtype)
    }
}

struct Tally {
    z: Shape,
    codewords: usize,
}
impl Kernel for Tally {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([z, codes], [counts, sums]) = (inputs, outputs) else { panic!("nearest: operands") };
        let ([_, dim, frames], z) = (self.z, z.f32());
        let mut rows = vec![0.0; z.len()];
        let items = rows.par_chunks_mut((dim * frames).max(1)).zip(z.par_chunks((dim * frames).max(1)));
        items.for_each(|(rows, z)| {
            for (i, row) in rows.chunks_exact_mut(dim).enumerate() {
                row.iter_mut().enumerate().for_each(|(d, to)| *to = z[d * frames + i]);
            }
        });
        let found = accumulate(&rows, codes.u32(), self.codewords, dim);
        counts.u32().copy_from_slice(&found.0);
        sums.f32().copy_from_slice(&found.1);
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let ([items, dim, frames], dtype) = (self.z, inputs[0].dtype);
        check("nearest", inputs, &[(dtype, items * dim * frames), (DType::U32, items * frames)]);
        check("nearest", outputs, &[(DType::U32, self.codewords), (DType::F32, self.codewords * dim)]);
        launch::tally(extents(self.z, self.codewords), dtype)
    }
}
