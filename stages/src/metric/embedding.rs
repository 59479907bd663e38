//! Embeddings: maps from sound to vectors, so that sets of sounds can be compared as sets of vectors.

use super::mel::Mel;
use super::stft::Stft;

/// A map from sound to vectors, about one a second.
pub trait Embedding: Sync {
    /// Name of the embedding, stated with every figure computed in it.
    fn name(&self) -> &'static str;
    /// Version of the embedding, raised when the same sound would give other vectors.
    fn version(&self) -> u32;
    /// Frames per second of the sound that it takes, mono.
    fn rate(&self) -> u32;
    /// Dimensions: numbers in a vector.
    fn dims(&self) -> usize;
    /// Vectors of a sound of so many frames.
    fn vectors(&self, frames: usize) -> usize;
    /// Frames of the shortest sound that gives a vector.
    fn least(&self) -> usize;
    /// Frames from one vector to the next.
    fn step(&self) -> usize;
    /// The vectors of a sound, `[vectors, dims]` in row-major order.
    fn embed(&self, samples: &[f32]) -> Vec<f64>;
}

/// Means and deviations of log-mel bands over windows of about a second: a fixed description of timbre, loudness and
/// how much they move, that learned nothing from any music.
///
/// Sound at 16 kHz; magnitudes of the STFT (periodic Hann windows of 1024 frames every 256, wholly inside the sound);
/// 16 triangular bands evenly spaced in mel from 0 to 8 kHz, of unit sum; natural logarithms of magnitudes of at least
/// 1e-4, where a full-scale sine has 1. A vector describes 64 spectra (1.07 s) and is made every 32 (0.51 s): the mean of
/// each band, then the standard deviation of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogMelStatistics;

/// The embedding of `evaluate`.
pub static EMBEDDING: LogMelStatistics = LogMelStatistics;

const RATE: u32 = 16_000;
const FFT: usize = 1024;
const HOP: usize = 256;
const BANDS: usize = 16;
/// 80 dB under a full-scale sine.
const FLOOR: f64 = 1e-4;
/// Spectra of a vector.
const WINDOW: usize = 64;
/// Spectra from one vector to the next.
const STEP: usize = 32;

impl Embedding for LogMelStatistics {
    fn name(&self) -> &'static str {
        "log-mel-statistics"
    }

    fn version(&self) -> u32 {
        1
    }

    fn rate(&self) -> u32 {
        RATE
    }

    fn dims(&self) -> usize {
        2 * BANDS
    }

    fn vectors(&self, frames: usize) -> usize {
        frames.checked_sub(self.least()).map_or(0, |more| more / self.step() + 1)
    }

    fn least(&self) -> usize {
        (WINDOW - 1) * HOP + FFT
    }

    fn step(&self) -> usize {
        STEP * HOP
    }

    fn embed(&self, samples: &[f32]) -> Vec<f64> {
        if samples.len() < self.least() {
            return Vec::new();
        }
        let (stft, mel) = (Stft::new(FFT, HOP), Mel::new(RATE, FFT, BANDS));
        let mut bands = Vec::with_capacity(stft.spectra(samples.len()) * BANDS);
        stft.magnitudes(samples, |magnitudes| bands.extend(mel.logarithms(magnitudes, FLOOR)));
        let mut vectors = Vec::with_capacity(self.vectors(samples.len()) * self.dims());
        for window in bands.windows(WINDOW * BANDS).step_by(STEP * BANDS) {
            let over = |band: usize| window.iter().skip(band).step_by(BANDS);
            let means: Vec<f64> = (0..BANDS).map(|band| over(band).sum::<f64>() / WINDOW as f64).collect();
            let deviations = (0..BANDS).map(|band| {
                let squares: f64 = over(band).map(|v| (v - means[band]) * (v - means[band])).sum();
                (squares / WINDOW as f64).sqrt()
            });
            let deviations: Vec<f64> = deviations.collect();
            vectors.extend(means.into_iter().chain(deviations));
        }
        vectors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(frames: usize, amplitude: impl Fn(usize) -> f64) -> Vec<f32> {
        (0..frames)
            .map(|i| (amplitude(i) * libm::sin(i as f64 * 1000.0 / 16_000.0 * std::f64::consts::TAU)) as f32)
            .collect()
    }

    #[test]
    fn as_many_vectors_as_promised() {
        let embedding = LogMelStatistics;
        let least = embedding.least();
        assert_eq!(least, 17_152);
        for frames in [0, least - 1, least, least + STEP * HOP - 1, least + STEP * HOP, 63_995, 16_000 * 30] {
            let vectors = embedding.embed(&vec![0.1; frames]);
            assert_eq!(vectors.len(), embedding.vectors(frames) * embedding.dims(), "{frames}");
        }
        assert_eq!(embedding.vectors(least - 1), 0);
        assert_eq!(embedding.vectors(63_995), 6);
    }

    #[test]
    fn level_shows_in_the_means_and_movement_in_the_deviations() {
        let embedding = LogMelStatistics;
        let silence = embedding.embed(&vec![0.0; 20_000]);
        let floor = libm::log(FLOOR);
        assert!(silence[..BANDS].iter().all(|v| (v - floor).abs() < 1e-12), "{silence:?}");
        assert!(silence[BANDS..].iter().all(|v| v.abs() < 1e-12), "{silence:?}");
        let (loud, soft) = (embedding.embed(&sine(20_000, |_| 0.5)), embedding.embed(&sine(20_000, |_| 0.25)));
        let tone = (0..BANDS).max_by(|a, b| loud[*a].total_cmp(&loud[*b])).expect("bands");
        // 1 kHz is 1000 mel, of 2840 / 17 mel a band.
        assert!((4..=6).contains(&tone), "{tone}");
        assert!((loud[tone] - soft[tone] - libm::log(2.0)).abs() < 1e-9);
        assert!(loud[BANDS + tone] < 1e-6);
        let beating = embedding.embed(&sine(20_000, |i| if i / 2000 % 2 == 0 { 0.5 } else { 0.05 }));
        assert!(beating[BANDS + tone] > 0.5, "{}", beating[BANDS + tone]);
    }
}
