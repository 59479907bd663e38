//! Linear layers: at every position of a sequence, and of a few rows at a time for sampling.

mod dense;

use crate::ops::convolution::{Geometry, conv1d};
use crate::tape::{Tape, Value};

pub use dense::Dense;

/// A linear layer at every position: x `[batch, in, positions]`, weight `[out, in, 1]`, bias `[out]` to `[batch, out,
/// positions]`. It is the convolution of one tap.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn linear(tape: &Tape<'_>, x: &Value, weight: &Value, bias: &Value) -> Value {
    conv1d(tape, x, weight, bias, Geometry { stride: 1, padding: 0, dilation: 1 })
}
