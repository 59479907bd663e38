//! The residual block on the CPU: a tile of frames goes through the whole block while it is in cache.

use super::shape::Block;
use crate::cpu::correlate::correlate;
use crate::cpu::dispatch::Level;
use crate::cpu::product::{Add, Gate, GateAdd, Out, Relu, Rows, Weights};
use crate::cpu::tile::{Phases, Shared, Tiles, fill_tile, rectify, row_stride, row_sum};

/// Frames of one tile of the way forward.
const TILE: usize = 768;

impl Block {
    fn tiles(&self, tile: usize) -> Tiles {
        Tiles { items: self.batch, frames: self.frames_out(), tile }
    }

    fn phases(&self, channels: usize, tile: usize) -> Phases {
        Phases::new(self.taps, channels, tile.min(self.frames_out()), 1, self.padding, self.dilation)
    }

    /// y, and the hidden activation where there is room for it.
    pub(super) fn forward(
        &self,
        level: Level,
        x: &[f32],
        [w1, b1, w2, b2]: [&[f32]; 4],
        y: &mut [f32],
        h: Option<&mut [f32]>,
    ) {
        let Self { batch, channels, frames, hidden, taps, .. } = *self;
        let (size, out) = (channels * frames, self.frames_out());
        assert!(x.len() == batch * size && b1.len() == hidden && b2.len() == channels);
        assert!(w1.len() == hidden * channels * taps && w2.len() == channels * hidden);
        assert!(y.len() == batch * channels * out && h.as_ref().is_none_or(|h| h.len() == batch * hidden * out));
        let phases = self.phases(channels, TILE);
        let row = row_stride(TILE.min(out));
        let between: Vec<usize> = (0..hidden).map(|j| j * row).collect();
        let first_w = Weights::pack(hidden, taps * channels, Some(b1), |j, term| {
            w1[(j * channels + term % channels) * taps + term / channels]
        });
        let second_w = Weights::pack(channels, hidden, Some(b2), |i, j| w2[i * hidden + j]);
        let (y, h) = (Shared::new(y), h.map(Shared::new));
        self.tiles(TILE).each(|item, first, n, [xt, ht, ..]| {
            phases.fill(xt, &x[item * size..][..size], first);
            rectify(xt);
            ht.resize(hidden * row, 0.0);
            // SAFETY: the tiles cover every frame of every item once; each writes all rows of y, and of h where kept, at
            // its own frames. The addend lies `skip` frames into x, which has as many more at its end.
            unsafe {
                let to = Out { at: ht.as_mut_ptr(), stride: row };
                first_w.apply(level, xt, &phases.offsets, n, to, Relu);
                if let Some(h) = h {
                    scatter(h, (item * hidden) * out + first, out, ht, row, hidden, n);
                }
                let to = Out { at: y.at(item * channels * out + first), stride: out };
                let addend = x[item * size + self.skip() + first..].as_ptr();
                second_w.apply(level, ht, &between, n, to, Add(Rows { at: addend, stride: frames }));
            }
        });
    }

    /// Gradients of x, w1, b1, w2 and b2 from x, the hidden activation, the gradient of the output, w1 and w2. The gradient
    /// of relu at 0 is 0. The last output is room for the gradient of the hidden activation.
    pub(super) fn backward(
        &self,
        level: Level,
        [x, h, dy, w1, w2]: [&[f32]; 5],
        [dx, dw1, db1, dw2, db2, inside]: [&mut [f32]; 6],
    ) {
        let Self { batch, channels, frames, hidden, taps, .. } = *self;
        let (size, inner) = (channels * frames, hidden * frames);
        assert_eq!(self.frames_out(), frames, "residual: a block that is cut has no way back");
        assert!(x.len() == batch * size && dy.len() == batch * size && h.len() == batch * inner);
        assert!(dx.len() == x.len() && db1.len() == hidden && db2.len() == channels && inside.len() == h.len());
        // four scratch buffers of this length share the second-level cache
        let tile = if channels.max(hidden) > 48 { 512 } else { 1024 };
        let phases = self.phases(channels, tile);
        let back = Weights::pack(hidden, channels, None, |j, i| w2[i * hidden + j]);
        let (terms1, terms2) = (taps * channels * hidden, hidden * channels);
        assert!(dw1.len() == terms1 && w1.len() == terms1 && dw2.len() == terms2 && w2.len() == terms2);
        let dh = Shared::new(inside);
        let sums =
            self.tiles(tile).sum(terms1 + hidden + terms2 + channels, |item, first, n, [xt, gt, ht, dht], sums| {
                let (s1, sums) = sums.split_at_mut(terms1);
                let (t1, sums) = sums.split_at_mut(hidden);
                let (s2, t2) = sums.split_at_mut(terms2);
                let row = fill_tile(gt, &dy[item * size..][..size], channels, first, n);
                fill_tile(ht, &h[item * inner..][..inner], hidden, first, n);
                let at: Vec<usize> = (0..channels.max(hidden)).map(|i| i * row).collect();
                correlate(level, gt, row, channels, ht, &at[..hidden], n, s2);
                tile_sums(gt, row, n, t2);
                dht.resize(hidden * row, 0.0);
                let gate = Gate(Rows { at: ht.as_ptr(), stride: row });
                // SAFETY: the scratch rows hold `n` frames of every hidden channel.
                unsafe {
                    back.apply(level, gt, &at[..channels], n, Out { at: dht.as_mut_ptr(), stride: row }, gate);
                }
                for j in 0..hidden {
                    dht[j * row + n..(j + 1) * row].fill(0.0);
                }
                // SAFETY: the tiles cover every frame of every item once.
                unsafe { scatter(dh, item * inner + first, frames, dht, row, hidden, n) };
                phases.fill(xt, &x[item * size..][..size], first);
                rectify(xt);
                correlate(level, dht, row, hidden, xt, &phases.offsets, n, s1);
                tile_sums(dht, row, n, t1);
            });
        self.input_gradient(level, [x, dy, w1, inside], dx);
        for (at, v) in sums[..terms1].iter().enumerate() {
            let (term, j) = (at / hidden, at % hidden);
            dw1[(j * channels + term % channels) * taps + term / channels] = *v;
        }
        let (b1, rest) = sums[terms1..].split_at(hidden);
        let (w2t, b2) = rest.split_at(terms2);
        db1.copy_from_slice(b1);
        dw2.iter_mut().enumerate().for_each(|(at, to)| *to = w2t[(at % hidden) * channels + at / hidden]);
        db2.copy_from_slice(b2);
    }

    /// dx from x, dy, w1 and the gradient of the hidden activation. The adjoint of a convolution of stride 1 is one with
    /// its taps reversed.
    fn input_gradient(&self, level: Level, [x, dy, w1, dh]: [&[f32]; 4], dx: &mut [f32]) {
        let Self { channels, frames, hidden, taps, dilation, padding, .. } = *self;
        let (size, inner) = (channels * frames, hidden * frames);
        let phases = Phases::new(taps, hidden, TILE.min(frames), 1, dilation * (taps - 1) - padding, dilation);
        let first_w = Weights::pack(channels, taps * hidden, None, |i, term| {
            w1[((term % hidden) * channels + i) * taps + taps - 1 - term / hidden]
        });
        let dx = Shared::new(dx);
        self.tiles(TILE).each(|item, first, n, [dht, ..]| {
            phases.fill(dht, &dh[item * inner..][..inner], first);
            let at = item * size + first;
            let rows = |v: &[f32]| Rows { at: v[at..].as_ptr(), stride: frames };
            // SAFETY: the tiles cover every frame of every item once; x and dy have the shape of dx.
            unsafe {
                let to = Out { at: dx.at(at), stride: frames };
                first_w.apply(level, dht, &phases.offsets, n, to, GateAdd(rows(x), rows(dy)));
            }
        });
    }
}

/// Adds the sum of each row's first `n` frames.
fn tile_sums(rows: &[f32], row: usize, n: usize, sums: &mut [f32]) {
    for (i, s) in sums.iter_mut().enumerate() {
        *s += row_sum(&rows[i * row..][..n]);
    }
}

/// Copies `n` frames of scratch rows to rows `stride` apart, from float `at` on.
///
/// # Safety
/// These floats of `to` must be this thread's own.
unsafe fn scatter(to: Shared, at: usize, stride: usize, from: &[f32], row: usize, rows: usize, n: usize) {
    for r in 0..rows {
        let from = &from[r * row..][..n];
        // SAFETY: the caller's; `from` holds `n` floats.
        unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), to.at(at + r * stride), n) };
    }
}
