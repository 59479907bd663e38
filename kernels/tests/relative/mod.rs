//! Operands of attention for tests.
#![expect(unreachable_pub, reason = "a module of several tests")]

use crate::plain::Noise;
use kernels::ops::attention::plain::Case;

/// q, k, v, distances and the gradient of y; queries and keys in (-scale, scale).
pub fn operands(c: &Case, noise: &mut Noise, scale: f32) -> [Vec<f32>; 5] {
    let n = c.shape().iter().product();
    let mut floats = |n: usize, scale: f32| noise.floats(n).into_iter().map(|v| v * scale).collect::<Vec<_>>();
    let table = c.table().iter().product();
    [floats(n, scale), floats(n, scale), floats(n, 1.0), floats(table, 1.0), floats(n, 1.0)]
}
