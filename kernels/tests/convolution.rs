//! Convolutions against plain loops, against finite differences, and for bits that nothing around may change.

#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;

use kernels::ops::convolution::plain::Conv;
use kernels::ops::convolution::{Geometry, conv_transpose1d, conv_transpose1d_to, conv1d};
use plain::{Noise, central_differences, pool, to_f64};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Output and the gradients of x, w and bias for the output gradient `g`.
fn run(x: &[f32], w: &[f32], b: &[f32], g: &[f32], c: &Conv) -> [Vec<f32>; 4] {
    let Conv { stride, padding, dilation, .. } = *c;
    let operands = [(x, c.x_shape()), (w, c.w_shape()), (b, [b.len(), 1, 1])];
    let all = plain::run(
        |tape, v| match c.transposed {
            false => conv1d(tape, &v[0], &v[1], &v[2], Geometry { stride, padding, dilation }),
            true => conv_transpose1d(tape, &v[0], &v[1], &v[2], stride, padding),
        },
        &operands,
        g,
    );
    all.try_into().expect("four")
}

/// The largest error against f64, relative to the largest value.
fn error(a: &[f32], exact: &[f64]) -> f64 {
    plain::apart(a, exact) / exact.iter().fold(1e-30f64, |m, v| m.max(v.abs()))
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

    /// Values and gradients are those of plain loops in f64, and of the same in f32.
    #[test]
    fn values_and_gradients(c in any_conv(), seed in any::<u64>()) {
        let [x, w, b, g] = operands(&c, seed);
        let got = run(&x, &w, &b, &g, &c);
        let exact = c.all(&to_f64(&x), &to_f64(&w), &to_f64(&b), &to_f64(&g));
        let twin = c.all(&x, &w, &b, &g);
        for i in 0..4 {
            prop_assert!(error(&got[i], &exact[i]) < 2e-6, "{} of {c:?}: {}", ["y", "dx", "dw", "db"][i], error(&got[i], &exact[i]));
            prop_assert!(error(&got[i], &to_f64(&twin[i])) < 1e-5, "{} of {c:?} against the twin", ["y", "dx", "dw", "db"][i]);
        }
    }

    /// An item has the same bits alone as in a batch.
    #[test]
    fn batch_changes_nothing(c in any_conv(), seed in any::<u64>()) {
        let [x, w, b, g] = operands(&c, seed);
        let whole = run(&x, &w, &b, &g, &c);
        let (xs, ys) = (x.len() / c.batch, g.len() / c.batch);
        let one = Conv { batch: 1, ..c };
        for i in 0..c.batch {
            let alone = run(&x[i * xs..][..xs], &w, &b, &g[i * ys..][..ys], &one);
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
        let at = |threads| pool(threads, || run(&x, &w, &b, &g, c));
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
        let got = run(&x, &w, &b, &g, c);
        for j in 0..4 {
            let (a, n) = (rms(&got[j], &exact[j]), rms(&naive[j], &exact[j]));
            assert!(a <= 2.0 * n + 1e-12, "{} of {c:?}: {a:e} against {n:e}", ["y", "dx", "dw", "db"][j]);
        }
    }
}

#[test]
fn gradients_are_central_differences() {
    for transposed in [false, true] {
        let (stride, padding, dilation) = (2, 1, 1);
        let c = Conv { transposed, batch: 2, inputs: 3, outputs: 2, frames: 9, taps: 3, stride, padding, dilation };
        let v = operands(&c, 5);
        let [_, gradients @ ..] = run(&v[0], &v[1], &v[2], &v[3], &c);
        central_differences(&v, &gradients, 1, |v| {
            let [y, ..] = c.all(&v[0], &v[1], &v[2], &v[3]);
            y
        });
    }
}

/// More frames than padding on both sides leaves are those of the same product without padding, with the same gradients.
#[test]
fn a_transposed_convolution_to_more_frames() {
    for (stride, frames) in [(3, 7), (5, 300)] {
        let (padding, taps, long) = (stride / 2 + 1, 2 * stride, frames * stride);
        let c =
            Conv { transposed: true, batch: 2, inputs: 3, outputs: 4, frames, taps, stride, padding: 0, dilation: 1 };
        let [x, w, b, whole] = operands(&c, 7);
        let cut = |y: &[f64]| -> Vec<f64> {
            y.chunks(c.y_shape()[2]).flat_map(|row| row[padding..][..long].to_vec()).collect()
        };
        // The gradient of what is cut off is zero.
        let g: Vec<f32> = whole.chunks(c.y_shape()[2]).flat_map(|row| row[padding..][..long].to_vec()).collect();
        let spread: Vec<f64> = g
            .chunks(long)
            .flat_map(|row| {
                let mut all = vec![0.0; c.y_shape()[2]];
                all[padding..][..long].copy_from_slice(&to_f64(row));
                all
            })
            .collect();
        let [y, dx, dw, db] = c.all(&to_f64(&x), &to_f64(&w), &to_f64(&b), &spread);
        let operands = [(&x[..], c.x_shape()), (&w[..], c.w_shape()), (&b[..], [b.len(), 1, 1])];
        let got = plain::run(
            |tape, v| conv_transpose1d_to(tape, &v[0], &v[1], &v[2], [stride, padding], long),
            &operands,
            &g,
        );
        for (got, exact) in got.iter().zip([cut(&y), dx, dw, db]) {
            assert!(error(got, &exact) < 2e-6, "stride {stride}: {}", error(got, &exact));
        }
    }
}

#[test]
#[should_panic(expected = "conv1d: channels of input and weight")]
fn shapes_are_checked() {
    let (x, w) = ([0.0; 8], [0.0; 9]);
    plain::run(
        |tape, v| conv1d(tape, &v[0], &v[1], &v[2], Geometry { stride: 1, padding: 1, dilation: 1 }),
        &[(&x, [1, 2, 4]), (&w, [1, 3, 3]), (&[0.0], [1, 1, 1])],
        &[0.0; 4],
    );
}
