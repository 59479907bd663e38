//! The norm of gradients, and AdamW.

use kernels::launch::adam::{Rates, adamw};
use kernels::launch::norm;

use crate::plain::Noise;
use crate::{bytes, run, words};

#[test]
#[ignore = "needs a C++ compiler"]
fn squares_of_several_tensors() {
    let mut noise = Noise::new(1);
    let lengths = [1usize, 300, 40_000];
    let all: Vec<Vec<f32>> = lengths.iter().map(|n| noise.floats(*n)).collect();
    let inputs: Vec<Vec<u8>> = all.iter().map(|v| bytes(v)).collect();
    let exact = all.iter().flatten().map(|v| f64::from(*v).powi(2)).sum::<f64>();
    let got = words::<f64>(&run(&norm::squares(&lengths), &inputs, &[vec![0xff; 8]])[0])[0];
    assert!((got - exact).abs() < 1e-12 * exact, "{got} and {exact}");
    for broken in [f32::NAN, f32::INFINITY] {
        let got = run(&norm::squares(&[2]), &[bytes(&[1.0, broken])], &[vec![0xff; 8]]);
        assert!(!words::<f64>(&got[0])[0].is_finite());
    }
}

/// What the CPU computes, to the bit.
#[test]
#[ignore = "needs a C++ compiler"]
fn adamw_is_its_definition() {
    let n = 300;
    let mut noise = Noise::new(2);
    let (p, m, g) = (noise.floats(n), noise.floats(n), noise.floats(n));
    let v: Vec<f32> = noise.floats(n).into_iter().map(f32::abs).collect();
    for decay in [0.0, 1e-3] {
        let rates = Rates { scale: 0.5, rate: 3e-4, decay, beta: [0.9, 0.999], correct: [3.7, 200.5], epsilon: 1e-8 };
        let got = run(&adamw(n, rates), &[bytes(&g)], &[bytes(&p), bytes(&m), bytes(&v)]);
        let got: Vec<Vec<f32>> = got.iter().map(|b| words(b)).collect();
        for i in 0..n {
            let grad = g[i] * 0.5;
            let value = if decay > 0.0 { p[i] - decay * p[i] } else { p[i] };
            let first = 0.9 * m[i] + (1.0 - 0.9f32) * grad;
            let second = 0.999 * v[i] + (1.0 - 0.999f32) * grad * grad;
            let moved = value - 3e-4 * (first * 3.7) / ((second * 200.5).sqrt() + 1e-8);
            assert_eq!([got[0][i], got[1][i], got[2][i]], [moved, first, second], "{i}");
        }
    }
}
