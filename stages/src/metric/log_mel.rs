//! Log-mel spectra and distances between them.
use super::mel::Mel;
use super::stft::Stft;

/// The version of these spectra and distances: raised when the same sounds would measure otherwise.
pub const VERSION: u32 = 1;
/// Length of the FFT and of its Hann window, in frames.
pub const FFT: usize = 2048;
/// Frames from one spectrum to the next.
pub const HOP: usize = 512;
/// Bands between 0 and half the rate.
pub const BANDS: usize = 80;
/// Magnitudes below this count as this: 60 dB under a full-scale sine. Lower, a metric of logarithms mostly compares what
/// is under the threshold of hearing beside the music.
pub const FLOOR: f64 = 1e-3;

/// Log-mel spectra, `[spectra, BANDS]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogMel {
    /// Natural logarithms of band magnitudes, band by band, spectrum by spectrum.
    pub values: Vec<f64>,
}

impl LogMel {
    /// The spectra of `samples` at `rate`, windows wholly inside the signal; shorter signals are padded to one window.
    ///
    /// Magnitudes are scaled so that a full-scale sine at a bin's centre has magnitude 1 there.
    pub fn new(samples: &[f32], rate: u32) -> Self {
        let (stft, mel) = (Stft::new(FFT, HOP), Mel::new(rate, FFT, BANDS));
        let mut values = Vec::with_capacity(stft.spectra(samples.len()) * BANDS);
        stft.magnitudes(samples, |magnitudes| values.extend(mel.logarithms(magnitudes, FLOOR)));
        Self { values }
    }

    /// Mean absolute difference, in natural-logarithm units (times 8.686: dB). Spectra beyond the shorter one's end are
    /// not compared.
    pub fn distance(&self, other: &Self) -> f64 {
        let n = self.values.len().min(other.values.len());
        let sum: f64 = self.values.iter().zip(&other.values).map(|(a, b)| (a - b).abs()).sum();
        sum / n as f64
    }

    /// The mean of all spectra of all signals: what a model that knows nothing but the average would say.
    pub fn mean(of: &[Self]) -> Vec<f64> {
        let mut mean = vec![0.0; BANDS];
        let mut spectra = 0usize;
        for row in of.iter().flat_map(|m| m.values.chunks_exact(BANDS)) {
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
            spectra += 1;
        }
        mean.iter_mut().for_each(|m| *m /= spectra.max(1) as f64);
        mean
    }

    /// Mean absolute difference to one spectrum (`[BANDS]`) that stays the same.
    pub fn distance_to(&self, spectrum: &[f64]) -> f64 {
        let sum: f64 =
            self.values.chunks_exact(BANDS).flat_map(|row| row.iter().zip(spectrum).map(|(a, b)| (a - b).abs())).sum();
        sum / self.values.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::mel::mel;
    use std::f64::consts::TAU;

    fn sine(hertz: f64, amplitude: f64) -> Vec<f32> {
        (0..8192).map(|i| (amplitude * libm::sin(TAU * hertz * f64::from(i) / 44_100.0)) as f32).collect()
    }

    #[test]
    fn a_sine_falls_into_its_band() {
        let spectra = LogMel::new(&sine(1000.0, 1.0), 44_100);
        assert_eq!(spectra.values.len(), ((8192 - FFT) / HOP + 1) * BANDS);
        let row = &spectra.values[..BANDS];
        let loudest = (0..BANDS).fold(0, |best, i| if row[i] > row[best] { i } else { best });
        let expected = mel(1000.0) / (mel(22_050.0) / (BANDS + 1) as f64) - 1.0;
        assert!((loudest as f64 - expected).abs() <= 1.0, "{loudest} {expected}");
    }

    #[test]
    fn distances() {
        let (a, b) = (LogMel::new(&sine(1000.0, 0.5), 44_100), LogMel::new(&sine(1000.0, 0.25), 44_100));
        assert_eq!(a.distance(&a), 0.0);
        // Half the amplitude is ln 2 lower wherever neither is at the floor.
        assert!(a.distance(&b) > 0.0 && a.distance(&b) <= libm::log(2.0) + 1e-3);
        let mean = LogMel::mean(std::slice::from_ref(&a));
        assert!(a.distance_to(&mean) < a.distance_to(&vec![0.0; BANDS]));
        assert!(LogMel::new(&[0.0; 10], 44_100).values.iter().all(|v| *v == libm::log(FLOOR)));
    }
}
