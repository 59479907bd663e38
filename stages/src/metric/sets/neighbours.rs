//! Precision and recall of generated vectors by nearest neighbours (Kynkäänniemi and others 2019).

use super::squared_distance;
use rayon::prelude::*;

/// The version of these figures: raised when the same vectors would measure otherwise.
pub const NEIGHBOURS_VERSION: u32 = 1;

/// Shares of two sets that lie within the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// Share of the candidate's vectors that lie within the reference: how much of what is made is like what is real.
    pub precision: f64,
    /// Share of the reference's vectors that lie within the candidate: how much of what is real is made.
    pub recall: f64,
}

/// Precision and recall of `candidate` against `reference`, `[n, dims]` each: a vector lies within a set if it is no
/// further from one of its vectors than that one's `k`-th neighbour of the set (3 in the paper). `None` where a set has
/// no more than `k` vectors. Comparable for sets of the same sizes.
pub fn overlap(reference: &[f64], candidate: &[f64], dims: usize, k: usize) -> Option<Overlap> {
    let (real, made) = (reference.len() / dims, candidate.len() / dims);
    if k == 0 || real <= k || made <= k {
        return None;
    }
    let share = |of: &[f64], within: &[f64]| {
        let radii = radii(within, dims, k);
        let inside = |own: &&[f64]| {
            let mut others = within.chunks_exact(dims).zip(&radii);
            others.any(|(other, radius)| squared_distance(own, other) <= *radius)
        };
        of.par_chunks_exact(dims).filter(inside).count() as f64 / (of.len() / dims) as f64
    };
    Some(Overlap { precision: share(candidate, reference), recall: share(reference, candidate) })
}

/// Squared distance of each vector to its `k`-th nearest other one.
fn radii(set: &[f64], dims: usize, k: usize) -> Vec<f64> {
    let rows = set.par_chunks_exact(dims).enumerate();
    rows.map(|(i, own)| {
        let others = set.chunks_exact(dims).enumerate().filter(|(j, _)| *j != i);
        let mut squares: Vec<f64> = others.map(|(_, other)| squared_distance(own, other)).collect();
        *squares.select_nth_unstable_by(k - 1, f64::total_cmp).1
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::draws::Draws;

    #[test]
    fn shares_on_a_line() {
        // Radii to the first neighbour: 1, 1, 2 around 0, 1, 3; and 1, 1 around 10, 11.
        let (reference, candidate) = ([0.0, 1.0, 3.0], [4.5, 10.0, -0.5, 5.5]);
        let found = overlap(&reference, &candidate, 1, 1).expect("enough");
        assert_eq!(found.precision, 0.5, "4.5 and -0.5");
        // Around the candidate's: 1 of 4.5 and 5.5, 4.5 of 10, 5 of -0.5.
        assert_eq!(found.recall, 1.0);
        assert_eq!(overlap(&reference, &candidate[..1], 1, 1), None);
    }

    #[test]
    fn equal_sets_overlap_wholly_and_distant_ones_not_at_all() {
        let mut draws = Draws::new(5);
        let set: Vec<f64> = (0..60).map(|_| draws.uniform()).collect();
        let far: Vec<f64> = set.iter().map(|v| v + 9.0).collect();
        assert_eq!(overlap(&set, &set, 3, 3), Some(Overlap { precision: 1.0, recall: 1.0 }));
        assert_eq!(overlap(&set, &far, 3, 3), Some(Overlap { precision: 0.0, recall: 0.0 }));
        // Half of a set lies within the whole, by loops over all pairs.
        let half = &set[..30];
        let distance = |a: usize, b: usize| squared_distance(&set[a * 3..a * 3 + 3], &set[b * 3..b * 3 + 3]);
        let radius = |i: usize| {
            let mut all: Vec<f64> = (0..10).filter(|j| *j != i).map(|j| distance(i, j)).collect();
            all.sort_by(f64::total_cmp);
            all[2]
        };
        let inside = (0..20).filter(|i| (0..10).any(|j| distance(*i, j) <= radius(j))).count();
        let found = overlap(&set, half, 3, 3).expect("enough");
        assert_eq!((found.precision, found.recall), (1.0, inside as f64 / 20.0));
    }
}
