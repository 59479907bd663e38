//! MUSHRA tests (ITU-R BS.1534-3): ratings from 0 to 100 of conditions beside a hidden reference and anchors.

use super::mos::student_interval;
use crate::metric::{
    bootstrap::{mean_and_deviation, quantile},
    draws::Draws,
};
use rayon::prelude::*;

/// Ratings of a whole test, of every condition of every item by every assessor.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratings {
    /// Names of the conditions.
    pub conditions: Vec<String>,
    /// `[assessor][item][condition]`.
    pub scores: Vec<Vec<Vec<f64>>>,
}

/// The score that a hidden reference should have at least, and a mid anchor at most.
const LIMIT: f64 = 90.0;
/// The share of items on which an assessor may fail.
const SHARE: f64 = 0.15;
/// The share of assessors beyond which an item's mid anchor says nothing of them.
const CAVEAT: f64 = 0.25;

/// The result of post-screening.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Screening {
    /// Of each assessor, the share of items whose hidden reference is rated under 90.
    pub reference_below: Vec<f64>,
    /// Of each item, the share of assessors who rate the mid anchor over 90.
    pub anchor_above: Vec<f64>,
    /// Items that the second rule does not count, since more than 25 % of assessors rate their mid anchor over 90.
    pub not_counted: Vec<usize>,
    /// Assessors excluded since they rate the hidden reference under 90 on more than 15 % of items.
    pub by_reference: Vec<usize>,
    /// Assessors excluded since they rate the mid anchor over 90 on more than 15 % of the items that count.
    pub by_anchor: Vec<usize>,
    /// All others.
    pub kept: Vec<usize>,
}

/// A condition's ratings.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionSummary {
    /// Number of ratings.
    pub ratings: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
    /// The 95 % interval of the mean, as if every rating were by another assessor.
    pub student: [f64; 2],
    /// The 95 % interval of the mean of assessors' means.
    pub by_assessor: [f64; 2],
    /// Median and quartiles.
    pub median: f64,
    /// First and third quartile ([`quartiles`]).
    pub quartiles: [f64; 2],
    /// Mean distance from the median.
    pub spread: f64,
    /// Coefficient of bimodality ([`bimodality`]).
    pub bimodality: f64,
}

/// Bimodality above which ratings fall into more than one heap: that of a uniform distribution.
pub const BIMODAL: f64 = 5.0 / 9.0;

fn share(of: usize, all: usize) -> f64 {
    of as f64 / all as f64
}

/// Post-screening of assessors (BS.1534-3, 4.1.2): by the hidden reference `reference` and the mid anchor `anchor`, as
/// indices of conditions; without an anchor its rule is not applied.
pub fn screening(ratings: &Ratings, reference: usize, anchor: Option<usize>) -> Screening {
    let assessors = ratings.scores.len();
    let items = ratings.scores.first().map_or(0, Vec::len);
    let below = |own: &Vec<Vec<f64>>| share(own.iter().filter(|item| item[reference] < LIMIT).count(), items);
    let reference_below: Vec<f64> = ratings.scores.iter().map(below).collect();
    let above =
        |assessor: usize, item: usize| anchor.is_some_and(|anchor| ratings.scores[assessor][item][anchor] > LIMIT);
    let of_item = |item: usize| share((0..assessors).filter(|assessor| above(*assessor, item)).count(), assessors);
    let anchor_above: Vec<f64> = (0..items).map(of_item).collect();
    let (not_counted, counted): (Vec<usize>, Vec<usize>) = (0..items).partition(|item| anchor_above[*item] > CAVEAT);
    let fails =
        |assessor: &usize| share(counted.iter().filter(|item| above(*assessor, **item)).count(), counted.len()) > SHARE;
    let by_reference: Vec<usize> = (0..assessors).filter(|assessor| reference_below[*assessor] > SHARE).collect();
    let by_anchor: Vec<usize> = (0..assessors).filter(fails).collect();
    let kept =
        (0..assessors).filter(|assessor| !by_reference.contains(assessor) && !by_anchor.contains(assessor)).collect();
    Screening { reference_below, anchor_above, not_counted, by_reference, by_anchor, kept }
}

/// First and third quartile of sorted values: medians of either half, with the middle value in both where there is one
/// (BS.1534-3, 4.1.3). NaN of none.
pub fn quartiles(sorted: &[f64]) -> [f64; 2] {
    let half = sorted.len().div_ceil(2);
    [&sorted[..half], &sorted[sorted.len() - half..]].map(|half| quantile(half, 0.5))
}

/// Values beyond 1.5 times the distance of the quartiles. They are named, and removed only for a reason that is known.
pub fn outliers(sorted: &[f64]) -> Vec<f64> {
    let [first, third] = quartiles(sorted);
    let most = 1.5 * (third - first);
    sorted.iter().copied().filter(|value| *value < first - most || *value > third + most).collect()
}

/// The coefficient of bimodality from sample skewness and excess kurtosis (BS.1534-3, 4.1.3; SAS): over 5/9 the values
/// may have two heaps. NaN of fewer than four values.
pub fn bimodality(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let moment = |power: i32| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>() / n;
    let (second, third, fourth) = (moment(2), moment(3), moment(4));
    let skewness = third / (second * second.sqrt()) * (n * (n - 1.0)).sqrt() / (n - 2.0);
    let excess = fourth / (second * second) - 3.0;
    let kurtosis = (n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * excess + 6.0);
    (skewness * skewness + 1.0) / (kurtosis + 3.0 * (n - 1.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0)))
}

/// All ratings of a condition by some assessors.
pub fn pooled(ratings: &Ratings, assessors: &[usize], condition: usize) -> Vec<f64> {
    assessors.iter().flat_map(|assessor| &ratings.scores[*assessor]).map(|item| item[condition]).collect()
}

/// The mean over items of each assessor's ratings of a condition.
pub fn assessor_means(ratings: &Ratings, assessors: &[usize], condition: usize) -> Vec<f64> {
    let mean = |assessor: &usize| {
        let items = &ratings.scores[*assessor];
        items.iter().map(|item| item[condition]).sum::<f64>() / items.len() as f64
    };
    assessors.iter().map(mean).collect()
}

/// What some assessors say of a condition.
pub fn summary(ratings: &Ratings, assessors: &[usize], condition: usize) -> ConditionSummary {
    let mut values = pooled(ratings, assessors, condition);
    let (mean, deviation) = mean_and_deviation(&values);
    let (student, bimodality) = (student_interval(&values), bimodality(&values));
    values.sort_by(f64::total_cmp);
    let median = quantile(&values, 0.5);
    ConditionSummary {
        ratings: values.len(),
        mean,
        deviation,
        student,
        by_assessor: student_interval(&assessor_means(ratings, assessors, condition)),
        median,
        quartiles: quartiles(&values),
        spread: values.iter().map(|value| (value - median).abs()).sum::<f64>() / values.len() as f64,
        bimodality,
    }
}

/// The permutation test of BS.1534-3, attachment 3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Permuted {
    /// Difference of the medians of two conditions.
    pub difference: f64,
    /// Permutations whose difference is larger.
    pub larger: usize,
    /// Permutations whose difference is as large or larger.
    pub at_least: usize,
    /// Permutations whose difference is as far from 0 or further.
    pub as_far: usize,
    /// Share of larger ones, as the Recommendation writes it: one-sided, and 0 where none is.
    pub as_written: f64,
    /// Two-sided probability, with the observed order counted as one more permutation (Phipson and Smyth 2010).
    pub p: f64,
}

/// Compares the medians of two conditions with those of `times` random assignments of all their ratings to both.
/// Permutation `i` is drawn by the seed `seed + i`.
pub fn permutation_test(first: &[f64], second: &[f64], times: usize, seed: u64) -> Permuted {
    let both = [first, second].concat();
    let apart = |values: &[f64]| {
        let median = |half: &[f64]| {
            let mut half = half.to_vec();
            half.sort_by(f64::total_cmp);
            quantile(&half, 0.5)
        };
        let (own, other) = values.split_at(first.len());
        median(own) - median(other)
    };
    let difference = apart(&both);
    let permuted = |i: usize| {
        let mut values = both.clone();
        Draws::new(seed.wrapping_add(i as u64)).shuffle(&mut values);
        apart(&values)
    };
    let all: Vec<f64> = (0..times).into_par_iter().map(permuted).collect();
    let count = |of: &dyn Fn(f64) -> bool| all.iter().filter(|value| of(**value)).count();
    let (larger, at_least) = (count(&|value| value > difference), count(&|value| value >= difference));
    let as_far = count(&|value| value.abs() >= difference.abs());
    Permuted { difference, larger, at_least, as_far, as_written: share(larger, times), p: share(as_far + 1, times + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_rule_counts_only_items_that_tell() {
        // Two assessors of ten who find the anchor of the first item excellent, and one who finds three of seven so.
        let item = |anchor: f64| vec![100.0, anchor];
        let scores = |assessor: usize| {
            let anchor = |i: usize| if (assessor < 3 && i == 0) || (assessor == 9 && i < 3) { 95.0 } else { 40.0 };
            (0..7).map(|i| item(anchor(i))).collect::<Vec<_>>()
        };
        let ratings =
            Ratings { conditions: vec!["reference".into(), "anchor".into()], scores: (0..10).map(scores).collect() };
        let found = screening(&ratings, 0, Some(1));
        assert_eq!((found.not_counted, found.by_anchor), (vec![0], vec![9]), "four of ten are more than a quarter");
        assert_eq!(found.kept, (0..9).collect::<Vec<_>>());
        assert_eq!(screening(&ratings, 0, None).kept.len(), 10);
    }

    #[test]
    fn a_permutation_test_finds_what_differs() {
        let (low, high): (Vec<f64>, Vec<f64>) = ((0..20).map(f64::from).collect(), (15..35).map(f64::from).collect());
        let found = permutation_test(&high, &low, 999, 1);
        assert_eq!((found.difference, found.larger, found.p), (15.0, 0, 0.001));
        assert_eq!(permutation_test(&low, &low, 99, 1).p, 1.0);
    }
}
