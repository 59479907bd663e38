//! The kernel audio distance (Chung, Han, Cho and Lee 2025): the maximum mean discrepancy (Gretton and others 2012).

use super::squared_distance;
use rayon::prelude::*;

/// The version of the distance: raised when the same vectors would measure otherwise.
pub const KAD_VERSION: u32 = 1;

/// A positive definite function of two vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// `exp(-γ |x - y|²)` with `γ = 1 / (2 b² + 1e-8)` of a bandwidth `b`: that of the published distance.
    Gaussian(f64),
    /// `1 / (1 + γ |x - y|²)`.
    InverseQuadratic(f64),
    /// `1 / √(1 + γ |x - y|²)`.
    InverseMultiquadric(f64),
    /// `(x·y / dims + 1)³`, that of the kernel inception distance (Bińkowski and others 2018).
    Cubic,
}

/// Squared maximum mean discrepancy of two sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mmd {
    /// The unbiased estimate, which may be below 0; its mean over equal sets is 0.
    pub unbiased: f64,
    /// The biased estimate, which counts each vector with itself.
    pub biased: f64,
}

impl Kernel {
    fn of(self, x: &[f64], y: &[f64]) -> f64 {
        let gamma = |bandwidth: f64| 1.0 / (2.0 * bandwidth * bandwidth + 1e-8);
        match self {
            Kernel::Gaussian(bandwidth) => libm::exp(-gamma(bandwidth) * squared_distance(x, y)),
            Kernel::InverseQuadratic(bandwidth) => 1.0 / (1.0 + gamma(bandwidth) * squared_distance(x, y)),
            Kernel::InverseMultiquadric(bandwidth) => 1.0 / (1.0 + gamma(bandwidth) * squared_distance(x, y)).sqrt(),
            Kernel::Cubic => {
                let along: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
                let base = along / x.len() as f64 + 1.0;
                base * base * base
            }
        }
    }

    /// Sums of the kernel over all pairs of different vectors of a set, and over each vector with itself.
    fn within(self, set: &[f64], dims: usize) -> (f64, f64) {
        let rows: Vec<(f64, f64)> = (set.par_chunks_exact(dims).enumerate())
            .map(|(i, own)| {
                let later = set[(i + 1) * dims..].chunks_exact(dims);
                (later.map(|other| self.of(own, other)).sum(), self.of(own, own))
            })
            .collect();
        (2.0 * rows.iter().map(|row| row.0).sum::<f64>(), rows.iter().map(|row| row.1).sum())
    }

    fn between(self, first: &[f64], second: &[f64], dims: usize) -> f64 {
        let row = |own: &[f64]| second.chunks_exact(dims).map(|other| self.of(own, other)).sum::<f64>();
        let rows: Vec<f64> = first.par_chunks_exact(dims).map(row).collect();
        rows.iter().sum()
    }
}

/// The lower median of the distances between all pairs of `vectors`, `[n, dims]`; `None` of fewer than two.
pub fn bandwidth(vectors: &[f64], dims: usize) -> Option<f64> {
    let mut squares: Vec<f64> = (vectors.par_chunks_exact(dims).enumerate())
        .flat_map_iter(|(i, own)| {
            vectors[(i + 1) * dims..].chunks_exact(dims).map(move |other| squared_distance(own, other))
        })
        .collect();
    let middle = squares.len().checked_sub(1)? / 2;
    Some(squares.select_nth_unstable_by(middle, f64::total_cmp).1.sqrt())
}

/// Squared maximum mean discrepancy of two sets, `[n, dims]` each; `None` where either has fewer than two vectors.
pub fn kernel_mean_discrepancy(first: &[f64], second: &[f64], dims: usize, kernel: Kernel) -> Option<Mmd> {
    let (m, n) = (first.len() / dims, second.len() / dims);
    if m < 2 || n < 2 {
        return None;
    }
    let (m, n) = (m as f64, n as f64);
    let ((own, own_alone), (other, other_alone)) = (kernel.within(first, dims), kernel.within(second, dims));
    let across = 2.0 * kernel.between(first, second, dims) / (m * n);
    Some(Mmd {
        unbiased: own / (m * (m - 1.0)) + other / (n * (n - 1.0)) - across,
        biased: (own + own_alone) / (m * m) + (other + other_alone) / (n * n) - across,
    })
}

/// The kernel audio distance: 100 times the unbiased squared discrepancy with a Gaussian kernel, whose bandwidth is the
/// median distance within the `reference`, so that all candidates are measured by one kernel. `None` where either set has
/// fewer than two vectors.
pub fn kernel_distance(reference: &[f64], candidate: &[f64], dims: usize) -> Option<f64> {
    let kernel = Kernel::Gaussian(bandwidth(reference, dims)?);
    kernel_mean_discrepancy(reference, candidate, dims, kernel).map(|mmd| 100.0 * mmd.unbiased)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::draws::Draws;

    #[test]
    fn agrees_with_the_double_sums_of_the_definition() {
        let (dims, mut draws) = (3, Draws::new(11));
        let mut set = |n: usize| (0..n * dims).map(|_| draws.uniform()).collect::<Vec<f64>>();
        let (x, y) = (set(7), set(5));
        for kernel in
            [Kernel::Gaussian(0.4), Kernel::InverseQuadratic(0.4), Kernel::InverseMultiquadric(0.4), Kernel::Cubic]
        {
            let sum = |a: &[f64], b: &[f64], same: bool| -> f64 {
                let pairs = a.chunks(dims).enumerate().flat_map(|(i, a)| {
                    b.chunks(dims).enumerate().filter(move |(j, _)| !same || i != *j).map(move |(_, b)| (a, b))
                });
                pairs.map(|(a, b)| kernel.of(a, b)).sum()
            };
            let expected = sum(&x, &x, true) / 42.0 + sum(&y, &y, true) / 20.0 - 2.0 * sum(&x, &y, false) / 35.0;
            let found = kernel_mean_discrepancy(&x, &y, dims, kernel).expect("enough");
            assert!((found.unbiased - expected).abs() < 1e-14);
            let expected = sum(&x, &x, false) / 49.0 + sum(&y, &y, false) / 25.0 - 2.0 * sum(&x, &y, false) / 35.0;
            assert!((found.biased - expected).abs() < 1e-14);
        }
        let mut distances: Vec<f64> = Vec::new();
        for i in 0..7 {
            for j in 0..i {
                let square = |k: usize| (x[i * dims + k] - x[j * dims + k]) * (x[i * dims + k] - x[j * dims + k]);
                distances.push((0..dims).map(square).sum::<f64>().sqrt());
            }
        }
        distances.sort_by(f64::total_cmp);
        assert!((bandwidth(&x, dims).expect("pairs") - distances[10]).abs() < 1e-15, "the 11th of 21");
        assert_eq!((bandwidth(&x[..3], dims), kernel_distance(&x, &y[..3], dims)), (None, None));
    }

    #[test]
    fn far_from_the_origin_nothing_is_lost() {
        let (dims, mut draws) = (4, Draws::new(12));
        let mut set = |n: usize| (0..n * dims).map(|_| draws.uniform()).collect::<Vec<f64>>();
        let (x, y) = (set(40), set(30));
        let moved = |set: &[f64]| set.iter().map(|v| v + 1000.0).collect::<Vec<f64>>();
        let (near, far) = (kernel_distance(&x, &y, dims), kernel_distance(&moved(&x), &moved(&y), dims));
        assert!((near.expect("enough") - far.expect("enough")).abs() < 1e-9);
    }
}
