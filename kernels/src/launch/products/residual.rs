//! The residual block `x + b2 + w2 relu(b1 + w1 * relu(x))`: convolutions that do on their way what stands around them.

use super::convolution::{Beside, ConvolutionShape};
use super::layer;
use crate::launch::{Argument, Plan};
use crate::tensor::DType;

/// The extents of a block: x `[batch, channels, frames]`, w1 `[hidden, channels, taps]`, w2 `[channels, hidden, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResidualShape {
    /// Items.
    pub batch: usize,
    /// Channels of x.
    pub channels: usize,
    /// Frames.
    pub frames: usize,
    /// Channels between the two convolutions.
    pub hidden: usize,
    /// Taps of the first, an odd number.
    pub taps: usize,
    /// Frames from a tap to the next.
    pub dilation: usize,
    /// Zeros before the first and behind the last frame: half the reach of the taps, or none, and then fewer frames come out.
    pub padding: usize,
}

impl ResidualShape {
    fn convolutions(&self) -> [ConvolutionShape; 2] {
        let Self { batch, channels, frames, hidden, taps, dilation, padding } = *self;
        let first =
            ConvolutionShape { batch, inputs: channels, frames, outputs: hidden, taps, stride: 1, padding, dilation };
        [first, ConvolutionShape::linear(batch, hidden, channels, first.length())]
    }
}

impl ResidualShape {
    fn hidden_bytes(&self, dtype: DType) -> usize {
        let [first, _] = self.convolutions();
        self.batch * self.hidden * first.length() * dtype.bytes()
    }
}

/// Inputs: x, w1, b1, w2, b2. Outputs: y, and if it is kept the rectified hidden activation `[batch, hidden, frames of y]`.
/// Activations are of the type that is given, parameters of 32 bits.
pub fn forward(s: ResidualShape, keeps: bool, dtype: DType) -> Plan {
    let [first, second] = s.convolutions();
    let mut plan = Plan::default();
    let beside = Beside { bias: true, rectify_in: true, rectify_out: true, ..Beside::default() };
    let [x, w1, b1, w2, b2] = [0, 1, 2, 3, 4].map(Argument::Input);
    let hidden = if keeps { Argument::Output(1) } else { plan.scratch(s.hidden_bytes(dtype)) };
    plan.join(layer::forward(first, dtype, beside), &[x, w1, b1], &[hidden]);
    let skip = s.dilation * (s.taps - 1) / 2 - s.padding;
    let beside = Beside { bias: true, add: true, skip, ..Beside::default() };
    plan.join(layer::forward(second, dtype, beside), &[hidden, w2, b2, x], &[Argument::Output(0)]);
    plan
}

/// Inputs: x, the hidden activation, dy, w1, w2. Outputs: dx, dw1, db1, dw2, db2, and room for the gradient of the hidden
/// activation. The gradient of a rectifier at 0 is 0. Types are as above.
pub fn backward(s: ResidualShape, dtype: DType) -> Plan {
    let [first, second] = s.convolutions();
    let mut plan = Plan::default();
    let [x, hidden, dy, w1, w2] = [0, 1, 2, 3, 4].map(Argument::Input);
    let [dx, dw1, db1, dw2, db2, dh] = [0, 1, 2, 3, 4, 5].map(Argument::Output);
    plan.join(layer::weights(second, dtype, false), &[hidden, dy], &[dw2, db2]);
    let gated = Beside { gate: true, ..Beside::default() };
    plan.join(layer::adjoint(second, dtype, gated), &[dy, w2, hidden], &[dh]);
    plan.join(layer::weights(first, dtype, true), &[x, dh], &[dw1, db1]);
    let gated = Beside { gate: true, add: true, ..Beside::default() };
    plan.join(layer::adjoint(first, dtype, gated), &[dh, w1, x, dy], &[dx]);
    plan
}
