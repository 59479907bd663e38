//! The MAUVE divergence of two sets by the clusters into which they fall (Pillutla and others 2021; for sound Huang and
//! others 2025).

use super::squared_distance;
use crate::metric::draws::Draws;
use rayon::prelude::*;

/// The version of the divergence: raised when the same vectors would measure otherwise.
pub const MAD_VERSION: u32 = 1;
/// Mixtures of the two distributions of which the curve is made.
const MIXTURES: usize = 25;
/// The scale `c` of the exponents.
const SCALE: f64 = 5.0;
/// Passes of Lloyd's algorithm at most.
const PASSES: usize = 100;

/// How counts become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Smoothing {
    /// Relative frequencies.
    None,
    /// Half a count more in every cluster (Krichevsky and Trofimov 1981), as in MAUVE-star (Pillutla and others 2023).
    Half,
}

impl Smoothing {
    fn probabilities(self, counts: &[f64]) -> Vec<f64> {
        let more = if self == Smoothing::Half { 0.5 } else { 0.0 };
        let all: f64 = counts.iter().map(|count| count + more).sum();
        counts.iter().map(|count| (count + more) / all).collect()
    }
}

/// Kullback-Leibler divergence in nats; terms of probability 0 are 0.
fn relative_entropy(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).filter(|(p, _)| **p > 0.0).map(|(p, q)| p * libm::log(p / q)).sum()
}

/// MAUVE of two histograms over the same clusters: the area under the curve `(exp(-c KL(q|r)), exp(-c KL(p|r)))` over
/// mixtures `r` of both, with `c = 5`; 1 for equal ones.
pub fn mauve(p: &[f64], q: &[f64], smoothing: Smoothing) -> f64 {
    let (p, q) = (smoothing.probabilities(p), smoothing.probabilities(q));
    let mut curve = vec![(1.0, 0.0)];
    for i in 0..MIXTURES {
        let weight = 1e-6 + (1.0 - 2e-6) * i as f64 / (MIXTURES - 1) as f64;
        let mixture: Vec<f64> = p.iter().zip(&q).map(|(p, q)| weight * p + (1.0 - weight) * q).collect();
        let point = |of: &[f64]| libm::exp(-SCALE * relative_entropy(of, &mixture));
        curve.push((point(&q), point(&p)));
    }
    curve.push((0.0, 1.0));
    let area = |along: &dyn Fn(&(f64, f64)) -> (f64, f64)| {
        let mut points: Vec<(f64, f64)> = curve.iter().map(along).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum::<f64>()
    };
    (area(&|point| *point) + area(&|point| (point.1, point.0))) / 2.0
}

/// The frontier integral of two histograms (Liu and others 2021): 0 for equal ones, 1 for disjoint ones.
pub fn frontier_integral(p: &[f64], q: &[f64], smoothing: Smoothing) -> f64 {
    let (p, q) = (smoothing.probabilities(p), smoothing.probabilities(q));
    let term = |(p, q): (&f64, &f64)| match (*p, *q) {
        (0.0, only) | (only, 0.0) => only / 4.0,
        (p, q) if (p - q).abs() > 1e-8 => (p + q) / 4.0 - p * q * (libm::log(p) - libm::log(q)) / (p - q) / 2.0,
        _ => 0.0,
    };
    2.0 * p.iter().zip(&q).map(term).sum::<f64>()
}

/// The MAUVE audio divergence of `candidate` from `reference`, `[n, dims]` each: `-ln` of MAUVE-star over clusters of
/// both sets, one for every ten vectors of the smaller; 0 for equal histograms. `None` where a set has fewer than twenty
/// vectors, of which there would be one cluster.
///
/// Every dimension is scaled by its deviation in the reference first, so that no unit outweighs the others.
pub fn divergence(reference: &[f64], candidate: &[f64], dims: usize, seed: u64) -> Option<f64> {
    let clusters = reference.len().min(candidate.len()) / dims / 10;
    if clusters < 2 {
        return None;
    }
    let scales = scales(reference, dims);
    let all: Vec<f64> =
        reference.iter().chain(candidate).enumerate().map(|(i, value)| value * scales[i % dims]).collect();
    let assigned = clustered(&all, dims, clusters, seed);
    let mut counts = [vec![0.0; clusters], vec![0.0; clusters]];
    for (i, cluster) in assigned.into_iter().enumerate() {
        counts[usize::from(i >= reference.len() / dims)][cluster] += 1.0;
    }
    let [p, q] = counts;
    // Rounding may leave the area of equal histograms over 1.
    Some(-libm::log(mauve(&p, &q, Smoothing::Half).min(1.0)))
}

/// One over the deviation of each dimension; 0 for one that never varies.
fn scales(vectors: &[f64], dims: usize) -> Vec<f64> {
    let n = (vectors.len() / dims) as f64;
    let scale = |dim: usize| {
        let own = || vectors.iter().skip(dim).step_by(dims);
        let mean = own().sum::<f64>() / n;
        let variance = own().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        if variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 }
    };
    (0..dims).map(scale).collect()
}

/// The cluster of each vector by k-means, from centers drawn by k-means++ (Arthur and Vassilvitskii 2007). Of centers
/// equally near, the first counts.
fn clustered(vectors: &[f64], dims: usize, clusters: usize, seed: u64) -> Vec<usize> {
    let n = vectors.len() / dims;
    let vector = |i: usize| &vectors[i * dims..(i + 1) * dims];
    let mut draws = Draws::new(seed);
    let mut centers = vector(draws.below(n)).to_vec();
    let mut nearest: Vec<f64> = vec![f64::INFINITY; n];
    while centers.len() < clusters * dims {
        let last = &centers[centers.len() - dims..];
        nearest.par_iter_mut().enumerate().for_each(|(i, own)| *own = own.min(squared_distance(vector(i), last)));
        let mut left = draws.uniform() * nearest.iter().sum::<f64>();
        let drawn = nearest.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        centers.extend_from_slice(vector(drawn.unwrap_or(n - 1)));
    }
    let mut assigned = Vec::new();
    for _ in 0..PASSES {
        let closest = |i: usize| {
            let distances = centers.chunks_exact(dims).map(|center| squared_distance(vector(i), center)).enumerate();
            distances.fold((0, f64::INFINITY), |best, own| if own.1 < best.1 { own } else { best }).0
        };
        let now: Vec<usize> = (0..n).into_par_iter().map(closest).collect();
        if now == assigned {
            break;
        }
        assigned = now;
        let mut sums = vec![0.0; clusters * dims];
        let mut counts = vec![0.0; clusters];
        for (i, cluster) in assigned.iter().enumerate() {
            counts[*cluster] += 1.0;
            sums[cluster * dims..(cluster + 1) * dims].iter_mut().zip(vector(i)).for_each(|(s, v)| *s += v);
        }
        // A cluster that lost all its vectors stays where it is.
        for cluster in (0..clusters).filter(|cluster| counts[*cluster] > 0.0) {
            let own = cluster * dims..(cluster + 1) * dims;
            centers[own.clone()].iter_mut().zip(&sums[own]).for_each(|(c, s)| *c = s / counts[cluster]);
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_where_the_vectors_are() {
        let mut draws = Draws::new(2);
        // Three heaps on a line.
        let vectors: Vec<f64> = (0..90).map(|i| f64::from(i % 3) * 100.0 + draws.uniform()).collect();
        let assigned = clustered(&vectors, 1, 3, 4);
        assert!((0..90).all(|i| assigned[i] == assigned[i % 3]), "{assigned:?}");
        assert!(assigned[0] != assigned[1] && assigned[1] != assigned[2] && assigned[0] != assigned[2]);
    }

    #[test]
    fn the_divergence_grows_with_the_distance() {
        let mut draws = Draws::new(6);
        let set: Vec<f64> = (0..800).map(|_| draws.uniform()).collect();
        let moved = |by: f64| set.iter().map(|v| v + by).collect::<Vec<f64>>();
        let of = |other: &[f64]| divergence(&set, other, 2, 1).expect("enough");
        let (same, near, far) = (of(&set), of(&moved(0.3)), of(&moved(3.0)));
        assert!(same < 1e-9 && near > 0.05 && far > 2.0 * near, "{same} {near} {far}");
        assert_eq!(divergence(&set[..38], &set, 2, 1), None);
        assert!(divergence(&vec![1.0; 100], &vec![1.0; 100], 2, 1).is_some_and(f64::is_finite), "all alike");
    }
}
