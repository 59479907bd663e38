//! The Fréchet distance at infinitely many vectors.

use super::gaussian::Gaussian;
use crate::metric::{bootstrap::mean_and_deviation, draws::Draws};
use rayon::prelude::*;

/// The subsets whose distances are extrapolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Vectors of the smallest subset.
    pub from: usize,
    /// Sizes of subsets, evenly spaced from the smallest to all vectors; at least 2.
    pub sizes: usize,
    /// How often the whole is repeated with other subsets; at least 1.
    pub repeats: usize,
}

/// A distance extrapolated to infinitely many vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extrapolation {
    /// The distance: mean of the repeats' intercepts.
    pub value: f64,
    /// Standard error of that mean over the choice of subsets; `None` of one repeat.
    pub error: Option<f64>,
    /// Mean slope over `1 / n`: how much of the bias one vector fewer brings.
    pub slope: f64,
}

impl Grid {
    /// Sizes of the subsets of `n` vectors, the last of them all; `None` where there are too few.
    pub fn of(&self, n: usize) -> Option<Vec<usize>> {
        if self.from < 2 || self.from >= n || self.sizes < 2 {
            return None;
        }
        let step = (n - self.from) as f64 / (self.sizes - 1) as f64;
        let sizes = (0..self.sizes - 1).map(|k| (self.from as f64 + k as f64 * step) as usize);
        Some(sizes.chain([n]).collect())
    }
}

/// Extrapolates the distance of `vectors`, `[n, dims]`, from `reference` to infinitely many vectors (FAD-infinity, Gui,
/// Gamper, Braun and Emmanouilidou 2024, after Chong and Forsyth 2020). `None` for fewer vectors than the grid needs, or
/// a reference without a covariance.
///
/// The distance of `n` vectors is biased by about `b / n`: a straight line over `1 / n` is fitted to the distances of
/// subsets of several sizes, and its intercept is the result. A subset is drawn without replacement: one with doubles has
/// the bias of as many vectors as it has different ones, so that the line would end at the distance of all vectors.
/// Subset `k` of repeat `r` is drawn by the seed `seed + r * sizes + k`.
pub fn infinity(reference: &Gaussian, vectors: &[f64], grid: Grid, seed: u64) -> Option<Extrapolation> {
    let dims = reference.mean().len();
    let sizes = grid.of(vectors.len() / dims)?;
    let distance = |repeat: usize, k: usize| {
        let chosen = Draws::new(seed.wrapping_add((repeat * sizes.len() + k) as u64));
        subset(vectors, dims, sizes[k], chosen).distance(reference)
    };
    let fits: Option<Vec<(f64, f64)>> = (0..grid.repeats)
        .map(|repeat| {
            let distances: Option<Vec<f64>> = (0..sizes.len()).into_par_iter().map(|k| distance(repeat, k)).collect();
            Some(line(&sizes, &distances?))
        })
        .collect();
    let (intercepts, slopes): (Vec<f64>, Vec<f64>) = fits?.into_iter().unzip();
    let (value, deviation) = mean_and_deviation(&intercepts);
    let error = (intercepts.len() > 1).then(|| deviation / (intercepts.len() as f64).sqrt());
    Some(Extrapolation { value, error, slope: mean_and_deviation(&slopes).0 })
}

fn subset(vectors: &[f64], dims: usize, size: usize, mut draws: Draws) -> Gaussian {
    let chosen = draws.subset(size, vectors.len() / dims);
    let rows: Vec<f64> = chosen.iter().flat_map(|i| &vectors[i * dims..(i + 1) * dims]).copied().collect();
    Gaussian::of(&rows, dims)
}

/// Intercept and slope of the least-squares line through distances over one by their sizes.
fn line(sizes: &[usize], distances: &[f64]) -> (f64, f64) {
    let count = sizes.len() as f64;
    let inverse: Vec<f64> = sizes.iter().map(|n| 1.0 / *n as f64).collect();
    let (x, y) = (inverse.iter().sum::<f64>() / count, distances.iter().sum::<f64>() / count);
    let products: f64 = inverse.iter().zip(distances).map(|(own, distance)| (own - x) * (distance - y)).sum();
    let squares: f64 = inverse.iter().map(|own| (own - x) * (own - x)).sum();
    let slope = products / squares;
    (y - slope * x, slope)
}
