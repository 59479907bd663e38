//! The gradients of a convolution's weights and bias.

use rayon::prelude::*;

use super::pointwise;
use crate::cpu::correlate::correlate;
use crate::cpu::dispatch::Level;
use crate::cpu::tile::{Phases, Tiles, fill_tile, row_sum};
use crate::ops::convolution::shape::Convolution;

/// Frames of one tile of a correlation: long, since each tile ends in a sum over lanes.
const CORRELATION_TILE: usize = 1024;

/// The gradients of weights `[out, in, taps]` and of the bias `[out]`, given x and the gradient `dy` of the output.
pub(crate) fn weights(level: Level, x: &[f32], dy: &[f32], s: Convolution, dw: &mut [f32], db: &mut [f32]) {
    let Convolution { batch, inputs, frames, outputs, taps, geometry: g } = s;
    let (xs, ys) = (inputs * frames, s.frames_out());
    assert!(x.len() == batch * xs && dy.len() == batch * outputs * ys);
    assert!(dw.len() == outputs * inputs * taps && db.len() == outputs);
    if taps == 1 && g.stride == 1 && g.padding == 0 {
        return pointwise::weights(level, x, dy, [batch, inputs, outputs, frames], dw, db);
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
    dw.par_chunks_exact_mut((inputs * taps).max(1)).enumerate().for_each(|(o, row)| {
        for (i, to) in row.chunks_exact_mut(taps).enumerate() {
            to.iter_mut().enumerate().for_each(|(k, to)| *to = sums[(k * inputs + i) * outputs + o]);
        }
    });
    db.copy_from_slice(&sums[terms * outputs..]);
}

#[cfg(test)]
mod tests {
    use super::weights;
    use crate::cpu::dispatch::Level;
    use crate::ops::convolution::cpu::{adjoint::adjoint, forward::forward};
    use crate::ops::convolution::shape::{Convolution, Geometry};

    /// Every instruction set computes the same bits, for whole and for cut register tiles.
    #[test]
    fn instruction_sets_agree() {
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
        for (inputs, outputs, frames, stride, dilation) in
            [(32, 32, 1000, 1, 3), (1, 33, 777, 2, 1), (17, 1, 65, 1, 9), (5, 6, 91, 3, 2)]
        {
            let geometry = Geometry { stride, padding: dilation, dilation };
            let s = Convolution { batch: 2, inputs, frames, outputs, taps: 3, geometry };
            let x: Vec<f32> = (0..2 * inputs * frames).map(value).collect();
            let w: Vec<f32> = (0..outputs * inputs * 3).map(|i| value(i + 7)).collect();
            let b: Vec<f32> = (0..outputs).map(value).collect();
            let run = |level| {
                let mut y = vec![0.0; 2 * outputs * s.frames_out()];
                forward(level, &x, &w, Some(&b), s, &mut y);
                let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; b.len()]);
                adjoint(level, &y, &w, None, s, &mut dx);
                weights(level, &x, &y, s, &mut dw, &mut db);
                (y, dx, dw, db)
            };
            let portable = run(Level::Portable);
            for level in Level::available() {
                assert!(run(level) == portable, "{level:?}: {inputs} to {outputs} channels");
            }
        }
    }
}
