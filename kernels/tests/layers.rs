//! Layer normalisation, the quick GELU, embeddings and cross-entropy, each against its plain twin in f64 and against
//! finite differences.

mod plain;

use kernels::device::{Cpu, Device};
use kernels::ops::cross_entropy::{Labels, cross_entropy, plain::cross_entropy as exact_entropy};
use kernels::ops::embedding::{NO_ROW, embedding};
use kernels::ops::gelu::{gelu, gelu_in_place, plain::unit};
use kernels::ops::layer_norm::{layer_norm, plain::all as exact_norm};
use kernels::tape::{Tape, Value};
use kernels::tensor::Slice;
use plain::{Noise, central_differences, error, pool, to_f64};

/// y, dx, dgain and dbias from x, gain, bias and the gradient of y.
fn norm(shape: [usize; 3], v: &[Vec<f32>; 4]) -> [Vec<f32>; 4] {
    let of = [(&v[0][..], shape), (&v[1], [shape[1], 1, 1]), (&v[2], [shape[1], 1, 1])];
    plain::run(|tape, v| layer_norm(tape, &v[0], &v[1], &v[2]), &of, &v[3]).try_into().expect("four")
}

fn operands([batch, channels, positions]: [usize; 3], seed: u64) -> [Vec<f32>; 4] {
    let (mut noise, n) = (Noise::new(seed), batch * channels * positions);
    let x = noise.floats(n).into_iter().map(|v| 3.0 * v + 2.0).collect();
    [x, noise.floats(channels), noise.floats(channels), noise.floats(n)]
}

const SHAPES: [[usize; 3]; 6] = [[1, 1, 1], [2, 3, 5], [1, 64, 17], [3, 20, 256], [2, 128, 300], [1, 7, 1000]];

#[test]
fn layer_norm_is_its_plain_twin() {
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let v = operands(shape, seed as u64);
        let wide = v.each_ref().map(|v| to_f64(v));
        let (got, exact) = (norm(shape, &v), exact_norm(shape, wide.each_ref().map(Vec::as_slice)));
        for i in 0..4 {
            assert!(error(&got[i], &exact[i]) <= 1e-5, "{i} of {shape:?}: {:e}", error(&got[i], &exact[i]));
        }
    }
}

#[test]
fn layer_norm_gradients_are_central_differences() {
    let shape = [2, 6, 4];
    let v = operands(shape, 11);
    let [_, gradients @ ..] = norm(shape, &v);
    central_differences(&v, &gradients, 1, |v| {
        let [y, ..] = exact_norm(shape, [&v[0], &v[1], &v[2], &v[3]]);
        y
    });
}

#[test]
fn gelu_is_its_definition() {
    let mut x = Noise::new(2).floats(40_000);
    x.iter_mut().for_each(|v| *v *= 8.0);
    x.extend([0.0, -0.0, 100.0, -100.0, 1e30, -1e30]);
    let g = Noise::new(3).floats(x.len());
    let got = plain::run(|tape, v| gelu(tape, &v[0]), &[(&x, [1, 1, x.len()])], &g);
    let [y, dx] = [&got[0], &got[1]];
    for (i, x) in to_f64(&x).into_iter().enumerate() {
        let [want, slope] = unit(x);
        let want = if x.abs() > 1e9 { x.max(0.0) } else { want };
        assert!((f64::from(y[i]) - want).abs() < 3e-7 * (1.0 + x.abs()), "{x}: {}", y[i]);
        // the reciprocal of a large exponential is not quite 0
        let want = f64::from(g[i]) * if x.abs() > 1e9 { f64::from(x > 0.0) } else { slope };
        assert!((f64::from(dx[i]) - want).abs() < 5e-7 || x < -1e9, "{x}: {} and {want}", dx[i]);
    }
    let mut own = x.clone();
    gelu_in_place(&mut own);
    assert!(own == *y);
    let few = [x[..50].to_vec(), g[..50].to_vec()];
    let got = plain::run(|tape, v| gelu(tape, &v[0]), &[(&few[0], [1, 1, 50])], &few[1]);
    central_differences(&few, &got[1..], 1, |v| v[0].iter().map(|x| unit(*x)[0]).collect());
}

#[test]
fn threads_and_batch_change_nothing() {
    let shape = [3, 40, 700];
    let v = operands(shape, 5);
    let all = |threads| {
        pool(threads, || {
            let unit = plain::run(|tape, v| gelu(tape, &v[0]), &[(&v[0], shape)], &v[3]);
            (norm(shape, &v), unit)
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
        let alone = norm([1, shape[1], shape[2]], &single);
        assert!((0..2).all(|i| alone[i] == one.0[i][item * n..][..n]), "item {item}");
    }
}

/// Rows of two tables, some of them several times, some of them none.
#[test]
fn embeddings_are_rows_and_their_gradients_sums() {
    for (items, width, positions, counts) in [(1, 1, 1, [1, 1]), (2, 5, 7, [4, 3]), (3, 33, 20, [11, 2])] {
        let mut noise = Noise::new(width as u64);
        let tables = counts.map(|rows| noise.floats(rows * width));
        let (g, all) = (noise.floats(items * width * positions), counts[0] + counts[1]);
        let rows: Vec<u32> =
            (0..items * positions).map(|i| if i % 5 == 4 { NO_ROW } else { (i * 7 % all) as u32 }).collect();
        let device: &dyn Device = &Cpu::new();
        let handle = device.upload(Slice::U32(&rows));
        let of = [(&tables[0][..], [counts[0], width, 1]), (&tables[1], [counts[1], width, 1])];
        let f = |tape: &Tape<'_>, v: &[Value]| embedding(tape, &[&v[0], &v[1]], &handle, [items, width, positions]);
        let got = plain::run(f, &of, &g);
        for threads in [1, 3] {
            assert!(pool(threads, || plain::run(f, &of, &g)) == got, "{threads} threads");
        }
        let joined = tables.concat();
        let mut sums = vec![0.0f32; joined.len()];
        for (at, row) in rows.iter().enumerate() {
            for c in 0..width {
                let place = (at / positions * width + c) * positions + at % positions;
                let want = if *row == NO_ROW { 0.0 } else { joined[*row as usize * width + c] };
                assert_eq!(got[0][place], want);
                if *row != NO_ROW {
                    sums[*row as usize * width + c] += g[place];
                }
            }
        }
        assert_eq!([&got[1][..], &got[2][..]].concat(), sums);
    }
}

#[test]
#[should_panic(expected = "embedding: there is no row 7")]
fn rows_are_checked() {
    let device: &dyn Device = &Cpu::new();
    let rows = device.upload(Slice::U32(&[7]));
    plain::run(|tape, v| embedding(tape, &[&v[0]], &rows, [1, 2, 1]), &[(&[0.0; 14], [7, 2, 1])], &[0.0; 2]);
}

#[test]
fn cross_entropy_is_its_plain_twin() {
    for (items, codewords, positions) in [(1usize, 1usize, 1usize), (2, 5, 31), (1, 40, 33), (3, 17, 70)] {
        let logits: Vec<f32> = Noise::new(4).floats(items * codewords * positions).iter().map(|v| v * 4.0).collect();
        let codes: Vec<u32> = (0..items * positions).map(|i| (i * 7 % codewords) as u32).collect();
        let live: Vec<(u32, u32)> = (0..items).map(|i| (i.min(positions) as u32, (positions - i % 2) as u32)).collect();
        let device: &dyn Device = &Cpu::new();
        let run = |logits: &[f32]| {
            let ends: Vec<u32> = live.iter().flat_map(|(from, to)| [*from, *to]).collect();
            let [codes, ends] = [&codes, &ends].map(|v| device.upload(Slice::U32(v)));
            let logits = device.tensor(logits, [items, codewords, positions]);
            let (nats, gradient) = cross_entropy(device, logits, Labels { codes: &codes, live: &ends, share: 0.25 });
            (nats, device.floats(&gradient))
        };
        let (nats, gradient) = run(&logits);
        let (exact, want) = exact_entropy(&to_f64(&logits), codewords, &codes, &live, 0.25);
        assert!((nats - exact).abs() < 1e-5 * (1.0 + exact), "{nats} and {exact}");
        assert!(plain::apart(&gradient, &want) < 1e-7);
        for threads in [1, 3] {
            assert!(pool(threads, || run(&logits)) == (nats, gradient.clone()), "{threads} threads");
        }
        for at in (0..logits.len()).step_by(7) {
            let moved = |by: f64| {
                let mut wide = to_f64(&logits);
                wide[at] += by;
                0.25 * exact_entropy(&wide, codewords, &codes, &live, 0.25).0
            };
            let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((numeric - f64::from(gradient[at])).abs() < 1e-6, "{at}");
        }
    }
}
