//! Layer normalisation and the quick GELU, each against its plain twin, against loops in f64 and against finite
//! differences.

#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData, TensorPrimitive};
use burn_autodiff::Autodiff;
use burn_flex::Flex;
use kernels::{Gelu, LayerNorm, layer_norm, quick_gelu, quick_gelu_in_place};
use plain::{Noise, to_f64};

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
    let scale = exact.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    a.iter().zip(exact).map(|(a, e)| (f64::from(*a) - e).abs()).fold(0.0, f64::max) / scale
}

fn pool<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool").install(f)
}

/// An engine that has the plain twins alone: gradients of gradients go through them.
fn plain_norm<B: Backend + LayerNorm>(x: Tensor<B, 3>, gain: Tensor<B, 1>, bias: Tensor<B, 1>) -> Tensor<B, 3> {
    let primitive = |t: TensorPrimitive<B>| t.tensor();
    let (x, gain, bias) = (x.into_primitive(), gain.into_primitive(), bias.into_primitive());
    let (y, _) = B::normalise_kept(primitive(x), primitive(gain), primitive(bias));
    Tensor::from_primitive(TensorPrimitive::Float(y))
}

/// y, dx, dgain and dbias from x, gain, bias and the gradient of y. The twin is what `Autodiff` keeps of its own, since
/// it fuses only the operation that keeps nothing.
fn run(shape: [usize; 3], v: &[Vec<f32>; 4], fused: bool) -> [Vec<f32>; 4] {
    let x = tensor::<A, 3>(&v[0], shape).require_grad();
    let [gain, bias] = [1, 2].map(|i| tensor::<A, 1>(&v[i], [shape[1]]).require_grad());
    let f = if fused { layer_norm::<A> } else { plain_norm::<A> };
    let y = f(x.clone(), gain.clone(), bias.clone());
    let g = (y.clone() * tensor(&v[3], shape)).sum().backward();
    let grad = |t: Tensor<A, 1>| floats(t.grad(&g).expect("a gradient"));
    [floats(y), floats(x.grad(&g).expect("dx")), grad(gain), grad(bias)]
}

fn operands([batch, channels, positions]: [usize; 3], seed: u64) -> [Vec<f32>; 4] {
    let (mut noise, n) = (Noise::new(seed), batch * channels * positions);
    let x = noise.floats(n).into_iter().map(|v| 3.0 * v + 2.0).collect();
    [x, noise.floats(channels), noise.floats(channels), noise.floats(n)]
}

/// The same by loops in f64.
fn exact([batch, channels, positions]: [usize; 3], v: &[Vec<f64>; 4]) -> [Vec<f64>; 4] {
    let [x, gain, bias, g] = v;
    let n = channels as f64;
    let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (mut dgain, mut dbias) = (vec![0.0; channels], vec![0.0; channels]);
    for item in 0..batch {
        for t in 0..positions {
            let at = |c: usize| (item * channels + c) * positions + t;
            let mean = (0..channels).map(|c| x[at(c)]).sum::<f64>() / n;
            let variance = (0..channels).map(|c| (x[at(c)] - mean).powi(2)).sum::<f64>() / n;
            let scale = 1.0 / (variance + 1e-5).sqrt();
            let h = |c: usize| (x[at(c)] - mean) * scale;
            let flat = (0..channels).map(|c| g[at(c)] * gain[c]).sum::<f64>() / n;
            let along = (0..channels).map(|c| g[at(c)] * gain[c] * h(c)).sum::<f64>() / n;
            for c in 0..channels {
                y[at(c)] = h(c) * gain[c] + bias[c];
                dx[at(c)] = scale * (g[at(c)] * gain[c] - flat - h(c) * along);
                dgain[c] += g[at(c)] * h(c);
                dbias[c] += g[at(c)];
            }
        }
    }
    [y, dx, dgain, dbias]
}

const SHAPES: [[usize; 3]; 6] = [[1, 1, 1], [2, 3, 5], [1, 64, 17], [3, 20, 256], [2, 128, 300], [1, 7, 1000]];

#[test]
fn layer_norm_is_no_further_from_the_exact_values_than_its_twin() {
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let v = operands(shape, seed as u64);
        let (fused, twin, exact) =
            (run(shape, &v, true), run(shape, &v, false), exact(shape, &v.each_ref().map(|v| to_f64(v))));
        for i in 0..4 {
            let (own, plain) = (error(&fused[i], &exact[i]), error(&twin[i], &exact[i]));
            assert!(own <= 2.0 * plain.max(2e-7), "{i} of {shape:?}: {own:e}, the twin {plain:e}");
        }
    }
}

#[test]
fn layer_norm_gradients_are_central_differences() {
    let shape = [2, 6, 4];
    let v = operands(shape, 11);
    let got = run(shape, &v, true);
    let wide = v.each_ref().map(|v| to_f64(v));
    let loss = |v: &[Vec<f64>; 4]| exact(shape, v)[0].iter().zip(&v[3]).map(|(y, g)| y * g).sum::<f64>();
    for operand in 0..3 {
        for at in 0..v[operand].len() {
            let moved = |by: f64| {
                let mut v = wide.clone();
                v[operand][at] += by;
                loss(&v)
            };
            let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let own = f64::from(got[operand + 1][at]);
            assert!((own - numeric).abs() < 1e-5 * (1.0 + numeric.abs()), "{operand}, {at}: {own} and {numeric}");
        }
    }
}

#[test]
fn quick_gelu_is_its_definition() {
    let mut x = Noise::new(2).floats(40_000);
    x.iter_mut().for_each(|v| *v *= 8.0);
    x.extend([0.0, -0.0, 100.0, -100.0, 1e30, -1e30]);
    let g = Noise::new(3).floats(x.len());
    let t = tensor::<A, 1>(&x, [x.len()]).require_grad();
    let y = quick_gelu(t.clone());
    let back = (y.clone() * tensor(&g, [x.len()])).sum().backward();
    let (y, dx) = (floats(y), floats(t.grad(&back).expect("dx")));
    for (i, x) in to_f64(&x).into_iter().enumerate() {
        let gate = 1.0 / (1.0 + (-1.702 * x).exp());
        assert!((f64::from(y[i]) - x * gate).abs() < 3e-7 * (1.0 + x.abs()), "{x}: {}", y[i]);
        let slope = gate * (1.0 + 1.702 * x * (1.0 - gate));
        // the reciprocal of a large exponential is not quite 0
        let want = f64::from(g[i]) * if x.abs() > 1e9 { f64::from(x > 0.0) } else { slope };
        assert!((f64::from(dx[i]) - want).abs() < 5e-7 || x < -1e9, "{x}: {} and {want}", dx[i]);
    }
    let mut own = x.clone();
    quick_gelu_in_place(&mut own);
    assert!(own == y);
    // the twin, on an engine that has nothing else
    let plain = |x: &[f32]| {
        let t = tensor::<A2, 1>(x, [x.len()]).require_grad();
        let g = tensor::<A, 1>(&g[..x.len()], [x.len()]);
        let grad = A::quick_gelu_grad(t.clone().inner().into_primitive().tensor(), g.into_primitive().tensor());
        floats(Tensor::<A, 1>::from_primitive(TensorPrimitive::Float(grad)))
    };
    let twin = plain(&x[..40_000]);
    assert!(dx[..40_000].iter().zip(twin).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn threads_and_batch_change_nothing() {
    let shape = [3, 40, 700];
    let v = operands(shape, 5);
    let all = |threads| {
        pool(threads, || {
            let x = tensor::<A, 3>(&v[0], shape).require_grad();
            let y = quick_gelu(x.clone());
            let back = (y.clone() * tensor(&v[3], shape)).sum().backward();
            (run(shape, &v, true), floats(y), floats(x.grad(&back).expect("dx")))
        })
    };
    let one = all(1);
    for threads in [2, 3] {
        assert!(all(threads) == one, "{threads} threads");
    }
    let n = shape[1] * shape[2];
    for item in 0..shape[0] {
        let mut single = v.clone();
        for i in [0, 3] {
            single[i] = v[i][item * n..][..n].to_vec();
        }
        let alone = run([1, shape[1], shape[2]], &single, true);
        assert!((0..2).all(|i| alone[i] == one.0[i][item * n..][..n]), "item {item}");
    }
}

/// Gradients of gradients go through the plain twins; they agree with central differences of the first gradient.
#[test]
fn second_order() {
    let shape = [1, 4, 3];
    let v = operands(shape, 8);
    let penalty = |x: &[f32]| {
        let inner = tensor::<A, 3>(x, shape).require_grad();
        let outer = Tensor::<A2, 3>::from_inner(inner.clone()).require_grad();
        let y = quick_gelu(layer_norm(outer.clone(), tensor(&v[1], [4]), tensor(&v[2], [4])));
        let grads = (y * tensor(&v[3], shape)).sum().backward();
        let dx: Tensor<A, 3> = outer.grad(&grads).expect("dx");
        let value = (dx.clone() * dx).sum();
        let second = value.backward();
        let value: f32 = value.into_scalar();
        (f64::from(value), floats(inner.grad(&second).expect("d2x")))
    };
    let (_, got) = penalty(&v[0]);
    let scale = got.iter().fold(0f64, |m, v| m.max(f64::from(v.abs())));
    for i in 0..got.len() {
        let moved = |by: f32| {
            let mut x = v[0].clone();
            x[i] += by;
            penalty(&x).0
        };
        let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!((numeric - f64::from(got[i])).abs() < 5e-3 * scale, "{i}: {numeric} and {}", got[i]);
    }
}
