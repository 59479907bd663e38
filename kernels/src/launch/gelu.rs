//! The quick GELU of `n` floats.

use super::sources::GELU;
use super::{Argument, Plan, blocks, long};

/// Input: x. Output: y.
pub fn forward(n: usize) -> Plan {
    let mut plan = Plan::default();
    let arguments = vec![Argument::Input(0), Argument::Output(0), long(n)];
    plan.launch(&GELU, "gelu_forward", [blocks(n, 256), 1, 1], 0, arguments);
    plan
}

/// Inputs: x, dy. Output: dx.
pub fn backward(n: usize) -> Plan {
    let mut plan = Plan::default();
    let arguments = vec![Argument::Input(0), Argument::Input(1), Argument::Output(0), long(n)];
    plan.launch(&GELU, "gelu_backward", [blocks(n, 256), 1, 1], 0, arguments);
    plan
}
