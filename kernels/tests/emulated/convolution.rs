//! Convolutions, their adjoints and gradients, linear layers and residual blocks.

use kernels::launch::convolution::{self, Beside, ConvolutionShape};
use kernels::launch::residual::{self, ResidualShape};
use kernels::launch::{cast, linear};
use kernels::ops::convolution::plain::Conv;
use kernels::ops::residual::plain::Block;
use kernels::tensor::{DType, Half};

use crate::plain::{Noise, to_f64};
use crate::{bytes, near, room, run, words};

const BIAS: Beside = Beside { bias: true, rectify_in: false, rectify_out: false, gate: false, add: false, skip: 0 };
const NONE: Beside = Beside { bias: false, ..BIAS };

fn extents(c: &Conv) -> ConvolutionShape {
    // of a transposed convolution, those of the convolution whose adjoint it is
    let [inputs, outputs, frames] = match c.transposed {
        false => [c.inputs, c.outputs, c.frames],
        true => [c.outputs, c.inputs, c.y_shape()[2]],
    };
    let Conv { batch, taps, stride, padding, dilation, .. } = *c;
    ConvolutionShape { batch, inputs, frames, outputs, taps, stride, padding, dilation }
}

/// y, dx, dw and db on the shim.
fn all(c: &Conv, x: &[f32], w: &[f32], b: &[f32], g: &[f32]) -> [Vec<f32>; 4] {
    let s = extents(c);
    let [xb, wb, bb, gb] = [x, w, b, g].map(bytes);
    let one = |plan, inputs: &[Vec<u8>], n: usize| words(&run(&plan, inputs, &[room(n)])[0]);
    let [y, dx] = match c.transposed {
        false => [
            one(convolution::forward(s, BIAS), &[xb.clone(), wb.clone(), bb], g.len()),
            one(convolution::adjoint(s, NONE), &[gb.clone(), wb], x.len()),
        ],
        true => [
            one(convolution::adjoint(s, BIAS), &[xb.clone(), wb.clone(), bb], g.len()),
            one(convolution::forward(s, NONE), &[gb.clone(), wb], x.len()),
        ],
    };
    if !c.transposed {
        let got = run(&convolution::weights(s, false), &[xb, gb], &[room(w.len()), room(b.len())]);
        return [y, dx, words(&got[0]), words(&got[1])];
    }
    let dw = words(&run(&convolution::weights(s, false), &[gb.clone(), xb], &[room(w.len()), room(c.inputs)])[0]);
    let sums = convolution::channel_sums(c.batch, c.outputs, c.y_shape()[2]);
    [y, dx, dw, words(&run(&sums, &[gb], &[room(b.len())])[0])]
}

#[test]
#[ignore = "needs a C++ compiler"]
fn convolutions_and_their_gradients() {
    let cases = [
        (false, 1, 1, 1, 1, 1, 1, 0, 1),
        (false, 2, 3, 65, 70, 3, 1, 1, 1),
        (false, 1, 66, 2, 67, 3, 1, 9, 9),
        (false, 2, 5, 6, 141, 4, 2, 1, 1),
        (false, 1, 4, 3, 50, 5, 3, 4, 2),
        (false, 3, 17, 33, 40, 1, 1, 0, 1),
        (false, 2, 2, 3, 600, 3, 1, 1, 1), // several parts of the weights' sums
        (true, 1, 1, 1, 1, 1, 1, 0, 1),
        (true, 2, 3, 65, 40, 4, 2, 1, 1),
        (true, 1, 66, 5, 33, 3, 1, 1, 1),
        (true, 1, 4, 3, 21, 7, 3, 2, 1),
    ];
    for (seed, (transposed, batch, inputs, outputs, frames, taps, stride, padding, dilation)) in
        cases.into_iter().enumerate()
    {
        let c = Conv { transposed, batch, inputs, outputs, frames, taps, stride, padding, dilation };
        assert!(c.fits(), "{c:?}");
        let mut noise = Noise::new(seed as u64);
        let [x, y] = [c.x_shape(), c.y_shape()].map(|s| s.iter().product::<usize>());
        let [x, w, b, g] = [x, inputs * outputs * taps, outputs, y].map(|n| noise.floats(n));
        let want = c.all(&to_f64(&x), &to_f64(&w), &to_f64(&b), &to_f64(&g));
        for (what, (got, want)) in ["y", "dx", "dw", "db"].iter().zip(all(&c, &x, &w, &b, &g).iter().zip(&want)) {
            near(&format!("{what} of {c:?}"), got, want, 1e-5);
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn residual_blocks_and_their_gradients() {
    for (batch, channels, frames, hidden, taps, dilation) in
        [(1, 1, 1, 1, 1, 1), (2, 5, 70, 7, 3, 3), (1, 33, 66, 65, 3, 1)]
    {
        let reach = dilation * (taps - 1);
        let s = ResidualShape { batch, channels, frames, hidden, taps, dilation, padding: reach / 2 };
        let mut noise = Noise::new(frames as u64);
        let sizes = [batch * channels * frames, hidden * channels * taps, hidden, channels * hidden, channels];
        let [x, w1, b1, w2, b2] = sizes.map(|n| noise.floats(n));
        let dy = noise.floats(x.len());
        let exact = [&x, &w1, &b1, &w2, &b2, &dy].map(|v| to_f64(v));
        let want = Block { batch, channels, hidden, frames, taps, dilation }.all(exact.each_ref().map(|v| &v[..]));
        let inputs = [&x, &w1, &b1, &w2, &b2].map(|v| bytes(v));
        let inside = batch * hidden * frames;
        let got = run(&residual::forward(s, true, DType::F32), &inputs, &[room(x.len()), room(inside)]);
        near("y", &words(&got[0]), &want[0], 1e-5);
        assert_eq!(run(&residual::forward(s, false, DType::F32), &inputs, &[room(x.len())])[0], got[0]);
        // without padding, the frames in the middle
        let (within, left) = (ResidualShape { padding: 0, ..s }, frames - reach);
        let cut = run(&residual::forward(within, false, DType::F32), &inputs, &[room(batch * channels * left)]);
        let middle = want[0].chunks(frames).flat_map(|row| &row[reach / 2..][..left]).copied();
        near("y within", &words(&cut[0]), &middle.collect::<Vec<_>>(), 1e-5);
        let [xb, w1b, _, w2b, _] = inputs;
        let outputs = [x.len(), w1.len(), b1.len(), w2.len(), b2.len(), inside].map(room);
        let back = run(&residual::backward(s, DType::F32), &[xb, got[1].clone(), bytes(&dy), w1b, w2b], &outputs);
        for (i, want) in want[1..].iter().enumerate() {
            near(&format!("gradient {i} of {s:?}"), &words(&back[i]), want, 1e-5);
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn linear_layers_for_a_few_rows() {
    for (rows, inputs, outputs) in [(1, 1, 1), (3, 70, 9), (9, 33, 20)] {
        let mut noise = Noise::new(rows as u64);
        let [x, w, b] = [rows * inputs, inputs * outputs, outputs].map(|n| noise.floats(n));
        let want = |w: &[f32]| {
            let one = |r: usize, o: usize| {
                let terms = (0..inputs).map(|i| f64::from(w[o * inputs + i]) * f64::from(x[r * inputs + i]));
                f64::from(b[o]) + terms.sum::<f64>()
            };
            (0..rows).flat_map(|r| (0..outputs).map(move |o| (r, o))).map(|(r, o)| one(r, o)).collect::<Vec<_>>()
        };
        let given = |w: Vec<u8>| [bytes(&x), w, bytes(&b)];
        let got = run(&linear::rows(rows, inputs, outputs, true, None), &given(bytes(&w)), &[room(rows * outputs)]);
        near("y", &words(&got[0]), &want(&w), 1e-5);
        for half in [Half::F16, Half::Bf16] {
            let narrow = run(&cast::narrow(half, 1, w.len(), w.len()), &[bytes(&w)], &[vec![0xff; 2 * w.len()]]);
            let rounded = run(&cast::widen(half, w.len()), &narrow, &[room(w.len())]);
            let got = run(
                &linear::rows(rows, inputs, outputs, true, Some(half)),
                &given(narrow[0].clone()),
                &[room(rows * outputs)],
            );
            near("y in 16 bits", &words(&got[0]), &want(&words(&rounded[0])), 1e-5);
        }
    }
}
