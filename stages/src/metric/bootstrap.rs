//! Bootstrap intervals (Efron and Tibshirani 1993), with seeded draws.
//!
//! | interval | is | for |
//! |---|---|---|
//! | percentile | quantiles of the replicates | a statistic without bias |
//! | bias-corrected | quantiles, moved by the bias that the replicates have against the estimate | distances of few items |
//! | BCa | quantiles at levels that follow from median bias and skewness (Efron 1987) | means of ratings |

use super::{
    draws::Draws,
    special::{normal, normal_quantile},
};
use rayon::prelude::*;

/// Replicates of a statistic, sorted.
#[derive(Clone, Debug, PartialEq)]
pub struct Replicates {
    sorted: Vec<f64>,
    mean: f64,
    deviation: f64,
}

/// The value below which a share of sorted values lies, between neighbours by a straight line (type 7 of Hyndman and Fan
/// 1996). NaN of none.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (below, rest) = (place as usize, place.fract());
    match rest > 0.0 {
        true => sorted[below] + rest * (sorted[below + 1] - sorted[below]),
        false => sorted[below],
    }
}

/// Draws `times` times as many of `items` as there are, with replacement: the indices of one replicate after another,
/// all of one stream.
pub fn resamples(items: usize, times: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut draws = Draws::new(seed);
    (0..times).map(|_| (0..items).map(|_| draws.below(items)).collect()).collect()
}

impl Replicates {
    /// Evaluates a statistic on `times` resamples of `items`; those on which it has no value are left out.
    pub fn of(items: usize, times: usize, seed: u64, statistic: impl Fn(&[usize]) -> Option<f64> + Sync) -> Replicates {
        let drawn = resamples(items, times, seed);
        Replicates::from(drawn.par_iter().filter_map(|drawn| statistic(drawn)).collect::<Vec<f64>>())
    }

    /// Number of replicates.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Their mean.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Their standard deviation, the statistic's standard error.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// The interval between quantiles that holds `level` of the replicates.
    pub fn percentile(&self, level: f64) -> [f64; 2] {
        [(1.0 - level) / 2.0, (1.0 + level) / 2.0].map(|share| quantile(&self.sorted, share))
    }

    /// The percentile interval, moved by the bias of the replicates: what they are on the mean over `estimate`.
    ///
    /// A resample has doubles, so that its distance from anything is larger than that of the sample, as the sample's is
    /// larger than that of what it was drawn from. The interval is for the distance at this number of items.
    pub fn bias_corrected(&self, estimate: f64, level: f64) -> [f64; 2] {
        let bias = self.mean - estimate;
        self.percentile(level).map(|bound| bound - bias)
    }

    /// The BCa interval (Efron 1987): `left_out` are the statistics of the sample without each item in turn. Replicates
    /// that equal the estimate count half.
    pub fn accelerated(&self, estimate: f64, left_out: &[f64], level: f64) -> Accelerated {
        let below = self.sorted.iter().filter(|value| **value < estimate).count() as f64;
        let equal = self.sorted.iter().filter(|value| **value == estimate).count() as f64;
        let bias = normal_quantile((below + equal / 2.0) / self.sorted.len() as f64);
        let mean = left_out.iter().sum::<f64>() / left_out.len() as f64;
        let power = |power: i32| left_out.iter().map(|value| (mean - value).powi(power)).sum::<f64>();
        let (cubes, squares) = (power(3), power(2));
        let acceleration = if squares > 0.0 { cubes / (6.0 * squares * squares.sqrt()) } else { 0.0 };
        let shares = [(1.0 - level) / 2.0, (1.0 + level) / 2.0].map(|share| {
            let z = bias + normal_quantile(share);
            normal(bias + z / (1.0 - acceleration * z))
        });
        let interval = shares.map(|share| quantile(&self.sorted, share));
        Accelerated { bias, acceleration, shares, interval }
    }
}

impl From<Vec<f64>> for Replicates {
    fn from(mut values: Vec<f64>) -> Replicates {
        let (mean, deviation) = mean_and_deviation(&values);
        values.sort_by(f64::total_cmp);
        Replicates { sorted: values, mean, deviation }
    }
}

/// A BCa interval with what it follows from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accelerated {
    /// Median bias `z₀`, in deviations of a normal variable.
    pub bias: f64,
    /// Acceleration `a`, from the skewness of the jackknife.
    pub acceleration: f64,
    /// Shares of the replicates below either bound.
    pub shares: [f64; 2],
    /// The bounds.
    pub interval: [f64; 2],
}

/// Mean and standard deviation (over `n - 1`) of values; NaN where there are too few.
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (mean, (squares / (n - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [1.0, 2.0, 4.0, 8.0];
        assert_eq!([0.0, 0.5, 1.0, 0.1].map(|share| quantile(&values, share)), [1.0, 3.0, 8.0, 1.3]);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn intervals_hold_what_they_promise() {
        // The mean of uniform numbers, whose deviation is known.
        let mut draws = Draws::new(3);
        let values: Vec<f64> = (0..400).map(|_| draws.uniform()).collect();
        let mean = |drawn: &[usize]| Some(drawn.iter().map(|i| values[*i]).sum::<f64>() / drawn.len() as f64);
        let all: Vec<usize> = (0..400).collect();
        let estimate = mean(&all).expect("values");
        let replicates = Replicates::of(400, 2000, 5, mean);
        let expected = (1.0f64 / 12.0 / 400.0).sqrt();
        assert!((replicates.deviation() / expected - 1.0).abs() < 0.1);
        let left_out: Vec<f64> = values.iter().map(|v| (estimate * 400.0 - v) / 399.0).collect();
        let found = [
            replicates.percentile(0.95),
            replicates.bias_corrected(estimate, 0.95),
            replicates.accelerated(estimate, &left_out, 0.95).interval,
        ];
        for [low, high] in found {
            assert!((low - (estimate - 1.96 * expected)).abs() < 0.2 * expected, "{low}");
            assert!((high - (estimate + 1.96 * expected)).abs() < 0.2 * expected, "{high}");
        }
        assert_eq!(replicates, Replicates::of(400, 2000, 5, mean), "a seed gives the same again");
        assert_eq!(Replicates::of(400, 10, 5, |_| None).count(), 0);
    }
}
