//! Randomness that is a function of (seed, purpose, counter): nothing to save, nothing to restore.
use std::f64::consts::TAU;

/// A stream of numbers, the same for the same seed, purpose and counter, on every machine.
pub(crate) struct Random {
    reader: blake3::OutputReader,
    block: [u8; 512],
    at: usize,
}

impl Random {
    /// The stream for `purpose` (a fixed word of the program) at `counter` (for example the step).
    pub(crate) fn new(seed: &[u8; 32], purpose: &str, counter: u64) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(seed);
        hasher.update(&counter.to_le_bytes());
        hasher.update(purpose.as_bytes());
        Self { reader: hasher.finalize_xof(), block: [0; 512], at: 512 }
    }

    fn bits(&mut self) -> u64 {
        if self.at == self.block.len() {
            self.reader.fill(&mut self.block);
            self.at = 0;
        }
        let mut word = [0; 8];
        word.copy_from_slice(&self.block[self.at..self.at + 8]);
        self.at += 8;
        u64::from_le_bytes(word)
    }

    /// Uniform over 0..n. `n` must not be 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        debug_assert!(n > 0);
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform over [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(TAU * self.uniform())
    }

    /// `n` distinct numbers of 0..len in random order; all of them when there are fewer.
    pub(crate) fn distinct(&mut self, n: usize, len: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..len).collect();
        let n = n.min(len);
        for i in 0..n {
            let j = i + self.below((len - i) as u64) as usize;
            all.swap(i, j);
        }
        all.truncate(n);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_counter() {
        let first = |seed: u8, purpose: &str, counter| Random::new(&[seed; 32], purpose, counter).bits();
        let all = [first(0, "a", 0), first(1, "a", 0), first(0, "b", 0), first(0, "a", 1)];
        for i in 0..4 {
            assert!(all[i + 1..].iter().all(|v| *v != all[i]));
        }
        assert_eq!(first(0, "a", 0), all[0]);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut random = Random::new(&[7; 32], "moments", 0);
        let n = 20_000;
        let (mut mean, mut square, mut uniform) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let x = random.normal();
            mean += x / f64::from(n);
            square += x * x / f64::from(n);
            uniform += random.uniform() / f64::from(n);
        }
        assert!(mean.abs() < 0.03 && (square - 1.0).abs() < 0.05, "{mean} {square}");
        assert!((uniform - 0.5).abs() < 0.01, "{uniform}");
        let mut all = random.distinct(10, 10);
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }
}
