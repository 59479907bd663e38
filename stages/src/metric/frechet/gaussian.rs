//! Gaussians fitted to vectors, in 64 bits, and the Fréchet distance between two.
//!
//! A Gaussian is kept as count, mean and a factor `R` with `RᵀR = Σ (x - μ)(x - μ)ᵀ`, found by orthogonal
//! transformations of the centered vectors. So it merges without a loss of digits, and the distance needs no root of a
//! product of covariances: with `C = RᵀR / (n - 1)`, `tr (C₁ C₂)^½` is the sum of the singular values of `R₁ R₂ᵀ`, over
//! `((n₁ - 1)(n₂ - 1))^½`. It exists whatever the rank, with fewer vectors than dimensions too.
//!
//! Every sum has one order, whatever the number of threads.

use super::linear::{factor, singular};
use rayon::prelude::*;

/// The version of the distance: raised when the same vectors would measure otherwise.
pub const VERSION: u32 = 1;

/// Count, mean and scatter of a set of vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    n: u64,
    /// `[dims]`
    mean: Vec<f64>,
    /// `[rows, dims]`, as many rows as the set's rank needs, at most `dims`.
    factor: Vec<f64>,
}

impl Gaussian {
    /// Accumulates `vectors`, `[n, dims]` in row-major order; `n` may be 0. Panics if `dims` is 0.
    pub fn of(vectors: &[f64], dims: usize) -> Gaussian {
        let n = vectors.len() / dims;
        let mut mean = vec![0.0; dims];
        for vector in vectors.chunks_exact(dims) {
            mean.iter_mut().zip(vector).for_each(|(m, v)| *m += v);
        }
        mean.iter_mut().for_each(|m| *m /= n.max(1) as f64);
        let centered: Vec<f64> =
            vectors.chunks_exact(dims).flat_map(|vector| vector.iter().zip(&mean).map(|(v, m)| v - m)).collect();
        Gaussian { n: n as u64, factor: factor(centered, dims), mean }
    }

    /// All parts together, each as often as it says; `None` of no part. Panics where dimensions differ.
    ///
    /// With `μ` the mean of all, the scatter is `Σ cᵢ (Mᵢ + nᵢ (μᵢ - μ)(μᵢ - μ)ᵀ)` (Chan, Golub and LeVeque 1983).
    pub fn pooled<'a>(parts: impl Iterator<Item = (&'a Gaussian, u64)>) -> Option<Gaussian> {
        let parts: Vec<(&Gaussian, u64)> = parts.collect();
        let dims = parts.first()?.0.mean.len();
        let n: u64 = parts.iter().map(|(part, times)| part.n * times).sum();
        let mut mean = vec![0.0; dims];
        for (part, times) in &parts {
            assert_eq!(dims, part.mean.len(), "vectors of one embedding");
            let share = (part.n * times) as f64 / n.max(1) as f64;
            mean.iter_mut().zip(&part.mean).for_each(|(m, own)| *m += share * own);
        }
        let mut rows = Vec::new();
        for (part, times) in &parts {
            let (often, weight) = ((*times as f64).sqrt(), ((part.n * times) as f64).sqrt());
            rows.extend(part.factor.iter().map(|value| often * value));
            rows.extend(part.mean.iter().zip(&mean).map(|(own, all)| weight * (own - all)));
        }
        Some(Gaussian { n, factor: factor(rows, dims), mean })
    }

    /// Vectors in the set.
    pub fn count(&self) -> u64 {
        self.n
    }

    /// Mean vector, `[dims]`.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// `Σ (x - μ)(x - μ)ᵀ`, `[dims, dims]`.
    pub fn scatter(&self) -> Vec<f64> {
        let dims = self.mean.len();
        let mut scatter = vec![0.0; dims * dims];
        for row in self.factor.chunks_exact(dims) {
            for (own, out) in row.iter().zip(scatter.chunks_exact_mut(dims)) {
                out.iter_mut().zip(row).for_each(|(o, other)| *o += own * other);
            }
        }
        scatter
    }

    /// Both sets together (Chan, Golub and LeVeque 1983, on factors). Panics where the dimensions differ.
    #[must_use]
    pub fn merge(&self, other: &Gaussian) -> Gaussian {
        let dims = self.mean.len();
        assert_eq!(dims, other.mean.len(), "vectors of one embedding");
        if self.n == 0 || other.n == 0 {
            return if self.n == 0 { other.clone() } else { self.clone() };
        }
        let (own, more, n) = (self.n as f64, other.n as f64, (self.n + other.n) as f64);
        let apart: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(b, a)| b - a).collect();
        let mean = self.mean.iter().zip(&apart).map(|(m, d)| m + d * (more / n)).collect();
        let weight = (own / n * more).sqrt();
        let mut rows = self.factor.clone();
        rows.extend_from_slice(&other.factor);
        rows.extend(apart.iter().map(|d| weight * d));
        Gaussian { n: self.n + other.n, mean, factor: factor(rows, dims) }
    }

    /// The set without a part of it; none where the part is no smaller. About half of the digits are left of what
    /// varies least, since scatters are subtracted.
    #[must_use]
    pub fn remove(&self, part: &Gaussian) -> Option<Gaussian> {
        let dims = self.mean.len();
        assert_eq!(dims, part.mean.len(), "vectors of one embedding");
        let left = self.n.checked_sub(part.n).filter(|left| *left > 0)?;
        let (n, gone, rest) = (self.n as f64, part.n as f64, left as f64);
        let mean: Vec<f64> = self.mean.iter().zip(&part.mean).map(|(m, p)| (n * m - gone * p) / rest).collect();
        let apart: Vec<f64> = part.mean.iter().zip(&mean).map(|(p, m)| p - m).collect();
        let weight = gone * rest / n;
        let mut scatter = self.scatter();
        for (i, (s, p)) in scatter.iter_mut().zip(part.scatter()).enumerate() {
            *s -= p + apart[i / dims] * apart[i % dims] * weight;
        }
        // Of a symmetric matrix without negative eigenvalues, rotations of the columns leave the eigenvectors, each as
        // long as its eigenvalue.
        let lengths = singular(&mut scatter, dims);
        let least = lengths.iter().fold(0.0f64, |most, l| most.max(*l)) * f64::EPSILON * dims as f64;
        let kept = scatter.chunks_exact(dims).zip(&lengths).filter(|(_, length)| **length > least);
        let rows: Vec<f64> = kept.flat_map(|(vector, length)| vector.iter().map(|v| v / length.sqrt())).collect();
        Some(Gaussian { n: left, mean, factor: factor(rows, dims) })
    }

    /// The Fréchet distance between two Gaussians (Dowson and Landau 1982), squared as in FID and FAD, with unbiased
    /// covariances; none of a set with fewer than two vectors.
    pub fn distance(&self, other: &Gaussian) -> Option<f64> {
        let dims = self.mean.len();
        assert_eq!(dims, other.mean.len(), "vectors of one embedding");
        if self.n < 2 || other.n < 2 {
            return None;
        }
        let (own, others) = ((self.n - 1) as f64, (other.n - 1) as f64);
        let square = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
        let means: f64 = self.mean.iter().zip(&other.mean).map(|(a, b)| (a - b) * (a - b)).sum();
        let mut product: Vec<f64> = (self.factor.par_chunks_exact(dims))
            .flat_map_iter(|a| other.factor.chunks_exact(dims).map(move |b| super::linear::dot(a, b)))
            .collect();
        let columns = other.factor.len() / dims;
        let common: f64 = if columns == 0 { 0.0 } else { singular(&mut product, columns).iter().sum() };
        let traces = square(&self.factor) / own + square(&other.factor) / others;
        let distance = means + traces - 2.0 * common / (own * others).sqrt();
        // Rounding may leave less than nothing between equal sets.
        Some(if distance < 0.0 { 0.0 } else { distance })
    }
}
