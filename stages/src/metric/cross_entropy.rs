//! Cross-entropy of a model over codes, as bits per code and as perplexity.

use std::f64::consts::LN_2;

/// A sum of negative logarithms of probabilities, with the number of codes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    /// The sum in nats.
    pub nats: f64,
    /// Number of codes.
    pub codes: u64,
}

impl CrossEntropy {
    /// Adds the code `target` of a model that gave `logits`.
    pub fn add(&mut self, logits: &[f64], target: usize) {
        let most = logits.iter().fold(f64::NEG_INFINITY, |most, logit| most.max(*logit));
        let sum: f64 = logits.iter().map(|logit| libm::exp(logit - most)).sum();
        self.nats += libm::log(sum) + most - logits[target];
        self.codes += 1;
    }

    /// Bits per code. NaN of none.
    pub fn bits(&self) -> f64 {
        self.nats / self.codes as f64 / LN_2
    }

    /// Perplexity (Jelinek and others 1977): `exp` of the mean over all codes, never a mean of perplexities of
    /// sequences, in which short ones would count as much as long ones. NaN of none.
    pub fn perplexity(&self) -> f64 {
        libm::exp(self.nats / self.codes as f64)
    }
}

/// The perplexity of so many bits per code: the number of equally likely codes that are as hard to guess.
pub fn perplexity(bits: f64) -> f64 {
    libm::exp2(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equally_likely_codes_are_their_own_perplexity() {
        let mut found = CrossEntropy::default();
        (0..5).for_each(|code| found.add(&[7.0; 8], code));
        assert!((found.perplexity() - 8.0).abs() < 1e-12 && (found.bits() - 3.0).abs() < 1e-12);
        assert_eq!(perplexity(3.0), 8.0);
    }
}
