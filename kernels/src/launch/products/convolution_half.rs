//! Convolution over frames on tensor cores: activations and weights in 16 bits, sums, biases and the gradients of parameters
//! in f32.

use super::convolution::{Beside, ConvolutionShape, RECTIFY_IN, RECTIFY_OUT, optional};
use crate::launch::sources::{CONVOLUTION, CONVOLUTION_MMA};
use crate::launch::{Argument, Plan, blocks, int, long, parts};
use crate::tensor::Half;

/// The side of a block's tile, its threads, and the bytes of its three buffers.
const SIDE: usize = 128;
const THREADS: u32 = 128;
const SHARED: usize = 3 * 2 * SIDE * 32 * 2;

/// The fewest frames of a part of a weight's sum.
const PART: usize = 1024;

/// One kernel of two by the format.
fn of(half: Half, [f16, bf16]: [&'static str; 2]) -> &'static str {
    match half {
        Half::F16 => f16,
        Half::Bf16 => bf16,
    }
}

/// Input: weights `[outputs, inputs, taps]` in f32. Output: `[taps, outputs, inputs]` in 16 bits, as the others take them.
pub fn pack(s: ConvolutionShape, half: Half) -> Plan {
    let (mut plan, n) = (Plan::default(), s.outputs * s.inputs);
    let kernel = of(half, ["convolution_pack_f16", "convolution_pack_bf16"]);
    let arguments = vec![Argument::Input(0), Argument::Output(0), int(s.taps), long(n)];
    plan.launch(&CONVOLUTION_MMA, kernel, [blocks(n * s.taps, 256), 1, 1], 0, arguments);
    plan
}

/// Inputs: x, packed w, then what `beside` has: bias in f32, addend. Output: y.
pub fn forward(s: ConvolutionShape, half: Half, beside: Beside) -> Plan {
    let mut next = 2;
    let [bias, add] = [beside.bias, beside.add].map(|there| optional(&mut next, there));
    let flags = i32::from(beside.rectify_in) * RECTIFY_IN + i32::from(beside.rectify_out) * RECTIFY_OUT;
    let mut arguments = vec![Argument::Input(0), Argument::Input(1), bias, add, Argument::Output(0)];
    arguments.extend(s.extents());
    arguments.extend([Argument::Int(flags), int(beside.skip)]);
    let mut plan = Plan::default();
    let kernel = of(half, ["convolution_forward_f16", "convolution_forward_bf16"]);
    let grid = [blocks(s.length(), SIDE), blocks(s.outputs, SIDE), blocks(s.batch, 1)];
    plan.launch_of(THREADS, &CONVOLUTION_MMA, kernel, grid, SHARED, arguments);
    plan
}

/// Inputs: y (or its gradient), packed w, then what `beside` has: bias `[inputs]` in f32, gate, addend. Output: x.
pub fn adjoint(s: ConvolutionShape, half: Half, beside: Beside) -> Plan {
    let mut next = 2;
    let [bias, gate, add] = [beside.bias, beside.gate, beside.add].map(|there| optional(&mut next, there));
    let mut arguments = vec![Argument::Input(0), Argument::Input(1), bias, gate, add, Argument::Output(0)];
    arguments.extend(s.extents());
    let mut plan = Plan::default();
    let kernel = of(half, ["convolution_adjoint_f16", "convolution_adjoint_bf16"]);
    let grid = [blocks(s.frames.div_ceil(s.stride), SIDE), blocks(s.inputs, SIDE), blocks(s.batch * s.stride, 1)];
    plan.launch_of(THREADS, &CONVOLUTION_MMA, kernel, grid, SHARED, arguments);
    plan
}

/// Inputs: x, dy. Outputs in f32: dw `[outputs, inputs, taps]`, and the sums of dy's channels, the gradient of a bias of y.
pub fn weights(s: ConvolutionShape, half: Half, rectify_in: bool) -> Plan {
    let (mut plan, n) = (Plan::default(), s.outputs * s.inputs * s.taps);
    let tiles = s.inputs.div_ceil(SIDE) * s.taps * s.outputs.div_ceil(SIDE);
    let parts = parts(tiles, s.batch * s.length(), PART);
    let to = if parts > 1 { plan.scratch(parts * n * 4) } else { Argument::Output(0) };
    let [x, dy] = [0, 1].map(Argument::Input);
    let mut arguments = vec![x, dy, to];
    arguments.extend(s.extents());
    arguments.extend([Argument::Int(i32::from(rectify_in) * RECTIFY_IN), int(s.batch)]);
    let kernel = of(half, ["convolution_weights_f16", "convolution_weights_bf16"]);
    let grid = [blocks(s.inputs, SIDE) * blocks(s.taps, 1), blocks(s.outputs, SIDE), blocks(parts, 1)];
    plan.launch_of(THREADS, &CONVOLUTION_MMA, kernel, grid, SHARED, arguments);
    if parts > 1 {
        let arguments = vec![to, Argument::Output(0), int(parts), long(n)];
        plan.launch(&CONVOLUTION, "convolution_sum_parts", [blocks(n, 256), 1, 1], 0, arguments);
    }
    let kernel = of(half, ["convolution_channel_sums_f16", "convolution_channel_sums_bf16"]);
    let arguments = vec![dy, Argument::Output(1), int(s.batch), int(s.outputs), int(s.length())];
    plan.launch(&CONVOLUTION_MMA, kernel, [blocks(s.outputs, 1), 1, 1], 32, arguments);
    plan
}
