//! Convolution over frames, its adjoint and the gradients of its parameters.

use crate::launch::sources::CONVOLUTION;
use crate::launch::{Argument, Plan, blocks, int, long, parts};

/// The side of a block's tile, and the bytes of its operands in shared memory.
const TILE: usize = 64;
const SHARED: usize = 2 * 16 * (TILE + 4) * 4;

/// Flags of the kernels.
pub(crate) const RECTIFY_IN: i32 = 1;
pub(crate) const RECTIFY_OUT: i32 = 2;

/// The fewest terms of a part of a weight's sum.
const PART: usize = 512;

/// The extents of a convolution: x `[batch, inputs, frames]`, w `[outputs, inputs, taps]`, y `[batch, outputs, length]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionShape {
    /// Items.
    pub batch: usize,
    /// Channels of x.
    pub inputs: usize,
    /// Frames of x.
    pub frames: usize,
    /// Channels of y.
    pub outputs: usize,
    /// Taps of a weight.
    pub taps: usize,
    /// Frames of x from a frame of y to the next.
    pub stride: usize,
    /// Zeros before the first and behind the last frame of x.
    pub padding: usize,
    /// Frames from a tap to the next.
    pub dilation: usize,
}

/// What is done on the way, beside the product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// A bias follows the weights.
    pub bias: bool,
    /// The negative of x counts as 0.
    pub rectify_in: bool,
    /// The negative of the result becomes 0.
    pub rectify_out: bool,
    /// The result is 0 where a buffer that follows is not above 0 (of the adjoint alone).
    pub gate: bool,
    /// A buffer that follows is added to the result.
    pub add: bool,
    /// Frames of that buffer before the one that the first frame of the result is added to, and as many at its end.
    pub skip: usize,
}

impl ConvolutionShape {
    /// A linear layer at every position.
    pub fn linear(batch: usize, inputs: usize, outputs: usize, positions: usize) -> Self {
        Self { batch, inputs, frames: positions, outputs, taps: 1, stride: 1, padding: 0, dilation: 1 }
    }

    /// Frames of y.
    ///
    /// # Panics
    /// If the taps do not fit the padded frames, or the stride is 0.
    pub fn length(&self) -> usize {
        (self.frames + 2 * self.padding - self.dilation * (self.taps - 1) - 1) / self.stride + 1
    }

    pub(crate) fn extents(&self) -> [Argument; 8] {
        let Self { inputs, frames, outputs, taps, stride, padding, dilation, .. } = *self;
        [inputs, frames, outputs, taps, stride, padding, dilation, self.length()].map(int)
    }

    /// How many parts the sum of a weight's gradient is cut into: a function of the extents alone.
    fn parts(&self) -> usize {
        let tiles = (self.inputs * self.taps).div_ceil(TILE) * self.outputs.div_ceil(TILE);
        parts(tiles, self.batch * self.length(), PART)
    }
}

/// What stands for inputs that may be missing, from number `next` on.
pub(crate) fn optional(next: &mut usize, there: bool) -> Argument {
    if !there {
        return Argument::Null;
    }
    *next += 1;
    Argument::Input(*next - 1)
}

/// Inputs: x, w, then what `beside` has: bias, addend. Output: y.
pub fn forward(s: ConvolutionShape, beside: Beside) -> Plan {
    let mut next = 2;
    let [bias, add] = [beside.bias, beside.add].map(|there| optional(&mut next, there));
    let flags = i32::from(beside.rectify_in) * RECTIFY_IN + i32::from(beside.rectify_out) * RECTIFY_OUT;
    let mut arguments = vec![Argument::Input(0), Argument::Input(1), bias, add, Argument::Output(0)];
    arguments.extend(s.extents());
    arguments.extend([Argument::Int(flags), int(beside.skip)]);
    let mut plan = Plan::default();
    let grid = [blocks(s.length(), TILE), blocks(s.outputs, TILE), blocks(s.batch, 1)];
    plan.launch(&CONVOLUTION, "convolution_forward", grid, SHARED, arguments);
    plan
}

/// Inputs: y (or its gradient), w, then what `beside` has: bias `[inputs]`, gate, addend. Output: x.
pub fn adjoint(s: ConvolutionShape, beside: Beside) -> Plan {
    let mut next = 2;
    let [bias, gate, add] = [beside.bias, beside.gate, beside.add].map(|there| optional(&mut next, there));
    let mut arguments = vec![Argument::Input(0), Argument::Input(1), bias, gate, add, Argument::Output(0)];
    arguments.extend(s.extents());
    let mut plan = Plan::default();
    let steps = s.frames.div_ceil(s.stride);
    let grid = [blocks(steps, TILE), blocks(s.inputs, TILE), blocks(s.batch * s.stride, 1)];
    plan.launch(&CONVOLUTION, "convolution_adjoint", grid, SHARED, arguments);
    plan
}

/// Inputs: x, dy. Outputs: dw, and the sums of dy's channels, the gradient of a bias of y.
pub fn weights(s: ConvolutionShape, rectify_in: bool) -> Plan {
    let (parts, n) = (s.parts(), s.outputs * s.inputs * s.taps);
    let mut plan = Plan::default();
    let to = if parts > 1 { plan.scratch(parts * n * 4) } else { Argument::Output(0) };
    let mut arguments = vec![Argument::Input(0), Argument::Input(1), to, int(s.batch)];
    arguments.extend(s.extents());
    arguments.push(Argument::Int(i32::from(rectify_in) * RECTIFY_IN));
    let grid = [blocks(s.inputs * s.taps, TILE), blocks(s.outputs, TILE), blocks(parts, 1)];
    plan.launch(&CONVOLUTION, "convolution_weights", grid, SHARED, arguments);
    if parts > 1 {
        let arguments = vec![to, Argument::Output(0), int(parts), long(n)];
        plan.launch(&CONVOLUTION, "convolution_sum_parts", [blocks(n, 256), 1, 1], 0, arguments);
    }
    plan.join(channel_sums(s.batch, s.outputs, s.length()), &[Argument::Input(1)], &[Argument::Output(1)]);
    plan
}

/// Input: x `[batch, channels, frames]`. Output: the sum of each channel.
pub fn channel_sums(batch: usize, channels: usize, frames: usize) -> Plan {
    let mut plan = Plan::default();
    let arguments = vec![Argument::Input(0), Argument::Output(0), int(batch), int(channels), int(frames)];
    plan.launch(&CONVOLUTION, "convolution_channel_sums", [blocks(channels, 1), 1, 1], 32, arguments);
    plan
}
