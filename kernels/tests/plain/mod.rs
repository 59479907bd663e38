//! Noise, and what tests of operations have in common.
#![expect(unreachable_pub, reason = "a module of several tests")]

use kernels::device::{Cpu, Device};
use kernels::tape::{Tape, Value};
use kernels::tensor::Shape;

/// Seeded noise in (-1, 1).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next value (splitmix64).
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }
}

pub fn to_f64(v: &[f32]) -> Vec<f64> {
    v.iter().map(|v| *v as f64).collect()
}

/// The largest difference of a from the exact values.
pub fn apart(a: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(a.len(), exact.len());
    a.iter().zip(exact).map(|(a, e)| (f64::from(*a) - e).abs()).fold(0.0, f64::max)
}

/// The same, relative to the largest exact value, or to 1 where all are smaller.
pub fn error(a: &[f32], exact: &[f64]) -> f64 {
    apart(a, exact) / exact.iter().fold(1.0f64, |m, v| m.max(v.abs()))
}

/// What `f` gives on a pool of so many threads.
pub fn pool<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool").install(f)
}

/// The result of an operation on the CPU, and the gradients of its operands, given that of the result.
pub fn run(f: impl Fn(&Tape<'_>, &[Value]) -> Value, operands: &[(&[f32], Shape)], gradient: &[f32]) -> Vec<Vec<f32>> {
    let device: &dyn Device = &Cpu::new();
    let tape = Tape::recording(device);
    let leaves: Vec<Value> = operands.iter().map(|(v, shape)| tape.leaf(device.tensor(v, *shape))).collect();
    let y = f(&tape, &leaves);
    let mut all = vec![device.floats(y.tensor())];
    let mut found = tape.backward(&y, device.tensor(gradient, y.shape()));
    all.extend(leaves.iter().map(|leaf| device.floats(&found.take(leaf).expect("a gradient"))));
    // a tape that keeps nothing gives the same
    let constants: Vec<Value> = operands.iter().map(|(v, shape)| Value::constant(device.tensor(v, *shape))).collect();
    let alone = f(&Tape::forward_only(device), &constants);
    assert!(device.floats(alone.tensor()) == all[0]);
    all
}

/// Checks gradients (each of an operand's shape, none of the last operand, which is the gradient of the result) against
/// central differences of `forward`, every `step`-th element of each operand.
pub fn central_differences(
    operands: &[Vec<f32>],
    gradients: &[Vec<f32>],
    step: usize,
    forward: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    let (exact, last) = (operands.iter().map(|v| to_f64(v)).collect::<Vec<_>>(), operands.len() - 1);
    let loss = |v: &[Vec<f64>]| forward(v).iter().zip(&v[last]).map(|(y, g)| y * g).sum::<f64>();
    assert_eq!(gradients.len(), last);
    for (operand, gradient) in gradients.iter().enumerate() {
        assert_eq!(gradient.len(), operands[operand].len());
        for at in (0..gradient.len()).step_by(step) {
            let moved = |by: f64| {
                let mut v = exact.clone();
                v[operand][at] += by;
                loss(&v)
            };
            let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let own = f64::from(gradient[at]);
            assert!((own - numeric).abs() < 1e-5 * (1.0 + numeric.abs()), "{operand}, {at}: {own} and {numeric}");
        }
    }
}
