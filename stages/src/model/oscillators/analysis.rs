//! Which amplitudes of a bank explain samples.
//!
//! Magnitudes are read at the bank's pitches through a long window, and in mel bands through a short one. What the bank
//! would show there is known: each of its channels was measured alone. So amplitudes that explain the magnitudes are those
//! of a factorisation with a known dictionary (Lee and Seung 2001, the multiplicative rule for the Kullback-Leibler
//! divergence), after which the oscillators get back the attacks that the long window blurs.

use std::sync::Arc;

use kernels::cpu::fft::{self, Complex, RealToComplex};
use kernels::device::Device;
use kernels::ops::stft::hann_window;
use rayon::prelude::*;

use super::Matrix;
use super::bank::{Bank, HOP, NOISE, Player};
use crate::metric::mel::mel;
use crate::model::quantise::turned;

/// Samples of the window that tells pitches apart.
const LONG: usize = 4096;
/// Samples of the window that tells moments apart.
const SHORT: usize = 1024;
/// Mel bands of the short window.
const BANDS: usize = 48;
/// Updates of the amplitudes.
const UPDATES: usize = 12;
/// What an oscillator costs beside what it explains: few are better than many.
const SPARSE: f32 = 0.02;
/// Sets on each side that a set is sharpened by.
pub(super) const AROUND: usize = 4;
/// Samples before the first and after the last that are read for a set.
pub(super) const MARGIN: usize = LONG / 2 - HOP / 2;
/// Sets over which a band of noise is measured.
const MEASURED: usize = 48;

/// A bank, and what its channels look like.
pub(super) struct Analysis {
    pub(super) bank: Bank,
    long: Window,
    short: Window,
    /// Position of each pitch on the frequency axis of the long window: the bin below it, and the distance from there in bins.
    places: Vec<(usize, f32)>,
    /// Triangular weights of each mel band over the bins of the short window: its first bin, and the weights from there on.
    bands: Vec<(usize, Vec<f32>)>,
    /// From amplitudes to magnitudes, and the transposed matrix.
    dictionary: [Matrix; 2],
    /// The sum of each channel's magnitudes, with what it costs.
    weights: Vec<f32>,
    /// The mel band in which each oscillator is heard most.
    nearest: Vec<usize>,
    /// What the long window makes of one set, at the sets around it.
    blur: [f32; 2 * AROUND + 1],
}

/// A windowed transform.
struct Window {
    shape: Vec<f32>,
    /// The magnitude of a sine of amplitude 1 becomes 1.
    scale: f32,
    forward: Arc<dyn RealToComplex<f32>>,
}

impl Window {
    fn new(length: usize) -> Window {
        Window { shape: hann_window(length), scale: 4.0 / length as f32, forward: fft::forward(length) }
    }

    /// Magnitudes of the samples under the window.
    fn magnitudes(&self, samples: &[f32], room: &mut Room) -> Vec<f32> {
        let Room { time, frequencies, scratch } = room;
        time.resize(self.shape.len(), 0.0);
        frequencies.resize(self.shape.len() / 2 + 1, Complex::default());
        scratch.resize(self.forward.get_scratch_len(), Complex::default());
        time.iter_mut().zip(samples).zip(&self.shape).for_each(|((t, s), w)| *t = s * w);
        // The only failure is a wrong length, and all lengths are those of the plan.
        let done = self.forward.process_with_scratch(time, frequencies, scratch);
        assert!(done.is_ok(), "magnitudes: {done:?}");
        frequencies.iter().map(|f| self.scale * (f.re * f.re + f.im * f.im).sqrt()).collect()
    }
}

/// Buffers of a transform.
#[derive(Default)]
struct Room {
    time: Vec<f32>,
    frequencies: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl Analysis {
    pub(super) fn new(bank: Bank) -> Analysis {
        let places = bank.pitches.iter().map(|pitch| {
            let at = pitch * LONG as f64 / bank.rate;
            (at as usize, at.fract() as f32)
        });
        let top = mel(bank.rate / 2.0);
        let step = top / (BANDS + 1) as f64;
        let bands = (0..BANDS).map(|band| {
            let centre = step * (band + 1) as f64;
            let share = |bin: usize| 1.0 - (mel(bin as f64 * bank.rate / SHORT as f64) - centre).abs() / step;
            let first = (0..=SHORT / 2).find(|bin| share(*bin) > 0.0).unwrap_or(0);
            (first, (first..=SHORT / 2).map(share).take_while(|share| *share > 0.0).map(|s| s as f32).collect())
        });
        let mut own = Analysis {
            long: Window::new(LONG),
            short: Window::new(SHORT),
            places: places.collect(),
            bands: bands.collect(),
            dictionary: [1, 1].map(|_| Matrix::new(&bank.device as &dyn Device, 1, &[0.0])),
            weights: Vec::new(),
            nearest: Vec::new(),
            blur: blur(),
            bank,
        };
        own.measure();
        own
    }

    /// Plays every channel alone.
    fn measure(&mut self) {
        let (voices, seen) = (self.bank.pitches.len(), self.bank.pitches.len() + BANDS);
        let channels: Vec<usize> = (0..self.bank.channels()).collect();
        let alone = |channel: &usize| {
            let noise = *channel >= voices;
            let sets = if noise { MEASURED } else { 1 };
            let all = sets + 2 * (AROUND + 1);
            let mut amplitudes = vec![0.0; self.bank.channels() * all];
            amplitudes[channel * all..][..all].fill(1.0);
            let (mut samples, mut player) = (Vec::new(), Player::new(&self.bank));
            player.play(&amplitudes, &mut |more| samples.extend_from_slice(more));
            let first = (AROUND + 1) * HOP - MARGIN;
            let found = self.magnitudes(&samples[first..][..(sets - 1) * HOP + LONG], sets);
            let rms = |powers: &[f32]| (powers.iter().map(|m| m * m).sum::<f32>() / sets as f32).sqrt();
            found.chunks_exact(sets).map(rms).collect::<Vec<f32>>()
        };
        let rows: Vec<Vec<f32>> = channels.par_iter().map(alone).collect();
        let loudest = |row: &Vec<f32>| {
            let bands = row[voices..].iter().enumerate();
            bands.fold((0, f32::MIN), |most, (band, m)| if *m > most.1 { (band, *m) } else { most }).0
        };
        self.nearest = rows[..voices].iter().map(loudest).collect();
        let cost = |channel: usize| if channel < voices { 1.0 + SPARSE } else { 1.0 };
        self.weights = rows.iter().enumerate().map(|(c, row)| cost(c) * row.iter().sum::<f32>()).collect();
        let back = rows.concat();
        let device: &dyn Device = &self.bank.device;
        self.dictionary =
            [Matrix::new(device, rows.len(), &turned(&back, rows.len(), seen)), Matrix::new(device, seen, &back)];
    }

    /// Magnitudes at the pitches, then in the mel bands, `[pitches + BANDS, sets]`. Of the samples, `MARGIN` lie before the
    /// first set and after the last.
    fn magnitudes(&self, samples: &[f32], sets: usize) -> Vec<f32> {
        let seen = self.places.len() + BANDS;
        let mut rows = vec![0.0; seen * sets];
        rows.par_chunks_mut(seen).enumerate().for_each_init(Room::default, |room, (set, row)| {
            let samples = &samples[set * HOP..][..LONG];
            let (tones, bands) = row.split_at_mut(self.places.len());
            let magnitudes = self.long.magnitudes(samples, room);
            for (tone, (bin, beyond)) in tones.iter_mut().zip(&self.places) {
                *tone = magnitudes[*bin] * (1.0 - beyond) + magnitudes[bin + 1] * beyond;
            }
            let magnitudes = self.short.magnitudes(&samples[(LONG - SHORT) / 2..], room);
            for (band, (first, shares)) in bands.iter_mut().zip(&self.bands) {
                let powers = magnitudes[*first..].iter().zip(shares).map(|(m, share)| share * m * m);
                *band = powers.sum::<f32>().sqrt();
            }
        });
        turned(&rows, sets, seen)
    }

    /// The amplitudes, `[channels, sets]`, of the sets that `samples` hold, but for [`AROUND`] on each side that sharpen them,
    /// and with [`MARGIN`] samples before the first and after the last of all.
    pub(super) fn explain(&self, samples: &[f32]) -> Vec<f32> {
        let all = (samples.len() - LONG) / HOP + 1;
        let (voices, sets) = (self.places.len(), all - 2 * AROUND);
        let magnitudes = self.magnitudes(samples, all);
        let rows = magnitudes.chunks_exact(all);
        let seen: Vec<f32> = rows.flat_map(|row| &row[AROUND..all - AROUND]).copied().collect();
        let (tones, bands) = seen.split_at(voices * sets);
        let mut amplitudes: Vec<f32> = tones.iter().map(|m| 0.3 * m).collect();
        let loudest = self.weights[voices..].iter().copied().fold(0.0, f32::max).max(1e-6);
        let mean = |set: usize| {
            let bands = bands[set..].iter().step_by(sets);
            0.3 * bands.sum::<f32>() / loudest
        };
        let means: Vec<f32> = (0..sets).map(mean).collect();
        for _ in 0..NOISE {
            amplitudes.extend_from_slice(&means);
        }
        let [forward, back] = &self.dictionary;
        let device: &dyn Device = &self.bank.device;
        for _ in 0..UPDATES {
            let mut ratios = forward.times(device, &amplitudes);
            ratios.iter_mut().zip(&seen).for_each(|(expected, seen)| *expected = seen / (*expected + 1e-7));
            let gains = back.times(device, &ratios);
            let rows = amplitudes.chunks_exact_mut(sets).zip(gains.chunks_exact(sets)).zip(&self.weights);
            for ((row, gains), weight) in rows {
                row.iter_mut().zip(gains).for_each(|(a, gain)| *a *= gain / weight);
            }
        }
        self.sharpen(&mut amplitudes[..voices * sets], &magnitudes[voices * all..]);
        amplitudes
    }

    /// Gives oscillators the course of the short window's magnitudes where they sound.
    fn sharpen(&self, tones: &mut [f32], bands: &[f32]) {
        let sets = tones.len() / self.places.len();
        let course = |around: &[f32]| {
            let blurred: f32 = around.iter().zip(&self.blur).map(|(m, share)| m * share).sum();
            (around[AROUND] / (blurred + 1e-6)).clamp(0.0, 1.3)
        };
        let of = |band: &[f32]| band.windows(self.blur.len()).map(course).collect();
        let courses: Vec<Vec<f32>> = bands.chunks_exact(sets + 2 * AROUND).map(of).collect();
        for (tone, band) in tones.chunks_exact_mut(sets).zip(&self.nearest) {
            tone.iter_mut().zip(&courses[*band]).for_each(|(a, course)| *a *= course);
        }
    }
}

/// The share of a set's sound that the long window takes at each of the sets around it.
fn blur() -> [f32; 2 * AROUND + 1] {
    let half = LONG as f64 / 2.0;
    let share = |i: usize| {
        let centre = (i as f64 - AROUND as f64) * HOP as f64;
        let at = |t: f64| {
            let window = 0.5 + 0.5 * libm::cos(std::f64::consts::PI * t / half);
            (1.0 - (centre - t).abs() / HOP as f64).max(0.0) * window
        };
        (-(LONG as i64) / 2..=LONG as i64 / 2).map(|t| at(t as f64)).sum::<f64>()
    };
    let shares: [f64; 2 * AROUND + 1] = std::array::from_fn(share);
    let all: f64 = shares.iter().sum();
    shares.map(|s| (s / all) as f32)
}
