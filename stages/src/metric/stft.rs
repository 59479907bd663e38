//! Magnitudes of the short-time Fourier transform, in 64 bits, for metrics.

use kernels::cpu::fft::{Complex, RealToComplex, forward_double};
use std::{f64::consts::TAU, sync::Arc};

/// Frames of a periodic Hann window, a power of two that is also the length of the transform, every `hop` frames,
/// wholly inside the signal.
pub(super) struct Stft {
    fft: usize,
    hop: usize,
    window: Vec<f64>,
    plan: Arc<dyn RealToComplex<f64>>,
}

impl Stft {
    pub(super) fn new(fft: usize, hop: usize) -> Stft {
        let window = (0..fft).map(|i| 0.5 - 0.5 * libm::cos(TAU * i as f64 / fft as f64)).collect();
        Stft { fft, hop, window, plan: forward_double(fft) }
    }

    /// Spectra of a signal of so many frames; a shorter one than the window is padded to it.
    pub(super) fn spectra(&self, frames: usize) -> usize {
        frames.saturating_sub(self.fft) / self.hop + 1
    }

    /// Gives the magnitudes of every spectrum in turn, `[fft / 2 + 1]`, not scaled: a sine of amplitude 1 at a bin's
    /// center has `fft / 4` there.
    pub(super) fn magnitudes<T: Copy + Into<f64>>(&self, samples: &[T], mut put: impl FnMut(&[f64])) {
        let (mut time, mut bins) = (vec![0.0; self.fft], vec![Complex::default(); self.fft / 2 + 1]);
        let mut scratch = self.plan.make_scratch_vec();
        let mut magnitudes = vec![0.0; bins.len()];
        for i in 0..self.spectra(samples.len()) {
            time.fill(0.0);
            for ((t, w), v) in time.iter_mut().zip(&self.window).zip(&samples[i * self.hop..]) {
                *t = w * (*v).into();
            }
            let done = self.plan.process_with_scratch(&mut time, &mut bins, &mut scratch);
            debug_assert!(done.is_ok(), "buffers have the planned lengths");
            magnitudes.iter_mut().zip(&bins).for_each(|(m, b)| *m = b.norm_sqr().sqrt());
            put(&magnitudes);
        }
    }
}
