//! Convolution over frames, forward and the gradient of its weights.
//!
//! PyTorch's `conv1d` (a cross-correlation, zeros as padding): weights are `[out, in, taps]` and
//! `y[o][t] = bias[o] + sum over i, k w[o][i][k] * x[i][t * stride + k * dilation - padding]`.

use burn::tensor::{Tensor, TensorPrimitive};
use rayon::prelude::*;

use crate::Kernels;
use crate::convolve::{Geometry, Shape};
use crate::correlate::correlate;
use crate::gather::{Phases, Tiles, fill_tile, filled, row_sum};
use crate::linear;
use crate::product::{Out, Plain, Weights};
use crate::simd::Level;

/// Frames of one tile of a product: a multiple of the widest register tile, and few enough for the second-level cache.
const TILE: usize = 768;

/// Frames of one tile of a correlation: long, since each tile ends in a sum over lanes.
const CORRELATION_TILE: usize = 1024;

/// Convolution with a gradient: x `[batch, in, frames]`, weight `[out, in, taps]`, bias `[out]` to
/// `[batch, out, (frames + 2 * padding - dilation * (taps - 1) - 1) / stride + 1]`.
///
/// An output depends on its own inputs alone, so neither the batch nor the thread count changes a bit.
///
/// # Panics
/// If the shapes do not fit each other, `stride` or `dilation` is 0, or the padded input is shorter than the kernel.
pub fn conv1d<B: Kernels>(
    x: Tensor<B, 3>,
    weight: Tensor<B, 3>,
    bias: Tensor<B, 1>,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> Tensor<B, 3> {
    let geometry = Geometry { stride, padding, dilation };
    let [x, w] = [x, weight].map(|t| t.into_primitive().tensor());
    let y = B::convolve(x, w, Some(bias.into_primitive().tensor()), geometry);
    Tensor::from_primitive(TensorPrimitive::Float(y))
}

/// [`conv1d`] on slices.
pub(crate) fn forward(level: Level, x: &[f32], w: &[f32], bias: Option<&[f32]>, s: Shape) -> Vec<f32> {
    let Shape { batch, inputs, frames, outputs, taps, geometry: g } = s;
    let (xs, ys) = (inputs * frames, s.frames_out());
    assert!(x.len() == batch * xs && w.len() == outputs * inputs * taps && bias.is_none_or(|b| b.len() == outputs));
    let phases = Phases::new(taps, inputs, TILE.min(ys), g.stride, g.padding, g.dilation);
    // a division for every weight is what packing would spend its time on
    let packed = match taps {
        1 => Weights::pack(outputs, inputs, bias, |o, term| w[o * inputs + term]),
        _ => Weights::pack(outputs, taps * inputs, bias, |o, term| {
            w[(o * inputs + term % inputs) * taps + term / inputs]
        }),
    };
    let tiles = Tiles { items: batch, frames: ys, tile: TILE };
    // SAFETY: the tiles cover every frame of every item, and `apply` writes every output row of its tile.
    unsafe {
        filled(batch * outputs * ys, |y| {
            tiles.each(|item, first, n, [scratch, ..]| {
                phases.fill(scratch, &x[item * xs..][..xs], first);
                let out = Out { at: y.at(item * outputs * ys + first), stride: ys };
                packed.apply(level, scratch, &phases.offsets, n, out, Plain);
            });
        })
    }
}

/// The gradients of weights `[out, in, taps]` and of the bias `[out]`, given x and the gradient `dy` of the output.
pub(crate) fn weight_grad(level: Level, x: &[f32], dy: &[f32], s: Shape) -> (Vec<f32>, Vec<f32>) {
    let Shape { batch, inputs, frames, outputs, taps, geometry: g } = s;
    let (xs, ys) = (inputs * frames, s.frames_out());
    assert!(x.len() == batch * xs && dy.len() == batch * outputs * ys);
    if taps == 1 && g.stride == 1 && g.padding == 0 {
        return linear::weight_grad(level, x, dy, [batch, inputs, outputs, frames]);
    }
    let phases = Phases::new(taps, inputs, CORRELATION_TILE.min(ys), g.stride, g.padding, g.dilation);
    let tiles = Tiles { items: batch, frames: ys, tile: CORRELATION_TILE };
    let terms = taps * inputs;
    let sums = tiles.sum((terms + 1) * outputs, |item, first, n, [xt, dyt, ..], sums| {
        phases.fill(xt, &x[item * xs..][..xs], first);
        let row = fill_tile(dyt, &dy[item * outputs * ys..][..outputs * ys], outputs, first, n);
        let (weights, bias) = sums.split_at_mut(terms * outputs);
        correlate(level, dyt, row, outputs, xt, &phases.offsets, n, weights);
        for (o, b) in bias.iter_mut().enumerate() {
            *b += row_sum(&dyt[o * row..][..n]);
        }
    });
    let mut dw = vec![0.0; outputs * inputs * taps];
    dw.par_chunks_exact_mut((inputs * taps).max(1)).enumerate().for_each(|(o, row)| {
        for (i, to) in row.chunks_exact_mut(taps).enumerate() {
            to.iter_mut().enumerate().for_each(|(k, to)| *to = sums[(k * inputs + i) * outputs + o]);
        }
    });
    (dw, sums[terms * outputs..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::{forward, weight_grad};
    use crate::conv_transpose1d::adjoint;
    use crate::convolve::{Geometry, Shape};
    use crate::simd::Level;

    /// Every instruction set computes the same bits, for whole and for cut register tiles.
    #[test]
    fn instruction_sets_agree() {
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
        for (inputs, outputs, frames, stride, dilation) in
            [(32, 32, 1000, 1, 3), (1, 33, 777, 2, 1), (17, 1, 65, 1, 9), (5, 6, 91, 3, 2)]
        {
            let geometry = Geometry { stride, padding: dilation, dilation };
            let s = Shape { batch: 2, inputs, frames, outputs, taps: 3, geometry };
            let x: Vec<f32> = (0..2 * inputs * frames).map(value).collect();
            let w: Vec<f32> = (0..outputs * inputs * 3).map(|i| value(i + 7)).collect();
            let b: Vec<f32> = (0..outputs).map(value).collect();
            let run = |level| {
                let y = forward(level, &x, &w, Some(&b), s);
                let dx = adjoint(level, &y, &w, None, s);
                let dw = weight_grad(level, &x, &y, s);
                (y, dx, dw)
            };
            let portable = run(Level::Portable);
            for level in Level::available() {
                assert!(run(level) == portable, "{level:?}: {inputs} to {outputs} channels");
            }
        }
    }
}
