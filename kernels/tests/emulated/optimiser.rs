//! The norm of gradients, clipping by it, and AdamW.

use kernels::launch::optimiser::{self, Rates};

use crate::plain::Noise;
use crate::{bytes, room, run, words};

#[test]
#[ignore = "needs a C++ compiler"]
fn gradients_are_clipped_by_the_norm_of_all() {
    let mut noise = Noise::new(1);
    let lengths = [1usize, 300, 70_000];
    let all: Vec<Vec<f32>> = lengths.iter().map(|n| noise.floats(*n)).collect();
    let inputs: Vec<Vec<u8>> = all.iter().map(|v| bytes(v)).collect();
    let exact = all.iter().flatten().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    for (unscale, most) in [(1.0f32, 0.0f32), (1.0, 1.0), (0.5, 1e6), (0.25, 0.5)] {
        let facts: Vec<f32> = words(&run(&optimiser::norm(&lengths, unscale, most), &inputs, &[room(3)])[0]);
        let norm = exact * f64::from(unscale);
        let factor =
            f64::from(unscale) * if most > 0.0 && norm > f64::from(most) { f64::from(most) / norm } else { 1.0 };
        assert!(
            (f64::from(facts[0]) - norm).abs() < 1e-6 * norm && (f64::from(facts[1]) - factor).abs() < 1e-6 * factor
        );
        assert_eq!(facts[2], 1.0);
    }
    for broken in [f32::NAN, f32::INFINITY] {
        let one = [bytes(&[1.0, broken])];
        assert_eq!(words::<f32>(&run(&optimiser::norm(&[2], 1.0, 1.0), &one, &[room(3)])[0])[2], 0.0);
    }
}

/// What `stages` computes on the host, to the bit.
#[test]
#[ignore = "needs a C++ compiler"]
fn adamw_is_its_definition_and_leaves_all_alone_on_overflow() {
    let n = 300;
    let mut noise = Noise::new(2);
    let (p, m, g) = (noise.floats(n), noise.floats(n), noise.floats(n));
    let v: Vec<f32> = noise.floats(n).into_iter().map(f32::abs).collect();
    for decay in [0.0, 1e-3] {
        let rates = Rates { rate: 3e-4, decay, beta: [0.9, 0.999], correct: [3.7, 200.5], epsilon: 1e-8 };
        let outputs = [bytes(&p), bytes(&m), bytes(&v)];
        let got = run(&optimiser::adamw(n, rates), &[bytes(&g), bytes(&[9.0f32, 0.5, 1.0])], &outputs);
        let got: Vec<Vec<f32>> = got.iter().map(|b| words(b)).collect();
        for i in 0..n {
            let grad = g[i] * 0.5;
            let value = if decay > 0.0 { p[i] - decay * p[i] } else { p[i] };
            let first = 0.9 * m[i] + (1.0 - 0.9f32) * grad;
            let second = 0.999 * v[i] + (1.0 - 0.999f32) * grad * grad;
            let moved = value - 3e-4 * (first * 3.7) / ((second * 200.5).sqrt() + 1e-8);
            assert_eq!([got[0][i], got[1][i], got[2][i]], [moved, first, second], "{i}");
        }
        let same = run(&optimiser::adamw(n, rates), &[bytes(&g), bytes(&[f32::NAN, f32::NAN, 0.0])], &outputs);
        assert!(same == outputs);
    }
}
