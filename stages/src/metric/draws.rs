//! Random draws of resampling methods: SplitMix64 by counter (Steele, Lea and Flood 2014), the same in any language.
//!
//! A figure that rests on draws states its seed, and whoever has the seed repeats them with six lines of code.

/// Numbers of one seed in turn: the `i`-th is a function of the seed and of `i`.
#[derive(Clone, Debug)]
pub struct Draws {
    seed: u64,
    at: u64,
}

impl Draws {
    /// The stream of a seed, from its first number on.
    pub fn new(seed: u64) -> Draws {
        Draws { seed, at: 0 }
    }

    /// Uniform over [0, 1), in steps of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        self.at += 1;
        let mut z = self.seed.wrapping_add(self.at.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform over `0..n`; `n` is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        (self.uniform() * n as f64) as usize
    }

    /// The numbers of `0..n` in random order (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        self.shuffle(&mut all);
        all
    }

    /// Puts values into random order.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            let other = self.below(i + 1);
            values.swap(i, other);
        }
    }

    /// `size` distinct numbers of `0..n` in ascending order; all of them if there are no more.
    pub fn subset(&mut self, size: usize, n: usize) -> Vec<usize> {
        let mut drawn = self.permutation(n);
        drawn.truncate(size);
        drawn.sort_unstable();
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_published_generator() {
        let mut draws = Draws::new(1234567);
        // The first outputs of SplitMix64 at this seed, of which the upper 53 bits are taken.
        for bits in [6_457_827_717_110_365_317u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423] {
            assert_eq!(draws.uniform(), (bits >> 11) as f64 / (1u64 << 53) as f64);
        }
    }

    #[test]
    fn a_permutation_has_every_number_once() {
        let mut draws = Draws::new(7);
        let mut drawn = draws.permutation(100);
        assert_ne!(drawn, draws.permutation(100));
        drawn.sort_unstable();
        assert_eq!(drawn, (0..100).collect::<Vec<_>>());
        assert_eq!(draws.subset(3, 2), [0, 1]);
        assert!(draws.subset(30, 40).windows(2).all(|pair| pair[0] < pair[1]));
        assert!((0..1000).all(|_| draws.below(3) < 3));
    }
}
