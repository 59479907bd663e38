//! The fused residual block, the spectrum and the nearest codeword, each against its plain twin.

#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_flex::Flex;
use kernels::{Nearest, Stft, accumulate, hann_window, nearest, nearest_plain, residual_block, residual_block_plain};
use plain::{Conv, Noise, to_f64};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

type A = Autodiff<Flex>;
type A2 = Autodiff<A>;

fn tensor<B: Backend, const D: usize>(v: &[f32], shape: [usize; D]) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(v.to_vec(), shape), &Default::default())
}

fn floats<B: Backend, const D: usize>(t: Tensor<B, D>) -> Vec<f32> {
    t.into_data().to_vec().expect("f32")
}

fn error(a: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(a.len(), exact.len());
    let scale = exact.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    a.iter().zip(exact).map(|(a, e)| (*a as f64 - e).abs()).fold(0.0, f64::max) / scale
}

fn pool<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool").install(f)
}

#[derive(Clone, Copy, Debug)]
struct Block {
    batch: usize,
    channels: usize,
    hidden: usize,
    frames: usize,
    taps: usize,
    dilation: usize,
}

impl Block {
    fn shapes(&self) -> ([usize; 3], [usize; 3], [usize; 3]) {
        let Self { batch, channels, hidden, frames, taps, .. } = *self;
        ([batch, channels, frames], [hidden, channels, taps], [channels, hidden, 1])
    }

    /// x, w1, b1, w2, b2 and the gradient of the output.
    fn operands(&self, seed: u64) -> [Vec<f32>; 6] {
        let mut n = Noise::new(seed);
        let (x, w1, w2) = self.shapes();
        let len = |s: [usize; 3]| s.iter().product::<usize>();
        [
            n.floats(len(x)),
            n.floats(len(w1)),
            n.floats(self.hidden),
            n.floats(len(w2)),
            n.floats(self.channels),
            n.floats(len(x)),
        ]
    }

    /// y, dx, dw1, db1, dw2, db2.
    fn run(&self, v: &[Vec<f32>; 6], fused: bool) -> [Vec<f32>; 6] {
        let (xs, w1s, w2s) = self.shapes();
        let x = tensor::<A, 3>(&v[0], xs).require_grad();
        let (w1, w2) = (tensor::<A, 3>(&v[1], w1s).require_grad(), tensor::<A, 3>(&v[3], w2s).require_grad());
        let (b1, b2) = (
            tensor::<A, 1>(&v[2], [self.hidden]).require_grad(),
            tensor::<A, 1>(&v[4], [self.channels]).require_grad(),
        );
        let f = if fused { residual_block } else { residual_block_plain };
        let y = f(x.clone(), w1.clone(), b1.clone(), w2.clone(), b2.clone(), self.dilation);
        let g = (y.clone() * tensor(&v[5], xs)).sum().backward();
        [
            floats(y),
            floats(x.grad(&g).expect("dx")),
            floats(w1.grad(&g).expect("dw1")),
            floats(b1.grad(&g).expect("db1")),
            floats(w2.grad(&g).expect("dw2")),
            floats(b2.grad(&g).expect("db2")),
        ]
    }

    /// The same by plain loops in f64.
    fn exact(&self, v: &[Vec<f32>; 6]) -> [Vec<f64>; 6] {
        let [x, w1, b1, w2, b2, g] = v.each_ref().map(|v| to_f64(v));
        let Self { batch, channels, hidden, frames, taps, dilation } = *self;
        let padding = dilation * (taps - 1) / 2;
        let first = Conv {
            transposed: false,
            batch,
            inputs: channels,
            outputs: hidden,
            frames,
            taps,
            stride: 1,
            padding,
            dilation,
        };
        let second = Conv { inputs: hidden, outputs: channels, taps: 1, padding: 0, dilation: 1, ..first };
        let relu = |v: &[f64]| v.iter().map(|v| v.max(0.0)).collect::<Vec<_>>();
        let gate =
            |v: &[f64], at: &[f64]| v.iter().zip(at).map(|(v, a)| if *a > 0.0 { *v } else { 0.0 }).collect::<Vec<_>>();
        let r = relu(&x);
        let [pre, ..] = first.all(&r, &w1, &b1, &vec![0.0; batch * hidden * frames]);
        let h = relu(&pre);
        let [branch, dh, dw2, db2] = second.all(&h, &w2, &b2, &g);
        let [_, dr, dw1, db1] = first.all(&r, &w1, &b1, &gate(&dh, &pre));
        let add = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
        [add(&x, &branch), add(&g, &gate(&dr, &x)), dw1, db1, dw2, db2]
    }
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
        let v = b.operands(seed);
        let (got, twin, exact) = (b.run(&v, true), b.run(&v, false), b.exact(&v));
        for i in 0..6 {
            // terms are of order 1, so a sum that cancels is judged by what it sums
            let scale = ((b.batch * b.frames) as f64).sqrt().max(exact[i].iter().fold(0.0, |m, v| m.max(v.abs())));
            let apart = |v: &[f64]| got[i].iter().zip(v).map(|(a, e)| (*a as f64 - e).abs()).fold(0.0, f64::max) / scale;
            prop_assert!(apart(&exact[i]) < 3e-6, "{i} of {b:?}: {}", apart(&exact[i]));
            prop_assert!(apart(&to_f64(&twin[i])) < 5e-6, "{i} of {b:?} against the twin");
        }
        let (xs, w1s, w2s) = b.shapes();
        let p = [tensor::<Flex, 3>(&v[0], xs), tensor(&v[1], w1s), tensor(&v[3], w2s)];
        let [x, w1, w2] = p;
        let y = residual_block(x, w1, tensor(&v[2], [b.hidden]), w2, tensor(&v[4], [b.channels]), b.dilation);
        prop_assert_eq!(floats(y), got[0].clone());
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

#[test]
fn stft_is_its_definition() {
    let mut noise = Noise::new(1);
    for (batch, frames, fft, hop, window) in
        [(2, 700, 64, 10, 64), (1, 131, 128, 17, 60), (3, 65, 64, 50, 37), (1, 3000, 512, 50, 240)]
    {
        let window = hann_window(window);
        let x = noise.floats(batch * frames);
        let got = kernels::stft_magnitude(tensor::<Flex, 2>(&x, [batch, frames]), fft, hop, &window);
        assert_eq!(got.dims(), [batch, fft / 2 + 1, frames / hop + 1]);
        assert!(error(&floats(got), &magnitudes(&to_f64(&x), frames, fft, hop, &window)) < 2e-6, "{fft} {hop}");
    }
}

#[test]
fn stft_gradient_is_central_differences() {
    let mut noise = Noise::new(2);
    let (batch, frames, fft, hop) = (2, 80, 32, 7);
    let window = hann_window(24);
    let x = noise.floats(batch * frames);
    let g = noise.floats(batch * (fft / 2 + 1) * (frames / hop + 1));
    let xt = tensor::<A, 2>(&x, [batch, frames]).require_grad();
    let y = kernels::stft_magnitude(xt.clone(), fft, hop, &window);
    let grads = (y.clone() * tensor(&g, y.dims())).sum().backward();
    let got = floats(xt.grad(&grads).expect("dx"));
    let loss =
        |x: &[f64]| magnitudes(x, frames, fft, hop, &window).iter().zip(&g).map(|(m, g)| m * *g as f64).sum::<f64>();
    let numeric: Vec<f64> = (0..x.len())
        .map(|i| {
            let at = |d: f64| {
                let mut x = to_f64(&x);
                x[i] += d;
                loss(&x)
            };
            (at(1e-6) - at(-1e-6)) / 2e-6
        })
        .collect();
    assert!(error(&got, &numeric) < 1e-5, "{}", error(&got, &numeric));
}

#[test]
fn silence_has_a_gradient_of_zero() {
    let x = tensor::<A, 2>(&[0.0; 100], [1, 100]).require_grad();
    let grads = kernels::stft_magnitude(x.clone(), 32, 8, &hann_window(32)).sum().backward();
    assert!(floats(x.grad(&grads).expect("dx")).iter().all(|v| *v == 0.0));
}

/// Gradients of gradients go through the plain twins; they agree with central differences of the first gradient.
#[test]
fn second_order() {
    let mut noise = Noise::new(4);
    let (x, window) = (noise.floats(60), hann_window(16));
    let penalty = |x: &[f32]| {
        let inner = tensor::<A, 2>(x, [1, 60]).require_grad();
        let outer = Tensor::<A2, 2>::from_inner(inner.clone()).require_grad();
        let grads = kernels::stft_magnitude(outer.clone(), 16, 5, &window).powi_scalar(2).sum().backward();
        let dx: Tensor<A, 2> = outer.grad(&grads).expect("dx");
        let value = (dx.clone() * dx).sum();
        let second = value.backward();
        (floats(value)[0] as f64, floats(inner.grad(&second).expect("d2x")))
    };
    let (_, got) = penalty(&x);
    let scale = got.iter().fold(0f64, |m, v| m.max(v.abs() as f64));
    for i in 0..x.len() {
        let at = |d: f32| {
            let mut x = x.clone();
            x[i] += d;
            penalty(&x).0
        };
        let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!((numeric - got[i] as f64).abs() < 2e-3 * scale, "{i}: {numeric} against {}", got[i]);
    }
}

#[test]
fn threads_change_nothing() {
    let b = Block { batch: 3, channels: 32, hidden: 32, frames: 2500, taps: 3, dilation: 9 };
    let v = b.operands(8);
    let mut noise = Noise::new(3);
    let (x, window) = (noise.floats(2 * 5000), hann_window(240));
    let stft = Stft::new(512, 50, &window);
    let g = noise.floats(2 * 257 * 101);
    let (z, codebook) = (noise.floats(3000 * 16), noise.floats(77 * 16));
    let all = |threads| {
        pool(threads, || {
            let xt = tensor::<A, 2>(&x, [2, 5000]).require_grad();
            let y = stft.magnitude(xt.clone());
            let grads = (y.clone() * tensor(&g, y.dims())).sum().backward();
            let (mut codes, mut distance) = (vec![0; 3000], vec![0.0; 3000]);
            nearest(&z, 16, &codebook, &mut codes, Some(&mut distance));
            (b.run(&v, true), floats(y), floats(xt.grad(&grads).expect("dx")), codes, distance)
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
    let v = b.operands(6);
    let whole = b.run(&v, true);
    let n = b.channels * b.frames;
    for i in 0..b.batch {
        let mut single = v.clone();
        single[0] = v[0][i * n..][..n].to_vec();
        single[5] = v[5][i * n..][..n].to_vec();
        let alone = one.run(&single, true);
        assert_eq!((&alone[0][..], &alone[1][..]), (&whole[0][i * n..][..n], &whole[1][i * n..][..n]));
    }
}
