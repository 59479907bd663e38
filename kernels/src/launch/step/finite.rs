//! Whether floats are finite.

use crate::launch::sources::FINITE;
use crate::launch::{Argument, Plan, blocks, int, long, of};
use crate::tensor::DType;

/// Floats that one block counts.
const PART: usize = 1 << 14;

/// Input: `n` floats. Output: one, 1 where all are finite, else 0.
pub fn finite(n: usize, dtype: DType) -> Plan {
    let mut plan = Plan::default();
    let parts = plan.scratch(n.div_ceil(PART).max(1) * 4);
    let arguments = vec![Argument::Input(0), parts, long(n)];
    let kernel = of(dtype, ["finite_count_f32", "finite_count_f16", "finite_count_bf16"]);
    plan.launch(&FINITE, kernel, [blocks(n, PART), 1, 1], 32, arguments);
    let arguments = vec![parts, Argument::Output(0), int(n.div_ceil(PART))];
    plan.launch(&FINITE, "finite_all", [1, 1, 1], 32, arguments);
    plan
}
