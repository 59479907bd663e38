//! The product that every convolution here is made of, on one tile of frames.
//!
//! A tile is a scratch buffer of rows, already padded with zeros (and rectified, and split into the phases of the
//! stride) by whoever filled it. A *term* is the offset at which one (tap, channel) row starts, so
//! [`Weights::apply`] computes `y[row][t] = bias[row] + sum over terms w[row][term] * x[offset[term] + t]`.
//! The gradient of the weights is [`correlate`](crate::cpu::correlate::correlate).
//!
//! The order of every sum is fixed by its definition (terms in order), never by the register blocking, so a value
//! depends on its own operands alone: not on the tile it falls in, the batch around it, the number of threads or the
//! instruction set.

mod finish;

use rayon::prelude::*;

use crate::cpu::dispatch::Level;
#[cfg(target_arch = "x86_64")]
use crate::cpu::simd::{Avx2, Avx512};
use crate::cpu::simd::{LANES, Lanes, Portable};
pub(crate) use finish::{Add, Finish, Gate, GateAdd, Least, Out, Plain, Relu, Rows};

/// Rows of one packed block of weights.
const BLOCK: usize = 8;

/// Weights, packed so that the innermost loop reads them in order: `[block][term][row in the block]`.
pub(crate) struct Weights {
    data: Vec<f32>,
    bias: Vec<f32>,
    rows: usize,
    terms: usize,
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
