//! Cross-entropy of codes under logits, and its gradient in place.

use super::sources::CROSS_ENTROPY;
use super::{Argument, Plan, blocks, int, long, of};
use crate::tensor::DType;

/// Inputs: codes `[items, positions]`, the live range of each item `[items, 2]`, both unsigned integers. Outputs: the logits
/// `[items, codewords, positions]`, which become `share` times the gradient; the sum of nats, one f64.
pub fn forward([items, codewords, positions]: [usize; 3], share: f32, dtype: DType) -> Plan {
    let (mut plan, n) = (Plan::default(), items * positions);
    let nats = plan.scratch(n * 8);
    let [codes, live] = [0, 1].map(Argument::Input);
    let [logits, sum] = [0, 1].map(Argument::Output);
    let grid = [blocks(positions, 32), blocks(items, 1), 1];
    let arguments = vec![logits, codes, live, nats, int(codewords), int(positions), Argument::Float(share)];
    let kernel = of(dtype, ["cross_entropy_forward_f32", "cross_entropy_forward_f16", "cross_entropy_forward_bf16"]);
    plan.launch(&CROSS_ENTROPY, kernel, grid, 256 * 4, arguments);
    plan.launch(&CROSS_ENTROPY, "cross_entropy_sum", [1, 1, 1], 64, vec![nats, sum, long(n)]);
    plan
}
