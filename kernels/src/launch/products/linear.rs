//! Linear layers: for a few rows of activations, as in sampling, and at every position of a sequence on tensor cores. (In f32
//! the latter is a convolution of one tap.)

use crate::launch::sources::{CONVOLUTION, LINEAR, LINEAR_MMA};
use crate::launch::{Argument, Plan, blocks, int, long, parts};
use crate::tensor::Half;

/// Inputs: x `[rows, inputs]`, w `[outputs, inputs]` (in 16 bits if `half` says so), and b `[outputs]` if there is a bias.
/// Output: y `[rows, outputs]`.
pub fn rows(rows: usize, inputs: usize, outputs: usize, bias: bool, half: Option<Half>) -> Plan {
    let kernel = match half {
        None => "linear_rows_f32",
        Some(Half::F16) => "linear_rows_f16",
        Some(Half::Bf16) => "linear_rows_bf16",
    };
    let mut plan = Plan::default();
    let [x, w] = [0, 1].map(Argument::Input);
    let b = if bias { Argument::Input(2) } else { Argument::Null };
    let arguments = vec![x, w, b, Argument::Output(0), int(rows), int(inputs), int(outputs)];
    plan.launch(&LINEAR, kernel, [blocks(outputs, 8), blocks(rows, 8), 1], 0, arguments);
    plan
}

/// The side of a block's tile on tensor cores, its threads, and the bytes of its three buffers.
const SIDE: usize = 128;
const THREADS: u32 = 128;
const SHARED: usize = 3 * 2 * SIDE * 32 * 2;

/// The fewest positions of a part of a weight's gradient.
const PART: usize = 1024;

/// The extents of a layer at every position: x `[batch, inputs, positions]`, w `[outputs, inputs]`, y `[batch, outputs,
/// positions]`; operands are in 16 bits, sums in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearShape {
    /// Items.
    pub batch: usize,
    /// Channels of x.
    pub inputs: usize,
    /// Channels of y.
    pub outputs: usize,
    /// Positions.
    pub positions: usize,
    /// What operands are in.
    pub half: Half,
}

impl LinearShape {
    fn sizes(&self) -> [Argument; 3] {
        [self.inputs, self.outputs, self.positions].map(int)
    }
}

/// Inputs: x, w, and the bias in f32. Output: y in f32, or in 16 bits where it is `narrow`.
pub fn forward(s: LinearShape, narrow: bool) -> Plan {
    let kernel = match (s.half, narrow) {
        (Half::F16, false) => "linear_forward_f16",
        (Half::Bf16, false) => "linear_forward_bf16",
        (Half::F16, true) => "linear_forward_f16_narrow",
        (Half::Bf16, true) => "linear_forward_bf16_narrow",
    };
    let mut plan = Plan::default();
    let mut arguments: Vec<Argument> = [0, 1, 2].map(Argument::Input).into();
    arguments.push(Argument::Output(0));
    arguments.extend(s.sizes());
    let grid = [blocks(s.positions, SIDE), blocks(s.outputs, SIDE), blocks(s.batch, 1)];
    plan.launch_of(THREADS, &LINEAR_MMA, kernel, grid, SHARED, arguments);
    plan
}

/// Inputs: dy, w. Output: dx in f32, or in 16 bits where it is `narrow`.
pub fn adjoint(s: LinearShape, narrow: bool) -> Plan {
    let kernel = match (s.half, narrow) {
        (Half::F16, false) => "linear_adjoint_f16",
        (Half::Bf16, false) => "linear_adjoint_bf16",
        (Half::F16, true) => "linear_adjoint_f16_narrow",
        (Half::Bf16, true) => "linear_adjoint_bf16_narrow",
    };
    let mut plan = Plan::default();
    let mut arguments: Vec<Argument> = [0, 1].map(Argument::Input).into();
    arguments.push(Argument::Output(0));
    arguments.extend(s.sizes());
    let grid = [blocks(s.positions, SIDE), blocks(s.inputs, SIDE), blocks(s.batch, 1)];
    plan.launch_of(THREADS, &LINEAR_MMA, kernel, grid, SHARED, arguments);
    plan
}

/// Inputs: x, dy. Output: dw in f32. (The gradient of a bias is a sum over channels, of `convolution`.)
pub fn weights(s: LinearShape) -> Plan {
    let kernel = match s.half {
        Half::F16 => "linear_weights_f16",
        Half::Bf16 => "linear_weights_bf16",
    };
    let (mut plan, n) = (Plan::default(), s.inputs * s.outputs);
    let tiles = s.inputs.div_ceil(SIDE) * s.outputs.div_ceil(SIDE);
    let parts = parts(tiles, s.batch * s.positions, PART);
    let to = if parts > 1 { plan.scratch(parts * n * 4) } else { Argument::Output(0) };
    let mut arguments = vec![Argument::Input(0), Argument::Input(1), to];
    arguments.extend(s.sizes());
    arguments.push(int(s.batch));
    let grid = [blocks(s.inputs, SIDE), blocks(s.outputs, SIDE), blocks(parts, 1)];
    plan.launch_of(THREADS, &LINEAR_MMA, kernel, grid, SHARED, arguments);
    if parts > 1 {
        let arguments = vec![to, Argument::Output(0), int(parts), long(n)];
        plan.launch(&CONVOLUTION, "convolution_sum_parts", [blocks(n, 256), 1, 1], 0, arguments);
    }
    plan
}
