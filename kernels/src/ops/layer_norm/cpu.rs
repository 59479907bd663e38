//! Layer normalisation on the CPU, many positions at once: means and variances are sums of rows.

use crate::cpu::tile::{Shared, Tiles, row_sum};
use crate::tensor::Shape;

/// Positions of one tile.
const TILE: usize = 256;

/// Added to the variance.
const EPSILON: f32 = 1e-5;

/// Rows of one tile, from `first` on: the channels of an item.
fn rows(x: &[f32], positions: usize, first: usize, n: usize) -> impl Iterator<Item = &[f32]> {
    x.chunks_exact(positions).map(move |row| &row[first..][..n])
}

/// y and, of every position, mean and reciprocal deviation `[batch, 2, positions]`.
pub(super) fn forward([x, gain, bias]: [&[f32]; 3], [batch, channels, positions]: Shape, [y, kept]: [&mut [f32]; 2]) {
    let size = channels * positions;
    assert!(x.len() == batch * size && gain.len() == channels && bias.len() == channels);
    assert!(y.len() == x.len() && kept.len() == 2 * batch * positions);
    let tiles = Tiles { items: batch, frames: positions, tile: TILE };
    let (y, kept) = (Shared::new(y), Shared::new(kept));
    tiles.each(|item, first, n, [mean, scale, ..]| {
        let x = &x[item * size..][..size];
        moments(x, channels, positions, first, n, mean, scale);
        for (i, v) in [&*mean, scale].into_iter().enumerate() {
            // SAFETY: the tiles cover every position of every item once.
            unsafe {
                let to = kept.at((2 * item + i) * positions + first);
                core::ptr::copy_nonoverlapping(v.as_ptr(), to, n);
            }
        }
        for (c, row) in rows(x, positions, first, n).enumerate() {
            // SAFETY: as above; these are the tile's positions of one channel.
            let to = unsafe { core::slice::from_raw_parts_mut(y.at(item * size + c * positions + first), n) };
            for ((to, v), (mean, scale)) in to.iter_mut().zip(row).zip(mean.iter().zip(&*scale)) {
                *to = ((v - mean) * scale).mul_add(gain[c], bias[c]);
            }
        }
    });
}

/// Mean and reciprocal deviation of `n` positions; the sums run over the channels in order.
fn moments(
    x: &[f32],
    channels: usize,
    positions: usize,
    first: usize,
    n: usize,
    mean: &mut Vec<f32>,
    scale: &mut Vec<f32>,
) {
    for v in [&mut *mean, scale] {
        v.clear();
        v.resize(n, 0.0);
    }
    let share = 1.0 / channels as f32;
    for row in rows(x, positions, first, n) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
    }
    mean.iter_mut().for_each(|m| *m *= share);
    for row in rows(x, positions, first, n) {
        for ((s, v), m) in scale.iter_mut().zip(row).zip(&*mean) {
            *s = (v - m).mul_add(v - m, *s);
        }
    }
    scale.iter_mut().for_each(|s| *s = 1.0 / s.mul_add(share, EPSILON).sqrt());
}

/// Gradients of x, the gain and the bias, from x, the gain, what was kept, and the gradient of the result.
pub(super) fn backward(
    [x, gain, kept, dy]: [&[f32]; 4],
    [batch, channels, positions]: Shape,
    [dx, dgain, dbias]: [&mut [f32]; 3],
) {
    let size = channels * positions;
    assert!(x.len() == batch * size && dy.len() == batch * size && gain.len() == channels);
    assert!(kept.len() == 2 * batch * positions && dx.len() == x.len());
    assert!(dgain.len() == channels && dbias.len() == channels);
    let tiles = Tiles { items: batch, frames: positions, tile: TILE };
    let share = 1.0 / channels as f32;
    let dx = Shared::new(dx);
    let sums = tiles.sum(2 * channels, |item, first, n, [flat, along, normed, _], sums| {
        let (x, dy) = (&x[item * size..][..size], &dy[item * size..][..size]);
        let [mean, scale] = [0, 1].map(|i| &kept[(2 * item + i) * positions + first..][..n]);
        for v in [&mut *flat, along] {
            v.clear();
            v.resize(n, 0.0);
        }
        normed.resize(n, 0.0);
        let (gains, biases) = sums.split_at_mut(channels);
        for (c, (x, dy)) in rows(x, positions, first, n).zip(rows(dy, positions, first, n)).enumerate() {
            for ((h, x), (mean, scale)) in normed.iter_mut().zip(x).zip(mean.iter().zip(scale)) {
                *h = (x - mean) * scale;
            }
            for ((h, dy), (flat, along)) in normed.iter_mut().zip(dy).zip(flat.iter_mut().zip(along.iter_mut())) {
                let g = dy * gain[c];
                *flat += g;
                *along = g.mul_add(*h, *along);
                *h *= dy;
            }
            gains[c] += row_sum(&normed[..n]);
            biases[c] += row_sum(dy);
        }
        flat.iter_mut().chain(along.iter_mut()).for_each(|v| *v *= share);
        for (c, (x, dy)) in rows(x, positions, first, n).zip(rows(dy, positions, first, n)).enumerate() {
            // SAFETY: the tiles cover every position of every item once; these are its positions of one channel.
            let to = unsafe { core::slice::from_raw_parts_mut(dx.at(item * size + c * positions + first), n) };
            let of_position = mean.iter().zip(scale).zip(flat.iter().zip(&*along));
            for ((to, (x, dy)), ((mean, scale), (flat, along))) in to.iter_mut().zip(x.iter().zip(dy)).zip(of_position)
            {
                let h = (x - mean) * scale;
                *to = (dy * gain[c] - flat - h * along) * scale;
            }
        }
    });
    dgain.copy_from_slice(&sums[..channels]);
    dbias.copy_from_slice(&sums[channels..]);
}
