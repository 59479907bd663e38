//! What reconstruction costs: waveform and spectral distance, with their gradients.
//!
//! The spectral distance is the multi-resolution one of Jukebox (Dhariwal et al. 2020, after Yamamoto et al. 2020): per
//! item the Frobenius norm of the difference of linear STFT magnitudes, averaged over three resolutions.
use kernels::ops::stft::{Stft, hann_window};
use rayon::prelude::*;

/// FFT length, hop and Hann window length of each resolution.
const RESOLUTIONS: [(usize, usize, usize); 3] = [(2048, 240, 1200), (1024, 120, 600), (512, 50, 240)];

/// Plans for the transforms of the spectral distance.
pub(crate) struct Spectral {
    /// Each with the magnitude of a full-scale sine in it, times [`FLOOR`].
    resolutions: Vec<(Stft, f32)>,
}

/// Numbers of the largest spectrum of a signal of `length`.
pub(super) fn floats(length: usize) -> u64 {
    let of = |&(size, hop, _): &(usize, usize, usize)| ((length / hop + 1) * (size + 2)) as u64;
    RESOLUTIONS.iter().map(of).max().unwrap_or(0)
}

/// Averages over the data by which losses are divided, so that they mean the same on loud and on quiet corpora.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bandwidth {
    /// Mean square of the samples.
    pub(crate) power: f64,
    /// Mean of [`Spectral::norm`].
    pub(crate) spectral: f64,
}

/// Magnitudes of logarithms below this share of a full-scale sine's count as this: 60 dB, as in the log-mel metric.
const FLOOR: f64 = 1e-3;

/// Weights of the spectral losses beside the waveform's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mix {
    /// Weight of the norm of the difference of magnitudes.
    pub(crate) spectral: f64,
    /// Weight of the mean absolute difference of their logarithms (after Engel et al. 2020, DDSP).
    pub(crate) log_spectral: f64,
}

/// The losses of a batch, divided by the bandwidths, and the gradient of their weighted sum.
pub(crate) struct Loss {
    pub(crate) reconstruction: f64,
    pub(crate) spectral: f64,
    /// In natural-logarithm units; it has no bandwidth.
    pub(crate) log_spectral: f64,
    /// With respect to the output, `[batch, time]`.
    pub(crate) gradient: Vec<f32>,
}

fn magnitude(re: f32, im: f32) -> f32 {
    (re * re + im * im).sqrt()
}

/// For one item the norm of the difference of magnitudes, and the mean absolute difference of their logarithms above
/// `floor` where `weights` asks for it; `y` becomes the gradient of their sum with these weights.
fn distance(x: &[f32], y: &mut [f32], bins: usize, weights: Mix, floor: f32) -> [f64; 2] {
    let mut sum = 0.0;
    for (x, y) in x.chunks_exact(2 * bins).zip(y.chunks_exact(2 * bins)) {
        for k in 0..bins {
            let d = f64::from(magnitude(y[k], y[bins + k]) - magnitude(x[k], x[bins + k]));
            sum += d * d;
        }
    }
    let norm = sum.sqrt();
    let scale = if norm > 0.0 { (weights.spectral / norm) as f32 } else { 0.0 };
    let each = 2.0 / x.len() as f64;
    let step = (weights.log_spectral * each) as f32;
    let (floor_log, mut logs) = (libm::logf(floor), 0.0);
    for (x, y) in x.chunks_exact(2 * bins).zip(y.chunks_exact_mut(2 * bins)) {
        for k in 0..bins {
            let (a, b) = (magnitude(x[k], x[bins + k]), magnitude(y[k], y[bins + k]));
            // A magnitude of zero has no direction; any subgradient will do.
            let mut factor = if b > 1e-12 { scale * (1.0 - a / b) } else { 0.0 };
            if weights.log_spectral > 0.0 {
                let log = |m: f32| if m > floor { libm::logf(m) } else { floor_log };
                let d = log(b) - log(a);
                logs += f64::from(d.abs());
                if b > floor && d != 0.0 {
                    factor += step.copysign(d) / (b * b);
                }
            }
            y[k] *= factor;
            y[bins + k] *= factor;
        }
    }
    [norm, logs * each]
}

impl Spectral {
    pub(crate) fn new() -> Self {
        let plan = |&(size, hop, window): &(usize, usize, usize)| {
            // A sine's peak is half the sum of the window, which is half its length.
            (Stft::new(size, hop, &hann_window(window)), (FLOOR * window as f64 / 4.0) as f32)
        };
        Self { resolutions: RESOLUTIONS.iter().map(plan).collect() }
    }

    /// The resolutions that signals of `length` are long enough for.
    fn usable(&self, length: usize) -> impl Iterator<Item = &(Stft, f32)> {
        self.resolutions.iter().filter(move |(stft, _)| length >= stft.bins())
    }

    /// Mean over the resolutions, and over the items of `x` (`[batch, length]`), of the Frobenius norm of the magnitudes.
    pub(crate) fn norm(&self, x: &[f32], length: usize) -> f64 {
        let norm = |stft: &Stft, x: &[f32]| {
            let power = stft.spectra(x, length).iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
            power.sqrt()
        };
        let items = x.chunks_exact(length);
        let total: f64 = items.map(|x| self.usable(length).map(|(stft, _)| norm(stft, x)).sum::<f64>()).sum();
        total / (x.len() / length * self.usable(length).count().max(1)) as f64
    }

    /// The losses between `x` and `y`, each `[items, length]`, as shares of those of a batch of `of` items, and the gradient
    /// of `reconstruction` and the spectral losses with the weights of `mix`.
    pub(crate) fn loss(&self, [x, y]: [&[f32]; 2], length: usize, of: usize, mix: Mix, bandwidth: Bandwidth) -> Loss {
        let items = x.len() / length;
        let per_sample = 1.0 / (bandwidth.power * (of * length) as f64);
        let mut gradient = vec![0.0; x.len()];
        let squares: Vec<f64> = gradient
            .par_chunks_mut(length)
            .zip(x.par_chunks(length).zip(y.par_chunks(length)))
            .map(|(gradient, (x, y))| {
                let mut square = 0.0;
                for ((a, b), g) in x.iter().zip(y).zip(gradient) {
                    let d = f64::from(b - a);
                    square += d * d;
                    *g = (2.0 * d * per_sample) as f32;
                }
                square
            })
            .collect();
        let (mut spectral, mut log_spectral) = (0.0, 0.0);
        if mix.spectral > 0.0 || mix.log_spectral > 0.0 {
            let count = self.usable(length).count().max(1);
            let per_log = 1.0 / (of * count) as f64;
            let per_norm = per_log / bandwidth.spectral;
            let weights = Mix { spectral: mix.spectral * per_norm, log_spectral: mix.log_spectral * per_log };
            for (stft, floor) in self.usable(length) {
                let (x, mut y) = (stft.spectra(x, length), stft.spectra(y, length));
                let each = x.len() / items;
                let sums: Vec<[f64; 2]> = y
                    .par_chunks_mut(each)
                    .zip(x.par_chunks(each))
                    .map(|(y, x)| distance(x, y, stft.bins(), weights, *floor))
                    .collect();
                spectral += sums.iter().map(|s| s[0]).sum::<f64>() * per_norm;
                log_spectral += sums.iter().map(|s| s[1]).sum::<f64>() * per_log;
                gradient.iter_mut().zip(stft.adjoint(&y, length)).for_each(|(g, a)| *g += a);
            }
        }
        Loss { reconstruction: squares.iter().sum::<f64>() * per_sample, spectral, log_spectral, gradient }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_is_that_of_finite_differences() {
        let spectral = Spectral::new();
        let wave =
            |f: f64, n: usize| -> Vec<f32> { (0..n).map(|i| libm::sin(f * i as f64 * i as f64) as f32).collect() };
        let (x, y) = (wave(1e-5, 4096), wave(2.3e-5, 4096));
        let bandwidth = Bandwidth { power: 0.3, spectral: 20.0 };
        // The absolute value of a logarithm has a kink wherever magnitudes meet, so its differences are coarser.
        for (log_spectral, step, share) in [(0.0, 1e-2, 2e-3), (0.4, 2e-3, 3e-2)] {
            let mix = Mix { spectral: 0.7, log_spectral };
            let total = |y: &[f32]| {
                let l = spectral.loss([&x, y], 2048, 2, mix, bandwidth);
                l.reconstruction + 0.7 * l.spectral + log_spectral * l.log_spectral
            };
            let gradient = spectral.loss([&x, &y], 2048, 2, mix, bandwidth).gradient;
            for at in [3, 700, 1500, 2047, 2048, 3000] {
                let (mut more, mut less) = (y.clone(), y.clone());
                more[at] += step;
                less[at] -= step;
                let expected = (total(&more) - total(&less)) / (2.0 * f64::from(step));
                let found = f64::from(gradient[at]);
                assert!((found - expected).abs() < share * expected.abs() + 2e-6, "{at}: {found} {expected}");
            }
        }
    }

    #[test]
    fn equal_signals_cost_nothing() {
        let x: Vec<f32> = (0..2000).map(|i| libm::sinf(i as f32)).collect();
        let bandwidth = Bandwidth { power: 1.0, spectral: 1.0 };
        let mix = Mix { spectral: 1.0, log_spectral: 1.0 };
        let loss = Spectral::new().loss([&x, &x], 2000, 1, mix, bandwidth);
        assert_eq!((loss.reconstruction, loss.spectral, loss.log_spectral), (0.0, 0.0, 0.0));
        assert!(loss.gradient.iter().all(|g| *g == 0.0));
    }
}
