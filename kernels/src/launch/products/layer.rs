//! Convolutions for activations of any float, with weights as parameters have them: in 32 bits. Those of 16 bits run on tensor
//! cores, where the weights are rounded first; sums, biases and the gradients of parameters are of 32 bits.

use super::convolution::{self, Beside, ConvolutionShape};
use super::convolution_half;
use super::linear::{self, LinearShape};
use crate::launch::cast;
use crate::launch::sources::CONVOLUTION_MMA;
use crate::launch::{Argument, Plan, blocks, int, of};
use crate::tensor::{DType, Half};

/// Whether a convolution is a layer at every position.
fn pointwise(s: ConvolutionShape) -> bool {
    s.taps == 1 && s.stride == 1 && s.padding == 0
}

/// Whether nothing but a bias goes with it.
fn plain(beside: Beside) -> bool {
    beside == (Beside { bias: beside.bias, ..Beside::default() })
}

fn linear(s: ConvolutionShape, half: Half) -> LinearShape {
    LinearShape { batch: s.batch, inputs: s.inputs, outputs: s.outputs, positions: s.frames, half }
}

/// Weights in 16 bits: as they lie for a pointwise layer, else by tap.
fn rounded(plan: &mut Plan, s: ConvolutionShape, half: Half, pointwise: bool) -> Argument {
    let n = s.outputs * s.inputs * s.taps;
    let to = plan.scratch(n * 2);
    let round = if pointwise { cast::narrow(half, n, 1, 1) } else { convolution_half::pack(s, half) };
    plan.join(round, &[Argument::Input(1)], &[to]);
    to
}

/// The inputs of a product, weights being elsewhere.
fn given(weights: Argument) -> [Argument; 5] {
    [Argument::Input(0), weights, Argument::Input(2), Argument::Input(3), Argument::Input(4)]
}

/// Inputs: x, w, then what `beside` has: bias, addend. Output: y.
pub fn forward(s: ConvolutionShape, dtype: DType, beside: Beside) -> Plan {
    let layer = pointwise(s) && plain(beside);
    let Some(half) = dtype.half() else {
        // one position of each item: rows, as in sampling
        return match layer && s.frames == 1 {
            true => linear::rows(s.batch, s.inputs, s.outputs, beside.bias, None),
            false => convolution::forward(s, beside),
        };
    };
    let (mut plan, layer) = (Plan::default(), layer && beside.bias);
    let w = rounded(&mut plan, s, half, layer);
    let part = match layer {
        true => linear::forward(linear(s, half), true),
        false => convolution_half::forward(s, half, beside),
    };
    plan.join(part, &given(w), &[Argument::Output(0)]);
    plan
}

/// Inputs: y (or its gradient), w, then what `beside` has: bias, gate, addend. Output: x.
pub fn adjoint(s: ConvolutionShape, dtype: DType, beside: Beside) -> Plan {
    let Some(half) = dtype.half() else { return convolution::adjoint(s, beside) };
    let (mut plan, layer) = (Plan::default(), pointwise(s) && plain(beside) && !beside.bias);
    let w = rounded(&mut plan, s, half, layer);
    let part = match layer {
        true => linear::adjoint(linear(s, half), true),
        false => convolution_half::adjoint(s, half, beside),
    };
    plan.join(part, &given(w), &[Argument::Output(0)]);
    plan
}

/// Inputs: x, dy. Outputs in 32 bits: dw, and the sums of dy's channels.
pub fn weights(s: ConvolutionShape, dtype: DType, rectify_in: bool) -> Plan {
    let Some(half) = dtype.half() else { return convolution::weights(s, rectify_in) };
    if rectify_in || !pointwise(s) {
        return convolution_half::weights(s, half, rectify_in);
    }
    let mut plan = linear::weights(linear(s, half));
    plan.join(channel_sums(s.batch, s.outputs, s.frames, dtype), &[Argument::Input(1)], &[Argument::Output(1)]);
    plan
}

/// Input: x `[batch, channels, frames]`. Output in 32 bits: the sum of each channel.
pub fn channel_sums(batch: usize, channels: usize, frames: usize, dtype: DType) -> Plan {
    if dtype.half().is_none() {
        return convolution::channel_sums(batch, channels, frames);
    }
    let mut plan = Plan::default();
    let kernel = of(dtype, ["", "convolution_channel_sums_f16", "convolution_channel_sums_bf16"]);
    let arguments = vec![Argument::Input(0), Argument::Output(0), int(batch), int(channels), int(frames)];
    plan.launch(&CONVOLUTION_MMA, kernel, [blocks(channels, 1), 1, 1], 32, arguments);
    plan
}
