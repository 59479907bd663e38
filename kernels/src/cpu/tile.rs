//! Tiles of frames: filling their scratch rows, and running them on the pool.

use core::cell::RefCell;

use rayon::prelude::*;

use crate::cpu::simd::LANES;

/// Floats from a scratch row to the next for rows of `width`: an odd number of cache lines, so that equal frames of
/// neighbouring rows do not compete for one cache set.
pub(crate) fn row_stride(width: usize) -> usize {
    (width.div_ceil(LANES) | 1) * LANES
}

/// `row[j] = x[start + j * step]`, 0 outside `x`.
pub(crate) fn gather(row: &mut [f32], x: &[f32], start: isize, step: usize) {
    // the j with 0 <= start + j * step < x.len()
    let first = ((-start).max(0) as usize).div_ceil(step).min(row.len());
    let end = ((x.len() as isize - start).max(0) as usize).div_ceil(step).clamp(first, row.len());
    row[..first].fill(0.0);
    row[end..].fill(0.0);
    let live = &mut row[first..end];
    if live.is_empty() {
        return;
    }
    let x = &x[(start + (first * step) as isize) as usize..];
    match step {
        1 => live.copy_from_slice(&x[..live.len()]),
        2 => {
            // pairs, for the compiler to vectorise; the last value may have no partner
            let pairs = x.len() / 2;
            for (o, pair) in live.iter_mut().zip(x.chunks_exact(2)) {
                *o = pair[0];
            }
            if live.len() > pairs {
                live[pairs] = x[2 * pairs];
            }
        }
        _ => {
            for (o, v) in live.iter_mut().zip(x.iter().step_by(step)) {
                *o = *v;
            }
        }
    }
}

/// Rectifies in place; a NaN stays.
pub(crate) fn rectify(row: &mut [f32]) {
    for v in row {
        *v = if *v < 0.0 { 0.0 } else { *v };
    }
}

/// The sum of a row in 16 interleaved lanes, then pairwise.
pub(crate) fn row_sum(row: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for chunk in whole {
        for (l, v) in lanes.iter_mut().zip(chunk) {
            *l += v;
        }
    }
    for (l, v) in lanes.iter_mut().zip(rest) {
        *l += v;
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// How a strided convolution finds its inputs in scratch rows.
///
/// Tap `k` of output `t` reads frame `t * stride + k * dilation - padding`: phase `r` of the stride, at `t + q`. One
/// scratch row holds one phase of one channel, so that every tap reads consecutive floats.
pub(crate) struct Phases {
    /// Floats from a scratch row to the next.
    pub(crate) row: usize,
    /// Scratch offset of every term: tap by tap, channel by channel.
    pub(crate) offsets: Vec<usize>,
    stride: usize,
    channels: usize,
    low: isize,
    /// Phases that some tap reads, in order of first use.
    used: Vec<usize>,
}

impl Phases {
    pub(crate) fn new(
        taps: usize,
        channels: usize,
        tile: usize,
        stride: usize,
        padding: usize,
        dilation: usize,
    ) -> Self {
        let at = |k: usize| {
            let pos = (k * dilation) as isize - padding as isize;
            (pos.rem_euclid(stride as isize) as usize, pos.div_euclid(stride as isize))
        };
        let low = (0..taps).map(|k| at(k).1).min().unwrap_or(0);
        let high = (0..taps).map(|k| at(k).1).max().unwrap_or(0);
        let row = row_stride(tile.next_multiple_of(LANES) + (high - low) as usize);
        let mut used: Vec<usize> = Vec::new();
        let mut offsets = Vec::with_capacity(taps * channels);
        for k in 0..taps {
            let (phase, q) = at(k);
            let slot = used.iter().position(|&p| p == phase).unwrap_or_else(|| {
                used.push(phase);
                used.len() - 1
            });
            offsets.extend((0..channels).map(|c| (slot * channels + c) * row + (q - low) as usize));
        }
        Self { row, offsets, stride, channels, low, used }
    }

    /// Fills `scratch` for the tile whose first output is `first`; `x` is one item, `[channels, frames]`.
    pub(crate) fn fill(&self, scratch: &mut Vec<f32>, x: &[f32], first: usize) {
        let frames = x.len() / self.channels.max(1);
        scratch.resize(self.used.len() * self.channels * self.row, 0.0);
        for (slot, phase) in self.used.iter().enumerate() {
            let start = (first as isize + self.low) * self.stride as isize + *phase as isize;
            for c in 0..self.channels {
                let row = &mut scratch[(slot * self.channels + c) * self.row..][..self.row];
                gather(row, &x[c * frames..][..frames], start, self.stride);
            }
        }
    }
}

/// Scratch rows for the frames of one tile without a halo, zeros behind them: the left operand of a correlation.
pub(crate) fn fill_tile(scratch: &mut Vec<f32>, x: &[f32], channels: usize, first: usize, frames: usize) -> usize {
    let row = row_stride(frames);
    let total = x.len() / channels.max(1);
    scratch.resize(channels * row, 0.0);
    for c in 0..channels {
        let to = &mut scratch[c * row..][..row];
        to[..frames].copy_from_slice(&x[c * total + first..][..frames]);
        to[frames..].fill(0.0);
    }
    row
}

/// Items cut into tiles of frames: the unit of work and of every partial sum.
#[derive(Clone, Copy)]
pub(crate) struct Tiles {
    pub(crate) items: usize,
    pub(crate) frames: usize,
    pub(crate) tile: usize,
}

impl Tiles {
    fn per_item(self) -> usize {
        self.frames.div_ceil(self.tile)
    }

    pub(crate) fn count(self) -> usize {
        self.items * self.per_item()
    }

    /// (item, first frame, frames) of tile `i`.
    pub(crate) fn at(self, i: usize) -> (usize, usize, usize) {
        let (item, t) = (i / self.per_item(), i % self.per_item());
        let first = t * self.tile;
        (item, first, self.tile.min(self.frames - first))
    }

    /// Runs `f` once for every tile, in any order, with this thread's scratch buffers.
    pub(crate) fn each(self, f: impl Fn(usize, usize, usize, &mut [Vec<f32>; 4]) + Sync) {
        let one = |i| {
            let (item, first, frames) = self.at(i);
            with_scratch(|s| f(item, first, frames, s));
        };
        match self.count() {
            0 => {}
            1 => one(0),
            n => (0..n).into_par_iter().for_each(one),
        }
    }

    /// Sums over all tiles what `f` adds to a zeroed buffer of `size` floats. Tiles form at most 32 consecutive
    /// groups; a group adds its tiles in order and the groups are added in order, so the number of threads changes
    /// nothing.
    pub(crate) fn sum(
        self,
        size: usize,
        f: impl Fn(usize, usize, usize, &mut [Vec<f32>; 4], &mut [f32]) + Sync,
    ) -> Vec<f32> {
        const GROUPS: usize = 32;
        let tiles = self.count();
        let groups = tiles.min(GROUPS);
        let group = |g: usize| {
            let mut sums = vec![0.0f32; size];
            for i in g * tiles / groups..(g + 1) * tiles / groups {
                let (item, first, frames) = self.at(i);
                with_scratch(|s| f(item, first, frames, s, &mut sums));
            }
            sums
        };
        let parts: Vec<Vec<f32>> = if groups <= 1 {
            (0..groups).map(group).collect()
        } else {
            (0..groups).into_par_iter().map(group).collect()
        };
        let mut parts = parts.into_iter();
        let mut total = parts.next().unwrap_or_else(|| vec![0.0; size]);
        let rest: Vec<Vec<f32>> = parts.collect();
        // some of the sums at a time, each of them in the order of the groups
        const SOME: usize = 1 << 13;
        total.par_chunks_mut(SOME).enumerate().for_each(|(i, total)| {
            for part in &rest {
                for (t, p) in total.iter_mut().zip(&part[i * SOME..]) {
                    *t += p;
                }
            }
        });
        total
    }
}

thread_local! {
    static SCRATCH: RefCell<[Vec<f32>; 4]> = const { RefCell::new([const { Vec::new() }; 4]) };
}

/// This thread's scratch buffers; `f` must not come back here (no kernel calls another inside a tile).
pub(crate) fn with_scratch<R>(f: impl FnOnce(&mut [Vec<f32>; 4]) -> R) -> R {
    SCRATCH.with_borrow_mut(f)
}

/// A pointer that tiles on other threads write through, each to frames of its own.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);
// SAFETY: only an address; every use is an `unsafe` block that states which floats it owns.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The address of a buffer that outlives every use.
    pub(crate) fn new(buffer: &mut [f32]) -> Self {
        Self(buffer.as_mut_ptr())
    }

    /// The same, `offset` floats on.
    ///
    /// # Safety
    /// The offset must stay within the buffer.
    pub(crate) unsafe fn from(self, offset: usize) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(self.0.add(offset)) }
    }

    /// The address, `offset` floats on.
    ///
    /// # Safety
    /// The offset must stay within the buffer.
    pub(crate) unsafe fn at(self, offset: usize) -> *mut f32 {
        // SAFETY: the caller's.
        unsafe { self.0.add(offset) }
    }
}
