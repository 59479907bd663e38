//! Figures of a classifier's outputs: divergence of paired outputs, and the inception score.

/// The probability that is added to every class of the generated output by the published tools, so that none is 0.
pub const EPSILON: f64 = 1e-6;

/// Probabilities of the classes, from logits.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().fold(f64::NEG_INFINITY, |most, logit| most.max(*logit));
    let mut powers: Vec<f64> = logits.iter().map(|logit| libm::exp(logit - most)).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter_mut().for_each(|power| *power /= sum);
    powers
}

/// Probabilities of classes that do not exclude each other (tags of AudioSet), from logits.
pub fn sigmoid(logits: &[f64]) -> Vec<f64> {
    logits.iter().map(|logit| 1.0 / (1.0 + libm::exp(-logit))).collect()
}

/// Mean Kullback-Leibler divergence in nats of paired outputs, `Σ p ln (p / (q + epsilon))` of what is real, `p`, from
/// what is generated, `q`: Kreuk and others 2023 (AudioGen) with an epsilon of [`EPSILON`], the exact one with 0. NaN of
/// no pair. Over [`sigmoid`] the terms are those of the published tools and no divergence of distributions.
pub fn paired_divergence(real: &[Vec<f64>], generated: &[Vec<f64>], epsilon: f64) -> f64 {
    let divergence = |(p, q): (&Vec<f64>, &Vec<f64>)| {
        let terms = p.iter().zip(q).filter(|(p, _)| **p > 0.0);
        terms.map(|(p, q)| p * libm::log(p / (q + epsilon))).sum::<f64>()
    };
    real.iter().zip(generated).map(divergence).sum::<f64>() / real.len().min(generated.len()) as f64
}

/// The inception score (Salimans and others 2016): `exp` of the mean divergence of each output from the mean of all, from
/// 1 to the number of classes. NaN of no output.
pub fn inception_score(outputs: &[Vec<f64>]) -> f64 {
    let classes = outputs.first().map_or(0, Vec::len);
    let count = outputs.len() as f64;
    let mean = |class: usize| outputs.iter().map(|output| output[class]).sum::<f64>() / count;
    let marginal: Vec<Vec<f64>> = vec![(0..classes).map(mean).collect(); outputs.len()];
    libm::exp(paired_divergence(outputs, &marginal, 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_lie_between_one_and_the_number_of_classes() {
        let sure = vec![vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0], vec![0.0, 0.0, 1.0]];
        assert!((inception_score(&sure) - 3.0).abs() < 1e-12);
        assert_eq!(inception_score(&vec![vec![0.25, 0.75]; 4]), 1.0);
        assert_eq!(paired_divergence(&sure, &sure, 0.0), 0.0);
        assert!(inception_score(&[]).is_nan());
    }

    #[test]
    fn probabilities_add_up() {
        let probabilities = softmax(&[1000.0, 999.0, -5.0]);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert!((probabilities[0] / probabilities[1] / std::f64::consts::E - 1.0).abs() < 1e-14);
        assert_eq!(sigmoid(&[0.0]), [0.5]);
    }
}
