//! Scale-invariant signal-to-distortion ratio (Le Roux, Wisdom, Erdogan and Hershey 2019).

/// The ratio in dB between the part of `estimate` along `reference` and the rest of it, in 64-bit sums.
///
/// Means are not removed (the paper's definition). Both have the same number of samples; samples beyond the shorter one's
/// end are not read. Infinite when nothing is distorted, minus infinity when nothing of the reference is left, and `None`
/// when the reference is silent.
pub fn si_sdr(reference: &[f32], estimate: &[f32]) -> Option<f64> {
    let (mut cross, mut power) = (0.0, 0.0);
    for (r, e) in reference.iter().zip(estimate) {
        let (r, e) = (f64::from(*r), f64::from(*e));
        cross += r * e;
        power += r * r;
    }
    if power == 0.0 {
        return None;
    }
    let scale = cross / power;
    let mut rest = 0.0;
    for (r, e) in reference.iter().zip(estimate) {
        let d = f64::from(*e) - scale * f64::from(*r);
        rest += d * d;
    }
    Some(10.0 * libm::log10(scale * scale * power / rest)).map(|v| if v.is_nan() { f64::NEG_INFINITY } else { v })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ratios() {
        let n = 44_100;
        let wave = |f: f64| -> Vec<f32> { (0..n).map(|i| libm::sin(f * f64::from(i)) as f32).collect() };
        let (s, noise) = (wave(0.05), wave(0.31));
        let mix: Vec<f32> = s.iter().zip(&noise).map(|(s, n)| 0.5 * s + 0.05 * n).collect();
        // Orthogonal parts of amplitudes 0.5 and 0.05: 20 dB, whatever the scale.
        assert!((si_sdr(&s, &mix).unwrap_or(0.0) - 20.0).abs() < 0.01);
        let louder: Vec<f32> = mix.iter().map(|v| 3.0 * v).collect();
        assert!((si_sdr(&s, &louder).unwrap_or(0.0) - 20.0).abs() < 0.01);
        assert_eq!(si_sdr(&s, &s), Some(f64::INFINITY));
        assert_eq!(si_sdr(&s, &vec![0.0; s.len()]), Some(f64::NEG_INFINITY));
        assert_eq!(si_sdr(&[0.0; 4], &[1.0; 4]), None);
    }
}
