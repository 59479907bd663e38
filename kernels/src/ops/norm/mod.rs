//! The norm of gradients.

use rayon::prelude::*;

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check, check_floats};
use crate::launch::{self, Plan};
use crate::tensor::{Buffer, DType, Slice, SliceMut, Tensor};

/// Floats that are summed at a time.
const PIECE: usize = 1 << 12;

/// The Euclidean norm of several tensors together: squares are summed piece by piece, the pieces in order.
pub fn norm<'a>(device: &dyn Device, tensors: impl IntoIterator<Item = &'a Tensor>) -> f64 {
    let tensors: Vec<&Tensor> = tensors.into_iter().collect();
    let inputs: Vec<&Buffer> = tensors.iter().map(|t| t.buffer()).collect();
    let mut sum = device.alloc(DType::F64, 1);
    device.launch(&Squares, &inputs, &mut [&mut sum]);
    device.doubles(&sum)[0].sqrt()
}

/// The sum of the squares of all inputs: those of each piece, then over the pieces in their order.
struct Squares;
impl Kernel for Squares {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let pieces: Vec<&[f32]> = inputs.iter().flat_map(|x| x.f32().chunks(PIECE)).collect();
        let [sum] = outputs else { panic!("norm: operands") };
        let square = |g: &&[f32]| g.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>();
        let sums: Vec<f64> = pieces.par_iter().map(square).collect();
        sum.f64()[0] = sums.iter().sum();
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let lengths: Vec<usize> = inputs.iter().map(|x| x.len).collect();
        check_floats("norm", inputs, &lengths);
        check("norm", outputs, &[(DType::F64, 1)]);
        launch::norm::squares(&lengths)
    }
}
