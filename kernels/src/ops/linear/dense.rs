//! A linear layer for a few rows of activations at a time, as in sampling.
//!
//! Weights are packed in strips of 16 outputs, so that one pass over them serves all rows. An output is one fused
//! multiply-add after another over the inputs, beginning with the bias: it depends on its own row alone.

use crate::cpu::dispatch::Level;
use crate::cpu::panel::{Grid, One, Panel, Start, Strips};
use crate::cpu::product::Out;
use crate::cpu::simd::LANES;

/// A linear layer, ready to be applied.
pub struct Dense {
    /// `[strips of 16 outputs][inputs][16]`.
    data: Vec<f32>,
    /// One for each output, rounded up to 16.
    bias: Vec<f32>,
    inputs: usize,
}

impl Dense {
    /// Packs weights `[outputs, inputs]` and biases `[outputs]`.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    pub fn new(weights: &[f32], bias: &[f32]) -> Self {
        let (outputs, room) = (bias.len(), bias.len().next_multiple_of(LANES));
        let inputs = weights.len() / outputs.max(1);
        assert_eq!(weights.len(), inputs * outputs, "dense: {} weights for {outputs} outputs", weights.len());
        let mut data = vec![0.0; room * inputs];
        for (output, row) in weights.chunks_exact(inputs.max(1)).enumerate() {
            let strip = &mut data[output / LANES * LANES * inputs..];
            for (input, w) in row.iter().enumerate() {
                strip[input * LANES + output % LANES] = *w;
            }
        }
        let mut padded = vec![0.0; room];
        padded[..outputs].copy_from_slice(bias);
        Self { data, bias: padded, inputs }
    }

    /// Floats from a row of results to the next: the outputs, rounded up to 16.
    pub fn room(&self) -> usize {
        self.bias.len()
    }

    /// Rows of results to `y`, [`Dense::room`] floats apart, from rows of x that are `stride` floats apart.
    ///
    /// # Panics
    /// If rows of x overlap, or do not hold the layer's inputs.
    pub fn apply(&self, x: &[f32], stride: usize, y: &mut Vec<f32>) {
        let (rows, room) = (x.len() / stride.max(1), self.room());
        assert!(stride >= self.inputs && x.len() == rows * stride, "dense: {} inputs in rows of {stride}", self.inputs);
        y.resize(rows * room, 0.0);
        let panel = Panel { rows, terms: self.inputs, lanes: room };
        let weights = Strips { at: self.data.as_ptr(), strip: self.inputs * LANES, term: LANES };
        let factor = One(Grid { at: x.as_ptr(), row: stride as isize, term: 1 });
        let out = Out { at: y.as_mut_ptr(), stride: room };
        // SAFETY: a row of x holds the inputs, a row of y whole strips of outputs, and so does the bias.
        unsafe { panel.multiply(Level::detect(), weights, factor, Start::Lanes(self.bias.as_ptr()), out) };
    }
}

#[cfg(test)]
mod tests {
    use super::Dense;

    #[test]
    fn is_its_definition_for_any_number_of_rows() {
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
        for (inputs, outputs) in [(1, 1), (7, 16), (20, 33), (33, 100)] {
            let weights: Vec<f32> = (0..inputs * outputs).map(value).collect();
            let bias: Vec<f32> = (0..outputs).map(|i| value(i + 9)).collect();
            let layer = Dense::new(&weights, &bias);
            for rows in [1, 2, 3, 4, 9] {
                let stride = inputs + 3;
                let x: Vec<f32> = (0..rows * stride).map(|i| value(i + 31)).collect();
                let mut y = Vec::new();
                layer.apply(&x, stride, &mut y);
                for (x, y) in x.chunks(stride).zip(y.chunks(layer.room())) {
                    for (o, y) in y[..outputs].iter().enumerate() {
                        let row = weights[o * inputs..][..inputs].iter().zip(x);
                        assert_eq!(*y, row.fold(bias[o], |s, (w, x)| w.mul_add(*x, s)), "{inputs} to {outputs}");
                    }
                }
            }
        }
    }
}
