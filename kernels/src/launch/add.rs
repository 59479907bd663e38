//! Sums of `n` floats.

use super::sources::ADD;
use super::{Argument, Plan, blocks, long, of};
use crate::tensor::DType;

/// Output 0 = input 0 + input 1.
pub fn add(n: usize, dtype: DType) -> Plan {
    sum(n, dtype, [Argument::Input(0), Argument::Input(1)])
}

/// Adds input 0 to output 0.
pub fn add_to(n: usize, dtype: DType) -> Plan {
    sum(n, dtype, [Argument::Output(0), Argument::Input(0)])
}

fn sum(n: usize, dtype: DType, [a, b]: [Argument; 2]) -> Plan {
    let mut plan = Plan::default();
    let arguments = vec![a, b, Argument::Output(0), long(n)];
    plan.launch(&ADD, of(dtype, ["add_f32", "add_f16", "add_bf16"]), [blocks(n, 256), 1, 1], 0, arguments);
    plan
}
