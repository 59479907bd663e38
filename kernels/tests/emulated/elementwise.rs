//! Sums, casts, the quick GELU, rows of tables, columns, and numbers that are not finite.

use kernels::launch::columns::{Cut, columns};
use kernels::launch::{add, cast, embedding, finite, gelu};
use kernels::ops::embedding::NO_ROW;
use kernels::tensor::{DType, Half};

use crate::plain::{Noise, to_f64};
use crate::{bytes, near, room, run, words};

#[test]
#[ignore = "needs a C++ compiler"]
fn sums() {
    for n in [1, 255, 257, 1000] {
        let mut noise = Noise::new(n as u64);
        let (a, b) = (noise.floats(n), noise.floats(n));
        let check = |plan, inputs: &[Vec<u8>], f: &dyn Fn(usize) -> f32| {
            let got: Vec<f32> = words(&run(&plan, inputs, &[room(n)])[0]);
            assert_eq!(got, (0..n).map(f).collect::<Vec<_>>());
        };
        check(add::add(n, DType::F32), &[bytes(&a), bytes(&b)], &|i| a[i] + b[i]);
        let got = run(&add::add_to(n, DType::F32), &[bytes(&a)], &[bytes(&b)]);
        assert_eq!(words::<f32>(&got[0]), (0..n).map(|i| b[i] + a[i]).collect::<Vec<_>>());
    }
}

/// To the bit, where the CPU has the same formula.
#[test]
#[ignore = "needs a C++ compiler"]
fn gelu_is_the_cpus() {
    let n = 777;
    let mut noise = Noise::new(5);
    let mut x: Vec<f32> = noise.floats(n).into_iter().map(|v| 9.0 * v).collect();
    x[..6].copy_from_slice(&[0.0, -0.0, 60.0, -60.0, 1e30, -1e30]);
    let dy = noise.floats(n);
    let got: Vec<f32> = words(&run(&gelu::forward(n, DType::F32), &[bytes(&x)], &[room(n)])[0]);
    let mut want = x.clone();
    kernels::ops::gelu::gelu_in_place(&mut want);
    assert!(got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()));
    let got: Vec<f32> = words(&run(&gelu::backward(n, DType::F32), &[bytes(&x), bytes(&dy)], &[room(n)])[0]);
    let slope = |x: f64| {
        let gate = 1.0 / (1.0 + (-1.702 * x).exp());
        gate * (1.0 + 1.702 * x * (1.0 - gate))
    };
    let want: Vec<f64> = x.iter().zip(&dy).map(|(x, dy)| f64::from(*dy) * slope(f64::from(*x))).collect();
    near("dx", &got, &want, 1e-6);
}

/// The nearest 16-bit float, ties to even, found by bisection.
fn nearest(x: f64, value: impl Fn(u16) -> f64) -> u16 {
    let (mut low, mut high) = (0, 0x7c00);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if value(middle) <= x.abs() { low = middle } else { high = middle }
    }
    let (below, above) = (x.abs() - value(low), value(high) - x.abs());
    let size = if above < below || (above == below && low % 2 == 1) { high } else { low };
    if x.is_sign_negative() { size | 0x8000 } else { size }
}

fn f16(x: u16) -> f64 {
    let (exponent, fraction) = (i32::from(x >> 10 & 31), f64::from(x & 1023));
    if exponent == 0 { fraction / 16_777_216.0 } else { (fraction + 1024.0) * f64::from(exponent - 25).exp2() }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn casts_round_to_nearest_even() {
    let (rows, width, wide) = (37, 7, 8);
    let mut x: Vec<f32> = Noise::new(3).floats(rows * width);
    x.iter_mut().enumerate().for_each(|(i, v)| *v *= ((i % 30) as f32 - 20.0).exp2());
    x[..4].copy_from_slice(&[1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0]);
    let bf16 = |b: u16| f64::from(f32::from_bits(u32::from(b) << 16));
    let (half_f16, half_bf16) = (Half::F16, Half::Bf16);
    for (half, value) in [(half_f16, &f16 as &dyn Fn(u16) -> f64), (half_bf16, &bf16)] {
        let got = run(&cast::narrow(half, rows, width, wide), &[bytes(&x)], &[vec![0xff; 2 * rows * wide]]);
        for (i, got) in words::<u16>(&got[0]).into_iter().enumerate() {
            let want = if i % wide < width { nearest(f64::from(x[i / wide * width + i % wide]), value) } else { 0 };
            assert_eq!(got, want, "{half:?} at {i}");
        }
        let back: Vec<f32> = words(&run(&cast::widen(half, rows * wide), &got, &[room(rows * wide)])[0]);
        for (got, half) in back.iter().zip(words::<u16>(&got[0])) {
            assert_eq!(f64::from(got.abs()), value(half & 0x7fff));
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn rows_of_tables_and_their_gradients() {
    for (items, width, positions, tables) in [(1, 1, 1, vec![1]), (2, 3, 40, vec![2, 5]), (3, 300, 90, vec![3, 1, 4])] {
        let mut noise = Noise::new(width as u64);
        let all: usize = tables.iter().sum();
        let (table, dy) = (noise.floats(all * width), noise.floats(items * width * positions));
        let row = |i: usize| if i % 11 == 5 { NO_ROW } else { (i * i % all) as u32 };
        let rows: Vec<u32> = (0..items * positions).map(row).collect();
        // the float of the tables that a float of y is, if it is one
        let at = |i: usize| {
            let row = rows[i / positions / width * positions + i % positions];
            (row != NO_ROW).then(|| row as usize * width + i / positions % width)
        };
        let (shape, mut given, mut outputs, mut rest) =
            ([items, width, positions], vec![bytes(&rows)], vec![], &table[..]);
        for rows in &tables {
            let (own, after) = rest.split_at(rows * width);
            given.push(bytes(own));
            outputs.push(room(own.len()));
            rest = after;
        }
        let got = run(&embedding::forward(shape, &tables, DType::F32), &given, &[room(dy.len())]);
        let want: Vec<f32> = (0..dy.len()).map(|i| at(i).map_or(0.0, |at| table[at])).collect();
        assert_eq!(words::<f32>(&got[0]), want);
        let mut want = vec![0.0f64; table.len()];
        to_f64(&dy).iter().enumerate().filter_map(|(i, v)| Some((at(i)?, v))).for_each(|(at, v)| want[at] += v);
        let got = run(&embedding::backward(shape, &tables, DType::F32), &[bytes(&rows), bytes(&dy)], &outputs);
        near("tables", &words(&got.concat()), &want, 1e-5);
    }
    // a row that no table has
    let got =
        run(&embedding::forward([1, 1, 2], &[2], DType::F32), &[bytes(&[1u32, 2]), bytes(&[7.0f32, 8.0])], &[room(2)]);
    let got: Vec<f32> = words(&got[0]);
    assert!(got[0] == 8.0 && got[1].is_nan());
}

#[test]
#[ignore = "needs a C++ compiler"]
fn columns_beside_each_other() {
    let (channels, [a, b]) = (3, [5, 300]);
    let mut noise = Noise::new(8);
    let [x, y] = [a, b].map(|n| noise.floats(channels * n));
    let cut = |of, first, count| Cut { of, first, count };
    let cuts = [cut(Some((1, b)), 10, 290), cut(None, 0, 2), cut(Some((0, a)), 0, 5), cut(Some((1, b)), 7, 0)];
    let got = run(&columns(channels, &cuts, DType::F32), &[bytes(&x), bytes(&y)], &[room(channels * 297)]);
    let want = (0..channels).flat_map(|c| [&y[c * b + 10..][..290], &[0.0; 2], &x[c * a..][..5]].concat());
    assert_eq!(words::<f32>(&got[0]), want.collect::<Vec<f32>>());
}

#[test]
#[ignore = "needs a C++ compiler"]
fn one_number_that_is_not_finite() {
    for n in [1, 300, 20_000] {
        let mut x = vec![f32::MAX; n];
        let all = |x: &[f32]| words::<f32>(&run(&finite::finite(n, DType::F32), &[bytes(x)], &[room(1)])[0])[0];
        assert_eq!(all(&x), 1.0);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            x[n - 1] = bad;
            assert_eq!(all(&x), 0.0);
        }
    }
}
