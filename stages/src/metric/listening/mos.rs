//! Mean opinion scores (ITU-T P.800): absolute category ratings from 1 to 5.

use super::ranks::{SignedRanks, Test, holm, paired_t, signed_ranks};
use crate::metric::{
    bootstrap::{Accelerated, Replicates, mean_and_deviation, quantile},
    special::student_within,
};
use std::collections::BTreeMap;

/// One rating.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// The rater, by a code.
    pub rater: String,
    /// What was rated: a clip.
    pub item: String,
    /// The system that made it.
    pub system: String,
    /// From 1, bad, to 5, excellent.
    pub score: f64,
}

/// Ratings of a system.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Number of ratings.
    pub ratings: usize,
    /// Their mean, the MOS.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
    /// Their median.
    pub median: f64,
    /// Number of ratings of 1 to 5, rounded.
    pub counts: [usize; 5],
    /// The 95 % interval of the mean by Student's t, as if every rating were by another rater (P.800).
    pub student: [f64; 2],
}

/// Bootstrap intervals of a system's mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrapped {
    /// Standard error over ratings.
    pub error: f64,
    /// The percentile interval over ratings.
    pub percentile: [f64; 2],
    /// The BCa interval over ratings.
    pub accelerated: Accelerated,
    /// Standard error over raters.
    pub rater_error: f64,
    /// The percentile interval over raters, each with all ratings: the honest one, since ratings of one rater are alike.
    pub by_rater: [f64; 2],
}

/// Two systems compared by the means of each rater.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The systems.
    pub systems: [String; 2],
    /// Mean difference of raters' means, the first less the second.
    pub difference: f64,
    /// Student's paired t-test.
    pub t: Test,
    /// Its probability, corrected for all pairs (Holm).
    pub holm: f64,
    /// Wilcoxon's test; `None` where no rater tells them apart.
    pub signed_ranks: Option<SignedRanks>,
    /// Cohen's d of paired differences: their mean over their deviation.
    pub effect: f64,
}

/// The 95 % interval of a mean by Student's t; NaN of fewer than two values.
pub fn student_interval(values: &[f64]) -> [f64; 2] {
    let (mean, deviation) = mean_and_deviation(values);
    let n = values.len() as f64;
    let half = student_within(0.95, n - 1.0) * deviation / n.sqrt();
    [mean - half, mean + half]
}

/// Systems in the order of their names.
pub fn systems(opinions: &[Opinion]) -> Vec<String> {
    let mut all: Vec<String> = opinions.iter().map(|opinion| opinion.system.clone()).collect();
    all.sort();
    all.dedup();
    all
}

fn ratings(opinions: &[Opinion], system: &str) -> Vec<f64> {
    opinions.iter().filter(|opinion| opinion.system == system).map(|opinion| opinion.score).collect()
}

/// Ratings of each rater in the order in which raters first appear.
fn by_rater<'a>(opinions: &'a [Opinion], system: &str) -> Vec<(&'a str, Vec<f64>)> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut raters: Vec<(&str, Vec<f64>)> = Vec::new();
    for opinion in opinions {
        let place = *places.entry(&opinion.rater).or_insert_with(|| {
            raters.push((&opinion.rater, Vec::new()));
            raters.len() - 1
        });
        if opinion.system == system {
            raters[place].1.push(opinion.score);
        }
    }
    raters
}

fn mean(values: &[f64]) -> f64 {
    mean_and_deviation(values).0
}

/// The score of a system; `None` without ratings.
pub fn score(opinions: &[Opinion], system: &str) -> Option<Score> {
    let mut ratings = ratings(opinions, system);
    if ratings.is_empty() {
        return None;
    }
    let (mean, deviation) = mean_and_deviation(&ratings);
    let student = student_interval(&ratings);
    ratings.sort_by(f64::total_cmp);
    let count = |value: usize| ratings.iter().filter(|own| own.round() == (value + 1) as f64).count();
    let counts = [0, 1, 2, 3, 4].map(count);
    Some(Score { ratings: ratings.len(), mean, deviation, median: quantile(&ratings, 0.5), counts, student })
}

/// Bootstrap intervals of a system's mean, of `times` replicates: over ratings by `seed`, over raters by `rater_seed`.
/// `None` of fewer than two ratings or raters.
pub fn bootstrapped(
    opinions: &[Opinion],
    system: &str,
    times: usize,
    [seed, rater_seed]: [u64; 2],
) -> Option<Bootstrapped> {
    let (ratings, raters) = (ratings(opinions, system), by_rater(opinions, system));
    if ratings.len() < 2 || raters.len() < 2 {
        return None;
    }
    let of_drawn = |drawn: &[usize]| Some(drawn.iter().map(|i| ratings[*i]).sum::<f64>() / drawn.len() as f64);
    let over_ratings = Replicates::of(ratings.len(), times, seed, of_drawn);
    let sum: f64 = ratings.iter().sum();
    let left_out: Vec<f64> = ratings.iter().map(|own| (sum - own) / (ratings.len() - 1) as f64).collect();
    let over_raters = Replicates::of(raters.len(), times, rater_seed, |drawn| {
        let count: usize = drawn.iter().map(|i| raters[*i].1.len()).sum();
        let sum: f64 = drawn.iter().flat_map(|i| &raters[*i].1).sum();
        (count > 0).then(|| sum / count as f64)
    });
    Some(Bootstrapped {
        error: over_ratings.deviation(),
        percentile: over_ratings.percentile(0.95),
        accelerated: over_ratings.accelerated(sum / ratings.len() as f64, &left_out, 0.95),
        rater_error: over_raters.deviation(),
        by_rater: over_raters.percentile(0.95),
    })
}

/// All pairs of systems, by the means of raters who rated both.
pub fn comparisons(opinions: &[Opinion]) -> Vec<Comparison> {
    let systems = systems(opinions);
    let means: Vec<Vec<(&str, Vec<f64>)>> = systems.iter().map(|system| by_rater(opinions, system)).collect();
    let mut all = Vec::new();
    for a in 0..systems.len() {
        for b in a + 1..systems.len() {
            let pairs = means[a].iter().zip(&means[b]).filter(|(own, other)| !own.1.is_empty() && !other.1.is_empty());
            let differences: Vec<f64> = pairs.map(|(own, other)| mean(&own.1) - mean(&other.1)).collect();
            let (difference, deviation) = mean_and_deviation(&differences);
            all.push(Comparison {
                systems: [systems[a].clone(), systems[b].clone()],
                difference,
                t: paired_t(&differences),
                holm: f64::NAN,
                signed_ranks: signed_ranks(&differences),
                effect: difference / deviation,
            });
        }
    }
    let corrected = holm(&all.iter().map(|pair| pair.t.p).collect::<Vec<f64>>());
    all.iter_mut().zip(corrected).for_each(|(pair, p)| pair.holm = p);
    all
}
