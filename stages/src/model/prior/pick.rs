//! Drawing a code from logits.
use std::cmp::Ordering;

/// How codes are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// Logits are divided by this; at 0 the most likely code is taken.
    pub temperature: f64,
    /// Only the most likely codes that make up this share are drawn from (Holtzman et al. 2020).
    pub top_p: f64,
    /// The share of a window that it has in common with the one before it.
    pub overlap: f64,
}

/// Draws codes; holds room to work in.
#[derive(Default)]
pub(super) struct Picker {
    shares: Vec<f32>,
    edge: Vec<(f32, usize)>,
}

impl Picker {
    /// Octaves of the shares, and buckets of each.
    const OCTAVES: u32 = 30;
    const STEPS: u32 = 16;

    /// Draws a code; `uniform` in [0, 1) decides. None where a logit is not finite.
    ///
    /// The most likely codes that make up `top_p` are found without sorting them all: shares fall into buckets, 16 an
    /// octave, and only the bucket in which the sum is reached needs an order.
    pub(super) fn pick(&mut self, logits: &[f32], draw: Draw, uniform: f64) -> Option<u16> {
        logits.iter().all(|logit| logit.is_finite()).then(|| self.of_finite(logits, draw, uniform))
    }

    fn of_finite(&mut self, logits: &[f32], draw: Draw, uniform: f64) -> u16 {
        let most = logits.iter().fold(f32::NEG_INFINITY, |most, l| if *l > most { *l } else { most });
        if draw.temperature <= 0.0 {
            return logits.iter().position(|l| *l == most).unwrap_or(0) as u16;
        }
        let scale = (1.0 / draw.temperature) as f32;
        self.shares.clear();
        self.shares.extend(logits.iter().map(|l| kernels::cpu::exp::exp((l - most) * scale)));
        let least = (127 - Self::OCTAVES) * Self::STEPS;
        // The exponent and the first bits of the fraction of a positive float; all below 2^-30 are one.
        let bucket = |share: f32| ((share.to_bits() >> 19).max(least) - least) as usize;
        let mut sums = [0.0f64; (Self::OCTAVES * Self::STEPS + 1) as usize];
        for share in &self.shares {
            sums[bucket(*share)] += f64::from(*share);
        }
        let target = draw.top_p * sums.iter().sum::<f64>();
        let (mut edge, mut sum) = (sums.len() - 1, 0.0);
        while edge > 0 && sum + sums[edge] < target {
            sum += sums[edge];
            edge -= 1;
        }
        self.edge.clear();
        let of_edge = self.shares.iter().enumerate().filter(|(_, share)| bucket(**share) == edge);
        self.edge.extend(of_edge.map(|(code, share)| (*share, code)));
        // The most likely first; of equals the lower code.
        self.edge.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut kept = 0;
        while kept < self.edge.len() && (sum == 0.0 || sum < target) {
            sum += f64::from(self.edge[kept].0);
            kept += 1;
        }
        let edge_of = &self.edge[..kept];
        let inside = |code: usize, share: f32| match bucket(share).cmp(&edge) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => edge_of.last().is_some_and(|(s, c)| share > *s || (share == *s && code <= *c)),
        };
        let (target, mut reached, mut last) = (uniform * sum, 0.0, 0);
        for (code, share) in self.shares.iter().enumerate().filter(|(code, share)| inside(*code, **share)) {
            reached += f64::from(*share);
            last = code;
            if target < reached {
                break;
            }
        }
        last as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::random::Random;

    fn pick(logits: &[f32], draw: Draw, uniform: f64) -> u16 {
        Picker::default().pick(logits, draw, uniform).expect("finite logits")
    }

    #[test]
    fn of_logits_that_are_not_finite_none_is_drawn() {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for temperature in [0.0, 1.0] {
                let draw = Draw { temperature, top_p: 0.9, overlap: 0.5 };
                assert_eq!(Picker::default().pick(&[0.0, wrong, 1.0], draw, 0.5), None);
            }
        }
    }

    #[test]
    fn codes_are_drawn_from_the_nucleus() {
        let logits = [0.0, 2.0, 1.0, -3.0];
        let draw = |temperature, top_p| Draw { temperature, top_p, overlap: 0.5 };
        assert_eq!(pick(&logits, draw(0.0, 1.0), 0.99), 1);
        // The most likely code alone makes up 65 %.
        assert!((0..100).all(|i| pick(&logits, draw(1.0, 0.6), f64::from(i) / 100.0) == 1));
        let drawn = |draw: Draw| {
            (0..10_000).fold([0; 4], |mut n, i| {
                n[usize::from(pick(&logits, draw, (f64::from(i) + 0.5) / 10_000.0))] += 1;
                n
            })
        };
        let all = drawn(draw(1.0, 1.0));
        let sum: f64 = logits.iter().map(|l: &f32| libm::exp(f64::from(*l))).sum();
        for (n, l) in all.iter().zip(logits) {
            assert!((f64::from(*n) - 1e4 * libm::exp(f64::from(l)) / sum).abs() <= 1.0, "{all:?}");
        }
        assert_eq!(drawn(draw(1.0, 0.9))[3], 0);
        assert!(drawn(draw(0.5, 1.0))[1] > all[1] && drawn(draw(2.0, 1.0))[1] < all[1]);
    }

    /// The nucleus is what sorting finds.
    #[test]
    fn buckets_find_what_sorting_finds() {
        let mut random = Random::new(&[1; 32], "logits", 0);
        for (n, spread, top_p) in [(1, 1.0, 0.5), (40, 0.0, 0.36), (300, 0.2, 0.9), (500, 3.0, 0.9), (700, 20.0, 0.999)]
        {
            // Added to 0, so that no zero is negative: total_cmp would tell it from the others.
            let logits: Vec<f32> = (0..n).map(|_| 0.0 + (spread * random.normal()) as f32).collect();
            let mut sorted: Vec<usize> = (0..n).collect();
            sorted.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
            let share = |code: usize| libm::exp(f64::from(logits[code]) - f64::from(logits[sorted[0]]));
            let total: f64 = (0..n).map(share).sum();
            let mut sum = 0.0;
            let kept = sorted.iter().take_while(|code| {
                let before = sum;
                sum += share(**code);
                before < top_p * total
            });
            let mut kept: Vec<usize> = kept.copied().collect();
            kept.sort_unstable();
            let draw = Draw { temperature: 1.0, top_p, overlap: 0.5 };
            let mut drawn: Vec<usize> =
                (0..20_000).map(|i| usize::from(pick(&logits, draw, f64::from(i) / 2e4))).collect();
            drawn.dedup();
            assert!(drawn.is_sorted() && drawn.iter().all(|code| kept.contains(code)), "{n} codes, {spread}");
            // Those that are likely enough to be met among so many draws are met.
            let all: f64 = kept.iter().map(|code| share(*code)).sum();
            kept.retain(|code| share(*code) > 2e-4 * all);
            assert!(kept.iter().all(|code| drawn.contains(code)), "{n} codes, {spread}");
        }
    }
}
