//! Columns of sequences, one behind the other.

use super::sources::COLUMNS;
use super::{Argument, Plan, blocks, int, long, of};
use crate::tensor::DType;

/// Neighbouring columns of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The input that they are taken from, and its positions; `None` for zeros.
    pub of: Option<(usize, usize)>,
    /// The first of them in the input.
    pub first: usize,
    /// Their number.
    pub count: usize,
}

/// Inputs: tensors `[channels, positions]`. Output: `[channels, counts of all cuts]`.
pub fn columns(channels: usize, cuts: &[Cut], dtype: DType) -> Plan {
    let mut plan = Plan::default();
    let wide = cuts.iter().map(|cut| cut.count).sum();
    let mut at = 0;
    for cut in cuts {
        let (x, positions) = cut.of.map_or((Argument::Null, 0), |(input, n)| (Argument::Input(input), n));
        let n = channels * cut.count;
        let mut arguments = vec![x, Argument::Output(0)];
        arguments.extend([positions, cut.first, wide, at, cut.count].map(int));
        arguments.push(long(n));
        let kernel = of(dtype, ["columns_copy_4", "columns_copy_2", "columns_copy_2"]);
        plan.launch(&COLUMNS, kernel, [blocks(n, 256), 1, 1], 0, arguments);
        at += cut.count;
    }
    plan
}
