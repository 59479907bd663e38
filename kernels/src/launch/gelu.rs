//! The quick GELU of `n` floats.

use super::sources::GELU;
use super::{Argument, Plan, blocks, long, of};
use crate::tensor::DType;

/// Input: x. Output: y.
pub fn forward(n: usize, dtype: DType) -> Plan {
    let mut plan = Plan::default();
    let kernel = of(dtype, ["gelu_forward_f32", "gelu_forward_f16", "gelu_forward_bf16"]);
    let arguments = vec![Argument::Input(0), Argument::Output(0), long(n)];
    plan.launch(&GELU, kernel, [blocks(n, 256), 1, 1], 0, arguments);
    plan
}

/// Inputs: x, dy. Output: dx.
pub fn backward(n: usize, dtype: DType) -> Plan {
    let mut plan = Plan::default();
    let kernel = of(dtype, ["gelu_backward_f32", "gelu_backward_f16", "gelu_backward_bf16"]);
    let arguments = vec![Argument::Input(0), Argument::Input(1), Argument::Output(0), long(n)];
    plan.launch(&GELU, kernel, [blocks(n, 256), 1, 1], 0, arguments);
    plan
}
