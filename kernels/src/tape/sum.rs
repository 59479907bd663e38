//! Sums of tensors, element by element: where gradients meet, and residual branches.

use rayon::prelude::*;

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check, floats, floats_mut};
use crate::launch::{self, Plan};
use crate::tensor::{Slice, SliceMut, Tensor};

/// Floats of one unit of work.
const PIECE: usize = 1 << 13;

/// Adds the input to the output.
struct AddTo;
impl Kernel for AddTo {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([x], [to]) = (floats(inputs), floats_mut(outputs));
        assert_eq!(x.len(), to.len(), "sum: lengths");
        let pieces = to.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE));
        pieces.for_each(|(to, x)| to.iter_mut().zip(x).for_each(|(to, x)| *to += x));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let Operand { dtype, len } = outputs[0];
        check("sum", inputs, &[(dtype, len)]);
        launch::add::add_to(len, dtype)
    }
}

/// The sum of two inputs.
struct Add;
impl Kernel for Add {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([a, b], [to]) = (floats(inputs), floats_mut(outputs));
        assert!(a.len() == to.len() && b.len() == to.len(), "sum: lengths");
        let pieces = to.par_chunks_mut(PIECE).zip(a.par_chunks(PIECE).zip(b.par_chunks(PIECE)));
        pieces.for_each(|(to, (a, b))| to.iter_mut().zip(a.iter().zip(b)).for_each(|(to, (a, b))| *to = a + b));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let Operand { dtype, len } = outputs[0];
        check("sum", inputs, &[(dtype, len); 2]);
        launch::add::add(len, dtype)
    }
}

/// a + b, in the place of either if nobody else holds it.
///
/// # Panics
/// If the shapes differ.
pub fn sum(device: &dyn Device, mut a: Tensor, mut b: Tensor) -> Tensor {
    assert_eq!(a.shape(), b.shape(), "sum: shapes");
    if !a.buffer_mut().is_alone() && b.buffer_mut().is_alone() {
        std::mem::swap(&mut a, &mut b);
    }
    if a.buffer_mut().is_alone() {
        device.launch(&AddTo, &[b.buffer()], &mut [a.buffer_mut()]);
        return a;
    }
    let mut out = device.like(&a, a.shape());
    device.launch(&Add, &[a.buffer(), b.buffer()], &mut [out.buffer_mut()]);
    out
}
