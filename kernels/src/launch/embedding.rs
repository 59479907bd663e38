//! Rows of tables, numbered through all of them, and the way back. y and dy are of the type that is given, tables of 32 bits.

use super::sources::EMBEDDING;
use super::{Argument, Plan, blocks, int, long, of};
use crate::tensor::DType;

/// Tables with their first rows.
fn firsts(tables: &[usize]) -> impl Iterator<Item = (usize, usize, usize)> {
    let from = |first: &mut usize, (i, rows): (usize, &usize)| {
        *first += rows;
        Some((i, *first - rows, *rows))
    };
    tables.iter().enumerate().scan(0, from)
}

/// Inputs: rows `[items, positions]`, and tables `[rows, width]`, of which `tables` has the numbers of rows. Output: y `[items,
/// width, positions]`; zeros for the row `u32::MAX`, NaNs for others that no table has.
///
/// # Panics
/// If there is no table.
pub fn forward([items, width, positions]: [usize; 3], tables: &[usize], dtype: DType) -> Plan {
    assert!(!tables.is_empty(), "embedding: no table");
    let (mut plan, n) = (Plan::default(), items * width * positions);
    for (i, first, rows) in firsts(tables) {
        let mut arguments = vec![Argument::Input(0), Argument::Input(1 + i), Argument::Output(0)];
        arguments.extend([width, positions, first, rows].map(int));
        arguments.push(long(n));
        let kernel = of(dtype, ["embedding_forward_f32", "embedding_forward_f16", "embedding_forward_bf16"]);
        plan.launch(&EMBEDDING, kernel, [blocks(n, 256), 1, 1], 0, arguments);
    }
    plan
}

/// Inputs: rows, dy. Outputs: the gradient of each table: of a row the sum over its positions in their order.
pub fn backward([items, width, positions]: [usize; 3], tables: &[usize], dtype: DType) -> Plan {
    let mut plan = Plan::default();
    for (i, first, rows) in firsts(tables) {
        let mut arguments = vec![Argument::Input(0), Argument::Input(1), Argument::Output(i)];
        arguments.extend([width, positions, first].map(int));
        arguments.push(long(items * positions));
        let grid = [blocks(rows, 1), blocks(width, 256), 1];
        let kernel = of(dtype, ["embedding_backward_f32", "embedding_backward_f16", "embedding_backward_bf16"]);
        plan.launch(&EMBEDDING, kernel, grid, (256 + 8) * 4, arguments);
    }
    plan
}
