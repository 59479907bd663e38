//! The norm of gradients.

use rayon::prelude::*;

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel};
use crate::tensor::{Buffer, DType, Slice, SliceMut, Tensor};

/// Floats that are summed at a time.
const PIECE: usize = 1 << 12;

/// The Euclidean norm of several tensors together: squares are summed piece by piece, the pieces in order.
pub fn norm<'a>(device: &dyn Device, tensors: impl IntoIterator<Item = &'a Tensor>) -> f64 {
    let tensors: Vec<&Tensor> = tensors.into_iter().collect();
    let inputs: Vec<&Buffer> = tensors.iter().map(|t| t.buffer()).collect();
    let mut sums = device.alloc(DType::F64, tensors.iter().map(|t| t.len().div_ceil(PIECE)).sum());
    device.launch(&Squares, &inputs, &mut [&mut sums]);
    device.doubles(&sums).iter().sum::<f64>().sqrt()
}

/// Sums of squares of all inputs, piece by piece.
struct Squares;
impl Kernel for Squares {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let pieces: Vec<&[f32]> = inputs.iter().flat_map(|x| x.f32().chunks(PIECE)).collect();
        let [sums] = outputs else { panic!("norm: operands") };
        let sums = sums.f64();
        assert_eq!(sums.len(), pieces.len(), "norm: pieces");
        let square = |g: &&[f32]| g.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>();
        sums.par_iter_mut().zip(&pieces).for_each(|(sum, piece)| *sum = square(piece));
    }
}
