//! The convolution, tile by tile.

use crate::cpu::dispatch::Level;
use crate::cpu::product::{Out, Plain, Weights};
use crate::cpu::tile::{Phases, Shared, Tiles};
use crate::ops::convolution::shape::Convolution;

/// Frames of one tile of a product: a multiple of the widest register tile, and few enough for the second-level cache.
const TILE: usize = 768;

/// y `[batch, out, frames out]` from x `[batch, in, frames]`, w `[out, in, taps]` and bias `[out]`.
pub(crate) fn forward(level: Level, x: &[f32], w: &[f32], bias: Option<&[f32]>, s: Convolution, y: &mut [f32]) {
    let Convolution { batch, inputs, frames, outputs, taps, geometry: g } = s;
    let (xs, ys) = (inputs * frames, s.frames_out());
    assert!(x.len() == batch * xs && w.len() == outputs * inputs * taps && bias.is_none_or(|b| b.len() == outputs));
    assert_eq!(y.len(), batch * outputs * ys, "convolution: floats of the result");
    let phases = Phases::new(taps, inputs, TILE.min(ys), g.stride, g.padding, g.dilation);
    // a division for every weight is what packing would spend its time on
    let packed = match taps {
        1 => Weights::pack(outputs, inputs, bias, |o, term| w[o * inputs + term]),
        _ => Weights::pack(outputs, taps * inputs, bias, |o, term| {
            w[(o * inputs + term % inputs) * taps + term / inputs]
        }),
    };
    let tiles = Tiles { items: batch, frames: ys, tile: TILE };
    let y = Shared::new(y);
    tiles.each(|item, first, n, [scratch, ..]| {
        phases.fill(scratch, &x[item * xs..][..xs], first);
        // SAFETY: the tiles are within y, whose length was checked, and share no frame of an item.
        unsafe {
            let out = Out { at: y.at(item * outputs * ys + first), stride: ys };
            packed.apply(level, scratch, &phases.offsets, n, out, Plain);
        }
    });
}
