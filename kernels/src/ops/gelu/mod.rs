//! The quick Gaussian error linear unit `x * sigmoid(1.702 x)` as one operation (Hendrycks and Gimpel 2016).

pub mod plain;

use rayon::prelude::*;

use crate::cpu::dispatch::Level;
use crate::cpu::exp::{exp, sigmoid};
use crate::device::{Device, Kernel, Operand, check, floats, floats_mut};
use crate::launch::{self, Plan};
use crate::tape::{Backward, Tape, Value};
use crate::tensor::{Slice, SliceMut, Tensor};

/// What the unit multiplies its input by within the sigmoid.
const SLOPE: f32 = 1.702;

/// Floats of one unit of work.
const CHUNK: usize = 1 << 14;

/// `x * sigmoid(1.702 x)` of every float.
pub fn gelu(tape: &Tape<'_>, x: &Value) -> Value {
    let mut y = tape.device().like(x.tensor(), x.shape());
    tape.device().launch(&Forward, &[x.tensor().buffer()], &mut [y.buffer_mut()]);
    tape.record(&[x.place()], &[x.tensor()], Gelu, y)
}

#[inline(always)]
fn unit(x: f32) -> f32 {
    x * sigmoid(SLOPE * x)
}

/// [`gelu`] of rows on the host, in place.
pub fn gelu_in_place(x: &mut [f32]) {
    x.iter_mut().for_each(|v| *v = unit(*v));
}

struct Forward;
impl Kernel for Forward {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([x], [y]) = (floats(inputs), floats_mut(outputs));
        assert_eq!(x.len(), y.len(), "gelu: lengths");
        let chunks = y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
        chunks.for_each(|(y, x)| y.iter_mut().zip(x).for_each(|(y, x)| *y = unit(*x)));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let Operand { dtype, len } = outputs[0];
        check("gelu", inputs, &[(dtype, len)]);
        launch::gelu::forward(len, dtype)
    }
}

/// dx from x and dy.
struct Gradient;
impl Kernel for Gradient {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([x, dy], [dx]) = (floats(inputs), floats_mut(outputs));
        assert!(x.len() == dy.len() && x.len() == dx.len(), "gelu: lengths");
        let chunks = dx.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK).zip(dy.par_chunks(CHUNK)));
        chunks.for_each(|(dx, (x, dy))| {
            for (to, (x, dy)) in dx.iter_mut().zip(x.iter().zip(dy)) {
                let inner = SLOPE * x;
                let e = exp(-inner);
                let gate = 1.0 / (1.0 + e);
                // `e * gate` is 1 - gate without the loss of digits
                *to = dy * (gate * inner.mul_add(e * gate, 1.0));
            }
        });
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let Operand { dtype, len } = outputs[0];
        check("gelu", inputs, &[(dtype, len); 2]);
        launch::gelu::backward(len, dtype)
    }
}

struct Gelu;

impl Backward for Gelu {
    fn backward(&self, device: &dyn Device, saved: &[Tensor], dy: Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let mut dx = device.like(&dy, dy.shape());
        device.launch(&Gradient, &[saved[0].buffer(), dy.buffer()], &mut [dx.buffer_mut()]);
        vec![Some(dx)]
    }
}
