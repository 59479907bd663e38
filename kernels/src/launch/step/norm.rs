//! The sum of the squares of several tensors.

use crate::launch::sources::NORM;
use crate::launch::{Argument, Plan, blocks, int, long};

/// Floats whose squares one block sums.
const PIECE: usize = 1 << 14;

/// Inputs: tensors of these lengths. Output: the sum of all their squares, one f64.
pub fn squares(lengths: &[usize]) -> Plan {
    let mut plan = Plan::default();
    let all: usize = lengths.iter().map(|n| n.div_ceil(PIECE)).sum();
    let parts = plan.scratch(all.max(1) * 8);
    let mut offset = 0;
    for (i, n) in lengths.iter().enumerate() {
        let arguments = vec![Argument::Input(i), parts, int(offset), long(*n)];
        plan.launch(&NORM, "norm_squares", [blocks(*n, PIECE), 1, 1], 64, arguments);
        offset += n.div_ceil(PIECE);
    }
    plan.launch(&NORM, "norm_sum", [1, 1, 1], 64, vec![parts, Argument::Output(0), int(all)]);
    plan
}
