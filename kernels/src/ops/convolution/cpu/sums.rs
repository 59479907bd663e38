//! Sums over channels: the gradient of a bias.

use crate::cpu::tile::{Tiles, row_sum};
use crate::tensor::Shape;

/// The sum of every channel of x `[batch, channels, frames]` over batch and frames, items in order.
pub(crate) fn channel_sums(x: &[f32], [batch, channels, frames]: Shape, to: &mut [f32]) {
    let tiles = Tiles { items: batch, frames, tile: 4096 };
    assert!(x.len() == batch * channels * frames && to.len() == channels);
    let all = tiles.sum(channels, |item, first, n, _, sums| {
        for (c, s) in sums.iter_mut().enumerate() {
            *s += row_sum(&x[(item * channels + c) * frames + first..][..n]);
        }
    });
    to.copy_from_slice(&all);
}
