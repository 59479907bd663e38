//! Log-mel spectra and distances between them.
use std::f64::consts::TAU;
use std::ops::Range;

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

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

/// Mel of a frequency (O'Shaughnessy 1987, as in HTK).
fn mel(hertz: f64) -> f64 {
    2595.0 * libm::log10(1.0 + hertz / 700.0)
}

/// Weight of each FFT bin in each band: triangles of height 1, evenly spaced in mel, `[BANDS, FFT / 2 + 1]`.
fn bank(rate: u32) -> Vec<f64> {
    let nyquist = f64::from(rate) / 2.0;
    let step = mel(nyquist) / (BANDS + 1) as f64;
    let bins = FFT / 2 + 1;
    let mut bank = vec![0.0; BANDS * bins];
    for (band, row) in bank.chunks_exact_mut(bins).enumerate() {
        let centre = (band + 1) as f64;
        for (bin, weight) in row.iter_mut().enumerate() {
            let at = mel(nyquist * bin as f64 / (bins - 1) as f64) / step;
            *weight = (1.0 - (at - centre).abs()).max(0.0);
        }
        // Low bands are narrower than a bin: the nearest bin stands for them.
        if row.iter().all(|w| *w == 0.0) {
            let hertz = 700.0 * (libm::pow(10.0, centre * step / 2595.0) - 1.0);
            let bin = libm::round(hertz / nyquist * (bins - 1) as f64) as usize;
            row[bin.min(bins - 1)] = 1.0;
        }
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|w| *w /= sum);
    }
    bank
}

impl LogMel {
    /// The spectra of `samples` at `rate`, windows wholly inside the signal; shorter signals are padded to one window.
    ///
    /// Magnitudes are scaled so that a full-scale sine at a bin's centre has magnitude 1 there.
    pub fn new(samples: &[f32], rate: u32) -> Self {
        let bank = bank(rate);
        let live: Vec<Range<usize>> = bank
            .chunks_exact(FFT / 2 + 1)
            .map(|row| {
                let first = row.iter().position(|w| *w > 0.0).unwrap_or(0);
                first..row.iter().rposition(|w| *w > 0.0).map_or(first, |last| last + 1)
            })
            .collect();
        let plan = RealFftPlanner::<f64>::new().plan_fft_forward(FFT);
        let window: Vec<f64> = (0..FFT).map(|i| 0.5 - 0.5 * libm::cos(TAU * i as f64 / FFT as f64)).collect();
        let (mut time, mut bins) = (vec![0.0; FFT], vec![Complex::default(); FFT / 2 + 1]);
        let mut scratch = plan.make_scratch_vec();
        let spectra = samples.len().saturating_sub(FFT) / HOP + 1;
        let mut values = Vec::with_capacity(spectra * BANDS);
        for i in 0..spectra {
            time.fill(0.0);
            for ((t, w), v) in time.iter_mut().zip(&window).zip(&samples[i * HOP..]) {
                *t = w * f64::from(*v);
            }
            let done = plan.process_with_scratch(&mut time, &mut bins, &mut scratch);
            debug_assert!(done.is_ok(), "buffers have the planned lengths");
            let magnitudes: Vec<f64> = bins.iter().map(|b| b.norm_sqr().sqrt()).collect();
            for (row, live) in bank.chunks_exact(bins.len()).zip(&live) {
                let sum: f64 = row[live.clone()].iter().zip(&magnitudes[live.clone()]).map(|(w, m)| w * m).sum();
                values.push(libm::log((sum * 4.0 / FFT as f64).max(FLOOR)));
            }
        }
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
