//! The short-time Fourier transform as a product with a matrix, its adjoint, magnitudes.

use kernels::launch::stft::{self, Transform};

use crate::plain::{Noise, to_f64};
use crate::{bytes, near, room, run, words};

/// The sample that a padded position mirrors.
fn source(p: usize, s: Transform) -> usize {
    let i = (p as isize - (s.fft / 2) as isize).unsigned_abs();
    if i < s.frames { i } else { 2 * (s.frames - 1) - i }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn spectra_magnitudes_and_their_gradients() {
    for (batch, frames, fft, hop) in [(1, 5, 8, 3), (2, 70, 16, 5), (1, 90, 130, 40), (1, 400, 64, 6)] {
        let s = Transform { batch, frames, fft, hop };
        let (times, bins) = (s.times(), s.bins());
        let mut noise = Noise::new(frames as u64);
        let window: Vec<f32> =
            (0..fft).map(|i| (0.5 - 0.5 * (i as f64 / fft as f64 * std::f64::consts::TAU).cos()) as f32).collect();
        let (x, g) = (noise.floats(batch * frames), noise.floats(batch * times * 2 * bins));
        let (xd, gd) = (to_f64(&x), to_f64(&g));
        let (mut spectrum, mut back) = (vec![0.0; g.len()], vec![0.0; x.len()]);
        for (item, t, k) in (0..batch).flat_map(|b| (0..times).flat_map(move |t| (0..bins).map(move |k| (b, t, k)))) {
            let at = (item * times + t) * 2 * bins + k;
            for n in 0..fft {
                let angle = std::f64::consts::TAU * (k * n) as f64 / fft as f64;
                let (re, im) = (f64::from(window[n]) * angle.cos(), -f64::from(window[n]) * angle.sin());
                let from = item * frames + source(t * hop + n, s);
                spectrum[at] += re * xd[from];
                spectrum[at + bins] += im * xd[from];
                back[from] += re * gd[at] + im * gd[at + bins];
            }
        }
        let turn = |n: usize| std::f64::consts::TAU * n as f64 / fft as f64;
        let waves: Vec<f32> = (0..3 * fft)
            .map(|i| match i / fft {
                0 => window[i],
                1 => turn(i - fft).cos() as f32,
                _ => -turn(i - 2 * fft).sin() as f32,
            })
            .collect();
        let waves = bytes(&waves);
        let got = run(&stft::on_waves(s, stft::spectrum(s)), &[bytes(&x), waves.clone()], &[room(g.len())]);
        near("spectrum", &words(&got[0]), &spectrum, 1e-5);
        near(
            "adjoint",
            &words(&run(&stft::on_waves(s, stft::adjoint(s)), &[bytes(&g), waves], &[room(x.len())])[0]),
            &back,
            1e-5,
        );
        // magnitudes: of what the device computed, with a zero among it
        let mut exact: Vec<f32> = words(&got[0]);
        (exact[0], exact[bins]) = (0.0, 0.0);
        let at = |i: usize| (i / times / bins * times + i % times) * 2 * bins + i / times % bins;
        let n = batch * bins * times;
        let size = |i: usize| (exact[at(i)] * exact[at(i)] + exact[at(i) + bins] * exact[at(i) + bins]).sqrt();
        let magnitudes = run(&stft::magnitude(s), &[bytes(&exact)], &[room(n)]);
        assert_eq!(words::<f32>(&magnitudes[0]), (0..n).map(size).collect::<Vec<_>>());
        let dm = noise.floats(n);
        let mut want = vec![0.0f64; g.len()];
        for i in (0..n).filter(|i| size(*i) > 0.0) {
            for part in [at(i), at(i) + bins] {
                want[part] = f64::from(exact[part]) * f64::from(dm[i]) / f64::from(size(i));
            }
        }
        let got = run(&stft::magnitude_backward(s), &[bytes(&exact), bytes(&dm)], &[room(g.len())]);
        near("of magnitudes", &words(&got[0]), &want, 1e-6);
    }
}
