//! The product that every convolution here is made of, on one tile of frames.
//!
//! A tile is a scratch buffer of rows, already padded with zeros (and rectified, and split into the phases of the
//! stride) by whoever filled it. A *term* is the offset at which one (tap, channel) row starts, so
//! [`Weights::apply`] computes `y[row][t] = bias[row] + sum over terms w[row][term] * x[offset[term] + t]`.
//! The gradient of the weights is [`correlate`](crate::correlate::correlate).
//!
//! The order of every sum is fixed by its definition (terms in order), never by the register blocking, so a value
//! depends on its own operands alone: not on the tile it falls in, the batch around it, the number of threads or the
//! instruction set.

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{LANES, Lanes, Level, Portable};

/// Rows of one packed block of weights.
const BLOCK: usize = 8;

/// Weights, packed so that the innermost loop reads them in order: `[block][term][row in the block]`.
pub(crate) struct Weights {
    data: Vec<f32>,
    bias: Vec<f32>,
    rows: usize,
    terms: usize,
}

/// What happens to a finished value on its way to memory.
pub(crate) trait Finish: Copy {
    /// The value to store at (`row`, `t`), given the first `n` live lanes of `v`.
    ///
    /// # Safety
    /// As for [`Lanes`]; operands of the finish must hold `n` floats at (`row`, `t`).
    unsafe fn finish<V: Lanes>(self, row: usize, t: usize, n: usize, v: V) -> V;

    /// Stores it. Rows come in ascending order for any frame.
    ///
    /// # Safety
    /// As for [`Finish::finish`]; `out` must be writable for `n` floats at (`row`, `t`).
    #[inline(always)]
    unsafe fn put<V: Lanes>(self, out: Out, row: usize, t: usize, n: usize, v: V) {
        // SAFETY: the caller's.
        unsafe {
            let v = self.finish(row, t, n, v);
            let to = out.at.add(row * out.stride + t);
            if n == LANES { v.store(to) } else { v.store_part(to, n) }
        }
    }
}

/// A matrix of rows somewhere in memory: the operand of a [`Finish`].
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    /// Row 0, frame 0 of the tile.
    pub(crate) at: *const f32,
    /// Floats from a row to the next.
    pub(crate) stride: usize,
}

impl Rows {
    #[inline(always)]
    unsafe fn read<V: Lanes>(self, row: usize, t: usize, n: usize) -> V {
        // SAFETY: whoever made the finish vouches for `n` floats at (row, t).
        unsafe {
            let p = self.at.add(row * self.stride + t);
            if n == LANES { V::load(p) } else { V::load_part(p, n) }
        }
    }
}

/// Store as it is.
#[derive(Clone, Copy)]
pub(crate) struct Plain;
impl Finish for Plain {
    #[inline(always)]
    unsafe fn finish<V: Lanes>(self, _: usize, _: usize, _: usize, v: V) -> V {
        v
    }
}

/// Rectify.
#[derive(Clone, Copy)]
pub(crate) struct Relu;
impl Finish for Relu {
    #[inline(always)]
    unsafe fn finish<V: Lanes>(self, _: usize, _: usize, _: usize, v: V) -> V {
        // SAFETY: as the caller's.
        unsafe { v.relu() }
    }
}

/// Add the operand.
#[derive(Clone, Copy)]
pub(crate) struct Add(pub(crate) Rows);
impl Finish for Add {
    #[inline(always)]
    unsafe fn finish<V: Lanes>(self, row: usize, t: usize, n: usize, v: V) -> V {
        // SAFETY: as the caller's.
        unsafe { v.add(self.0.read(row, t, n)) }
    }
}

/// Keep where the operand is positive.
#[derive(Clone, Copy)]
pub(crate) struct Gate(pub(crate) Rows);
impl Finish for Gate {
    #[inline(always)]
    unsafe fn finish<V: Lanes>(self, row: usize, t: usize, n: usize, v: V) -> V {
        // SAFETY: as the caller's.
        unsafe { v.where_positive(self.0.read(row, t, n)) }
    }
}

/// Keep where the first operand is positive, then add the second.
#[derive(Clone, Copy)]
pub(crate) struct GateAdd(pub(crate) Rows, pub(crate) Rows);
impl Finish for GateAdd {
    #[inline(always)]
    unsafe fn finish<V: Lanes>(self, row: usize, t: usize, n: usize, v: V) -> V {
        // SAFETY: as the caller's.
        unsafe { v.where_positive(self.0.read(row, t, n)).add(self.1.read(row, t, n)) }
    }
}

/// Keep, for every frame, the least value so far and its row; nothing is stored at `out`.
///
/// Both buffers have room for a multiple of 16 frames.
#[derive(Clone, Copy)]
pub(crate) struct Least {
    /// The least values, to begin with infinite.
    pub(crate) values: *mut f32,
    /// The bits of their rows.
    pub(crate) rows: *mut f32,
}
impl Finish for Least {
    #[inline(always)]
    unsafe fn finish<V: Lanes>(self, _: usize, _: usize, _: usize, v: V) -> V {
        v
    }
    #[inline(always)]
    unsafe fn put<V: Lanes>(self, _: Out, row: usize, t: usize, _: usize, v: V) {
        // SAFETY: the buffers hold a multiple of 16 floats, and `t` is below that.
        unsafe {
            let (values, rows) = (self.values.add(t), self.rows.add(t));
            let (least, at) = (V::load(values), V::load(rows));
            let (least, at) = v.keep_less(V::splat(f32::from_bits(row as u32)), least, at);
            least.store(values);
            at.store(rows);
        }
    }
}

/// Where a product goes: row 0, frame 0 of the tile, and the distance of rows.
#[derive(Clone, Copy)]
pub(crate) struct Out {
    pub(crate) at: *mut f32,
    pub(crate) stride: usize,
}

impl Weights {
    /// Packs `at(row, term)`; rows without a bias start at 0.
    pub(crate) fn pack(
        rows: usize,
        terms: usize,
        bias: Option<&[f32]>,
        at: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let blocks = rows.div_ceil(BLOCK);
        let mut data = vec![0.0; blocks * terms * BLOCK];
        let fill = |(block, to): (usize, &mut [f32])| {
            for (term, to) in to.chunks_exact_mut(BLOCK).enumerate() {
                for (row, to) in (block * BLOCK..rows).zip(to) {
                    *to = at(row, term);
                }
            }
        };
        match terms {
            0 => {}
            n if data.len() < 1 << 14 => data.chunks_exact_mut(n * BLOCK).enumerate().for_each(fill),
            n => data.par_chunks_exact_mut(n * BLOCK).enumerate().for_each(fill),
        }
        let mut padded = vec![0.0; blocks * BLOCK];
        if let Some(bias) = bias {
            padded[..rows].copy_from_slice(bias);
        }
        Self { data, bias: padded, rows, terms }
    }

    /// The product for `frames` frames of the scratch `x`.
    ///
    /// # Safety
    /// `out` must be writable, by this thread alone, for `frames` floats at each of the rows, and so must be the
    /// operands of `finish` for reading. (That `x` is long enough is checked here.)
    pub(crate) unsafe fn apply(
        &self,
        level: Level,
        x: &[f32],
        offsets: &[usize],
        frames: usize,
        out: Out,
        finish: impl Finish,
    ) {
        assert_eq!(offsets.len(), self.terms, "one offset a term");
        let reach = offsets.iter().max().map_or(0, |o| o + frames.next_multiple_of(LANES));
        assert!(reach <= x.len(), "a term reaches {reach} of {} floats", x.len());
        // SAFETY: the level was detected; every read of `x` ends within `reach`; writes are the caller's.
        unsafe {
            match level {
                Level::Portable => self.run::<Portable, _, 4, 1>(x, offsets, frames, out, finish),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => self.avx2(x, offsets, frames, out, finish),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => self.avx512(x, offsets, frames, out, finish),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(&self, x: &[f32], offsets: &[usize], frames: usize, out: Out, finish: impl Finish) {
        // SAFETY: as the caller's.
        unsafe { self.run::<Avx2, _, 4, 1>(x, offsets, frames, out, finish) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn avx512(&self, x: &[f32], offsets: &[usize], frames: usize, out: Out, finish: impl Finish) {
        // SAFETY: as the caller's.
        unsafe { self.run::<Avx512, _, 8, 3>(x, offsets, frames, out, finish) }
    }

    /// Register tiles of `R` rows by `N` vectors of frames, the rows innermost: a strip of the scratch stays in the
    /// first-level cache while all weights pass over it.
    #[inline(always)]
    unsafe fn run<V: Lanes, F: Finish, const R: usize, const N: usize>(
        &self,
        x: &[f32],
        offsets: &[usize],
        frames: usize,
        out: Out,
        finish: F,
    ) {
        let strip = LANES * N;
        let mut t = 0;
        // SAFETY: `apply` checked the reach of the offsets; rows and frames stay below their counts.
        unsafe {
            while t + strip <= frames {
                self.strip::<V, F, R, N>(x, offsets, t, LANES, out, finish);
                t += strip;
            }
            while t < frames {
                self.strip::<V, F, R, 1>(x, offsets, t, LANES.min(frames - t), out, finish);
                t += LANES;
            }
        }
    }

    #[inline(always)]
    unsafe fn strip<V: Lanes, F: Finish, const R: usize, const N: usize>(
        &self,
        x: &[f32],
        offsets: &[usize],
        t: usize,
        live: usize,
        out: Out,
        finish: F,
    ) {
        let mut row = 0;
        while row < self.rows {
            let left = (self.rows - row).min(R);
            // SAFETY: as the caller's; a block holds `R` rows from any multiple of `R`, padded with zeros.
            unsafe {
                match left {
                    1 => self.registers::<V, F, 1, N>(x, offsets, row, 1, t, live, out, finish),
                    2 => self.registers::<V, F, 2, N>(x, offsets, row, 2, t, live, out, finish),
                    3 | 4 => self.registers::<V, F, 4, N>(x, offsets, row, left, t, live, out, finish),
                    _ => self.registers::<V, F, R, N>(x, offsets, row, left, t, live, out, finish),
                }
            }
            row += R;
        }
    }

    #[inline(always)]
    unsafe fn registers<V: Lanes, F: Finish, const R: usize, const N: usize>(
        &self,
        x: &[f32],
        offsets: &[usize],
        row: usize,
        rows: usize,
        t: usize,
        live: usize,
        out: Out,
        finish: F,
    ) {
        // SAFETY: offsets were checked against `x`; `row + R` stays within the padded block; `rows` and `live` bound
        // what is written.
        unsafe {
            let mut acc = [[V::splat(0.0); N]; R];
            for r in 0..R {
                acc[r] = [V::splat(*self.bias.as_ptr().add(row + r)); N];
            }
            let mut w = self.data.as_ptr().add((row / BLOCK) * self.terms * BLOCK + row % BLOCK);
            for &offset in offsets {
                let p = x.as_ptr().add(offset + t);
                let mut v = [V::splat(0.0); N];
                for n in 0..N {
                    v[n] = V::load(p.add(n * LANES));
                }
                for r in 0..R {
                    let s = V::splat(*w.add(r));
                    for n in 0..N {
                        acc[r][n] = acc[r][n].fma(s, v[n]);
                    }
                }
                w = w.add(BLOCK);
            }
            for r in 0..R {
                if r < rows {
                    for n in 0..N {
                        finish.put(out, row + r, t + n * LANES, live, acc[r][n]);
                    }
                }
            }
        }
    }
}
