//! Tests by ranks and by signs, and corrections for several tests.

use super::abx::Answers;
use crate::metric::{
    bootstrap::mean_and_deviation,
    special::{chi_squared_above, normal, student_beyond},
};

/// A statistic with its probability where nothing differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// The statistic.
    pub statistic: f64,
    /// Probability of one as large by chance, on both sides.
    pub p: f64,
}

/// Ranks from 1 on of values in ascending order; equal ones share the mean of theirs. With them the sum over groups of
/// `t` equal values of `t³ - t`.
pub fn ranks(values: &[f64]) -> (Vec<f64>, f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let (mut ranks, mut ties) = (vec![0.0; values.len()], 0.0);
    let mut before = 0;
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let size = group.len() as f64;
        ties += size * size * size - size;
        let rank = before as f64 + (group.len() + 1) as f64 / 2.0;
        group.iter().for_each(|i| ranks[*i] = rank);
        before += group.len();
    }
    (ranks, ties)
}

/// Wilcoxon's signed-rank test (1945) of paired differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRanks {
    /// Differences that are not 0; the others are left out.
    pub pairs: usize,
    /// The smaller of the sums of the ranks of positive and of negative differences.
    pub statistic: f64,
    /// Exact two-sided probability over all assignments of signs to ranks.
    pub exact: f64,
    /// Two-sided probability by the normal approximation, corrected for ties.
    pub approximate: f64,
    /// The same with a correction for continuity of 1/2.
    pub continuous: f64,
}

/// Most pairs of which the exact distribution is counted.
const MOST_EXACT: usize = 1000;

/// Wilcoxon's signed-rank test; `None` where no difference is left, or more than a thousand.
pub fn signed_ranks(differences: &[f64]) -> Option<SignedRanks> {
    let left: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    if left.is_empty() || left.len() > MOST_EXACT {
        return None;
    }
    let (ranks, ties) = ranks(&left.iter().map(|difference| difference.abs()).collect::<Vec<f64>>());
    let positive: f64 =
        left.iter().zip(&ranks).filter(|(difference, _)| **difference > 0.0).map(|(_, rank)| rank).sum();
    let n = left.len() as f64;
    let all = n * (n + 1.0) / 2.0;
    let statistic = positive.min(all - positive);
    let deviation = ((n * (n + 1.0) * (2.0 * n + 1.0) - ties / 2.0) / 24.0).sqrt();
    let beyond = |by: f64| (2.0 * normal(-(by.max(0.0)) / deviation)).min(1.0);
    let short = all / 2.0 - statistic;
    Some(SignedRanks {
        pairs: left.len(),
        statistic,
        exact: exact(&ranks, statistic),
        approximate: beyond(short),
        continuous: beyond(short - 0.5),
    })
}

/// Two-sided probability that the ranks with a positive sign sum to at most `statistic`, every sign as likely.
fn exact(ranks: &[f64], statistic: f64) -> f64 {
    // Shared ranks are halves: sums are counted in halves.
    let doubled: Vec<usize> = ranks.iter().map(|rank| (2.0 * rank) as usize).collect();
    let limit = (2.0 * statistic) as usize;
    let mut chances = vec![0.0; limit + 1];
    chances[0] = 1.0;
    for rank in doubled {
        for sum in (0..=limit).rev() {
            let with = if sum >= rank { chances[sum - rank] } else { 0.0 };
            chances[sum] = (chances[sum] + with) / 2.0;
        }
    }
    (2.0 * chances.iter().sum::<f64>()).min(1.0)
}

/// The sign test of paired differences: exact, two-sided, without those of 0.
pub fn signs(differences: &[f64]) -> f64 {
    let count = |of: &dyn Fn(f64) -> bool| differences.iter().filter(|difference| of(**difference)).count() as u64;
    let (more, less) = (count(&|d| d > 0.0), count(&|d| d < 0.0));
    if more + less == 0 {
        return 1.0;
    }
    Answers { trials: more + less, right: more }.two_sided()
}

/// Student's paired t-test of differences; NaN of fewer than two or of equal ones.
pub fn paired_t(differences: &[f64]) -> Test {
    let (mean, deviation) = mean_and_deviation(differences);
    let n = differences.len() as f64;
    let statistic = mean / (deviation / n.sqrt());
    Test { statistic, p: student_beyond(statistic, n - 1.0) }
}

/// Friedman's test (1937), corrected for ties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Friedman {
    /// Chi-squared over one less degrees of freedom than conditions, and its probability.
    pub chi_squared: Test,
    /// Kendall's coefficient of concordance: 1 where all blocks rank alike, 0 where none does.
    pub concordance: f64,
}

/// Friedman's test of blocks of ratings, one for each condition; `None` where there are fewer than two of either, or
/// everything is tied.
pub fn friedman(blocks: &[Vec<f64>]) -> Option<Friedman> {
    let (n, k) = (blocks.len() as f64, blocks.first()?.len());
    let conditions = k as f64;
    if k < 2 || blocks.len() < 2 {
        return None;
    }
    let (mut sums, mut all_ties) = (vec![0.0; k], 0.0);
    for block in blocks {
        let (ranks, ties) = ranks(block);
        sums.iter_mut().zip(ranks).for_each(|(sum, rank)| *sum += rank);
        all_ties += ties;
    }
    let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
    let correction = 1.0 - all_ties / (n * conditions * (conditions * conditions - 1.0));
    if correction <= 0.0 {
        return None;
    }
    let raw = 12.0 / (n * conditions * (conditions + 1.0)) * squares - 3.0 * n * (conditions + 1.0);
    let statistic = raw / correction;
    let p = chi_squared_above(statistic, conditions - 1.0);
    Some(Friedman { chi_squared: Test { statistic, p }, concordance: statistic / (n * (conditions - 1.0)) })
}

/// Probabilities of several tests, corrected so that any false finding among them is as rare as one alone (Holm 1979).
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let (mut corrected, mut least) = (vec![0.0; probabilities.len()], 0.0f64);
    for (done, i) in order.iter().enumerate() {
        least = least.max(probabilities[*i] * (probabilities.len() - done) as f64).min(1.0);
        corrected[*i] = least;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_probabilities_are_those_of_all_signs() {
        for differences in [vec![1.0, -2.0, 3.0, 4.0, 0.0, 5.5], vec![1.0, 1.0, -1.0, 2.0, 2.0, 3.0, -3.0]] {
            let found = signed_ranks(&differences).expect("differences");
            let sizes: Vec<f64> = differences.iter().filter(|d| **d != 0.0).map(|d| d.abs()).collect();
            let (ranks, _) = ranks(&sizes);
            let all = 1u32 << ranks.len();
            let sum = |signs: u32| (0..ranks.len()).filter(|i| signs >> i & 1 == 1).map(|i| ranks[i]).sum::<f64>();
            let fewer = (0..all).filter(|signs| sum(*signs) <= found.statistic).count() as f64;
            assert!((found.exact - (2.0 * fewer / f64::from(all)).min(1.0)).abs() < 1e-14, "{found:?}");
        }
        assert_eq!(signed_ranks(&[0.0, 0.0]), None);
    }

    #[test]
    fn ranks_are_shared_and_corrections_never_fall() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), (vec![3.5, 1.0, 3.5, 2.0], 6.0));
        assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
        assert!((signs(&[1.0, 2.0, -1.0, 0.0]) - 1.0).abs() < 1e-15);
        assert_eq!(friedman(&[vec![1.0, 1.0], vec![2.0, 2.0]]), None);
        let found = friedman(&[vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]]).expect("ranks");
        assert!((found.concordance - 1.0).abs() < 1e-12, "{found:?}");
    }
}
