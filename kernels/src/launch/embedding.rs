//! Rows of a table `[rows, width]` at codes `[items, positions]`, and the way back.

use super::sources::EMBEDDING;
use super::{Argument, Plan, blocks, int, long};

/// Inputs: table, codes. Output: y `[items, width, positions]`; with `more` they are added to it.
pub fn forward([items, width, positions]: [usize; 3], more: bool) -> Plan {
    let (mut plan, n) = (Plan::default(), items * width * positions);
    let [table, codes] = [0, 1].map(Argument::Input);
    let arguments =
        vec![table, codes, Argument::Output(0), int(width), int(positions), long(n), Argument::Int(more.into())];
    plan.launch(&EMBEDDING, "embedding_forward", [blocks(n, 256), 1, 1], 0, arguments);
    plan
}

/// Inputs: dy, codes. Output: the table's gradient, each row the sum over its positions in their order.
pub fn backward([items, width, positions]: [usize; 3], rows: usize) -> Plan {
    let mut plan = Plan::default();
    let [dy, codes] = [0, 1].map(Argument::Input);
    let arguments = vec![dy, codes, Argument::Output(0), int(width), int(positions), long(items * positions)];
    let grid = [blocks(rows, 1), blocks(width, 256), 1];
    plan.launch(&EMBEDDING, "embedding_backward", grid, (256 + 8) * 4, arguments);
    plan
}
