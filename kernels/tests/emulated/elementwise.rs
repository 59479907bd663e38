//! Sums, casts, the quick GELU, and rows of tables.

use kernels::launch::{add, cast, embedding, gelu};

use crate::plain::{Noise, to_f64};
use crate::{bytes, near, room, run, words};

#[test]
#[ignore = "needs a C++ compiler"]
fn sums_and_multiples() {
    for n in [1, 255, 257, 1000] {
        let mut noise = Noise::new(n as u64);
        let (a, b) = (noise.floats(n), noise.floats(n));
        let check = |plan, inputs: &[Vec<u8>], f: &dyn Fn(usize) -> f32| {
            let got: Vec<f32> = words(&run(&plan, inputs, &[room(n)])[0]);
            assert_eq!(got, (0..n).map(f).collect::<Vec<_>>());
        };
        check(add::add(n), &[bytes(&a), bytes(&b)], &|i| a[i] + b[i]);
        check(add::scale(n, 0.3), &[bytes(&a)], &|i| 0.3 * a[i]);
        check(add::multiple(n, -1.7), &[bytes(&a), bytes(&b)], &|i| a[i] + -1.7 * b[i]);
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
    let got: Vec<f32> = words(&run(&gelu::forward(n), &[bytes(&x)], &[room(n)])[0]);
    let mut want = x.clone();
    kernels::ops::gelu::gelu_in_place(&mut want);
    assert!(got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()));
    let got: Vec<f32> = words(&run(&gelu::backward(n), &[bytes(&x), bytes(&dy)], &[room(n)])[0]);
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
    let (half_f16, half_bf16) = (cast::Half::F16, cast::Half::Bf16);
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
    for (items, width, positions, rows) in [(1, 1, 1, 1), (2, 3, 40, 7), (3, 300, 90, 5)] {
        let mut noise = Noise::new(width as u64);
        let table = noise.floats(rows * width);
        let (y, dy) = (noise.floats(items * width * positions), noise.floats(items * width * positions));
        let codes: Vec<u32> = (0..items * positions).map(|i| (i * i % rows.min(4)) as u32).collect();
        let at = |i: usize| {
            codes[i / positions / width * positions + i % positions] as usize * width + i / positions % width
        };
        let shape = [items, width, positions];
        for more in [false, true] {
            let got = run(&embedding::forward(shape, more), &[bytes(&table), bytes(&codes)], &[bytes(&y)]);
            let want: Vec<f32> = (0..y.len()).map(|i| table[at(i)] + if more { y[i] } else { 0.0 }).collect();
            assert_eq!(words::<f32>(&got[0]), want);
        }
        let mut want = vec![0.0f64; table.len()];
        to_f64(&dy).iter().enumerate().for_each(|(i, v)| want[at(i)] += v);
        let got = run(&embedding::backward(shape, rows), &[bytes(&dy), bytes(&codes)], &[room(table.len())]);
        near("table", &words(&got[0]), &want, 1e-5);
    }
}
