//! The residual block, the spectrum, the nearest codeword and the optimiser, each against its plain twin.

#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;

use kernels::device::{Cpu, Device};
use kernels::ops::adam::Adam;
use kernels::ops::columns::{Piece, columns};
use kernels::ops::nearest::{Nearest, accumulate, nearest, nearest_plain};
use kernels::ops::norm::norm;
use kernels::ops::residual::plain::Block;
use kernels::ops::residual::{residual_block, residual_block_within};
use kernels::ops::stft::{Stft, hann_window};
use kernels::tape::{Parameter, Tape, Value};
use plain::{Noise, central_differences, pool, to_f64};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn error(a: &[f32], exact: &[f64]) -> f64 {
    plain::apart(a, exact) / exact.iter().fold(1e-30f64, |m, v| m.max(v.abs()))
}

fn shapes(b: &Block) -> [[usize; 3]; 5] {
    let Block { batch, channels, hidden, frames, taps, .. } = *b;
    [[batch, channels, frames], [hidden, channels, taps], [hidden, 1, 1], [channels, hidden, 1], [channels, 1, 1]]
}

/// x, w1, b1, w2, b2 and the gradient of the output.
fn operands(b: &Block, seed: u64) -> [Vec<f32>; 6] {
    let (mut noise, [x, w1, b1, w2, b2]) = (Noise::new(seed), shapes(b));
    [x, w1, b1, w2, b2, x].map(|shape| noise.floats(shape.iter().product()))
}

/// y, dx, dw1, db1, dw2, db2.
fn run(b: &Block, v: &[Vec<f32>; 6]) -> [Vec<f32>; 6] {
    let of: Vec<(&[f32], [usize; 3])> = v.iter().map(Vec::as_slice).zip(shapes(b)).collect();
    let f = |tape: &Tape<'_>, v: &[Value]| residual_block(tape, &v[0], [&v[1], &v[2], &v[3], &v[4]], b.dilation);
    plain::run(f, &of, &v[5]).try_into().expect("six")
}

fn exact(b: &Block, v: &[Vec<f64>]) -> [Vec<f64>; 6] {
    b.all([&v[0], &v[1], &v[2], &v[3], &v[4], &v[5]])
}

fn any_block() -> impl Strategy<Value = Block> {
    (1..=4usize, 1..=20usize, 1..=20usize, 1..=150usize, 0..=2usize, 1..=27usize).prop_map(
        |(batch, channels, hidden, frames, half, dilation)| Block {
            batch,
            channels,
            hidden,
            frames,
            taps: 2 * half + 1,
            dilation,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn residual_block_is_its_parts(b in any_block(), seed in any::<u64>()) {
        let v = operands(&b, seed);
        let wide = v.each_ref().map(|v| to_f64(v));
        let (got, twin, exact) = (run(&b, &v), b.all(v.each_ref().map(Vec::as_slice)), exact(&b, &wide));
        for i in 0..6 {
            // terms are of order 1, so a sum that cancels is judged by what it sums
            let scale = ((b.batch * b.frames) as f64).sqrt().max(exact[i].iter().fold(0.0, |m, v| m.max(v.abs())));
            let apart = |v: &[f64]| got[i].iter().zip(v).map(|(a, e)| (*a as f64 - e).abs()).fold(0.0, f64::max) / scale;
            prop_assert!(apart(&exact[i]) < 3e-6, "{i} of {b:?}: {}", apart(&exact[i]));
            prop_assert!(apart(&to_f64(&twin[i])) < 5e-6, "{i} of {b:?} against the twin");
        }
        // without padding it is what lies between the frames that see it
        let reach = b.dilation * (b.taps - 1);
        if b.frames > reach {
            let device: &dyn Device = &Cpu::new();
            let values: Vec<Value> =
                v.iter().zip(shapes(&b)).map(|(v, shape)| Value::constant(device.tensor(v, shape))).collect();
            let [x, w1, b1, w2, b2] = [0, 1, 2, 3, 4].map(|i| &values[i]);
            let within = residual_block_within(&Tape::forward_only(device), x, [w1, b1, w2, b2], b.dilation);
            let got = got[0].chunks(b.frames).flat_map(|row| &row[reach / 2..][..b.frames - reach]);
            prop_assert_eq!(device.floats(within.tensor()), got.copied().collect::<Vec<f32>>());
        }
    }

    #[test]
    fn nearest_is_its_twin(n in 1..=500usize, dim in 1..=70usize, k in 1..=300usize, seed in any::<u64>()) {
        let mut noise = Noise::new(seed);
        let (mut z, mut codebook) = (noise.floats(n * dim), noise.floats(k * dim));
        // exact ties, and vectors that are codewords
        codebook.copy_within(..dim, (k - 1) * dim);
        z[..dim].copy_from_slice(&codebook[..dim]);
        let (mut got, mut twin, mut distance) = (vec![9; n], vec![9; n], vec![0.0; n]);
        nearest(&z, dim, &codebook, &mut got, Some(&mut distance));
        nearest_plain(&z, dim, &codebook, &mut twin);
        prop_assert_eq!(&got, &twin);
        prop_assert_eq!((got[0], distance[0]), (if k == 1 { 0 } else { got[0].min(k as u32 - 2) }, 0.0));
        let columns: Vec<f32> = (0..dim * n).map(|i| z[i % n * dim + i / n]).collect();
        let ready = Nearest::new(&codebook, dim);
        let mut again = vec![9; n];
        ready.columns(&columns, &mut again, None);
        prop_assert_eq!(&got, &again);
        for i in 0..n {
            let to = |c: usize| (0..dim).map(|d| (z[i * dim + d] as f64 - codebook[c * dim + d] as f64).powi(2)).sum::<f64>();
            let best = (0..k).map(to).fold(f64::INFINITY, f64::min);
            prop_assert!(to(got[i] as usize) <= best + 1e-5 * dim as f64, "a codeword that is not nearest");
            prop_assert!((distance[i] as f64 - to(got[i] as usize)).abs() <= 1e-5 * (1.0 + best));
            let mut alone = [9];
            ready.rows(&z[i * dim..][..dim], &mut alone, None);
            prop_assert_eq!(alone[0], got[i]);
        }
    }
}

#[test]
fn ties_go_to_the_lowest_index() {
    let codebook = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0];
    let mut out = [9; 2];
    nearest(&[2.0, 0.0, 0.0, 3.0], 2, &codebook, &mut out, None);
    assert_eq!(out, [0, 1]);
    nearest(&[0.5, 0.5, f32::NAN, 0.0], 2, &codebook, &mut out, None);
    assert_eq!(out, [0, 0]);
}

#[test]
fn accumulate_counts_and_adds() {
    let (counts, sums) = accumulate(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 0, 2], 4, 2);
    assert_eq!(counts, [1, 0, 2, 0]);
    assert_eq!(sums, [3.0, 4.0, 0.0, 0.0, 6.0, 8.0, 0.0, 0.0]);
}

/// Magnitudes by the definition, in f64: `[batch][bins][times]`.
fn magnitudes(x: &[f64], frames: usize, fft: usize, hop: usize, window: &[f32]) -> Vec<f64> {
    let (bins, times, left) = (fft / 2 + 1, frames / hop + 1, (fft - window.len()) / 2);
    let mut out = vec![];
    for x in x.chunks(frames) {
        let mut rows = vec![vec![0.0; times]; bins];
        for t in 0..times {
            for (k, row) in rows.iter_mut().enumerate() {
                let (mut re, mut im) = (0.0, 0.0);
                for (n, w) in window.iter().enumerate() {
                    let p = (t * hop + left + n) as isize - (fft / 2) as isize;
                    let p = p.unsigned_abs();
                    let v = x[if p < frames { p } else { 2 * (frames - 1) - p }] * *w as f64;
                    let (s, c) = (core::f64::consts::TAU * ((k * (left + n)) % fft) as f64 / fft as f64).sin_cos();
                    (re, im) = (re + v * c, im - v * s);
                }
                row[t] = re.hypot(im);
            }
        }
        out.extend(rows.concat());
    }
    out
}

/// Magnitudes `[batch][bins][times]` of spectra `[batch, times, 2, bins]`.
fn of_spectra(spectra: &[f32], stft: &Stft, times: usize) -> Vec<f32> {
    let bins = stft.bins();
    let item = |item: &[f32]| {
        let at = |k: usize, t: usize| {
            let (re, im) = (item[t * 2 * bins + k], item[t * 2 * bins + bins + k]);
            (re * re + im * im).sqrt()
        };
        (0..bins).flat_map(|k| (0..times).map(move |t| (k, t))).map(|(k, t)| at(k, t)).collect::<Vec<f32>>()
    };
    spectra.chunks(times * 2 * bins).flat_map(item).collect()
}

#[test]
fn stft_is_its_definition() {
    let mut noise = Noise::new(1);
    for (batch, frames, fft, hop, window) in
        [(2, 700, 64, 10, 64), (1, 131, 128, 17, 60), (3, 65, 64, 50, 37), (1, 3000, 512, 50, 240)]
    {
        let window = hann_window(window);
        let x = noise.floats(batch * frames);
        let stft = Stft::new(fft, hop, &window);
        let spectra = stft.spectra(&x, frames);
        assert_eq!((stft.bins(), stft.times(frames)), (fft / 2 + 1, frames / hop + 1));
        let got = of_spectra(&spectra, &stft, stft.times(frames));
        assert!(error(&got, &magnitudes(&to_f64(&x), frames, fft, hop, &window)) < 2e-6, "{fft} {hop}");
    }
}

/// `<g, spectra(x)> = <adjoint(g), x>`, which is what makes the adjoint the gradient; and so are central differences.
#[test]
fn stft_gradient_is_its_adjoint() {
    let mut noise = Noise::new(2);
    let (batch, frames, fft, hop) = (2, 80, 32, 7);
    let stft = Stft::new(fft, hop, &hann_window(24));
    let x = noise.floats(batch * frames);
    let g = noise.floats(batch * stft.times(frames) * 2 * stft.bins());
    let got = stft.adjoint(&g, frames);
    let loss =
        |x: &[f32]| stft.spectra(x, frames).iter().zip(&g).map(|(s, g)| f64::from(*s) * f64::from(*g)).sum::<f64>();
    let paired: f64 = got.iter().zip(&x).map(|(a, x)| f64::from(*a) * f64::from(*x)).sum();
    assert!((loss(&x) - paired).abs() < 1e-4, "{} and {paired}", loss(&x));
    let numeric: Vec<f64> = (0..x.len())
        .map(|i| {
            let at = |d: f32| {
                let mut x = x.clone();
                x[i] += d;
                loss(&x)
            };
            // linear: a large step is exact
            at(0.5) - at(-0.5)
        })
        .collect();
    assert!(error(&got, &numeric) < 1e-5, "{}", error(&got, &numeric));
}

#[test]
fn residual_gradients_are_central_differences() {
    let b = Block { batch: 2, channels: 3, hidden: 2, frames: 9, taps: 3, dilation: 2 };
    let v = operands(&b, 12);
    let [_, gradients @ ..] = run(&b, &v);
    central_differences(&v, &gradients, 1, |v| {
        let [y, ..] = exact(&b, v);
        y
    });
}

#[test]
fn columns_are_put_one_behind_the_other() {
    let device: &dyn Device = &Cpu::new();
    let [a, b] = [(6, 3), (4, 2)].map(|(n, each)| {
        let data: Vec<f32> = (0..n).map(|i| (i + each * 10) as f32).collect();
        device.tensor(&data, [1, 2, each])
    });
    let got = columns(device, 2, &[Piece::Of(a.clone(), 1, 2), Piece::Zeros(1), Piece::Of(b, 0, 1)]);
    assert_eq!((got.shape(), device.floats(&got)), ([1, 2, 4], vec![31.0, 32.0, 0.0, 20.0, 34.0, 35.0, 0.0, 22.0]));
    let beyond = std::panic::catch_unwind(|| columns(&Cpu::new(), 2, &[Piece::Of(a.clone(), 2, 2)]));
    assert!(beyond.is_err());
}

/// Elementwise by the definition, in f64, over several steps; clipping scales gradients, decay takes hold where it may.
#[test]
fn adam_is_its_definition() {
    let device: &dyn Device = &Cpu::new();
    let mut noise = Noise::new(6);
    for decays in [false, true] {
        let start = noise.floats(9000);
        let mut parameter = Parameter::new(device, &start, [90, 100, 1], decays);
        let (mut p, mut m, mut v) = (to_f64(&start), vec![0.0; 9000], vec![0.0; 9000]);
        for step in 1..=5 {
            let g = noise.floats(9000);
            let gradient = device.tensor(&g, [90, 100, 1]);
            let length = to_f64(&g).iter().map(|g| g * g).sum::<f64>().sqrt();
            assert!((norm(device, [&gradient]) - length).abs() < 1e-9 * length);
            let rule = Adam { step, rate: 0.01, decay: 0.1, scale: 0.5 };
            rule.update(device, vec![(&mut parameter, &gradient)]);
            for i in 0..9000 {
                let g = f64::from(g[i]) * 0.5;
                p[i] -= if decays { 0.01 * 0.1 * p[i] } else { 0.0 };
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let [m, v] =
                    [(m[i], 0.9f64), (v[i], 0.999)].map(|(moment, beta)| moment / (1.0 - beta.powi(step as i32)));
                p[i] -= 0.01 * m / (v.sqrt() + 1e-8);
            }
            assert!(plain::apart(&device.floats(&parameter.value), &p) < 2e-6, "step {step}");
        }
    }
}

#[test]
fn adam_finds_a_minimum() {
    let device: &dyn Device = &Cpu::new();
    let mut parameter = Parameter::new(device, &[5.0, -3.0], [2, 1, 1], false);
    for step in 1..=2000 {
        let x = device.floats(&parameter.value);
        let gradient = device.tensor(&[2.0 * (x[0] - 1.0), 20.0 * (x[1] - 2.0)], [2, 1, 1]);
        Adam { step, rate: 0.02, decay: 0.0, scale: 1.0 }.update(device, vec![(&mut parameter, &gradient)]);
        if step == 1 {
            // the first step is the rate against the gradient
            let moved = device.floats(&parameter.value);
            assert!((moved[0] - 4.98).abs() < 1e-6 && (moved[1] + 2.98).abs() < 1e-6, "{moved:?}");
        }
    }
    let x = device.floats(&parameter.value);
    assert!((x[0] - 1.0).abs() < 1e-2 && (x[1] - 2.0).abs() < 1e-2, "{x:?}");
}

#[test]
fn threads_change_nothing() {
    let b = Block { batch: 3, channels: 32, hidden: 32, frames: 2500, taps: 3, dilation: 9 };
    let v = operands(&b, 8);
    let mut noise = Noise::new(3);
    let (x, window) = (noise.floats(2 * 5000), hann_window(240));
    let stft = Stft::new(512, 50, &window);
    let g = noise.floats(2 * 101 * 2 * 257);
    let (z, codebook) = (noise.floats(3000 * 16), noise.floats(77 * 16));
    let all = |threads| {
        pool(threads, || {
            let (mut codes, mut distance) = (vec![0; 3000], vec![0.0; 3000]);
            nearest(&z, 16, &codebook, &mut codes, Some(&mut distance));
            (run(&b, &v), stft.spectra(&x, 5000), stft.adjoint(&g, 5000), codes, distance)
        })
    };
    let one = all(1);
    for threads in [2, 3] {
        assert!(one == all(threads), "{threads} threads");
    }
}

#[test]
fn batch_changes_nothing() {
    let b = Block { batch: 3, channels: 24, hidden: 16, frames: 900, taps: 3, dilation: 3 };
    let one = Block { batch: 1, ..b };
    let v = operands(&b, 6);
    let whole = run(&b, &v);
    let n = b.channels * b.frames;
    for i in 0..b.batch {
        let mut single = v.clone();
        single[0] = v[0][i * n..][..n].to_vec();
        single[5] = v[5][i * n..][..n].to_vec();
        let alone = run(&one, &single);
        assert_eq!((&alone[0][..], &alone[1][..]), (&whole[0][i * n..][..n], &whole[1][i * n..][..n]));
    }
}
