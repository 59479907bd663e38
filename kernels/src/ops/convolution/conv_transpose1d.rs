//! Transposed convolution over frames, with a gradient.

use super::kernels::{adjoint, channel_sums, convolve, weight_gradients};
use super::shape::{Convolution, Geometry};
use crate::device::Device;
use crate::tape::{Backward, Tape, Value};
use crate::tensor::Tensor;

/// Transposed convolution as PyTorch's `conv_transpose1d`: x `[batch, in, frames]`, weight `[in, out, taps]`, bias `[out]`
/// to `[batch, out, (frames - 1) * stride + taps - 2 * padding]`.
///
/// # Panics
/// If the shapes do not fit each other, `stride` is 0, or padding leaves no frame.
pub fn conv_transpose1d(
    tape: &Tape<'_>,
    x: &Value,
    weight: &Value,
    bias: &Value,
    stride: usize,
    padding: usize,
) -> Value {
    let (frames, taps) = (x.shape()[2], weight.shape()[2]);
    assert!(
        frames > 0 && (frames - 1) * stride + taps > 2 * padding,
        "conv_transpose1d: padding {padding} leaves no frame"
    );
    conv_transpose1d_to(tape, x, weight, bias, [stride, padding], (frames - 1) * stride + taps - 2 * padding)
}

/// [`conv_transpose1d`] to `[batch, out, long]`: as many frames from the first one on, which may be up to `stride - 1` more
/// than those of [`conv_transpose1d`] (PyTorch's `output_padding`).
///
/// # Panics
/// As [`conv_transpose1d`], and if a convolution of `long` frames with this stride and padding does not give `frames`.
pub fn conv_transpose1d_to(
    tape: &Tape<'_>,
    x: &Value,
    weight: &Value,
    bias: &Value,
    [stride, padding]: [usize; 2],
    long: usize,
) -> Value {
    let ([batch, inputs, frames], [wi, outputs, taps]) = (x.shape(), weight.shape());
    assert_eq!(inputs, wi, "conv_transpose1d: channels of input and weight");
    // the convolution whose adjoint this is
    let s = Convolution::new([batch, outputs, long], [inputs, taps], Geometry { stride, padding, dilation: 1 });
    assert_eq!(frames, s.frames_out(), "conv_transpose1d: frames");
    let y = adjoint(tape.device(), x.tensor(), weight.tensor(), Some(bias.tensor()), s);
    let places = [x.place(), weight.place(), bias.place()];
    tape.record(&places, &[x.tensor(), weight.tensor()], ConvTranspose1d(s), y)
}

struct ConvTranspose1d(Convolution);

impl Backward for ConvTranspose1d {
    fn backward(&self, device: &dyn Device, saved: &[Tensor], dy: Tensor, wanted: &[bool]) -> Vec<Option<Tensor>> {
        let ([x, w], s) = ([&saved[0], &saved[1]], self.0);
        let dx = wanted[0].then(|| convolve(device, &dy, w, None, s));
        let dw = wanted[1].then(|| {
            let [dw, _] = weight_gradients(device, &dy, x, s);
            dw
        });
        let db = wanted[2].then(|| channel_sums(device, &dy));
        vec![dx, dw, db]
    }
}
