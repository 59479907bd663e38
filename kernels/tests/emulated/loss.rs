//! What reconstruction costs, and its gradients.

use kernels::launch::loss::{self, Weights};
use kernels::launch::stft::Transform;

use crate::plain::{Noise, to_f64};
use crate::{bytes, near, room, run, words};

#[test]
#[ignore = "needs a C++ compiler"]
fn differences_of_samples() {
    for (items, length) in [(1, 1), (3, 300), (2, 20_000)] {
        let mut noise = Noise::new(length as u64);
        let [x, y] = [0, 1].map(|_| noise.floats(items * length));
        let weight = 0.3;
        let plan = loss::samples(items, length, weight);
        let got = run(&plan, &[bytes(&x), bytes(&y)], &[room(x.len()), vec![0xff; 8 * items]]);
        let apart: Vec<f64> = x.iter().zip(&y).map(|(x, y)| f64::from(y - x)).collect();
        near("gradient", &words(&got[0]), &apart.iter().map(|d| 2.0 * weight * d).collect::<Vec<_>>(), 1e-7);
        for (got, apart) in words::<f64>(&got[1]).iter().zip(apart.chunks(length)) {
            let want: f64 = apart.iter().map(|d| d * d).sum();
            assert!((got - want).abs() < 1e-12 * (1.0 + want), "{got} and {want}");
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn differences_of_spectra() {
    for (batch, frames, fft, hop) in [(2, 70, 16, 5), (1, 2000, 32, 2)] {
        let s = Transform { batch, frames, fft, hop };
        let (bins, each) = (s.bins(), s.times() * s.bins());
        let mut noise = Noise::new(fft as u64);
        let (x, mut y) = (noise.floats(batch * 2 * each), noise.floats(batch * 2 * each));
        (y[0], y[bins]) = (0.0, 0.0);
        for (norm, logarithms) in [(0.7, 0.0), (0.7, 0.4), (0.0, 0.4)] {
            let by = Weights { norm, logarithms, floor: 0.2 };
            let outputs = [bytes(&y), vec![0xff; 8 * batch], vec![0xff; 8 * batch]];
            let got = run(&loss::spectra(s, by), &[bytes(&x)], &outputs);
            let (norms, logs): (Vec<f64>, Vec<f64>) = (words(&got[1]), words(&got[2]));
            for item in 0..batch {
                let [x, y] = [&x, &y].map(|v| to_f64(&v[item * 2 * each..][..2 * each]));
                let at = |i: usize| i / bins * 2 * bins + i % bins;
                let size = |v: &[f64], i: usize| (v[at(i)].powi(2) + v[at(i) + bins].powi(2)).sqrt();
                let exact = (0..each).map(|i| (size(&y, i) - size(&x, i)).powi(2)).sum::<f64>().sqrt();
                assert!((norms[item] - exact).abs() < 1e-6 * exact, "{} and {exact}", norms[item]);
                let log = |v: &[f64], i: usize| size(v, i).max(f64::from(by.floor)).ln();
                let apart = |i: usize| log(&y, i) - log(&x, i);
                let mean = (0..each).map(|i| apart(i).abs()).sum::<f64>() / each as f64;
                let want = if logarithms > 0.0 { mean } else { 0.0 };
                assert!((logs[item] - want).abs() < 1e-6, "{} and {want}", logs[item]);
                let mut gradient = vec![0.0; 2 * each];
                for i in (0..each).filter(|i| size(&y, *i) > 0.0) {
                    let b = size(&y, i);
                    let mut factor = norm / exact * (1.0 - size(&x, i) / b);
                    if b > f64::from(by.floor) {
                        factor += logarithms / each as f64 * apart(i).signum() / (b * b);
                    }
                    for part in [at(i), at(i) + bins] {
                        gradient[part] = y[part] * factor;
                    }
                }
                let found: Vec<f32> = words(&got[0][item * 8 * each..][..8 * each]);
                near("gradient", &found, &gradient, 1e-5);
            }
        }
    }
}
