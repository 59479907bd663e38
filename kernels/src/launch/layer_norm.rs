//! Layer normalisation over the channels of x `[batch, channels, positions]`. x, y and their gradients are of the type that is
//! given; all else is of 32 bits.

use super::sources::LAYER_NORM;
use super::{Argument, Plan, blocks, int, of};
use crate::tensor::DType;

/// Bytes for a float of each thread.
const SHARED: usize = 256 * 4;

/// Inputs: x, gain, bias. Outputs: y, and mean and reciprocal deviation of every position, `[batch, 2, positions]`.
pub fn forward([batch, channels, positions]: [usize; 3], dtype: DType) -> Plan {
    let mut plan = Plan::default();
    let [x, gain, bias] = [0, 1, 2].map(Argument::Input);
    let arguments = vec![x, gain, bias, Argument::Output(0), Argument::Output(1), int(channels), int(positions)];
    let kernel = of(dtype, ["layer_norm_forward_f32", "layer_norm_forward_f16", "layer_norm_forward_bf16"]);
    plan.launch(&LAYER_NORM, kernel, [blocks(positions, 32), blocks(batch, 1), 1], SHARED, arguments);
    plan
}

/// Inputs: x, gain, what was kept, dy. Outputs: dx, the gradients of gain and bias.
pub fn backward([batch, channels, positions]: [usize; 3], dtype: DType) -> Plan {
    let mut plan = Plan::default();
    let [x, gain, kept, dy] = [0, 1, 2, 3].map(Argument::Input);
    let [dx, dgain, dbias] = [0, 1, 2].map(Argument::Output);
    let arguments = vec![x, gain, kept, dy, dx, int(channels), int(positions)];
    let kernel = of(dtype, ["layer_norm_backward_f32", "layer_norm_backward_f16", "layer_norm_backward_bf16"]);
    plan.launch(&LAYER_NORM, kernel, [blocks(positions, 32), blocks(batch, 1), 1], SHARED, arguments);
    let arguments = vec![x, kept, dy, dgain, dbias, int(batch), int(channels), int(positions)];
    let kernel = of(dtype, ["layer_norm_parameters_f32", "layer_norm_parameters_f16", "layer_norm_parameters_bf16"]);
    plan.launch(&LAYER_NORM, kernel, [blocks(channels, 1), 1, 1], 32, arguments);
    plan
}
