//! The residual block `x + b2 + w2 relu(b1 + w1 * relu(x))`: convolutions that do on their way what stands around them.

use super::cast::Half;
use super::convolution::{self, Beside, ConvolutionShape};
use super::convolution_half;
use super::{Argument, Plan};

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
    fn hidden_bytes(&self, half: Option<Half>) -> usize {
        let [first, _] = self.convolutions();
        self.batch * self.hidden * first.length() * if half.is_some() { 2 } else { 4 }
    }
}

/// A convolution's way forward, its adjoint, or (with rectified inputs or not) its weights: in f32, or in 16 bits.
fn forward_of(half: Option<Half>, s: ConvolutionShape, beside: Beside) -> Plan {
    half.map_or_else(|| convolution::forward(s, beside), |half| convolution_half::forward(s, half, beside))
}
fn adjoint_of(half: Option<Half>, s: ConvolutionShape, beside: Beside) -> Plan {
    half.map_or_else(|| convolution::adjoint(s, beside), |half| convolution_half::adjoint(s, half, beside))
}
fn weights_of(half: Option<Half>, s: ConvolutionShape, rectify_in: bool) -> Plan {
    half.map_or_else(|| convolution::weights(s, rectify_in), |half| convolution_half::weights(s, half, rectify_in))
}

/// Inputs: x, w1, b1, w2, b2. Outputs: y, and if it is kept the rectified hidden activation `[batch, hidden, frames of y]`.
/// With a `half`, activations are in 16 bits, and so are the weights, packed as `convolution_half` says.
pub fn forward(s: ResidualShape, keeps: bool, half: Option<Half>) -> Plan {
    let [first, second] = s.convolutions();
    let mut plan = Plan::default();
    let beside = Beside { bias: true, rectify_in: true, rectify_out: true, ..Beside::default() };
    let [x, w1, b1, w2, b2] = [0, 1, 2, 3, 4].map(Argument::Input);
    let hidden = if keeps { Argument::Output(1) } else { plan.scratch(s.hidden_bytes(half)) };
    plan.join(forward_of(half, first, beside), &[x, w1, b1], &[hidden]);
    let skip = s.dilation * (s.taps - 1) / 2 - s.padding;
    let beside = Beside { bias: true, add: true, skip, ..Beside::default() };
    plan.join(forward_of(half, second, beside), &[hidden, w2, b2, x], &[Argument::Output(0)]);
    plan
}

/// Inputs: x, the hidden activation, dy, w1, w2. Outputs: dx, dw1, db1, dw2, db2, and room for the gradient of the hidden
/// activation. The gradient of a rectifier at 0 is 0. With a `half`, activations, their gradients and the packed weights are
/// in 16 bits, the gradients of parameters in f32.
pub fn backward(s: ResidualShape, half: Option<Half>) -> Plan {
    let [first, second] = s.convolutions();
    let mut plan = Plan::default();
    let [x, hidden, dy, w1, w2] = [0, 1, 2, 3, 4].map(Argument::Input);
    let [dx, dw1, db1, dw2, db2, dh] = [0, 1, 2, 3, 4, 5].map(Argument::Output);
    plan.join(weights_of(half, second, false), &[hidden, dy], &[dw2, db2]);
    let gated = Beside { gate: true, ..Beside::default() };
    plan.join(adjoint_of(half, second, gated), &[dy, w2, hidden], &[dh]);
    plan.join(weights_of(half, first, true), &[x, dh], &[dw1, db1]);
    let gated = Beside { gate: true, add: true, ..Beside::default() };
    plan.join(adjoint_of(half, first, gated), &[dh, w1, x, dy], &[dx]);
    plan
}
