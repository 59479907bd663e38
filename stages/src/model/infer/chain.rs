//! Layers over a sequence of any length, tile by tile.
use std::ops::Range;

use kernels::device::Device;
use kernels::ops::columns::{Piece, columns};
use kernels::ops::convolution::{Geometry, conv_transpose1d_to, conv1d};
use kernels::ops::finite::finite;
use kernels::ops::linear::linear;
use kernels::ops::residual::residual_block_within;
use kernels::tape::{Tape, Value, sum};
use kernels::tensor::Tensor;

use crate::model::layer::{Kind, Loaded, padded};

/// How a layer cuts its input: all lengths in positions at the rate of that input.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Positions kept from before the tile.
    context: usize,
    /// Positions at the end of the tile left for the next one.
    trim: usize,
    channels: usize,
    /// Length of the tile it puts out, and how far that tile lies behind its nominal place.
    tile: usize,
    lag: usize,
}

/// The cuts of `layers` for tiles of `tile` positions at the input.
fn cuts(layers: &[Loaded], tile: usize) -> Vec<Cut> {
    let (mut tile, mut lag) = (tile, 0);
    layers
        .iter()
        .map(|layer| {
            let (context, trim, channels);
            match layer.kind {
                Kind::Down { input, stride, .. } => {
                    // Output o reads 2 * stride positions from stride * o - padded on: the last of the tile must be there,
                    // and the buffer starts where the first one starts.
                    let behind = (lag + stride - padded(stride)).div_ceil(stride);
                    context = stride * behind + padded(stride) - lag;
                    trim = stride * (behind - 1) + padded(stride) - lag;
                    (tile, lag, channels) = (tile / stride, behind, input);
                }
                Kind::Up { input, stride, .. } => {
                    (context, trim) = (2, 0);
                    (tile, lag, channels) = (tile * stride, (lag + 1) * stride, input);
                }
                Kind::Same { input, .. } => {
                    (context, trim) = (2, 0);
                    (lag, channels) = (lag + 1, input);
                }
                Kind::Residual { width, dilation } => {
                    (context, trim) = (2 * dilation, 0);
                    (lag, channels) = (lag + dilation, width);
                }
                Kind::Beside { input, .. } => {
                    // What came in as long ago as the layers between lag behind.
                    (context, trim) = (lag, lag);
                    channels = input;
                }
            }
            Cut { context, trim, channels, tile, lag }
        })
        .collect()
}

/// Layers, cut.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    layers: Vec<Loaded>,
    cuts: Vec<Cut>,
    /// Positions of a tile that comes in.
    pub(super) tile: usize,
}

impl Chain {
    pub(super) fn new(layers: Vec<Loaded>, tile: usize) -> Self {
        let cuts = cuts(&layers, tile);
        Self { layers, cuts, tile }
    }

    fn out(&self) -> (usize, usize) {
        self.cuts.last().map_or((self.tile, 0), |c| (c.tile, c.lag))
    }

    /// Feeds `length` positions tile by tile. `next` gives tile number `i` (all `tile` positions, zeros behind the end);
    /// `put` takes each tile of the output with the range of it that lies in the sequence. `channels` come in. `Ok(false)`
    /// if a number on the way was not finite.
    pub(super) fn run<E>(
        &self,
        length: u64,
        channels: usize,
        device: &dyn Device,
        mut next: impl FnMut(u64) -> Result<Vec<f32>, E>,
        mut put: impl FnMut(Vec<f32>, Range<usize>),
    ) -> Result<bool, E> {
        let (tile_out, lag_out) = self.out();
        let length_out = length * tile_out as u64 / self.tile as u64;
        let tiles_in = length.div_ceil(self.tile as u64);
        let mut contexts: Vec<Option<Tensor>> = vec![None; self.layers.len()];
        let tape = Tape::forward_only(device);
        let mut sound = true;
        for i in 0..(length_out + lag_out as u64).div_ceil(tile_out as u64) {
            let mut x = match i < tiles_in {
                true => Some(device.tensor(&next(i)?, [1, channels, self.tile])),
                false => None,
            };
            // What a layer beside the others takes.
            let mut first = x.clone();
            for ((layer, cut), context) in self.layers.iter().zip(&self.cuts).zip(&mut contexts) {
                let length = length * cut.tile as u64 / self.tile as u64;
                let inside = inside(i, cut.tile, cut.lag, length);
                x = match layer.kind {
                    Kind::Beside { .. } => {
                        let beside = advance(&tape, layer, cut, context, first.take(), inside);
                        x.zip(beside).map(|(x, beside)| sum(device, x, beside))
                    }
                    _ => advance(&tape, layer, cut, context, x, inside),
                };
                sound &= x.as_ref().is_none_or(|x| finite(device, x));
            }
            if let Some(x) = x {
                put(device.floats(&x), inside(i, tile_out, lag_out, length_out));
            }
        }
        Ok(sound)
    }
}

/// Which positions of output tile `i` lie in a sequence of `length`.
fn inside(i: u64, tile: usize, lag: usize, length: u64) -> Range<usize> {
    let (start, end) = (i * tile as u64, (i + 1) * tile as u64);
    let lag = lag as u64;
    let first = lag.saturating_sub(start).min(tile as u64);
    let last = (length + lag).min(end).saturating_sub(start).max(first);
    first as usize..last as usize
}

/// One layer, one tile, `[1, channels, tile]`. A tile of zeros, outside the sequence, is `None` and costs nothing.
fn advance(
    tape: &Tape<'_>,
    layer: &Loaded,
    cut: &Cut,
    context: &mut Option<Tensor>,
    x: Option<Tensor>,
    inside: Range<usize>,
) -> Option<Tensor> {
    if x.is_none() && context.is_none() && inside.is_empty() {
        return None;
    }
    let tile_in = match layer.kind {
        Kind::Down { stride, .. } => cut.tile * stride,
        Kind::Up { stride, .. } => cut.tile / stride,
        Kind::Same { .. } | Kind::Residual { .. } | Kind::Beside { .. } => cut.tile,
    };
    let (device, seen) = (tape.device(), cut.context + tile_in);
    let cut_of = |channels: usize, pieces: &[Piece]| columns(device, channels, pieces);
    let piece = |tensor: &Option<Tensor>, count: usize| match tensor {
        Some(tensor) => Piece::Of(tensor.clone(), 0, count),
        None => Piece::Zeros(count),
    };
    let mut buffer = cut_of(cut.channels, &[piece(context, cut.context), piece(&x, tile_in)]);
    drop(x);
    *context = Some(cut_of(cut.channels, &[Piece::Of(buffer.clone(), tile_in, cut.context)]));
    if inside.is_empty() {
        return None;
    }
    if cut.trim > 0 {
        buffer = cut_of(cut.channels, &[Piece::Of(buffer, 0, seen - cut.trim)]);
    }
    let (x, [weight, bias]) = (Value::constant(buffer), layer.affine());
    let y = match layer.kind {
        Kind::Down { stride, .. } => conv1d(tape, &x, weight, bias, Geometry { stride, padding: 0, dilation: 1 }),
        // Outputs that the first position of context alone reaches, and those padded in any case, belong to the tile before;
        // those behind this tile's to the next one.
        Kind::Up { stride, .. } => {
            conv_transpose1d_to(tape, &x, weight, bias, [stride, stride + padded(stride)], cut.tile)
        }
        Kind::Same { .. } => conv1d(tape, &x, weight, bias, Geometry { stride: 1, padding: 0, dilation: 1 }),
        Kind::Residual { dilation, .. } => residual_block_within(tape, &x, layer.block(), dilation),
        Kind::Beside { .. } => linear(tape, &x, weight, bias),
    };
    let y = y.into_tensor();
    if inside == (0..cut.tile) {
        return Some(y);
    }
    let Range { start, end } = inside;
    let pieces = [Piece::Zeros(start), Piece::Of(y.clone(), start, end - start), Piece::Zeros(cut.tile - end)];
    Some(cut_of(y.shape()[1], &pieces))
}
