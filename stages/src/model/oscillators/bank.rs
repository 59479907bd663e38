//! The bank: sinusoids of fixed pitch that run free, and bands of noise.

use std::f64::consts::TAU;
use std::sync::Arc;

use kernels::cpu::fft::{self, Complex, ComplexToReal};
use kernels::device::Cpu;
use kernels::ops::stft::hann_window;

use super::Matrix;
use crate::metric::mel::mel;
use crate::model::quantise::turned;
use crate::model::random::Random;

/// Samples from one set of amplitudes to the next.
pub(in crate::model) const HOP: usize = 512;
/// Samples that a set of amplitudes is heard in, under a Hann window.
pub(super) const SPAN: usize = 2 * HOP;
/// Bands of noise.
pub(super) const NOISE: usize = 32;
/// The lowest pitch in Hz: the C of 16 foot pipes, of a scale whose A is 440.
const LOWEST: f64 = 32.703_195_662_574_83;
/// No pitch is higher, in Hz.
const HIGHEST: f64 = 8000.0;
/// The seed of the oscillators' first phases and of the noise: the same for every codec.
const SEED: [u8; 32] = [0; 32];

/// The pitches in Hz of a bank with so many to an octave, those far enough below half of the rate.
pub(super) fn pitches(rate: u32, per_octave: usize) -> Vec<f64> {
    let highest = HIGHEST.min(0.45 * f64::from(rate));
    let pitch = |k: usize| LOWEST * libm::exp2(k as f64 / per_octave as f64);
    (0..).map(pitch).take_while(|pitch| *pitch <= highest).collect()
}

/// Oscillators and bands of noise of such a bank.
pub(in crate::model) fn channels(rate: u32, per_octave: usize) -> usize {
    pitches(rate, per_octave).len() + NOISE
}

/// Oscillators and noise, ready to play.
pub(super) struct Bank {
    pub(super) device: Cpu,
    pub(super) rate: f64,
    /// In Hz.
    pub(super) pitches: Vec<f64>,
    /// In turns, where the first set of amplitudes begins to be heard.
    phases: Vec<f64>,
    /// Cosines and sines under the window, `[SPAN, 2 oscillators]`.
    waves: Matrix,
    /// Triangular weights of the bands of noise over the bins of a transform of `SPAN` samples, `[HOP + 1, NOISE]`.
    bands: Matrix,
    /// The root of the window: that of noise, whose powers add.
    root: Vec<f32>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl Bank {
    pub(super) fn new(rate: u32, per_octave: usize) -> Bank {
        let (device, pitches, rate) = (Cpu::new(), pitches(rate, per_octave), f64::from(rate));
        let mut random = Random::new(&SEED, "phases of oscillators", 0);
        let phases = pitches.iter().map(|_| random.uniform()).collect();
        let window = hann_window(SPAN);
        let mut waves = Vec::with_capacity(SPAN * 2 * pitches.len());
        for (t, w) in window.iter().enumerate() {
            let angle = |pitch: &f64| TAU * (pitch / rate * t as f64).fract();
            waves.extend(pitches.iter().map(|pitch| libm::cos(angle(pitch)) as f32 * w));
            waves.extend(pitches.iter().map(|pitch| libm::sin(angle(pitch)) as f32 * w));
        }
        let top = mel(rate / 2.0);
        let mut bands = Vec::with_capacity((HOP + 1) * NOISE);
        for bin in 0..=HOP {
            let at = mel(bin as f64 * rate / SPAN as f64) / top * (NOISE - 1) as f64;
            bands.extend((0..NOISE).map(|band| (1.0 - (at - band as f64).abs()).max(0.0) as f32));
        }
        Bank {
            waves: Matrix::new(&device, 2 * pitches.len(), &waves),
            bands: Matrix::new(&device, NOISE, &bands),
            root: window.iter().map(|w| w.sqrt()).collect(),
            inverse: fft::inverse(SPAN),
            device,
            rate,
            pitches,
            phases,
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.pitches.len() + NOISE
    }

    /// The sound under each set of amplitudes (`[channels, sets]`), of which the first is number `first`: `SPAN` samples for
    /// each set.
    fn sound(&self, first: u64, amplitudes: &[f32]) -> Vec<f32> {
        let (voices, sets) = (self.pitches.len(), amplitudes.len() / self.channels());
        let (tones, noise) = amplitudes.split_at(voices * sets);
        let mut turned_by = vec![0.0; 2 * voices * sets];
        let (cosines, sines) = turned_by.split_at_mut(voices * sets);
        for (k, (pitch, phase)) in self.pitches.iter().zip(&self.phases).enumerate() {
            let a_hop = pitch * HOP as f64 / self.rate;
            for i in k * sets..(k + 1) * sets {
                let amplitude = tones[i];
                if amplitude > 0.0 {
                    let angle = TAU * (a_hop * (first + (i - k * sets) as u64) as f64 + phase).fract();
                    cosines[i] = amplitude * libm::cos(angle) as f32;
                    sines[i] = -amplitude * libm::sin(angle) as f32;
                }
            }
        }
        let mut sound = turned(&self.waves.times(&self.device, &turned_by), SPAN, sets);
        let gains = turned(&self.bands.times(&self.device, noise), HOP + 1, sets);
        let (mut spectrum, mut time) = (self.inverse.make_input_vec(), self.inverse.make_output_vec());
        let mut scratch = self.inverse.make_scratch_vec();
        for (set, (gains, sound)) in gains.chunks_exact(HOP + 1).zip(sound.chunks_exact_mut(SPAN)).enumerate() {
            if gains.iter().all(|gain| *gain == 0.0) {
                continue;
            }
            let mut random = Random::new(&SEED, "phases of noise", first + set as u64);
            for (bin, gain) in spectrum.iter_mut().zip(gains) {
                let (sine, cosine) = libm::sincosf((TAU * random.uniform()) as f32);
                *bin = Complex::new(gain * cosine, gain * sine);
            }
            // These two have no imaginary part.
            (spectrum[0].im, spectrum[HOP].im) = (0.0, 0.0);
            // The only failure is a wrong length, and all buffers come from the plan.
            let done = self.inverse.process_with_scratch(&mut spectrum, &mut time, &mut scratch);
            assert!(done.is_ok(), "noise: {done:?}");
            let scale = 1.0 / (SPAN as f32).sqrt();
            sound.iter_mut().zip(&time).zip(&self.root).for_each(|((s, n), w)| *s += scale * n * w);
        }
        sound
    }
}

/// A bank while it plays: sets of amplitudes in, `HOP` samples for each out.
pub(super) struct Player<'b> {
    bank: &'b Bank,
    /// Sets played.
    played: u64,
    /// What the sets so far give to the samples to come.
    held: Vec<f32>,
}

impl<'b> Player<'b> {
    pub(super) fn new(bank: &'b Bank) -> Player<'b> {
        Player { bank, played: 0, held: vec![0.0; SPAN] }
    }

    /// Plays the sets that follow, `[channels, sets]`. A set is heard around the middle of its samples, so what is `put` lies
    /// half a hop behind.
    pub(super) fn play(&mut self, amplitudes: &[f32], put: &mut dyn FnMut(&[f32])) {
        for sound in self.bank.sound(self.played, amplitudes).chunks_exact(SPAN) {
            self.held.iter_mut().zip(sound).for_each(|(held, s)| *held += s);
            let silent = if self.played == 0 { HOP / 2 } else { 0 };
            put(&self.held[silent..HOP]);
            self.held.copy_within(HOP.., 0);
            self.held[HOP..].fill(0.0);
            self.played += 1;
        }
    }

    /// What the last set still gives.
    pub(super) fn end(self, put: &mut dyn FnMut(&[f32])) {
        if self.played > 0 {
            put(&self.held[..HOP / 2]);
        }
    }
}
