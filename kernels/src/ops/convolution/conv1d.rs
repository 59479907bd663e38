//! Convolution over frames, with a gradient.

use super::kernels::{adjoint, convolve, weight_gradients};
use super::shape::{Convolution, Geometry};
use crate::device::Device;
use crate::tape::{Backward, Tape, Value};
use crate::tensor::Tensor;

/// Convolution as PyTorch's `conv1d`: x `[batch, in, frames]`, weight `[out, in, taps]`, bias `[out]` to
/// `[batch, out, (frames + 2 * padding - dilation * (taps - 1) - 1) / stride + 1]`.
///
/// An output depends on its own inputs alone, so neither the batch nor the thread count changes a bit.
///
/// # Panics
/// If the shapes do not fit each other, `stride` or `dilation` is 0, or the padded input is shorter than the kernel.
pub fn conv1d(tape: &Tape<'_>, x: &Value, weight: &Value, bias: &Value, geometry: Geometry) -> Value {
    let [outputs, inputs, taps] = weight.shape();
    assert_eq!(x.shape()[1], inputs, "conv1d: channels of input and weight");
    let s = Convolution::new(x.shape(), [outputs, taps], geometry);
    let y = convolve(tape.device(), x.tensor(), weight.tensor(), Some(bias.tensor()), s);
    let places = [x.place(), weight.place(), bias.place()];
    tape.record(&places, &[x.tensor(), weight.tensor()], Conv1d(s), y)
}

struct Conv1d(Convolution);

impl Backward for Conv1d {
    fn backward(&self, device: &dyn Device, saved: &[Tensor], dy: Tensor, wanted: &[bool]) -> Vec<Option<Tensor>> {
        let ([x, w], s) = ([&saved[0], &saved[1]], self.0);
        let dx = wanted[0].then(|| adjoint(device, &dy, w, None, s));
        let [dw, db] = match wanted[1] || wanted[2] {
            true => weight_gradients(device, x, &dy, s).map(Some),
            false => [None, None],
        };
        vec![dx, dw, db]
    }
}
