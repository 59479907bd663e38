//! Vectors to the nearest codewords.
use burn::tensor::Tensor;
use kernels::Kernels;

use super::infer::values;

/// `[1 or batch, dim, time]` as rows: `[batch * time, dim]`.
pub(crate) fn rows<B: Kernels>(z: Tensor<B, 3>) -> Vec<f32> {
    values(z.swap_dims(1, 2))
}

/// For each row of `rows` (`[n, dim]`) the nearest of `centres` (`[codewords, dim]`) by Euclidean distance; the first of
/// several that are equally near.
pub(crate) fn nearest(rows: &[f32], centres: &[f32], dim: usize) -> Vec<u32> {
    let mut codes = vec![0; rows.len() / dim];
    kernels::nearest(rows, dim, centres, &mut codes, None);
    codes
}
