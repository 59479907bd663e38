//! Vectors to the nearest codewords.
use burn::tensor::Tensor;
use kernels::Kernels;
use rayon::prelude::*;

use super::infer::values;

/// `[1 or batch, dim, time]` as rows: `[batch * time, dim]`.
pub(crate) fn rows<B: Kernels>(z: Tensor<B, 3>) -> Vec<f32> {
    values(z.swap_dims(1, 2))
}

/// For each row of `rows` (`[n, dim]`) the nearest of `centres` (`[codewords, dim]`) by Euclidean distance; the first of
/// several that are equally near.
pub(crate) fn nearest(rows: &[f32], centres: &[f32], dim: usize) -> Vec<u32> {
    let n = centres.len() / dim;
    let mut columns = vec![0.0f32; centres.len()];
    let mut half = vec![0.0f32; n];
    for (j, c) in centres.chunks_exact(dim).enumerate() {
        for (d, v) in c.iter().enumerate() {
            columns[d * n + j] = *v;
            half[j] += 0.5 * v * v;
        }
    }
    rows.par_chunks(dim * 64)
        .flat_map_iter(|rows| {
            let mut score = vec![0.0f32; n];
            rows.chunks_exact(dim)
                .map(|z| {
                    score.copy_from_slice(&half);
                    for (v, column) in z.iter().zip(columns.chunks_exact(n)) {
                        score.iter_mut().zip(column).for_each(|(s, c)| *s -= v * c);
                    }
                    let mut best = 0;
                    for (j, s) in score.iter().enumerate() {
                        if *s < score[best] {
                            best = j;
                        }
                    }
                    best as u32
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// How many rows have each code, and the sum of them: `[codewords]` and `[codewords, dim]`, summed in the order of rows.
pub(crate) fn accumulate(rows: &[f32], codes: &[u32], dim: usize, codewords: usize) -> (Vec<u32>, Vec<f32>) {
    let (mut counts, mut sums) = (vec![0; codewords], vec![0.0; codewords * dim]);
    for (row, code) in rows.chunks_exact(dim).zip(codes) {
        let code = *code as usize;
        counts[code] += 1;
        for (s, v) in sums[code * dim..][..dim].iter_mut().zip(row) {
            *s += v;
        }
    }
    (counts, sums)
}
