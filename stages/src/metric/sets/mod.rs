//! Distances between sets of vectors that assume no Gaussian: by kernels, by clusters and by nearest neighbours.
//!
//! All compare every vector with every other: sets of more than a few thousand are thinned first ([`thinned`]).

mod clusters;
mod kernel;
mod neighbours;

pub use clusters::{MAD_VERSION, Smoothing, divergence, frontier_integral, mauve};
pub use kernel::{KAD_VERSION, Kernel, Mmd, bandwidth, kernel_distance, kernel_mean_discrepancy};
pub use neighbours::{NEIGHBOURS_VERSION, Overlap, overlap};

use super::draws::Draws;
use std::borrow::Cow;

/// At most `most` of the vectors, `[n, dims]`, drawn without replacement, in their order.
pub fn thinned(vectors: &[f64], dims: usize, most: usize, seed: u64) -> Cow<'_, [f64]> {
    let n = vectors.len() / dims;
    if n <= most {
        return Cow::Borrowed(vectors);
    }
    let chosen = Draws::new(seed).subset(most, n);
    Cow::Owned(chosen.iter().flat_map(|i| &vectors[i * dims..(i + 1) * dims]).copied().collect())
}

/// Squared Euclidean distance, from differences: exact far from the origin, unlike `|a|² + |b|² - 2 a·b`.
fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            lanes[i] += (a[i] - b[i]) * (a[i] - b[i]);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    lanes.iter().sum::<f64>() + rest
}
