//! The short-time Fourier transform and its adjoint.
//!
//! PyTorch's `stft(center = True, pad_mode = "reflect")`, unnormalised: frame `t` is centred on sample `t * hop`, the
//! window lies in the middle of the transform, and what lies beyond the ends is mirrored at them.
//!
//! The complex spectrum is linear in the signal, so its gradient is its adjoint and the other way round.

mod spectrum;

use std::sync::Arc;

use rayon::prelude::*;

use crate::cpu::fft::{self, Complex, ComplexToReal, RealToComplex};

pub use spectrum::Spectrum;

/// Transforms of one unit of work.
const CHUNK: usize = 16;

/// The setting of a transform: size, hop, and the window padded to the size.
#[derive(Clone)]
pub struct Stft {
    fft: usize,
    hop: usize,
    window: Arc<[f32]>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl core::fmt::Debug for Stft {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Stft {{ fft: {}, hop: {} }}", self.fft, self.hop)
    }
}

/// The Hann window of `n` samples, periodic as PyTorch's: `0.5 - 0.5 cos(2 pi i / n)`, computed in f64 by `libm`.
pub fn hann_window(n: usize) -> Vec<f32> {
    (0..n).map(|i| (0.5 - 0.5 * libm::cos(core::f64::consts::TAU * i as f64 / n as f64)) as f32).collect()
}

impl Stft {
    /// A transform of `fft` samples every `hop`; a window shorter than `fft` is centred in it.
    ///
    /// # Panics
    /// If `fft` is odd or 0, `hop` is 0, or the window is longer than `fft`.
    pub fn new(fft: usize, hop: usize, window: &[f32]) -> Self {
        assert!(fft > 0 && fft.is_multiple_of(2) && hop > 0, "stft: size {fft} must be even and hop {hop} positive");
        assert!(window.len() <= fft, "stft: window of {} in a transform of {fft}", window.len());
        let mut padded = vec![0.0; fft];
        padded[(fft - window.len()) / 2..][..window.len()].copy_from_slice(window);
        Self { fft, hop, window: padded.into(), forward: fft::forward(fft), inverse: fft::inverse(fft) }
    }

    /// Samples of a transform.
    pub fn fft(&self) -> usize {
        self.fft
    }

    /// Samples from a transform to the next.
    pub fn hop(&self) -> usize {
        self.hop
    }

    /// Frequencies of a spectrum.
    pub fn bins(&self) -> usize {
        self.fft / 2 + 1
    }

    /// Transforms over a signal of `frames` samples.
    pub fn times(&self, frames: usize) -> usize {
        frames / self.hop + 1
    }

    /// The sample that padded position `p` mirrors.
    fn source(&self, p: usize, frames: usize) -> usize {
        let i = (p as isize - (self.fft / 2) as isize).unsigned_abs();
        if i < frames { i } else { 2 * (frames - 1) - i }
    }

    fn check(&self, frames: usize) {
        assert!(frames > self.fft / 2, "stft: {frames} samples cannot be mirrored by {}", self.fft / 2);
    }

    /// Spectra `[batch, times, 2, bins]` (real parts, then imaginary) of x `[batch, frames]`.
    ///
    /// # Panics
    /// If x is not longer than half a transform.
    pub fn spectra(&self, x: &[f32], frames: usize) -> Vec<f32> {
        self.check(frames);
        let (times, bins) = (self.times(frames), self.bins());
        let mut out = vec![0.0; x.len() / frames * times * 2 * bins];
        let items = out.chunks_mut(times * 2 * bins).zip(x.chunks(frames));
        let chunks: Vec<_> = items
            .flat_map(|(out, x)| out.chunks_mut(CHUNK * 2 * bins).enumerate().map(move |(i, out)| (i * CHUNK, out, x)))
            .collect();
        chunks.into_par_iter().for_each(|(first, out, x)| {
            let (mut time, mut freq) = (self.forward.make_input_vec(), self.forward.make_output_vec());
            let mut scratch = self.forward.make_scratch_vec();
            for (t, out) in out.chunks_mut(2 * bins).enumerate() {
                let start = (first + t) * self.hop;
                let inside = (start >= self.fft / 2).then(|| x.get(start - self.fft / 2..)?.get(..self.fft)).flatten();
                match inside {
                    Some(x) => time.iter_mut().zip(x).zip(&*self.window).for_each(|((o, x), w)| *o = x * w),
                    None => {
                        for n in 0..self.fft {
                            time[n] = x[self.source(start + n, frames)] * self.window[n];
                        }
                    }
                }
                self.transform(&mut time, &mut freq, &mut scratch);
                let (re, im) = out.split_at_mut(bins);
                for (k, v) in freq.iter().enumerate() {
                    (re[k], im[k]) = (v.re, v.im);
                }
            }
        });
        out
    }

    fn transform(&self, time: &mut [f32], freq: &mut [Complex<f32>], scratch: &mut [Complex<f32>]) {
        // the only failure is a wrong length, and all buffers come from the plan
        let done = self.forward.process_with_scratch(time, freq, scratch);
        assert!(done.is_ok(), "stft: {done:?}");
    }

    /// The adjoint of [`Stft::spectra`]: x `[batch, frames]` from g `[batch, times, 2, bins]`. Chunks of transforms are added
    /// in order.
    ///
    /// # Panics
    /// As for [`Stft::spectra`].
    pub fn adjoint(&self, g: &[f32], frames: usize) -> Vec<f32> {
        self.check(frames);
        let (times, bins) = (self.times(frames), self.bins());
        let chunks: Vec<Vec<f32>> = g
            .chunks(times * 2 * bins)
            .flat_map(|g| g.chunks(CHUNK * 2 * bins))
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|g| {
                let (mut freq, mut time) = (self.inverse.make_input_vec(), self.inverse.make_output_vec());
                let mut scratch = self.inverse.make_scratch_vec();
                let mut sum = vec![0.0; (g.len() / (2 * bins) - 1) * self.hop + self.fft];
                for (t, g) in g.chunks(2 * bins).enumerate() {
                    let (re, im) = g.split_at(bins);
                    // the inverse counts every bin twice but the first and the last, whose imaginary part is no output
                    for k in 0..bins {
                        freq[k] = Complex::new(0.5 * re[k], 0.5 * im[k]);
                    }
                    freq[0] = Complex::new(re[0], 0.0);
                    freq[bins - 1] = Complex::new(re[bins - 1], 0.0);
                    let done = self.inverse.process_with_scratch(&mut freq, &mut time, &mut scratch);
                    assert!(done.is_ok(), "stft: {done:?}");
                    for ((s, v), w) in sum[t * self.hop..].iter_mut().zip(&time).zip(&*self.window) {
                        *s += v * w;
                    }
                }
                sum
            })
            .collect();
        let mut out = vec![0.0; g.len() / (times * 2 * bins) * frames];
        let per_item = times.div_ceil(CHUNK);
        for (x, chunks) in out.chunks_mut(frames).zip(chunks.chunks(per_item)) {
            for (i, sum) in chunks.iter().enumerate() {
                let start = i * CHUNK * self.hop;
                for (n, v) in sum.iter().enumerate() {
                    x[self.source(start + n, frames)] += v;
                }
            }
        }
        out
    }
}
