//! The adjoint of a convolution: its input gradient, and the transposed convolution.
//!
//! Outputs of one phase of the stride form a plain convolution over the taps that reach that phase, so no product is
//! computed that meets an inserted zero.

use crate::cpu::dispatch::Level;
use crate::cpu::product::{Out, Plain, Weights};
use crate::cpu::simd::LANES;
use crate::cpu::tile::{Shared, Tiles, gather, row_stride};
use crate::ops::convolution::shape::Convolution;

/// Input frames of one tile.
const TILE: usize = 768;

/// The taps that reach one phase of the output, as a convolution of stride 1.
struct Phase {
    weights: Weights,
    offsets: Vec<usize>,
}

/// From `dy` `[batch, outputs, frames_out]` to `[batch, inputs, frames]`, where `s` describes the convolution
/// whose adjoint this is; `bias` has `inputs` values.
pub(crate) fn adjoint(level: Level, dy: &[f32], w: &[f32], bias: Option<&[f32]>, s: Convolution, x: &mut [f32]) {
    let Convolution { batch, inputs, frames, outputs, taps, geometry: g } = s;
    let ys = s.frames_out();
    assert!(
        dy.len() == batch * outputs * ys
            && w.len() == outputs * inputs * taps
            && bias.is_none_or(|b| b.len() == inputs)
    );
    assert_eq!(x.len(), batch * inputs * frames, "convolution: floats of the adjoint");
    let steps = frames.div_ceil(g.stride);
    let tile = TILE.min(steps);
    // output m * stride + r takes tap k from input m + shift where r + padding - k * dilation = shift * stride
    let shift = |r: usize, k: usize| {
        let n = (r + g.padding) as isize - (k * g.dilation) as isize;
        (n.rem_euclid(g.stride as isize) == 0).then(|| n.div_euclid(g.stride as isize))
    };
    let reach = || (0..g.stride).flat_map(|r| (0..taps).filter_map(move |k| shift(r, k)));
    let (low, high) = (reach().min().unwrap_or(0), reach().max().unwrap_or(0));
    let row = row_stride(tile.next_multiple_of(LANES) + (high - low) as usize);
    let phases: Vec<Phase> = (0..g.stride)
        .map(|r| {
            let live: Vec<(usize, isize)> = (0..taps).filter_map(|k| shift(r, k).map(|q| (k, q))).collect();
            let offsets =
                live.iter().flat_map(|&(_, q)| (0..outputs).map(move |o| o * row + (q - low) as usize)).collect();
            let at = |i: usize, term: usize| w[((term % outputs) * inputs + i) * taps + live[term / outputs].0];
            let weights = match taps {
                // a division for every weight is what packing would spend its time on
                1 if live.len() == 1 => Weights::pack(inputs, outputs, bias, |i, term| w[term * inputs + i]),
                _ => Weights::pack(inputs, live.len() * outputs, bias, at),
            };
            Phase { weights, offsets }
        })
        .collect();
    let tiles = Tiles { items: batch, frames: steps, tile: TILE };
    let x = Shared::new(x);
    tiles.each(|item, first, n, [scratch, out, ..]| {
        scratch.resize(outputs * row, 0.0);
        for o in 0..outputs {
            let from = &dy[(item * outputs + o) * ys..][..ys];
            gather(&mut scratch[o * row..][..row], from, first as isize + low, 1);
        }
        let base = item * inputs * frames + first * g.stride;
        if g.stride == 1 {
            // SAFETY: the tiles are within x, whose length was checked, and share no frame of an item.
            unsafe {
                let out = Out { at: x.at(base), stride: frames };
                phases[0].weights.apply(level, scratch, &phases[0].offsets, n, out, Plain);
            }
            return;
        }
        let line = row_stride(n);
        out.resize(g.stride * inputs * line, 0.0);
        for (r, phase) in phases.iter().enumerate() {
            // SAFETY: the scratch has `inputs` lines for each phase.
            unsafe {
                let out = Out { at: out.as_mut_ptr().add(r * inputs * line), stride: line };
                phase.weights.apply(level, scratch, &phase.offsets, n, out, Plain);
            }
        }
        // the last step may be cut short by the end of the item
        let live = (n * g.stride).min(frames - first * g.stride);
        for i in 0..inputs {
            // SAFETY: as above; `live` frames of this item's channel from the tile's first on.
            let to = unsafe { core::slice::from_raw_parts_mut(x.at(base + i * frames), live) };
            interleave(to, g.stride, |r| &out[(r * inputs + i) * line..][..n]);
        }
    });
}

/// `to[m * stride + r] = phase(r)[m]`.
fn interleave<'a>(to: &mut [f32], stride: usize, phase: impl Fn(usize) -> &'a [f32]) {
    if stride == 2 {
        let (even, odd) = (phase(0), phase(1));
        let (pairs, last) = to.as_chunks_mut::<2>();
        for ((pair, e), o) in pairs.iter_mut().zip(even).zip(odd) {
            *pair = [*e, *o];
        }
        if let [v] = last {
            *v = even[pairs.len()];
        }
        return;
    }
    for r in 0..stride {
        for (v, p) in to.iter_mut().skip(r).step_by(stride).zip(phase(r)) {
            *v = *p;
        }
    }
}
