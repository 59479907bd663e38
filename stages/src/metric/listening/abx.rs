//! ABX tests: `k` right answers in `n` trials, where guessing is right every other time.

use crate::metric::special::{beta_quantile, binomial, binomial_at_least, bisect, normal, normal_quantile};
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Probability of a right answer by guessing.
const GUESS: f64 = 0.5;

/// A result of an ABX test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Trials.
    pub trials: u64,
    /// Right answers, at most as many as trials.
    pub right: u64,
}

impl Answers {
    /// Probability of at least as many right answers by guessing: the exact binomial test.
    pub fn one_sided(self) -> f64 {
        binomial_at_least(self.trials, self.right, GUESS)
    }

    /// Probability of a share of right answers that is as far from half, on either side.
    pub fn two_sided(self) -> f64 {
        let more = self.right.max(self.trials - self.right);
        (2.0 * binomial_at_least(self.trials, more, GUESS)).min(1.0)
    }

    /// The one-sided probability with half of that of just this result (mid-p, Lancaster 1961), less strict than the
    /// exact one.
    pub fn mid_p(self) -> f64 {
        self.one_sided() - binomial(self.trials, self.right, GUESS) / 2.0
    }

    /// The share of right answers.
    pub fn share(self) -> f64 {
        self.right as f64 / self.trials as f64
    }

    /// The share of trials in which the difference was heard, if the others were guessed (Abbott 1925); below 0 where
    /// fewer are right than by guessing.
    pub fn heard(self) -> f64 {
        (self.share() - GUESS) / (1.0 - GUESS)
    }

    /// The exact interval of the probability of a right answer (Clopper and Pearson 1934).
    pub fn clopper_pearson(self, level: f64) -> [f64; 2] {
        let (n, k, tail) = (self.trials as f64, self.right as f64, (1.0 - level) / 2.0);
        let low = if self.right == 0 { 0.0 } else { beta_quantile(k, n - k + 1.0, tail) };
        let high = if self.right == self.trials { 1.0 } else { beta_quantile(k + 1.0, n - k, 1.0 - tail) };
        [low, high]
    }

    /// The score interval of the probability of a right answer (Wilson 1927), shorter than the exact one.
    pub fn wilson(self, level: f64) -> [f64; 2] {
        let (n, share, z) = (self.trials as f64, self.share(), normal_quantile((1.0 + level) / 2.0));
        let square = z * z / n;
        let middle = (share + square / 2.0) / (1.0 + square);
        let half = z / (1.0 + square) * (share * (1.0 - share) / n + square / (4.0 * n)).sqrt();
        [middle - half, middle + half].map(|bound| bound.clamp(0.0, 1.0))
    }
}

/// The fewest right answers in `trials` that guessing gives with a probability of at most `alpha`, and that probability;
/// `None` where all right are not enough.
pub fn fewest_right(trials: u64, alpha: f64) -> Option<(u64, f64)> {
    let chance = |right: u64| binomial_at_least(trials, right, GUESS);
    // Between the last that is too likely and the first that is not.
    let (mut likely, mut rare) = (0, trials);
    if chance(rare) > alpha {
        return None;
    }
    while rare - likely > 1 {
        let middle = likely + (rare - likely) / 2;
        if chance(middle) > alpha {
            likely = middle;
        } else {
            rare = middle;
        }
    }
    Some((rare, chance(rare)))
}

/// Power of a test of `trials` at level `alpha`: the probability that a listener who is right with probability `share`
/// passes it.
pub fn power(trials: u64, share: f64, alpha: f64) -> f64 {
    fewest_right(trials, alpha).map_or(0.0, |(right, _)| binomial_at_least(trials, right, share))
}

/// Numbers of trials for a power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trials {
    /// The fewest trials that have it. A few more may have less: power climbs in saw teeth, since right answers are
    /// whole numbers.
    pub first: u64,
    /// The fewest trials from which on all have it.
    pub safe: u64,
}

/// Most trials that are planned.
const MOST: u64 = 20_000;

/// Trials for a power against a listener who is right with probability `share`, over 1/2; `None` where
/// 20,000 trials do not have it.
pub fn trials_for(power_wanted: f64, share: f64, alpha: f64) -> Option<Trials> {
    if share <= GUESS {
        return None;
    }
    let enough = |trials: u64| power(trials, share, alpha) >= power_wanted;
    let first = (1..MOST).find(|trials| enough(*trials))?;
    // The last tooth lies well before twice as many: its depth shrinks like one over the root of the trials.
    let last_short = (first..2 * first + 100).rev().find(|trials| !enough(*trials));
    Some(Trials { first, safe: last_short.map_or(first, |trials| trials + 1) })
}

/// d' of a share of right answers in ABX, for a listener who compares each of A and B with X as independent observations
/// (Macmillan and Creelman 2005, equation 9.7); 0 at half and below, infinite at 1.
pub fn d_prime(share: f64) -> f64 {
    if share <= GUESS {
        return 0.0;
    }
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let right = |d: f64| {
        let (across, along) = (normal(d * FRAC_1_SQRT_2), normal(d / 2.0));
        across * along + (1.0 - across) * (1.0 - along)
    };
    bisect(0.0, 50.0, |d| right(d) < share)
}

/// d' of a share of right answers where two stimuli are compared directly (two-alternative forced choice).
pub fn d_prime_of_choice(share: f64) -> f64 {
    SQRT_2 * normal_quantile(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_sums_over_all_answers() {
        // Every sequence of ten answers, one by one.
        for right in 0..=10u64 {
            let count = |at_least: &dyn Fn(u64) -> bool| {
                (0..1u64 << 10).filter(|bits| at_least(u64::from(bits.count_ones()))).count() as f64 / 1024.0
            };
            let answers = Answers { trials: 10, right };
            assert!((answers.one_sided() - count(&|k| k >= right)).abs() < 1e-14);
            let mid = (count(&|k| k >= right) + count(&|k| k > right)) / 2.0;
            assert!((answers.mid_p() - mid).abs() < 1e-14);
            let far = right.abs_diff(5);
            assert!((answers.two_sided() - count(&|k| k.abs_diff(5) >= far)).abs() < 1e-14);
        }
        assert!((Answers { trials: 16, right: 12 }.one_sided() - 2517.0 / 65536.0).abs() < 1e-15);
    }

    #[test]
    fn edges() {
        assert_eq!(fewest_right(4, 0.05), None);
        assert_eq!(fewest_right(5, 0.05).map(|found| found.0), Some(5));
        assert_eq!(power(4, 0.9, 0.05), 0.0);
        assert_eq!((d_prime(0.4), d_prime(1.0)), (0.0, f64::INFINITY));
        assert_eq!(Answers { trials: 5, right: 0 }.clopper_pearson(0.95)[0], 0.0);
        assert_eq!(trials_for(0.8, 0.5, 0.05), None);
    }
}
