//! Signal-to-noise ratios of reconstructions.

/// The version of these ratios: raised when the same sounds would measure otherwise.
pub const VERSION: u32 = 1;

/// The scale-invariant signal-to-distortion ratio in dB (Le Roux, Wisdom, Erdogan and Hershey 2019): between the part of
/// `estimate` along `reference` and the rest of it, in 64-bit sums.
///
/// Means are not removed (the paper's definition). Both have the same number of samples; samples beyond the shorter one's
/// end are not read. Infinite when nothing is distorted, minus infinity when nothing of the reference is left, and `None`
/// when the reference is silent.
pub fn si_sdr<T: Copy + Into<f64>>(reference: &[T], estimate: &[T]) -> Option<f64> {
    let (mut cross, mut power) = (0.0, 0.0);
    for (r, e) in reference.iter().zip(estimate) {
        let (r, e): (f64, f64) = ((*r).into(), (*e).into());
        cross += r * e;
        power += r * r;
    }
    if power == 0.0 {
        return None;
    }
    let scale = cross / power;
    let mut rest = 0.0;
    for (r, e) in reference.iter().zip(estimate) {
        let d = (*e).into() - scale * (*r).into();
        rest += d * d;
    }
    Some(10.0 * libm::log10(scale * scale * power / rest)).map(|v| if v.is_nan() { f64::NEG_INFINITY } else { v })
}

/// The signal-to-noise ratio in dB: the energy of `reference` over that of its difference from `estimate`. Infinite when
/// nothing differs, and `None` when the reference is silent.
pub fn snr<T: Copy + Into<f64>>(reference: &[T], estimate: &[T]) -> Option<f64> {
    let (mut power, mut noise) = (0.0, 0.0);
    for (r, e) in reference.iter().zip(estimate) {
        let (r, e): (f64, f64) = ((*r).into(), (*e).into());
        power += r * r;
        noise += (r - e) * (r - e);
    }
    (power > 0.0).then(|| 10.0 * libm::log10(power / noise))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::draws::Draws;

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
        assert_eq!((si_sdr(&[0.0f32; 4], &[1.0; 4]), snr(&[0.0f32; 4], &[1.0; 4])), (None, None));
        assert_eq!((snr(&s, &s), snr(&s, &vec![0.0; s.len()])), (Some(f64::INFINITY), Some(0.0)));
    }

    #[test]
    fn agrees_with_another_implementation() {
        let (mut own, mut more) = (Draws::new(4700), Draws::new(4701));
        let x: Vec<f64> = (0..8000).map(|_| (own.uniform() * 2.0 - 1.0) * 0.5).collect();
        let y: Vec<f64> = x.iter().map(|v| v + (more.uniform() * 2.0 - 1.0) * 0.05).collect();
        // numpy in float64.
        assert!((si_sdr(&x, &y).expect("sound") - 20.012523003951262).abs() < 1e-9);
        assert!((snr(&x, &y).expect("sound") - 20.021616179703784).abs() < 1e-9);
    }
}
