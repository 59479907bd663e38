//! What reconstruction costs: waveform and spectral distance, with their gradients.
//!
//! The spectral distance is the multi-resolution one of Jukebox (Dhariwal et al. 2020, after Yamamoto et al. 2020): per
//! item the Frobenius norm of the difference of linear STFT magnitudes, averaged over three resolutions.
use std::f64::consts::TAU;
use std::sync::Arc;

use rayon::prelude::*;
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// FFT length, hop and Hann window length of each resolution.
const RESOLUTIONS: [(usize, usize, usize); 3] = [(2048, 240, 1200), (1024, 120, 600), (512, 50, 240)];

struct Resolution {
    hop: usize,
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

/// Plans for the transforms of the spectral distance.
pub(crate) struct Spectral {
    resolutions: Vec<Resolution>,
}

/// Averages over the data by which losses are divided, so that they mean the same on loud and on quiet corpora.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bandwidth {
    /// Mean square of the samples.
    pub(crate) power: f64,
    /// Mean of [`Spectral::norm`].
    pub(crate) spectral: f64,
}

/// The losses of a batch, divided by the bandwidths, and the gradient of their weighted sum.
pub(crate) struct Loss {
    pub(crate) reconstruction: f64,
    pub(crate) spectral: f64,
    /// With respect to the output, `[batch, time]`.
    pub(crate) gradient: Vec<f32>,
}

/// One spectrum for each frame of the window, one after the other.
struct Spectra {
    bins: Vec<Complex<f32>>,
    frames: usize,
}

impl Resolution {
    fn frames(&self, length: usize) -> usize {
        if length < self.window.len() {
            return 0;
        }
        (length - self.window.len()) / self.hop + 1
    }

    fn spectra(&self, x: &[f32]) -> Spectra {
        let size = self.forward.len();
        let each = size / 2 + 1;
        let frames = self.frames(x.len());
        let mut bins = vec![Complex::default(); frames * each];
        let (mut time, mut scratch) = (vec![0.0; size], self.forward.make_scratch_vec());
        for (frame, out) in bins.chunks_exact_mut(each).enumerate() {
            let at = &x[frame * self.hop..];
            time[self.window.len()..].fill(0.0);
            for ((t, w), v) in time.iter_mut().zip(&self.window).zip(at) {
                *t = w * v;
            }
            let done = self.forward.process_with_scratch(&mut time, out, &mut scratch);
            debug_assert!(done.is_ok(), "buffers have the planned lengths");
        }
        Spectra { bins, frames }
    }

    /// The norm of the difference of magnitudes, and its gradient with respect to `y` times `scale` added to `gradient`.
    fn distance(&self, x: &[f32], y: &[f32], scale: f64, gradient: &mut [f32]) -> f64 {
        let (x, mut y) = (self.spectra(x), self.spectra(y));
        let mut sum = 0.0;
        for (a, b) in x.bins.iter().zip(&y.bins) {
            let d = f64::from(b.norm() - a.norm());
            sum += d * d;
        }
        let norm = sum.sqrt();
        if norm == 0.0 || y.frames == 0 {
            return norm;
        }
        let scale = (scale / norm) as f32;
        for (a, b) in x.bins.iter().zip(&mut y.bins) {
            let size = b.norm();
            // A magnitude of zero has no direction; any subgradient will do.
            *b = if size > 1e-12 { *b * (scale * (size - a.norm()) / size) } else { Complex::default() };
        }
        let size = self.inverse.len();
        let each = size / 2 + 1;
        let (mut time, mut scratch) = (vec![0.0; size], self.inverse.make_scratch_vec());
        for (frame, bins) in y.bins.chunks_exact_mut(each).enumerate() {
            // The inverse counts every bin but the first and last twice; the adjoint of the transform counts them once.
            for b in &mut bins[1..each - 1] {
                *b *= 0.5;
            }
            (bins[0].im, bins[each - 1].im) = (0.0, 0.0);
            let done = self.inverse.process_with_scratch(bins, &mut time, &mut scratch);
            debug_assert!(done.is_ok(), "buffers have the planned lengths");
            for ((g, w), t) in gradient[frame * self.hop..].iter_mut().zip(&self.window).zip(&time) {
                *g += w * t;
            }
        }
        norm
    }
}

impl Spectral {
    pub(crate) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let resolutions = RESOLUTIONS
            .iter()
            .map(|&(size, hop, length)| Resolution {
                hop,
                window: (0..length)
                    .map(|i| (0.5 - 0.5 * libm::cos(TAU * i as f64 / length as f64)) as f32)
                    .collect(),
                forward: planner.plan_fft_forward(size),
                inverse: planner.plan_fft_inverse(size),
            })
            .collect();
        Self { resolutions }
    }

    /// Mean over the resolutions of the Frobenius norm of the magnitudes of `x`.
    pub(crate) fn norm(&self, x: &[f32]) -> f64 {
        let norm = |r: &Resolution| {
            let spectra = r.spectra(x);
            spectra.bins.iter().map(|b| f64::from(b.norm_sqr())).sum::<f64>().sqrt()
        };
        self.resolutions.iter().map(norm).sum::<f64>() / self.resolutions.len() as f64
    }

    /// The losses between `x` and `y`, each `[batch, length]`, and the gradient of `reconstruction + weight * spectral`.
    pub(crate) fn loss(&self, x: &[f32], y: &[f32], length: usize, weight: f64, bandwidth: Bandwidth) -> Loss {
        let items = (x.len() / length).max(1) as f64;
        let per_sample = 1.0 / (bandwidth.power * x.len() as f64);
        let per_norm = 1.0 / (bandwidth.spectral * items * self.resolutions.len() as f64);
        let mut gradient = vec![0.0; x.len()];
        let losses: Vec<(f64, f64)> = x
            .par_chunks(length)
            .zip(y.par_chunks(length))
            .zip(gradient.par_chunks_mut(length))
            .map(|((x, y), gradient)| {
                let mut square = 0.0;
                for ((a, b), g) in x.iter().zip(y).zip(gradient.iter_mut()) {
                    let d = f64::from(b - a);
                    square += d * d;
                    *g = (2.0 * d * per_sample) as f32;
                }
                let mut norm = 0.0;
                if weight > 0.0 {
                    for r in &self.resolutions {
                        norm += r.distance(x, y, weight * per_norm, gradient);
                    }
                }
                (square * per_sample, norm * per_norm)
            })
            .collect();
        Loss {
            reconstruction: losses.iter().map(|l| l.0).sum(),
            spectral: losses.iter().map(|l| l.1).sum(),
            gradient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_is_that_of_finite_differences() {
        let spectral = Spectral::new();
        let wave = |f: f64, n: usize| -> Vec<f32> { (0..n).map(|i| libm::sin(f * i as f64 * i as f64) as f32).collect() };
        let (x, y) = (wave(1e-5, 4096), wave(2.3e-5, 4096));
        let bandwidth = Bandwidth {
            power: 0.3,
            spectral: 20.0,
        };
        let total = |y: &[f32]| {
            let l = spectral.loss(&x, y, 2048, 0.7, bandwidth);
            l.reconstruction + 0.7 * l.spectral
        };
        let gradient = spectral.loss(&x, &y, 2048, 0.7, bandwidth).gradient;
        for at in [3, 700, 1500, 2047, 2048, 3000] {
            let step = 1e-2;
            let (mut more, mut less) = (y.clone(), y.clone());
            more[at] += step;
            less[at] -= step;
            let expected = (total(&more) - total(&less)) / (2.0 * f64::from(step));
            let found = f64::from(gradient[at]);
            assert!((found - expected).abs() < 2e-3 * expected.abs() + 2e-6, "{at}: {found} {expected}");
        }
    }

    #[test]
    fn equal_signals_cost_nothing() {
        let x: Vec<f32> = (0..2000).map(|i| libm::sinf(i as f32)).collect();
        let bandwidth = Bandwidth {
            power: 1.0,
            spectral: 1.0,
        };
        let loss = Spectral::new().loss(&x, &x, 2000, 1.0, bandwidth);
        assert_eq!((loss.reconstruction, loss.spectral), (0.0, 0.0));
        assert!(loss.gradient.iter().all(|g| *g == 0.0));
    }
}
