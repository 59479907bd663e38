//! Log-mel spectrograms: pictures in reports, and a distance between recordings.

use std::f64::consts::PI;

use realfft::RealFftPlanner;

/// The parameters of [`log_mel`]; the defaults suit 44.1 kHz.
#[derive(Debug, Clone, PartialEq)]
pub struct MelSettings {
    /// Sample rate in Hz.
    pub rate: u32,
    /// Length of the transform and of its Hann window, in frames.
    pub fft: usize,
    /// Frames from one row to the next.
    pub hop: usize,
    /// Number of mel bands.
    pub mels: usize,
    /// Lower end of the lowest band, in Hz.
    pub fmin: f64,
    /// Upper end of the highest band, in Hz; at most half the rate is used.
    pub fmax: f64,
}

impl Default for MelSettings {
    fn default() -> Self {
        MelSettings { rate: 44_100, fft: 2048, hop: 512, mels: 80, fmin: 40.0, fmax: 22_050.0 }
    }
}

/// A log-mel spectrogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Mel {
    /// Rows: one for each started hop, at least one unless there are no samples.
    pub frames: usize,
    /// Values of a row, from low to high.
    pub bands: usize,
    /// Natural logarithm of the band energies, row after row (`frames` × `bands`). A tone of amplitude 1 in the
    /// middle of a band has about 0; silence has `ln(1e-10)`, −23.03.
    pub data: Vec<f32>,
}

impl Mel {
    /// One row.
    pub fn row(&self, frame: usize) -> &[f32] {
        &self.data[frame * self.bands..(frame + 1) * self.bands]
    }

    /// The mean absolute difference of two spectrograms over the rows that both have; `None` if their bands differ
    /// or one has no rows.
    pub fn distance(&self, other: &Mel) -> Option<f64> {
        let frames = self.frames.min(other.frames);
        if self.bands != other.bands || frames == 0 {
            return None;
        }
        let pairs = self.data.iter().zip(&other.data).take(frames * self.bands);
        let sum: f64 = pairs.map(|(a, b)| f64::from((a - b).abs())).sum();
        Some(sum / (frames * self.bands) as f64)
    }
}

/// Energy below which a band counts as silent.
const FLOOR: f64 = 1e-10;

/// The log-mel spectrogram of mono `samples`. Row `i` is centred on frame `i * hop`; what lies outside counts as
/// silence. Bands are triangles on the mel scale of O'Shaughnessy (2595 log10(1 + f / 700)) over the power
/// spectrum of a Hann window, each with a peak of 1. Worked in f64 with `libm`, so the values do not depend on the
/// host's mathematical library.
///
/// # Panics
/// If `rate`, `fft`, `hop` or `mels` is 0, or `fft` is odd.
pub fn log_mel(samples: &[f32], settings: &MelSettings) -> Mel {
    let MelSettings { rate, fft, hop, mels, .. } = *settings;
    assert!(rate > 0 && fft > 0 && fft.is_multiple_of(2) && hop > 0 && mels > 0, "{settings:?}");
    let window: Vec<f64> = (0..fft).map(|i| 0.5 - 0.5 * libm::cos(2.0 * PI * i as f64 / fft as f64)).collect();
    // With this a sine of amplitude 1 has a peak of 1 in the power spectrum.
    let scale = 2.0 / window.iter().sum::<f64>();
    let bands = triangles(settings);
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(fft);
    let (mut input, mut output) = (transform.make_input_vec(), transform.make_output_vec());
    let mut scratch = transform.make_scratch_vec();
    let frames = samples.len().div_ceil(hop);
    let mut data = Vec::with_capacity(frames * mels);
    let mut power = vec![0.0; fft / 2 + 1];
    for frame in 0..frames {
        let start = (frame * hop) as isize - (fft / 2) as isize;
        for (i, (slot, weight)) in input.iter_mut().zip(&window).enumerate() {
            let at = usize::try_from(start + i as isize).ok();
            let sample = at.and_then(|at| samples.get(at)).copied().unwrap_or(0.0);
            *slot = f64::from(sample) * weight * scale;
        }
        if transform.process_with_scratch(&mut input, &mut output, &mut scratch).is_err() {
            unreachable!("the transform made its own buffers");
        }
        power.iter_mut().zip(&output).for_each(|(power, bin)| *power = bin.norm_sqr());
        data.extend(bands.iter().map(|band| {
            let energy: f64 = power[band.first..].iter().zip(&band.weights).map(|(p, w)| p * w).sum();
            libm::log(energy.max(FLOOR)) as f32
        }));
    }
    Mel { frames, bands: mels, data }
}

/// The weights of one band, from its first bin on.
struct Triangle {
    first: usize,
    weights: Vec<f64>,
}

fn triangles(settings: &MelSettings) -> Vec<Triangle> {
    let half = f64::from(settings.rate) / 2.0;
    let mel = |hertz: f64| 2595.0 * libm::log10(1.0 + hertz / 700.0);
    let hertz = |mel: f64| 700.0 * (libm::pow(10.0, mel / 2595.0) - 1.0);
    let (low, high) = (mel(settings.fmin.clamp(0.0, half)), mel(settings.fmax.clamp(0.0, half)));
    let corner = |i: usize| hertz(low + (high - low) * i as f64 / (settings.mels + 1) as f64);
    let width = f64::from(settings.rate) / settings.fft as f64;
    let band = |i: usize| {
        let (left, middle, right) = (corner(i), corner(i + 1), corner(i + 2));
        let weight = |bin: usize| {
            let at = bin as f64 * width;
            let (up, down) = ((at - left) / (middle - left), (right - at) / (right - middle));
            up.min(down).max(0.0)
        };
        let first = libm::ceil(left / width) as usize;
        let last = (libm::floor(right / width) as usize).min(settings.fft / 2);
        let mut weights: Vec<f64> = (first..=last).map(weight).collect();
        let mut first = first.min(settings.fft / 2);
        // A band narrower than the distance of two bins takes the nearest one, or it would always be silent.
        if weights.iter().all(|weight| *weight <= 0.0) {
            first = (libm::round(middle / width) as usize).min(settings.fft / 2);
            weights = vec![1.0];
        }
        Triangle { first, weights }
    };
    (0..settings.mels).map(band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency: f64, amplitude: f64, frames: usize) -> Vec<f32> {
        (0..frames).map(|i| (amplitude * (2.0 * PI * frequency * i as f64 / 44_100.0).sin()) as f32).collect()
    }

    #[test]
    fn a_tone_stands_in_its_band_at_its_level() {
        let settings = MelSettings::default();
        let mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
        for frequency in [440.0, 1_000.0, 5_000.0, 12_000.0] {
            let spectrum = log_mel(&tone(frequency, 1.0, 44_100), &settings);
            let row = spectrum.row(40);
            let loudest = (0..80).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
            let position = (mel(frequency) - mel(40.0)) / (mel(22_050.0) - mel(40.0)) * 81.0 - 1.0;
            assert!((loudest as f64 - position).abs() <= 1.0, "{frequency} Hz in band {loudest}, not {position}");
            // Between half and one and a half of full energy, by where in the triangle it falls.
            assert!((-0.8..=0.5).contains(&row[loudest]), "{frequency} Hz: {}", row[loudest]);
        }
    }

    #[test]
    fn half_the_amplitude_is_a_quarter_of_the_energy() {
        let settings = MelSettings::default();
        let loud = log_mel(&tone(1_000.0, 1.0, 20_000), &settings);
        let soft = log_mel(&tone(1_000.0, 0.5, 20_000), &settings);
        let row = |mel: &Mel| mel.row(20).iter().copied().fold(f32::MIN, f32::max);
        assert!((row(&loud) - row(&soft) - 4.0_f32.ln()).abs() < 1e-4);
    }

    #[test]
    fn rows_and_silence() {
        let settings = MelSettings { hop: 100, ..MelSettings::default() };
        for (samples, frames) in [(0, 0), (1, 1), (100, 1), (101, 2), (1_000, 10)] {
            let mel = log_mel(&vec![0.0; samples], &settings);
            assert_eq!((mel.frames, mel.bands, mel.data.len()), (frames, 80, frames * 80));
            assert!(mel.data.iter().all(|value| (value + 23.025_85).abs() < 1e-4));
        }
    }

    #[test]
    fn distance_is_a_mean_over_common_rows() {
        let mel = |data: Vec<f32>| Mel { frames: data.len() / 2, bands: 2, data };
        let a = mel(vec![0.0, 1.0, 2.0, 3.0]);
        assert_eq!(a.distance(&a), Some(0.0));
        assert_eq!(a.distance(&mel(vec![1.0, 1.0])), Some(0.5));
        assert_eq!(a.distance(&mel(vec![])), None);
        assert_eq!(a.distance(&Mel { frames: 1, bands: 1, data: vec![0.0] }), None);
    }

    #[test]
    fn every_band_hears_something() {
        let impulse: Vec<f32> = (0..4_096).map(|i| if i == 2_048 { 1.0 } else { 0.0 }).collect();
        for (fft, mels) in [(512, 128), (2048, 80), (2048, 256)] {
            let mel = log_mel(&impulse, &MelSettings { fft, mels, ..MelSettings::default() });
            let silent = mel.row(4).iter().filter(|value| **value < -20.0).count();
            assert_eq!(silent, 0, "{fft} {mels}");
        }
    }
}
