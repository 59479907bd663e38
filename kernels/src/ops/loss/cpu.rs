//! Distances on the CPU, an item to a thread, its sums in order.

use rayon::prelude::*;

use crate::launch::loss::Weights;

/// The gradient of `weight` times the sum of `(y - x)^2`, and that sum of each item.
pub(super) fn samples(x: &[f32], y: &[f32], length: usize, weight: f64, gradient: &mut [f32], sums: &mut [f64]) {
    assert!(x.len() == y.len() && gradient.len() == x.len() && x.len() == sums.len() * length, "loss: lengths");
    let items = gradient.par_chunks_mut(length).zip(x.par_chunks(length).zip(y.par_chunks(length)));
    items.zip(sums).for_each(|((gradient, (x, y)), sum)| {
        *sum = 0.0;
        for ((a, b), g) in x.iter().zip(y).zip(gradient) {
            let d = f64::from(b - a);
            *sum += d * d;
            *g = (2.0 * d * weight) as f32;
        }
    });
}

fn magnitude(re: f32, im: f32) -> f32 {
    (re * re + im * im).sqrt()
}

/// Of each item the norm of the difference of magnitudes and the mean absolute difference of their logarithms; y becomes the
/// gradient of their sum with these weights.
pub(super) fn spectra(x: &[f32], y: &mut [f32], bins: usize, by: Weights, [norms, logs]: [&mut [f64]; 2]) {
    assert!(x.len() == y.len() && norms.len() == logs.len() && !norms.is_empty(), "loss: lengths");
    let each = x.len() / norms.len();
    let items = y.par_chunks_mut(each).zip(x.par_chunks(each)).zip(norms.par_iter_mut().zip(logs));
    items.for_each(|((y, x), (norm, logs))| [*norm, *logs] = item(x, y, bins, by));
}

fn item(x: &[f32], y: &mut [f32], bins: usize, by: Weights) -> [f64; 2] {
    let mut sum = 0.0;
    for (x, y) in x.chunks_exact(2 * bins).zip(y.chunks_exact(2 * bins)) {
        for k in 0..bins {
            let d = f64::from(magnitude(y[k], y[bins + k]) - magnitude(x[k], x[bins + k]));
            sum += d * d;
        }
    }
    let norm = sum.sqrt();
    let scale = if norm > 0.0 { (by.norm / norm) as f32 } else { 0.0 };
    let each = 2.0 / x.len() as f64;
    let step = (by.logarithms * each) as f32;
    let (lowest, mut logs) = (libm::logf(by.floor), 0.0);
    for (x, y) in x.chunks_exact(2 * bins).zip(y.chunks_exact_mut(2 * bins)) {
        for k in 0..bins {
            let (a, b) = (magnitude(x[k], x[bins + k]), magnitude(y[k], y[bins + k]));
            // a magnitude of zero has no direction; any subgradient will do
            let mut factor = if b > 1e-12 { scale * (1.0 - a / b) } else { 0.0 };
            if by.logarithms > 0.0 {
                let log = |m: f32| if m > by.floor { libm::logf(m) } else { lowest };
                let d = log(b) - log(a);
                logs += f64::from(d.abs());
                if b > by.floor && d != 0.0 {
                    factor += step.copysign(d) / (b * b);
                }
            }
            y[k] *= factor;
            y[bins + k] *= factor;
        }
    }
    [norm, logs * each]
}
