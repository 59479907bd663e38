//! Transposed convolution over frames: the adjoint of [`conv1d`](crate::conv1d()), and so also its input gradient.
//!
//! PyTorch's `conv_transpose1d`: weights are `[in, out, taps]` and
//! `y[o][t * stride + k * dilation - padding] += w[i][o][k] * x[i][t]`.
//!
//! Outputs of one phase of the stride form a plain convolution over the taps that reach that phase, so no product is
//! computed that meets an inserted zero.

use burn::tensor::{Tensor, TensorPrimitive};

use crate::Kernels;
use crate::convolve::{Geometry, Shape};
use crate::gather::{Tiles, filled, gather, row_stride};
use crate::product::{Out, Plain, Weights};
use crate::simd::{LANES, Level};

/// Input frames of one tile.
const TILE: usize = 768;

/// Transposed convolution with a gradient: x `[batch, in, frames]`, weight `[in, out, taps]`, bias `[out]` to
/// `[batch, out, (frames - 1) * stride + taps - 2 * padding]`.
///
/// # Panics
/// If the shapes do not fit each other, `stride` is 0, or padding leaves no frame.
pub fn conv_transpose1d<B: Kernels>(
    x: Tensor<B, 3>,
    weight: Tensor<B, 3>,
    bias: Tensor<B, 1>,
    stride: usize,
    padding: usize,
) -> Tensor<B, 3> {
    let ([_, _, frames], [_, _, taps]) = (x.dims(), weight.dims());
    assert!(
        frames > 0 && (frames - 1) * stride + taps > 2 * padding,
        "conv_transpose1d: padding {padding} leaves no frame"
    );
    let frames_out = (frames - 1) * stride + taps - 2 * padding;
    let geometry = Geometry { stride, padding, dilation: 1 };
    let [x, w] = [x, weight].map(|t| t.into_primitive().tensor());
    let y = B::convolve_transposed(x, w, Some(bias.into_primitive().tensor()), frames_out, geometry);
    Tensor::from_primitive(TensorPrimitive::Float(y))
}

/// The taps that reach one phase of the output, as a convolution of stride 1.
struct Phase {
    weights: Weights,
    offsets: Vec<usize>,
}

/// `x^T`: from `dy` `[batch, outputs, frames_out]` to `[batch, inputs, frames]`, where `s` describes the convolution
/// whose adjoint this is; `bias` has `inputs` values.
pub(crate) fn adjoint(level: Level, dy: &[f32], w: &[f32], bias: Option<&[f32]>, s: Shape) -> Vec<f32> {
    let Shape { batch, inputs, frames, outputs, taps, geometry: g } = s;
    let ys = s.frames_out();
    assert!(
        dy.len() == batch * outputs * ys
            && w.len() == outputs * inputs * taps
            && bias.is_none_or(|b| b.len() == inputs)
    );
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
    // SAFETY: the tiles cover all steps and the phases all frames of a step; each is written below.
    unsafe {
        filled(batch * inputs * frames, |y| {
            tiles.each(|item, first, n, [scratch, out, ..]| {
                scratch.resize(outputs * row, 0.0);
                for o in 0..outputs {
                    let from = &dy[(item * outputs + o) * ys..][..ys];
                    gather(&mut scratch[o * row..][..row], from, first as isize + low, 1);
                }
                let base = item * inputs * frames + first * g.stride;
                if g.stride == 1 {
                    let out = Out { at: y.at(base), stride: frames };
                    phases[0].weights.apply(level, scratch, &phases[0].offsets, n, out, Plain);
                    return;
                }
                let line = row_stride(n);
                out.resize(g.stride * inputs * line, 0.0);
                for (r, phase) in phases.iter().enumerate() {
                    let out = Out { at: out.as_mut_ptr().add(r * inputs * line), stride: line };
                    phase.weights.apply(level, scratch, &phase.offsets, n, out, Plain);
                }
                // the last step may be cut short by the end of the item
                let live = (n * g.stride).min(frames - first * g.stride);
                for i in 0..inputs {
                    let to = core::slice::from_raw_parts_mut(y.at(base + i * frames), live);
                    interleave(to, g.stride, |r| &out[(r * inputs + i) * line..][..n]);
                }
            });
        })
    }
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

/// The sum of every channel of x `[batch, channels, frames]` over batch and frames, items in order.
pub(crate) fn channel_sums(x: &[f32], [batch, channels, frames]: [usize; 3]) -> Vec<f32> {
    let tiles = Tiles { items: batch, frames, tile: 4096 };
    tiles.sum(channels, |item, first, n, _, sums| {
        for (c, s) in sums.iter_mut().enumerate() {
            *s += crate::gather::row_sum(&x[(item * channels + c) * frames + first..][..n]);
        }
    })
}
