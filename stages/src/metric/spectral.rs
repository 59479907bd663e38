//! Mean squared error of spectrograms.

use super::stft::Stft;

/// The version of this metric: raised when the same sounds would measure otherwise.
pub const VERSION: u32 = 1;
/// Length of the transform and of its Hann window, in frames.
const FFT: usize = 2048;
/// Frames from one spectrum to the next.
const HOP: usize = 512;

/// The mean over spectra and bins of the squared difference of STFT magnitudes, not scaled, and the number of spectra;
/// windows lie wholly inside the signals, and what is beyond the shorter one's end is not compared.
pub fn spectral_mse(a: &[f32], b: &[f32]) -> (f64, u64) {
    let frames = a.len().min(b.len());
    let stft = Stft::new(FFT, HOP);
    let mut first: Vec<f64> = Vec::with_capacity(stft.spectra(frames) * (FFT / 2 + 1));
    stft.magnitudes(&a[..frames], |magnitudes| first.extend_from_slice(magnitudes));
    let (mut sum, mut spectra) = (0.0, 0);
    stft.magnitudes(&b[..frames], |magnitudes| {
        let own = &first[spectra * magnitudes.len()..];
        sum += own.iter().zip(magnitudes).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        spectra += 1;
    });
    (sum / first.len() as f64, spectra as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A splitmix64 stream of numbers in [0, 1).
    fn uniform(seed: u64, i: u64) -> f64 {
        let mut z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    #[test]
    fn agrees_with_another_implementation() {
        let x = |i| (uniform(4700, i) * 2.0 - 1.0) * 0.5;
        let y = |i| x(i) + (uniform(4701, i) * 2.0 - 1.0) * 0.05;
        let samples = |of: &dyn Fn(u64) -> f64| (0..8000).map(|i| of(i) as f32).collect::<Vec<f32>>();
        let (mse, spectra) = spectral_mse(&samples(&x), &samples(&y));
        // torch.stft and numpy in float64, without centering.
        assert!((mse / 0.314_312_114_259_732 - 1.0).abs() < 1e-6, "{mse}");
        assert_eq!(spectra, 12);
        assert_eq!(spectral_mse(&samples(&x), &samples(&x)).0, 0.0);
    }
}
