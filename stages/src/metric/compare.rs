//! All distances of a set of vectors from a reference, as `evaluate` gives them.

use super::{
    frechet::{self, Gaussian, Grid, Songs, infinity},
    sets::{KAD_VERSION, MAD_VERSION, NEIGHBOURS_VERSION, divergence, kernel_distance, overlap, thinned},
};
use datasets::row::Metric;
use rayon::prelude::*;
use std::borrow::Cow;

/// Vectors of a side at most where every one is compared with every other; of more, so many are drawn.
pub const MOST: usize = 4000;
/// Fewest songs whose resamples tell an interval.
pub const LEAST_SONGS: usize = 5;
/// Resamples of songs.
const RESAMPLES: usize = 200;
/// Sizes of subsets that are extrapolated, and how often.
const SIZES: usize = 12;
const REPEATS: usize = 5;
/// The neighbour whose distance is a vector's radius.
const NEIGHBOUR: usize = 3;
/// Probability that an interval covers.
const LEVEL: f64 = 0.95;

/// A way to compare two sets of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// The Fréchet distance, with an interval over songs.
    Frechet,
    /// The Fréchet distance at infinitely many vectors, with an interval over subsets.
    Infinity,
    /// The kernel audio distance.
    Kernel,
    /// The MAUVE audio divergence.
    Clusters,
    /// The share of the candidate that lies within the reference.
    Precision,
    /// The share of the reference that lies within the candidate.
    Recall,
}

impl Distance {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Distance; 6] = [
        Distance::Frechet,
        Distance::Infinity,
        Distance::Kernel,
        Distance::Clusters,
        Distance::Precision,
        Distance::Recall,
    ];

    /// Its name in a row.
    pub fn name(self) -> &'static str {
        match self {
            Distance::Frechet => Metric::FAD,
            Distance::Infinity => Metric::FAD_INFINITY,
            Distance::Kernel => Metric::KAD,
            Distance::Clusters => Metric::MAD,
            Distance::Precision => Metric::PRECISION,
            Distance::Recall => Metric::RECALL,
        }
    }

    /// Its version: raised when the same vectors would measure otherwise.
    pub fn version(self) -> u32 {
        match self {
            Distance::Frechet | Distance::Infinity => frechet::VERSION,
            Distance::Kernel => KAD_VERSION,
            Distance::Clusters => MAD_VERSION,
            Distance::Precision | Distance::Recall => NEIGHBOURS_VERSION,
        }
    }

    /// Vectors that the candidate needs at least, of so many dimensions.
    pub fn least(self, dims: usize) -> usize {
        match self {
            Distance::Frechet => 2,
            // The smallest subset has a covariance of full rank by a margin, and the largest is larger.
            Distance::Infinity => 3 * dims,
            Distance::Kernel => 2,
            Distance::Clusters => 20,
            Distance::Precision | Distance::Recall => NEIGHBOUR + 1,
        }
    }
}

/// Vectors of several songs.
#[derive(Clone, Debug, PartialEq)]
pub struct SongVectors {
    dims: usize,
    vectors: Vec<f64>,
    /// Statistics of the vectors of each song.
    songs: Vec<Gaussian>,
    all: Gaussian,
}

/// A figure of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// What was measured.
    pub distance: Distance,
    /// The figure.
    pub value: f64,
    /// The interval that covers it with a probability of 95 %.
    pub interval: Option<[f64; 2]>,
    /// Vectors of the reference that were compared.
    pub reference: usize,
    /// Vectors of the candidate that were compared.
    pub candidate: usize,
}

impl SongVectors {
    /// Gathers the vectors of songs, each `[n, dims]`, in their order.
    pub fn new<'a>(dims: usize, songs: impl IntoIterator<Item = &'a [f64]>) -> SongVectors {
        let each: Vec<&[f64]> = songs.into_iter().filter(|song| !song.is_empty()).collect();
        let songs: Vec<Gaussian> = each.par_iter().map(|song| Gaussian::of(song, dims)).collect();
        let vectors = each.concat();
        let all = Gaussian::of(&vectors, dims);
        SongVectors { dims, vectors, songs, all }
    }

    /// Number of vectors.
    pub fn count(&self) -> usize {
        self.vectors.len() / self.dims
    }

    /// Statistics of all vectors.
    pub fn gaussian(&self) -> &Gaussian {
        &self.all
    }

    fn thinned(&self, seed: u64) -> Cow<'_, [f64]> {
        thinned(&self.vectors, self.dims, MOST, seed)
    }

    /// Measures how far the vectors are from those of `reference`; what needs more vectors than there are is left out.
    /// Draws follow from the seed.
    pub fn measure(&self, reference: &SongVectors, distances: &[Distance], seed: u64) -> Vec<Compared> {
        let (own, real) = (self.thinned(seed), reference.thinned(seed));
        let asked = distances.iter().any(|distance| matches!(distance, Distance::Precision | Distance::Recall));
        let both = asked.then(|| overlap(&real, &own, self.dims, NEIGHBOUR)).flatten();
        let figure = |distance: &Distance| {
            let plain = |value: f64| Some((value, None));
            let (value, interval) = match distance {
                Distance::Frechet => self.frechet(reference, seed),
                Distance::Infinity => self.infinity(reference, seed),
                Distance::Kernel => kernel_distance(&real, &own, self.dims).and_then(plain),
                Distance::Clusters => divergence(&real, &own, self.dims, seed).and_then(plain),
                Distance::Precision => both.and_then(|found| plain(found.precision)),
                Distance::Recall => both.and_then(|found| plain(found.recall)),
            }?;
            let whole = matches!(distance, Distance::Frechet | Distance::Infinity);
            let compared = |all: &SongVectors, thinned: &[f64]| {
                if whole { all.count() } else { thinned.len() / self.dims }
            };
            let (reference, candidate) = (compared(reference, &real), compared(self, &own));
            Some(Compared { distance: *distance, value, interval, reference, candidate })
        };
        distances.iter().filter_map(figure).collect()
    }

    fn frechet(&self, reference: &SongVectors, seed: u64) -> Option<(f64, Option<[f64; 2]>)> {
        let value = self.all.distance(&reference.all)?;
        let songs = Songs { reference: &reference.all, songs: &self.songs };
        let interval = (self.songs.len() >= LEAST_SONGS).then(|| {
            // No distance is below 0.
            songs.bootstrap(RESAMPLES, seed).bias_corrected(value, LEVEL).map(|bound| bound.max(0.0))
        });
        Some((value, interval))
    }

    fn infinity(&self, reference: &SongVectors, seed: u64) -> Option<(f64, Option<[f64; 2]>)> {
        let n = self.count();
        if n < Distance::Infinity.least(self.dims) {
            return None;
        }
        let grid = Grid { from: (2 * self.dims).max(n / 4), sizes: SIZES, repeats: REPEATS };
        let found = infinity(&reference.all, &self.vectors, grid, seed)?;
        // Few repeats: Student's t at four degrees of freedom.
        let half = found.error.map(|error| 2.776_445_105 * error);
        Some((found.value, half.map(|half| [found.value - half, found.value + half])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::draws::Draws;

    fn set(seed: u64, songs: usize, by: f64) -> SongVectors {
        let mut draws = Draws::new(seed);
        let songs: Vec<Vec<f64>> = (0..songs)
            .map(|_| {
                let own = draws.uniform();
                (0..10 * 3).map(|_| draws.uniform() + 0.3 * own + by).collect()
            })
            .collect();
        SongVectors::new(3, songs.iter().map(Vec::as_slice))
    }

    #[test]
    fn every_figure_tells_near_from_far() {
        let (reference, near, far) = (set(1, 20, 0.0), set(2, 12, 0.0), set(3, 12, 0.5));
        let measure = |of: &SongVectors| of.measure(&reference, &Distance::ALL, 9);
        let (near, far) = (measure(&near), measure(&far));
        let found: Vec<Distance> = near.iter().map(|figure| figure.distance).collect();
        assert_eq!(found, Distance::ALL);
        for (near, far) in near.iter().zip(&far) {
            let farther = match near.distance {
                Distance::Precision | Distance::Recall => near.value - far.value,
                _ => far.value - near.value,
            };
            assert!(farther > 0.1, "{near:?} {far:?}");
            assert_eq!((near.reference, near.candidate), (200, 120));
            let whole = matches!(near.distance, Distance::Frechet | Distance::Infinity);
            assert_eq!(near.interval.is_some(), whole, "{near:?}");
            if let Some([low, high]) = far.interval {
                assert!(low <= far.value && far.value <= high, "{far:?}");
            }
        }
        assert_eq!(set(3, 12, 0.5).measure(&reference, &Distance::ALL, 9), far, "a seed gives the same again");
    }

    #[test]
    fn what_there_is_too_little_of_is_left_out() {
        let (reference, few) = (set(1, 20, 0.0), set(2, 1, 0.0));
        let found = few.measure(&reference, &Distance::ALL, 9);
        let names: Vec<Distance> = found.iter().map(|figure| figure.distance).collect();
        let missing = |distance: &&Distance| distance.least(3) > few.count();
        assert_eq!(names, Distance::ALL.iter().filter(|own| !missing(own)).copied().collect::<Vec<_>>());
        assert_eq!(found[0].interval, None, "one song tells no interval");
    }
}
