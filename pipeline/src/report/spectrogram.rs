//! Log-mel spectrograms as pictures.
//!
//! Hann windows of at least 40 ms, padded with zeros to twice their length, on as many centers as the picture has
//! columns; triangular filters on O'Shaughnessy's mel scale (2595 log10(1 + f / 700)) with unit sum, one per row of
//! the picture; decibels. Colors are magma (van der Walt and Smith), by the degree-six fit of Zucker.

use kernels::cpu::fft;

/// Columns of a picture.
pub const WIDTH: usize = 600;
/// Rows of a picture, one mel band each.
pub const HEIGHT: usize = 160;
/// Range of levels that a picture shows, from its brightest level down, in dB.
pub const RANGE_DB: f32 = 80.0;
/// Highest frequency shown, in Hz, where the rate allows it.
const TOP_HZ: f64 = 20_000.0;
const LOWEST_HZ: f64 = 30.0;
/// Power below which everything is silence: -120 dB.
const SILENCE: f64 = 1e-12;

/// A log-mel spectrogram of [`WIDTH`] frames and [`HEIGHT`] bands.
#[derive(Clone, Debug, PartialEq)]
pub struct LogMel {
    /// Power in dB, `[WIDTH][HEIGHT]`, lowest band first.
    values: Vec<f32>,
    lowest_mel: f64,
    top_mel: f64,
}

/// The log-mel spectrogram of mono `samples` at `rate` per second. Samples that are not finite count as silence, and
/// so does everything where `rate` or `samples` is empty.
#[must_use]
pub fn log_mel(samples: &[f32], rate: u32) -> LogMel {
    let nyquist = (f64::from(rate) / 2.0).max(2.0);
    let lowest_mel = mel(LOWEST_HZ.min(nyquist / 8.0));
    let top_mel = mel(TOP_HZ.min(nyquist));
    let silent = libm::log10(SILENCE) as f32 * 10.0;
    let mut values = vec![silent; WIDTH * HEIGHT];

    // A rate from a damaged header must not size a buffer.
    let window_len = (rate.clamp(1_000, 400_000) as usize / 25).next_power_of_two();
    let fft = fft::forward(2 * window_len);
    let window: Vec<f32> = (0..window_len)
        .map(|i| {
            let phase = 2.0 * std::f64::consts::PI * (i as f64 + 0.5) / window_len as f64;
            (0.5 - 0.5 * libm::cos(phase)) as f32
        })
        .collect();
    let gain: f64 = window.iter().map(|&w| f64::from(w)).sum::<f64>() / 2.0;
    let filters = filters(lowest_mel, top_mel, f64::from(rate.max(1)) / (2 * window_len) as f64, window_len + 1);
    let mut frame = fft.make_input_vec();
    let mut spectrum = fft.make_output_vec();
    let mut scratch = fft.make_scratch_vec();

    for (column, out) in values.chunks_exact_mut(HEIGHT).enumerate() {
        let center = (2 * column + 1) * samples.len() / (2 * WIDTH);
        frame.fill(0.0);
        for (i, &w) in window.iter().enumerate() {
            let sample = mirrored(samples, center as i64 + i as i64 - (window_len / 2) as i64);
            frame[i] = sample.filter(|s| s.is_finite()).unwrap_or(0.0) * w;
        }
        // Fails only for buffers of another length than the plan's own.
        if fft.process_with_scratch(&mut frame, &mut spectrum, &mut scratch).is_err() {
            continue;
        }
        for (value, (first, weights)) in out.iter_mut().zip(&filters) {
            let power: f64 =
                weights.iter().zip(&spectrum[*first..]).map(|(w, bin)| w * f64::from(bin.norm_sqr())).sum();
            *value = (10.0 * libm::log10((power / (gain * gain)).max(SILENCE))) as f32;
        }
    }
    LogMel { values, lowest_mel, top_mel }
}

impl LogMel {
    /// The strongest level, in dB.
    #[must_use]
    pub fn peak_db(&self) -> f32 {
        self.values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }

    /// Height of a frequency in the picture: 0 at its foot, 1 at its top. `None` outside.
    #[must_use]
    pub fn position(&self, hz: f64) -> Option<f64> {
        let at = (mel(hz) - self.lowest_mel) / (self.top_mel - self.lowest_mel);
        (0.0..=1.0).contains(&at).then_some(at)
    }

    /// The picture as a PNG file, low frequencies at its foot, `brightest_db` and above in the brightest color.
    /// Pictures that are to be compared take the same `brightest_db`.
    ///
    /// # Errors
    /// As the encoder's; writing to memory gives none.
    pub fn png(&self, brightest_db: f32) -> Result<Vec<u8>, png::EncodingError> {
        let mut pixels = vec![0u8; WIDTH * HEIGHT];
        for (y, row) in pixels.chunks_exact_mut(WIDTH).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                let level = (self.values[x * HEIGHT + HEIGHT - 1 - y] - brightest_db) / RANGE_DB + 1.0;
                *pixel = (level.clamp(0.0, 1.0) * 255.0).round() as u8;
            }
        }
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, WIDTH as u32, HEIGHT as u32);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette((0..=255u8).flat_map(|i| color(f64::from(i) / 255.0)).collect::<Vec<u8>>());
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(file)
    }
}

/// The color of a level of 0 to 1, as red, green and blue.
#[must_use]
pub fn color(level: f64) -> [u8; 3] {
    const FIT: [[f64; 3]; 7] = [
        [-0.002136485053939582, -0.000749655052795221, -0.005386127855323933],
        [0.2516605407371642, 0.6775232436837668, 2.494026599312351],
        [8.353717279216625, -3.577719514958484, 0.3144679030132573],
        [-27.66873308576866, 14.26473078096533, -13.64921318813922],
        [52.17613981234068, -27.94360607168351, 12.94416944238394],
        [-50.76852536473588, 29.04658282127291, 4.23415299384598],
        [18.65570506591883, -11.48977351997711, -5.601961508734096],
    ];
    let level = level.clamp(0.0, 1.0);
    std::array::from_fn(|channel| {
        let value = FIT.iter().rev().fold(0.0, |sum, term| sum * level + term[channel]);
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    })
}

/// The sample at a place, mirrored once at either end, so that the ends of an excerpt do not look like clicks.
fn mirrored(samples: &[f32], at: i64) -> Option<f32> {
    let last = samples.len() as i64 - 1;
    let at = if at < 0 { -at } else { at };
    let at = if at > last { 2 * last - at } else { at };
    usize::try_from(at).ok().and_then(|at| samples.get(at).copied())
}

fn mel(hz: f64) -> f64 {
    2595.0 * libm::log10(1.0 + hz / 700.0)
}

fn hertz(mel: f64) -> f64 {
    700.0 * (libm::pow(10.0, mel / 2595.0) - 1.0)
}

/// One triangle per band, as its first bin and its weights, which add up to one. A triangle that lies between two
/// bins takes the nearer.
fn filters(lowest_mel: f64, top_mel: f64, bin_hz: f64, bins: usize) -> Vec<(usize, Vec<f64>)> {
    let step = (top_mel - lowest_mel) / (HEIGHT + 1) as f64;
    (0..HEIGHT)
        .map(|band| {
            let edge = |k: usize| hertz(lowest_mel + step * (band + k) as f64) / bin_hz;
            let (low, center, high) = (edge(0), edge(1), edge(2));
            let first = (low.ceil() as usize).min(bins - 1);
            let last = (high.floor() as usize).clamp(first, bins - 1);
            let weight = |bin: usize| {
                let bin = bin as f64;
                let slope = if bin <= center { (bin - low) / (center - low) } else { (high - bin) / (high - center) };
                slope.max(0.0)
            };
            let weights: Vec<f64> = (first..=last).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            if sum > 0.0 {
                (first, weights.iter().map(|w| w / sum).collect())
            } else {
                ((center.round() as usize).min(bins - 1), vec![1.0])
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, rate: u32, seconds: f64) -> Vec<f32> {
        let frames = (seconds * f64::from(rate)) as usize;
        (0..frames).map(|i| libm::sin(2.0 * std::f64::consts::PI * hz * i as f64 / f64::from(rate)) as f32).collect()
    }

    #[test]
    fn a_tone_lies_in_its_band_at_every_rate() {
        for rate in [8_000, 22_050, 44_100, 96_000] {
            for hz in [110.0, 440.0, 3_000.0] {
                let picture = log_mel(&tone(hz, rate, 1.0), rate);
                let column = &picture.values[WIDTH / 2 * HEIGHT..][..HEIGHT];
                let loudest = (0..HEIGHT).max_by(|&a, &b| column[a].total_cmp(&column[b])).expect("bands");
                let expected = picture.position(hz).expect("inside") * (HEIGHT + 1) as f64 - 1.0;
                assert!((loudest as f64 - expected).abs() <= 1.5, "{rate} {hz}: {loudest} against {expected}");
            }
        }
    }

    #[test]
    fn a_tone_of_full_scale_peaks_near_zero_and_silence_at_the_floor() {
        let peak = log_mel(&tone(1_000.0, 44_100, 1.0), 44_100).peak_db();
        assert!((-6.0..=0.5).contains(&peak), "{peak}");
        assert_eq!(log_mel(&[0.0; 1000], 44_100).peak_db(), -120.0);
        assert_eq!(log_mel(&[], 0).peak_db(), -120.0);
        assert_eq!(log_mel(&[f32::NAN; 1000], 44_100).peak_db(), -120.0);
    }

    #[test]
    fn the_picture_is_a_png_of_the_stated_size_with_low_notes_at_its_foot() {
        let picture = log_mel(&tone(220.0, 44_100, 1.0), 44_100);
        let file = picture.png(picture.peak_db()).expect("memory takes everything");
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().expect("a header");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("pixels");
        assert_eq!((info.width as usize, info.height as usize), (WIDTH, HEIGHT));
        let row = |y: usize| -> u64 { pixels[y * WIDTH..][..WIDTH].iter().map(|&p| u64::from(p)).sum() };
        let brightest = (0..HEIGHT).max_by_key(|&y| row(y)).expect("rows");
        assert!(brightest > HEIGHT * 3 / 4, "row {brightest}");
    }

    #[test]
    fn brighter_means_louder_for_readers_without_color_too() {
        let light = |level: f64| {
            let [r, g, b] = color(level).map(f64::from);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        for i in 1..=64 {
            assert!(light(f64::from(i) / 64.0) > light(f64::from(i - 1) / 64.0) - 0.5, "{i}");
        }
        assert!(light(0.0) < 3.0 && light(1.0) > 230.0);
    }
}
