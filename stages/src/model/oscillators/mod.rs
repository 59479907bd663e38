//! Levels whose decoder plays an instrument: oscillators of fixed pitch and bands of noise.
//!
//! A waveform codec of few codes a second spends them on phase, and a prior over its codes learns no notes. Here phase
//! is the instrument's own: a code says how loud each pitch and each band of noise is, for some 50 ms, and nothing else
//! (after Engel et al. 2020, DDSP, whose oscillators follow one fundamental; these stand still, so several notes can
//! sound).
//!
//! | file | holds |
//! |---|---|
//! | `bank` | the oscillators and the noise: amplitudes to samples |
//! | `analysis` | which amplitudes explain samples |
//! | `instrument` | both as a level has them: codes' worth of logarithms of amplitudes, side by side |
//! | `loss` | the distance that training makes small |
//! | `principal` | the principal components that encoder and decoder begin as |

mod analysis;
mod bank;
mod instrument;
mod loss;
mod principal;

pub(super) use bank::{HOP, channels};
pub(super) use instrument::Instrument;
pub(super) use loss::{Distance, distance};
pub(super) use principal::principal;

use kernels::{
    device::Device,
    ops::linear::linear,
    tape::{Tape, Value},
};

/// A matrix to multiply columns with.
#[derive(Debug, Clone)]
struct Matrix {
    weight: Value,
    bias: Value,
    columns: usize,
}

impl Matrix {
    /// From `data`, `[rows, columns]`.
    fn new(device: &dyn Device, columns: usize, data: &[f32]) -> Matrix {
        let rows = data.len() / columns;
        let weight = Value::constant(device.tensor(data, [rows, columns, 1]));
        Matrix { weight, bias: Value::constant(device.tensor(&vec![0.0; rows], [rows, 1, 1])), columns }
    }

    /// The product with `x`, `[columns, any number]`.
    fn times(&self, device: &dyn Device, x: &[f32]) -> Vec<f32> {
        if x.is_empty() {
            return Vec::new();
        }
        let x = Value::constant(device.tensor(x, [1, self.columns, x.len() / self.columns]));
        let tape = Tape::forward_only(device);
        device.floats(linear(&tape, &x, &self.weight, &self.bias).tensor())
    }
}
