//! The scale of a loss: what keeps gradients within the range of 16-bit floats with few bits of exponent.

use crate::tensor::DType;

/// Steps without an overflow after which the scale is doubled.
const PATIENCE: u32 = 1000;

/// The largest scale.
const MOST: f32 = (1u32 << 24) as f32;

/// A factor of the loss, and so of every gradient, that is halved where gradients overflow and grows again (Micikevicius et
/// al. 2018). It is a power of two, which costs no bit.
///
/// ```
/// use kernels::tape::LossScale;
/// use kernels::tensor::DType;
///
/// let mut scale = LossScale::of(DType::F16);
/// let before = scale.factor();
/// assert!(!scale.accepts(f64::INFINITY)); // such a step is left out
/// assert_eq!(scale.factor(), before / 2.0);
/// assert!(scale.accepts(3.0));
/// assert_eq!(LossScale::of(DType::BF16).factor(), 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScale {
    factor: f32,
    /// Steps since the last change.
    since: u32,
    /// Whether it changes.
    moves: bool,
}

impl LossScale {
    /// The scale at the start of training with activations of this type: for F16 it moves, for others it stays 1.
    pub fn of(precision: DType) -> Self {
        let moves = precision == DType::F16;
        Self { factor: if moves { (1u32 << 16) as f32 } else { 1.0 }, since: 0, moves }
    }

    /// The scale as it was, for training that goes on.
    pub fn resumed(precision: DType, factor: f32, since: u32) -> Self {
        Self { factor, since, ..Self::of(precision) }
    }

    /// What the gradient of the loss is multiplied by, and gradients of parameters are divided by.
    pub fn factor(&self) -> f32 {
        self.factor
    }

    /// Steps since the last change.
    pub fn since(&self) -> u32 {
        self.since
    }

    /// Takes note of the norm of a step's gradients; whether the step may be made. If not, an overflow is the cause where the
    /// scale moves and is above 1, and the next step has half of it.
    pub fn accepts(&mut self, norm: f64) -> bool {
        let fits = norm.is_finite();
        self.since += 1;
        let next = match fits {
            false => (self.factor / 2.0).max(1.0),
            true if self.since >= PATIENCE => (self.factor * 2.0).min(MOST),
            true => return fits,
        };
        if self.moves {
            (self.factor, self.since) = (next, 0);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_halved_at_an_overflow_and_doubled_after_many_steps_without() {
        let mut scale = LossScale::of(DType::F16);
        for halvings in 1..=20 {
            assert!(!scale.accepts(f64::NAN));
            assert_eq!(scale.factor(), (65536.0 / 2f32.powi(halvings)).max(1.0));
        }
        for step in 1..=2 * PATIENCE {
            assert!(scale.accepts(1.0));
            assert_eq!(scale.factor(), [1.0, 2.0, 4.0][(step / PATIENCE) as usize]);
        }
        let again = LossScale::resumed(DType::F16, scale.factor(), scale.since());
        assert_eq!(again, scale);
        let mut fixed = LossScale::of(DType::F32);
        assert!(!fixed.accepts(f64::INFINITY) && fixed.accepts(0.0));
        assert_eq!(fixed.factor(), 1.0);
    }
}
