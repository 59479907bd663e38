//! Tensor-core kernels: products and attention within what rounding to 16 bits allows, nearest codewords to the last index.

use kernels::launch::attention::{self, AttentionShape};
use kernels::launch::cast;
use kernels::launch::convolution::{Beside, ConvolutionShape};
use kernels::launch::convolution_half;
use kernels::launch::linear::{self, LinearShape};
use kernels::launch::nearest::{self, Search};
use kernels::launch::residual::{self, ResidualShape};
use kernels::ops::attention::plain::Case;
use kernels::ops::convolution::plain::Conv;
use kernels::tensor::DType;
use kernels::tensor::Half;

use crate::nearest::{operands, rows};
use crate::plain::{Noise, to_f64};
use crate::relative;
use crate::shim::Shim;
use crate::{ORDERS, bytes, near, room, run, run_on, words};

/// Rounded to 16 bits by the kernel, as bytes and as what they stand for.
fn narrow(half: Half, rows: usize, x: &[f32], wide: usize) -> (Vec<u8>, Vec<f32>) {
    let forward = Shim::ordered(0);
    let width = x.len() / rows;
    let got = run_on(&forward, &cast::narrow(half, rows, width, wide), &[bytes(x)], &[vec![0xff; 2 * rows * wide]])
        .expect("runs");
    let back = run_on(&forward, &cast::widen(half, rows * wide), &got, &[room(rows * wide)]).expect("runs");
    (got[0].clone(), words(&back[0]))
}

fn widen(half: Half, x: &[u8]) -> Vec<f32> {
    let got =
        run_on(&Shim::ordered(0), &cast::widen(half, x.len() / 2), &[x.to_vec()], &[room(x.len() / 2)]).expect("runs");
    words(&got[0])
}

/// The relative rounding of a format.
fn unit(half: Half) -> f64 {
    match half {
        Half::F16 => 1.0 / 2048.0,
        Half::Bf16 => 1.0 / 256.0,
    }
}

/// Sums are f32's: against products of the rounded operands they are as near as f32 is.
#[test]
#[ignore = "needs a C++ compiler"]
fn linear_layers_on_tensor_cores() {
    let cases = [
        (Half::Bf16, 1, 1, 1, 1),
        (Half::F16, 2, 40, 136, 72),
        (Half::Bf16, 1, 131, 9, 130),
        (Half::F16, 1, 33, 17, 1100), // two parts of the weights' sums
    ];
    for (seed, (half, batch, inputs, outputs, positions)) in cases.into_iter().enumerate() {
        let s = LinearShape { batch, inputs, outputs, positions, half };
        let mut noise = Noise::new(seed as u64);
        let sizes = [batch * inputs * positions, outputs * inputs, batch * outputs * positions];
        let [x, w, dy] = sizes.map(|n| narrow(half, 1, &noise.floats(n), n));
        let b = noise.floats(outputs);
        let (mut y, mut dx) = (vec![0.0f64; dy.1.len()], vec![0.0f64; x.1.len()]);
        let mut dw = vec![0.0f64; w.1.len()];
        let [xd, wd, dyd] = [&x.1, &w.1, &dy.1].map(|v| to_f64(v));
        for (item, o) in (0..batch).flat_map(|item| (0..outputs).map(move |o| (item, o))) {
            let out = (item * outputs + o) * positions;
            y[out..][..positions].fill(f64::from(b[o]));
            for i in 0..inputs {
                let from = (item * inputs + i) * positions;
                for t in 0..positions {
                    y[out + t] += wd[o * inputs + i] * xd[from + t];
                    dx[from + t] += wd[o * inputs + i] * dyd[out + t];
                    dw[o * inputs + i] += dyd[out + t] * xd[from + t];
                }
            }
        }
        let given = [x.0.clone(), w.0.clone(), bytes(&b)];
        near(&format!("y of {s:?}"), &words(&run(&linear::forward(s, false), &given, &[room(y.len())])[0]), &y, 1e-5);
        let got = run(&linear::adjoint(s, false), &[dy.0.clone(), w.0.clone()], &[room(dx.len())]);
        near(&format!("dx of {s:?}"), &words(&got[0]), &dx, 1e-5);
        let got = run(&linear::weights(s), &[x.0, dy.0.clone()], &[room(dw.len())]);
        near(&format!("dw of {s:?}"), &words(&got[0]), &dw, 1e-5);
        let got = run(&linear::forward(s, true), &given, &[vec![0xff; 2 * y.len()]]);
        near("narrow y", &widen(half, &got[0]), &y, unit(half));
        let got = run(&linear::adjoint(s, true), &[dy.0, w.0], &[vec![0xff; 2 * dx.len()]]);
        near("narrow dx", &widen(half, &got[0]), &dx, unit(half));
    }
}

/// Weights `[outputs, inputs, taps]` packed, and what they became.
fn pack(half: Half, s: ConvolutionShape, w: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let packed = run(&convolution_half::pack(s, half), &[bytes(w)], &[vec![0xff; 2 * w.len()]]).remove(0);
    let (by_tap, n) = (widen(half, &packed), s.outputs * s.inputs);
    let rounded = (0..w.len()).map(|i| by_tap[i % s.taps * n + i / s.taps]).collect();
    (packed, rounded)
}

#[test]
#[ignore = "needs a C++ compiler"]
fn convolutions_on_tensor_cores() {
    let cases = [
        (Half::Bf16, 1, 1, 1, 1, 1, 1, 0, 1),
        (Half::F16, 2, 3, 5, 40, 3, 1, 1, 1),
        (Half::F16, 1, 33, 130, 21, 3, 1, 9, 9),
        (Half::Bf16, 1, 5, 6, 300, 4, 2, 1, 1),
        (Half::F16, 1, 34, 3, 50, 5, 3, 4, 2),
        (Half::Bf16, 1, 3, 2, 1100, 1, 1, 0, 1), // two parts of the weights' sums
    ];
    for (seed, (half, batch, inputs, outputs, frames, taps, stride, padding, dilation)) in cases.into_iter().enumerate()
    {
        let c = Conv { transposed: false, batch, inputs, outputs, frames, taps, stride, padding, dilation };
        let s = ConvolutionShape { batch, inputs, frames, outputs, taps, stride, padding, dilation };
        let mut noise = Noise::new(seed as u64);
        let [nx, ny] = [c.x_shape(), c.y_shape()].map(|s| s.iter().product::<usize>());
        let [x, g] = [nx, ny].map(|n| narrow(half, 1, &noise.floats(n), n));
        let (w, b) = (pack(half, s, &noise.floats(inputs * outputs * taps)), noise.floats(outputs));
        let [y, dx, dw, db] = c.all(&to_f64(&x.1), &to_f64(&w.1), &to_f64(&b), &to_f64(&g.1));
        let biased = Beside { bias: true, ..Beside::default() };
        let got = run(
            &convolution_half::forward(s, half, biased),
            &[x.0.clone(), w.0.clone(), bytes(&b)],
            &[vec![0xff; 2 * ny]],
        );
        near(&format!("y of {c:?}"), &widen(half, &got[0]), &y, unit(half));
        let plan = convolution_half::adjoint(s, half, Beside::default());
        let got = run(&plan, &[g.0.clone(), w.0], &[vec![0xff; 2 * nx]]);
        near(&format!("dx of {c:?}"), &widen(half, &got[0]), &dx, unit(half));
        let got = run(&convolution_half::weights(s, half, false), &[x.0, g.0], &[room(dw.len()), room(outputs)]);
        near(&format!("dw of {c:?}"), &words(&got[0]), &dw, 1e-5);
        near(&format!("db of {c:?}"), &words(&got[1]), &db, 1e-5);
    }
}

/// Against the same launches in f32, within a few roundings to 16 bits.
#[test]
#[ignore = "needs a C++ compiler"]
fn residual_blocks_on_tensor_cores() {
    let s = ResidualShape { batch: 2, channels: 20, frames: 70, hidden: 33, taps: 3, dilation: 3, padding: 3 };
    let half = Half::Bf16;
    let mut noise = Noise::new(3);
    let first =
        ConvolutionShape { batch: 2, inputs: 20, frames: 70, outputs: 33, taps: 3, stride: 1, padding: 3, dilation: 3 };
    let second = ConvolutionShape::linear(2, 33, 20, 70);
    let (n, inner) = (2 * 20 * 70, 2 * 33 * 70);
    let [x, dy] = [0, 1].map(|_| narrow(half, 1, &noise.floats(n), n));
    let [w1, w2] = [(first, 33 * 20 * 3), (second, 20 * 33)].map(|(s, n)| pack(half, s, &noise.floats(n)));
    let [b1, b2] = [33, 20].map(|n| bytes(&noise.floats(n)));
    let plain = |plan, inputs: &[Vec<u8>], outputs: &[Vec<u8>]| {
        run_on(&Shim::ordered(0), &plan, inputs, outputs).expect("runs")
    };
    let given = [x.0.clone(), bytes(&w1.1), b1.clone(), bytes(&w2.1), b2.clone()];
    let got = run(&residual::forward(s, true, DType::BF16), &given, &[vec![0xff; 2 * n], vec![0xff; 2 * inner]]);
    let [x32, w132, w232, dy32] = [&x.1, &w1.1, &w2.1, &dy.1].map(|v| bytes(v));
    let want = plain(
        residual::forward(s, true, DType::F32),
        &[x32.clone(), w132.clone(), b1, w232.clone(), b2],
        &[room(n), room(inner)],
    );
    for (got, want) in got.iter().zip(&want) {
        near("forward", &widen(half, got), &to_f64(&words::<f32>(want)), 2.0 * unit(half));
    }
    let hidden = bytes(&widen(half, &got[1]));
    let sizes = [n, 33 * 20 * 3, 33, 20 * 33, 20, inner];
    let want =
        plain(residual::backward(s, DType::F32), &[x32, hidden, dy32, w132.clone(), w232.clone()], &sizes.map(room));
    let mut outputs = sizes.map(room);
    (outputs[0], outputs[5]) = (vec![0xff; 2 * n], vec![0xff; 2 * inner]);
    let back = run(&residual::backward(s, DType::BF16), &[x.0, got[1].clone(), dy.0, w132, w232], &outputs);
    near("dx", &widen(half, &back[0]), &to_f64(&words::<f32>(&want[0])), 2.0 * unit(half));
    for i in 1..5 {
        near(&format!("gradient {i}"), &words(&back[i]), &to_f64(&words::<f32>(&want[i])), unit(half));
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn attention_on_tensor_cores() {
    let cases = [
        (Half::Bf16, 1, 1, 1, 1, 1),
        (Half::F16, 2, 2, 5, 72, 30),
        (Half::F16, 1, 1, 64, 200, 37),
        (Half::Bf16, 1, 1, 100, 67, 200),
        (Half::Bf16, 1, 1, 150, 136, 70),
        (Half::F16, 1, 1, 128, 9, 3),
        (Half::F16, 1, 1, 160, 8, 1),
    ];
    for (seed, (half, batch, heads, size, positions, known)) in cases.into_iter().enumerate() {
        let c = Case { batch, heads, size, positions, known };
        let wide = attention::room(size).expect("a head that is known");
        let s = AttentionShape { batch, heads, size, positions, known };
        let v = relative::operands(&c, &mut Noise::new(seed as u64), 1.5);
        let [q, k, values] = [0, 1, 2].map(|i| narrow(half, 1, &v[i], v[i].len()));
        let e = narrow(half, heads * known, &v[3], wide);
        let distances: Vec<f32> = e.1.chunks(wide).flat_map(|row| &row[..size]).copied().collect();
        let rounded = [&q.1, &k.1, &values.1, &distances, &v[4]].map(|v| to_f64(v));
        let exact = &c.all(&rounded)[0];
        let (n, queries) = (v[0].len(), batch * heads * positions);
        let outputs = [vec![0xff; 2 * n], room(queries)];
        let plan = attention::forward_half(s, half).expect("a head that is known");
        let got = run(&plan, &[q.0, k.0, values.0, e.0], &outputs);
        // weights are rounded to 16 bits, then the result: two units of a value of at most 1
        near(&format!("y of {c:?}"), &widen(half, &got[0]), exact, 2.0 * unit(half));
        let plain = attention::forward(s, DType::F32);
        let given = [&q.1, &k.1, &values.1, &distances].map(|v| bytes(v));
        let want = run_on(&Shim::ordered(0), &plain, &given, &[room(n), room(queries)]).expect("runs");
        let logarithms: Vec<f64> = to_f64(&words::<f32>(&want[1]));
        near("logarithms", &words(&got[1]), &logarithms, 2e-5);
    }
    assert!(
        attention::forward_half(AttentionShape { batch: 1, heads: 1, size: 161, positions: 1, known: 1 }, Half::F16)
            .is_none()
    );
}

/// At random; ties and codewords an ulp apart; so small that squares vanish; infinities and NaNs; and all roundings against
/// the nearest codeword and for the second.
const CASES: [&str; 5] = ["random", "ties", "tiny", "broken", "worst"];

/// Changes vectors `[n, dim]` and codewords into those of a case.
fn spoil(case: &str, dim: usize, z: &mut [f32], codebook: &mut [f32]) {
    let k = codebook.len() / dim;
    match case {
        "ties" => {
            for i in k / 2 * dim..k / 2 * 2 * dim {
                let like = codebook[i - k / 2 * dim];
                codebook[i] = if i % 3 == 0 && i / dim % 2 == 1 { like.next_up() } else { like };
            }
        }
        "tiny" => {
            z.iter_mut().chain(&mut *codebook).for_each(|v| *v *= 1e-22);
            z[1] = f32::NAN;
        }
        "broken" => {
            for (row, v) in [(3, f32::NAN), (9, f32::INFINITY), (17, 3e38)] {
                codebook[row * dim + 1] = v;
            }
        }
        "worst" => {
            let last = dim - 1;
            let odd = |x: usize| 1.0 + 1.0 / 256.0 + if x < last / 2 { -1e-6 } else { 1e-6 };
            for (i, v) in z.iter_mut().enumerate() {
                *v = if i % dim == last { 1.0 } else { odd(i % dim) };
            }
            for (i, v) in codebook.iter_mut().enumerate() {
                let (row, x) = (i / dim, i % dim);
                *v = match (row, x == last) {
                    (_, true) => {
                        if row == 1 {
                            1.0 / 32.0
                        } else {
                            0.0
                        }
                    }
                    (0 | 1, _) if (row == 1) == (x < last / 2) => odd(x),
                    (0 | 1, _) => 0.0,
                    _ => -odd(x),
                };
            }
        }
        _ => (),
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn nearest_on_tensor_cores_has_the_plain_indices() {
    for (i, case) in CASES.into_iter().enumerate() {
        for (items, dim, frames, codewords) in [(1, 64, 130, 100), (2, 51, 20, 70), (7, 100, 1, 33)] {
            let s = Search { items, dim, frames, codewords };
            let (z, mut codebook) = operands(s, i as u64);
            let mut vectors = rows(s, &z);
            spoil(case, dim, &mut vectors, &mut codebook);
            let at = |place: usize| {
                let (item, d, frame) = (place / frames / dim, place / frames % dim, place % frames);
                vectors[(item * frames + frame) * dim + d]
            };
            let z: Vec<f32> = (0..z.len()).map(at).collect();
            let n = s.vectors();
            let mut want = vec![9; n];
            kernels::ops::nearest::nearest_plain(&vectors, dim, &codebook, &mut want);
            let plan = nearest::nearest_half(s, true).expect("a vector that fits");
            for (order, tensor_core) in ORDERS.into_iter().zip([16, 8, 0, 16]).take(2 + 2 * usize::from(dim == 51)) {
                let shim = Shim { tensor_core, ..Shim::ordered(order) };
                let outputs = [room(n), room(n), bytes(&[0u32; 2])];
                let got = run_on(&shim, &plan, &[bytes(&z), bytes(&codebook)], &outputs).expect("runs");
                assert_eq!(words::<u32>(&got[0]), want, "{case}, {s:?}, order {order}");
                let tally: Vec<u32> = words(&got[2]);
                assert!(tally[0] as usize >= n);
                // at random hardly more than one candidate is left
                assert!(case != "random" || (tally[1] == 0 && tally[0] as usize <= 2 * n + 2), "{tally:?} of {n}");
            }
        }
    }
    assert!(nearest::nearest_half(Search { items: 1, dim: 129, frames: 1, codewords: 1 }, false).is_none());
}
