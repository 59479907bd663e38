//! Convolutions against plain loops in f64, against the engine's own, and for bits that nothing around may change.

mod plain;

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::module;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_flex::Flex;
use plain::{Conv, Noise, to_f64};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

type A = Autodiff<Flex>;

fn tensor<const D: usize>(v: &[f32], shape: [usize; D]) -> Tensor<A, D> {
    Tensor::from_data(TensorData::new(v.to_vec(), shape), &Default::default())
}

fn floats<B: burn::tensor::backend::Backend, const D: usize>(t: Tensor<B, D>) -> Vec<f32> {
    t.into_data().to_vec().expect("f32")
}

/// Output and the gradients of x, w and bias for the output gradient `g`.
fn run(
    f: impl Fn(Tensor<A, 3>, Tensor<A, 3>, Tensor<A, 1>) -> Tensor<A, 3>,
    x: &[f32],
    w: &[f32],
    b: &[f32],
    g: &[f32],
    c: &Conv,
) -> [Vec<f32>; 4] {
    let x = tensor(x, c.x_shape()).require_grad();
    let w = tensor(w, c.w_shape()).require_grad();
    let b = tensor(b, [b.len()]).require_grad();
    let y = f(x.clone(), w.clone(), b.clone());
    let grads = (y.clone() * tensor(g, y.dims())).sum().backward();
    [
        floats(y),
        floats(x.grad(&grads).expect("dx")),
        floats(w.grad(&grads).expect("dw")),
        floats(b.grad(&grads).expect("db")),
    ]
}

fn ours(c: &Conv) -> impl Fn(Tensor<A, 3>, Tensor<A, 3>, Tensor<A, 1>) -> Tensor<A, 3> {
    let c = *c;
    move |x, w, b| match c.transposed {
        false => kernels::conv1d(x, w, b, c.stride, c.padding, c.dilation),
        true => kernels::conv_transpose1d(x, w, b, c.stride, c.padding),
    }
}

fn stock(c: &Conv) -> impl Fn(Tensor<A, 3>, Tensor<A, 3>, Tensor<A, 1>) -> Tensor<A, 3> {
    let c = *c;
    move |x, w, b| match c.transposed {
        false => module::conv1d(x, w, Some(b), ConvOptions::new([c.stride], [c.padding], [c.dilation], 1)),
        true => {
            module::conv_transpose1d(x, w, Some(b), ConvTransposeOptions::new([c.stride], [c.padding], [0], [1], 1))
        }
    }
}

/// The largest error against f64, relative to the largest value.
fn error(a: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(a.len(), exact.len());
    let scale = exact.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    a.iter().zip(exact).map(|(a, e)| (*a as f64 - e).abs()).fold(0.0, f64::max) / scale
}

/// Root mean square of the error against f64.
fn rms(a: &[f32], exact: &[f64]) -> f64 {
    (a.iter().zip(exact).map(|(a, e)| (*a as f64 - e).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}

fn operands(c: &Conv, seed: u64) -> [Vec<f32>; 4] {
    let mut n = Noise::new(seed);
    let outs = if c.transposed { c.w_shape()[1] } else { c.w_shape()[0] };
    let len = |s: [usize; 3]| s.iter().product::<usize>();
    [n.floats(len(c.x_shape())), n.floats(len(c.w_shape())), n.floats(outs), n.floats(len(c.y_shape()))]
}

fn any_conv() -> impl Strategy<Value = Conv> {
    (
        any::<bool>(),
        1..=4usize,
        1..=4usize,
        1..=27usize,
        0..=30usize,
        1..=5usize,
        1..=20usize,
        1..=20usize,
        1..=130usize,
    )
        .prop_filter_map(
            "the kernel fits",
            |(transposed, batch, stride, dilation, padding, taps, inputs, outputs, frames)| {
                let dilation = if transposed { 1 } else { dilation };
                let c = Conv { transposed, batch, inputs, outputs, frames, taps, stride, padding, dilation };
                c.fits().then_some(c)
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Values and gradients are those of plain loops in f64 and of the engine's own convolution.
    #[test]
    fn values_and_gradients(c in any_conv(), seed in any::<u64>()) {
        let [x, w, b, g] = operands(&c, seed);
        let got = run(ours(&c), &x, &w, &b, &g, &c);
        let exact = c.all(&to_f64(&x), &to_f64(&w), &to_f64(&b), &to_f64(&g));
        let other = run(stock(&c), &x, &w, &b, &g, &c);
        for i in 0..4 {
            prop_assert!(error(&got[i], &exact[i]) < 2e-6, "{} of {c:?}: {}", ["y", "dx", "dw", "db"][i], error(&got[i], &exact[i]));
            prop_assert!(error(&got[i], &to_f64(&other[i])) < 1e-5, "{} of {c:?} against the engine", ["y", "dx", "dw", "db"][i]);
        }
    }

    /// An item has the same bits alone as in a batch.
    #[test]
    fn batch_changes_nothing(c in any_conv(), seed in any::<u64>()) {
        let [x, w, b, g] = operands(&c, seed);
        let whole = run(ours(&c), &x, &w, &b, &g, &c);
        let (xs, ys) = (x.len() / c.batch, g.len() / c.batch);
        let one = Conv { batch: 1, ..c };
        for i in 0..c.batch {
            let alone = run(ours(&one), &x[i * xs..][..xs], &w, &b, &g[i * ys..][..ys], &one);
            prop_assert_eq!(&alone[0], &whole[0][i * ys..][..ys]);
            prop_assert_eq!(&alone[1], &whole[1][i * xs..][..xs]);
        }
    }
}

/// Shapes of the codec, long enough for several tiles.
fn large() -> Vec<Conv> {
    let base = Conv {
        transposed: false,
        batch: 3,
        inputs: 32,
        outputs: 32,
        frames: 2500,
        taps: 3,
        stride: 1,
        padding: 9,
        dilation: 9,
    };
    vec![
        base,
        Conv { inputs: 1, taps: 4, stride: 2, padding: 1, dilation: 1, frames: 5001, ..base },
        Conv { outputs: 1, padding: 1, dilation: 1, ..base },
        Conv { inputs: 33, outputs: 21, ..base },
        Conv { transposed: true, taps: 4, stride: 2, padding: 1, dilation: 1, ..base },
        Conv { transposed: true, outputs: 3, taps: 5, stride: 3, padding: 0, dilation: 1, ..base },
    ]
}

#[test]
fn threads_change_nothing() {
    for (i, c) in large().iter().enumerate() {
        let [x, w, b, g] = operands(c, i as u64);
        let at = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| run(ours(c), &x, &w, &b, &g, c))
        };
        let one = at(1);
        for threads in [2, 3] {
            assert!(one == at(threads), "{c:?} with {threads} threads");
        }
    }
}

/// The error against f64 is at most twice that of plain loops in f32.
#[test]
fn accuracy() {
    for (i, c) in large().iter().enumerate() {
        let [x, w, b, g] = operands(c, 40 + i as u64);
        let exact = c.all(&to_f64(&x), &to_f64(&w), &to_f64(&b), &to_f64(&g));
        let naive = c.all(&x, &w, &b, &g);
        let got = run(ours(c), &x, &w, &b, &g, c);
        for j in 0..4 {
            let (a, n) = (rms(&got[j], &exact[j]), rms(&naive[j], &exact[j]));
            assert!(a <= 2.0 * n + 1e-12, "{} of {c:?}: {a:e} against {n:e}", ["y", "dx", "dw", "db"][j]);
        }
    }
}

/// Gradients of the gradients: the derivative of |dx|^2 + |dw|^2 agrees with central differences.
#[test]
fn second_order() {
    type A2 = Autodiff<A>;
    for transposed in [false, true] {
        let c = Conv {
            transposed,
            batch: 2,
            inputs: 3,
            outputs: 2,
            frames: 9,
            taps: 3,
            stride: 2,
            padding: 1,
            dilation: 1,
        };
        let [x, w, b, _] = operands(&c, 5);
        let penalty = |x: &[f32], w: &[f32]| {
            let (xi, wi) = (tensor(x, c.x_shape()).require_grad(), tensor(w, c.w_shape()).require_grad());
            let (x2, w2) = (
                Tensor::<A2, 3>::from_inner(xi.clone()).require_grad(),
                Tensor::<A2, 3>::from_inner(wi.clone()).require_grad(),
            );
            let b2 = Tensor::<A2, 1>::from_inner(tensor(&b, [b.len()]));
            let y = match transposed {
                false => kernels::conv1d(x2.clone(), w2.clone(), b2, c.stride, c.padding, c.dilation),
                true => kernels::conv_transpose1d(x2.clone(), w2.clone(), b2, c.stride, c.padding),
            };
            let grads = (y.clone() * y).sum().backward();
            let (dx, dw): (Tensor<A, 3>, Tensor<A, 3>) = (x2.grad(&grads).expect("dx"), w2.grad(&grads).expect("dw"));
            let value = (dx.clone() * dx).sum() + (dw.clone() * dw).sum();
            let outer = value.backward();
            (floats(value)[0] as f64, floats(xi.grad(&outer).expect("d2x")), floats(wi.grad(&outer).expect("d2w")))
        };
        let (_, gx, gw) = penalty(&x, &w);
        let scale = gx.iter().chain(&gw).fold(0f64, |m, v| m.max(v.abs() as f64));
        let h = 1e-2f32;
        for i in 0..x.len() + w.len() {
            let at = |d: f32| {
                let (mut x, mut w) = (x.clone(), w.clone());
                if i < x.len() {
                    x[i] += d
                } else {
                    w[i - x.len()] += d
                }
                penalty(&x, &w).0
            };
            let numeric = (at(h) - at(-h)) / (2.0 * h as f64);
            let got = if i < x.len() { gx[i] } else { gw[i - x.len()] } as f64;
            assert!((numeric - got).abs() < 1e-3 * scale, "{i}: {numeric} against {got}");
        }
    }
}

/// A view that is not laid out in order is read as what it means.
#[test]
fn strided_views() {
    let mut n = Noise::new(9);
    let (x, w, b) = (n.floats(2 * 50 * 6), n.floats(4 * 6 * 3), n.floats(4));
    let view = tensor(&x, [2, 50, 6]).swap_dims(1, 2).narrow(2, 7, 40);
    let copy = tensor(&floats(view.clone()), [2, 6, 40]);
    let f = |x| floats(kernels::conv1d::<A>(x, tensor(&w, [4, 6, 3]), tensor(&b, [4]), 1, 1, 1));
    assert_eq!(f(view), f(copy));
}

#[test]
fn inner_backend_agrees() {
    let c = large()[0];
    let [x, w, b, g] = operands(&c, 3);
    let y = run(ours(&c), &x, &w, &b, &g, &c)[0].clone();
    let i = |t: Tensor<A, 3>| t.inner();
    let inner: Tensor<<A as AutodiffBackend>::InnerBackend, 3> = kernels::conv1d(
        i(tensor(&x, c.x_shape())),
        i(tensor(&w, c.w_shape())),
        tensor(&b, [b.len()]).inner(),
        c.stride,
        c.padding,
        c.dilation,
    );
    assert_eq!(floats(inner), y);
}
