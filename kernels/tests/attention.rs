//! Relative attention against its plain twin, against loops in f64 and against finite differences.

#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;
mod relative;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_flex::Flex;
use kernels::{CachedAttention, relative_attention, relative_attention_plain};
use plain::{Noise, to_f64};
use relative::Case;

type A = Autodiff<Flex>;
type A2 = Autodiff<A>;

fn tensor<B: Backend>(v: &[f32], shape: [usize; 3]) -> Tensor<B, 3> {
    Tensor::from_data(TensorData::new(v.to_vec(), shape), &Default::default())
}

fn floats<B: Backend>(t: Tensor<B, 3>) -> Vec<f32> {
    t.into_data().to_vec().expect("f32")
}

fn pool<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool").install(f)
}

/// y, dq, dk, dv and the gradient of distances, from q, k, v, distances and the gradient of y.
fn run(c: &Case, v: &[Vec<f32>; 5], fused: bool) -> [Vec<f32>; 5] {
    let [q, k, values] = [0, 1, 2].map(|i| tensor::<A>(&v[i], c.shape()).require_grad());
    let distances = tensor::<A>(&v[3], c.table()).require_grad();
    let f = if fused { relative_attention::<A> } else { relative_attention_plain::<A> };
    let y = f(q.clone(), k.clone(), values.clone(), distances.clone());
    let g = (y.clone() * tensor(&v[4], c.shape())).sum().backward();
    let grad = |t: Tensor<A, 3>| floats(t.grad(&g).expect("a gradient"));
    [floats(y), grad(q), grad(k), grad(values), grad(distances)]
}

fn error(a: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(a.len(), exact.len());
    a.iter().zip(exact).map(|(a, e)| (f64::from(*a) - e).abs()).fold(0.0, f64::max)
}

/// Edges: one position, positions that fill no tile, one distance, fewer and more distances than positions.
fn cases() -> Vec<Case> {
    [
        (1, 1, 1, 1, 1),
        (1, 1, 1, 1, 5),
        (2, 2, 3, 2, 1),
        (1, 1, 16, 15, 15),
        (1, 3, 5, 16, 40),
        (2, 1, 8, 17, 3),
        (1, 2, 20, 63, 1),
        (1, 1, 32, 64, 64),
        (2, 2, 7, 65, 64),
        (1, 1, 33, 100, 2),
        (2, 2, 16, 130, 200),
        (1, 2, 32, 200, 37),
        (1, 1, 4, 300, 1),
        (1, 1, 8, 333, 65),
        (1, 1, 6, 257, 64),
    ]
    .map(|(batch, heads, size, positions, known)| Case { batch, heads, size, positions, known })
    .into()
}

#[test]
fn is_no_further_from_the_exact_values_than_its_plain_twin() {
    for (seed, c) in cases().into_iter().enumerate() {
        let v = c.operands(&mut Noise::new(seed as u64), 1.5);
        let (fused, twin, exact) = (run(&c, &v, true), run(&c, &v, false), c.all(&v.each_ref().map(|v| to_f64(v))));
        for i in 0..5 {
            let scale = exact[i].iter().fold(1.0f64, |m, v| m.max(v.abs()));
            let (own, plain) = (error(&fused[i], &exact[i]) / scale, error(&twin[i], &exact[i]) / scale);
            assert!(own <= 2.0 * plain.max(1e-7), "{i} of {c:?}: {own:e}, the twin {plain:e}");
        }
    }
}

/// Logits far apart, so that the running maximum matters, and the largest comes last.
#[test]
fn large_logits_neither_overflow_nor_lose_precision() {
    let c = Case { batch: 1, heads: 1, size: 4, positions: 150, known: 20 };
    let mut v = c.operands(&mut Noise::new(5), 1.0);
    for (at, k) in v[1].iter_mut().enumerate() {
        *k *= (at % 150) as f32;
    }
    let (got, exact) = (run(&c, &v, true), c.all(&v.each_ref().map(|v| to_f64(v))));
    for i in 0..5 {
        let scale = exact[i].iter().fold(1.0f64, |m, v| m.max(v.abs()));
        assert!(error(&got[i], &exact[i]) / scale < 2e-5, "{i}: {:e}", error(&got[i], &exact[i]) / scale);
    }
}

#[test]
fn gradients_are_central_differences() {
    let c = Case { batch: 2, heads: 2, size: 3, positions: 21, known: 6 };
    let v = c.operands(&mut Noise::new(9), 1.0);
    let got = run(&c, &v, true);
    let exact = v.each_ref().map(|v| to_f64(v));
    let loss = |v: &[Vec<f64>; 5]| c.all(v)[0].iter().zip(&v[4]).map(|(y, g)| y * g).sum::<f64>();
    for operand in 0..4 {
        for at in (0..v[operand].len()).step_by(5) {
            let moved = |by: f64| {
                let mut v = exact.clone();
                v[operand][at] += by;
                loss(&v)
            };
            let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let own = f64::from(got[operand + 1][at]);
            assert!((own - numeric).abs() < 1e-5 * (1.0 + numeric.abs()), "{operand}, {at}: {own} and {numeric}");
        }
    }
}

/// Long enough for several groups of queries, tiles near, far and in between.
#[test]
fn threads_and_batch_change_nothing() {
    let c = Case { batch: 2, heads: 2, size: 12, positions: 1100, known: 300 };
    let v = c.operands(&mut Noise::new(3), 1.0);
    let one = pool(1, || run(&c, &v, true));
    for threads in [2, 3] {
        assert!(pool(threads, || run(&c, &v, true)) == one, "{threads} threads");
    }
    let alone = Case { batch: 1, ..c };
    let n = c.heads * c.size * c.positions;
    for item in 0..c.batch {
        let mut single = v.clone();
        for i in [0, 1, 2, 4] {
            single[i] = v[i][item * n..][..n].to_vec();
        }
        let got = run(&alone, &single, true);
        for i in 0..4 {
            assert!(got[i] == one[i][item * n..][..n], "{i} of item {item}");
        }
    }
    // what comes later changes nothing of what was before, to the last bit
    let mut later = v.clone();
    for operand in later[..3].iter_mut() {
        for row in operand.chunks_mut(c.positions) {
            row[700..].iter_mut().for_each(|v| *v += 1.0);
        }
    }
    let changed = run(&c, &later, true);
    for (was, is) in one[0].chunks(c.positions).zip(changed[0].chunks(c.positions)) {
        assert!(was[..700] == is[..700] && was[700..] != is[700..]);
    }
}

/// A pass over a long context agrees with loops in f64 at the positions that are looked at.
#[test]
fn long_contexts() {
    let c = Case { batch: 1, heads: 1, size: 8, positions: 9001, known: 1000 };
    let v = c.operands(&mut Noise::new(8), 1.0);
    let y = relative_attention(
        tensor::<Flex>(&v[0], c.shape()),
        tensor(&v[1], c.shape()),
        tensor(&v[2], c.shape()),
        tensor(&v[3], c.table()),
    );
    let (y, exact) = (floats(y), v.each_ref().map(|v| to_f64(v)));
    for i in [0, 1, 998, 999, 1000, 1001, 4096, 8191, 8999, 9000] {
        let want = c.query(&exact, 0, 0, i).1;
        for (ch, want) in want.iter().enumerate() {
            let got = f64::from(y[ch * c.positions + i]);
            assert!((got - want).abs() < 1e-5, "position {i}: {got} and {want}");
        }
    }
}

/// Position after position, with keys and values kept, it is the same but for rounding; beside more rows to the bit.
#[test]
fn one_position_after_another() {
    for (seed, c) in cases().into_iter().enumerate().filter(|(_, c)| c.batch == 1) {
        let v = c.operands(&mut Noise::new(seed as u64), 1.0);
        let exact = v.each_ref().map(|v| to_f64(v));
        let attention = CachedAttention::new(c.heads, c.size, c.positions, &v[3]);
        let channels = c.heads * c.size;
        let column = |x: &[f32], at: usize| (0..channels).map(|ch| x[ch * c.positions + at]).collect::<Vec<_>>();
        let (mut seen, mut scratch) = (attention.room(), Vec::new());
        let (mut now, mut later) = (vec![0.0; channels], vec![0.0; channels]);
        for round in 0..2 {
            seen.clear();
            for at in 0..c.positions {
                attention.push(&mut seen, &column(&v[1], at), &column(&v[2], at));
                attention.see(&seen, at, &column(&v[0], at), &mut now, &mut scratch);
                let head = at % c.heads;
                let want = c.query(&exact, 0, head, at).1;
                for (got, want) in now[head * c.size..].iter().zip(want) {
                    assert!((f64::from(*got) - want).abs() < 2e-6, "{c:?}, position {at}, round {round}: {got} {want}");
                }
            }
            assert_eq!(seen.filled(), c.positions);
            // a query may come after keys that it must not see
            let middle = c.positions / 2;
            attention.see(&seen, middle, &column(&v[0], middle), &mut later, &mut scratch);
            let mut part = attention.room();
            for at in 0..=middle {
                attention.push(&mut part, &column(&v[1], at), &column(&v[2], at));
            }
            attention.see(&part, middle, &column(&v[0], middle), &mut now, &mut scratch);
            assert_eq!(now, later);
        }
    }
}

/// Gradients of gradients go through the plain twin; they agree with central differences of the first gradient.
#[test]
fn second_order() {
    let c = Case { batch: 1, heads: 1, size: 2, positions: 5, known: 3 };
    let v = c.operands(&mut Noise::new(4), 1.0);
    let penalty = |q: &[f32]| {
        let inner = tensor::<A>(q, c.shape()).require_grad();
        let outer = Tensor::<A2, 3>::from_inner(inner.clone()).require_grad();
        let rest = [1, 2].map(|i| tensor::<A2>(&v[i], c.shape()));
        let [k, values] = rest;
        let y = relative_attention(outer.clone(), k, values, tensor::<A2>(&v[3], c.table()));
        let grads = (y.clone() * y).sum().backward();
        let dq: Tensor<A, 3> = outer.grad(&grads).expect("dq");
        let value = (dq.clone() * dq).sum();
        let second = value.backward();
        let value: f32 = value.into_scalar();
        (f64::from(value), floats(inner.grad(&second).expect("d2q")))
    };
    let (_, got) = penalty(&v[0]);
    let scale = got.iter().fold(0f64, |m, v| m.max(f64::from(v.abs())));
    for i in 0..got.len() {
        let moved = |by: f32| {
            let mut q = v[0].clone();
            q[i] += by;
            penalty(&q).0
        };
        let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!((numeric - f64::from(got[i])).abs() < 3e-3 * scale, "{i}: {numeric} and {}", got[i]);
    }
}

#[test]
#[should_panic(expected = "attention: 2 heads of 3 for 8 channels")]
fn shapes_are_checked() {
    let x = || Tensor::<Flex, 3>::zeros([1, 8, 4], &Default::default());
    relative_attention(x(), x(), x(), Tensor::zeros([2, 5, 3], &Default::default()));
}
