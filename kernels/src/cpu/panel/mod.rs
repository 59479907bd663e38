//! Products of small strided matrices: what attention and layers of a few rows are made of.
//!
//! `y[row][t] = start + sum over terms of x[term][t] * factor[row][term][t]`, the terms in order, one fused
//! multiply-add after another. A factor is one float for all lanes `t`, a float for each, or the sum of two of these;
//! so the products of queries with keys and with the distances between them are one sum.

mod factor;

use crate::cpu::dispatch::Level;
use crate::cpu::product::Out;
#[cfg(target_arch = "x86_64")]
use crate::cpu::simd::{Avx2, Avx512};
use crate::cpu::simd::{LANES, Lanes, Portable};
pub(crate) use factor::{Each, Factor, Grid, One, Plus};

/// The lanes of every term, in strips of 16.
#[derive(Clone, Copy)]
pub(crate) struct Strips {
    /// Term 0, lane 0.
    pub(crate) at: *const f32,
    /// Floats from a strip of 16 lanes to the next.
    pub(crate) strip: usize,
    /// Floats from a term to the next.
    pub(crate) term: usize,
}

/// What a sum starts from.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// Nothing.
    Zero,
    /// What lies at its place already.
    Kept,
    /// A float for each lane, the same in all rows.
    Lanes(*const f32),
}

/// The extents of a product.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    pub(crate) rows: usize,
    pub(crate) terms: usize,
    /// A multiple of 16.
    pub(crate) lanes: usize,
}

impl Panel {
    /// The product.
    ///
    /// # Safety
    /// Strips, factors and start must be readable, and `out` writable by this thread alone, for all rows, terms and
    /// lanes; `out` overlaps none of them.
    pub(crate) unsafe fn multiply(self, level: Level, x: Strips, factor: impl Factor, start: Start, out: Out) {
        debug_assert!(self.lanes.is_multiple_of(LANES));
        // SAFETY: the level was detected; the rest is the caller's.
        unsafe {
            match level {
                Level::Portable => self.narrow::<Portable, _>(x, factor, start, out),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => self.avx2(x, factor, start, out),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => self.avx512(x, factor, start, out),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(self, x: Strips, factor: impl Factor, start: Start, out: Out) {
        // SAFETY: as the caller's.
        unsafe { self.narrow::<Avx2, _>(x, factor, start, out) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn avx512(self, x: Strips, factor: impl Factor, start: Start, out: Out) {
        // SAFETY: as the caller's.
        unsafe {
            match self.rows {
                0 | 1 => self.run::<Avx512, _, 1, 4>(x, factor, start, out),
                2 | 3 => self.run::<Avx512, _, 2, 4>(x, factor, start, out),
                4..8 => self.run::<Avx512, _, 4, 4>(x, factor, start, out),
                _ => self.run::<Avx512, _, 8, 2>(x, factor, start, out),
            }
        }
    }

    /// Register tiles for sixteen registers of eight lanes: eight sums at once hide the latency of one.
    #[inline(always)]
    unsafe fn narrow<V: Lanes, F: Factor>(self, x: Strips, factor: F, start: Start, out: Out) {
        // SAFETY: as the caller's.
        unsafe {
            match self.rows {
                0 | 1 => self.run::<V, F, 1, 4>(x, factor, start, out),
                2 | 3 => self.run::<V, F, 2, 2>(x, factor, start, out),
                _ => self.run::<V, F, 4, 1>(x, factor, start, out),
            }
        }
    }

    /// Register tiles of `R` rows by `N` strips, the rows innermost: a strip of x stays in the first-level cache.
    #[inline(always)]
    unsafe fn run<V: Lanes, F: Factor, const R: usize, const N: usize>(
        self,
        x: Strips,
        factor: F,
        start: Start,
        out: Out,
    ) {
        let mut t = 0;
        // SAFETY: as the caller's; strips and rows stay below their counts.
        unsafe {
            while t + N * LANES <= self.lanes {
                self.down::<V, F, R, N>(x, factor, start, out, t);
                t += N * LANES;
            }
            while t < self.lanes {
                self.down::<V, F, R, 1>(x, factor, start, out, t);
                t += LANES;
            }
        }
    }

    #[inline(always)]
    unsafe fn down<V: Lanes, F: Factor, const R: usize, const N: usize>(
        self,
        x: Strips,
        factor: F,
        start: Start,
        out: Out,
        t: usize,
    ) {
        let mut row = 0;
        // SAFETY: as the caller's.
        unsafe {
            while row + R <= self.rows {
                self.block::<V, F, R, N>(x, factor, start, out, t, row);
                row += R;
            }
            if R > 4 && row + 4 <= self.rows {
                self.block::<V, F, 4, N>(x, factor, start, out, t, row);
                row += 4;
            }
            if R > 2 && row + 2 <= self.rows {
                self.block::<V, F, 2, N>(x, factor, start, out, t, row);
                row += 2;
            }
            if R > 1 && row < self.rows {
                self.block::<V, F, 1, N>(x, factor, start, out, t, row);
            }
        }
    }

    #[inline(always)]
    unsafe fn block<V: Lanes, F: Factor, const R: usize, const N: usize>(
        self,
        x: Strips,
        factor: F,
        start: Start,
        out: Out,
        t: usize,
        row: usize,
    ) {
        // SAFETY: the caller vouches for these rows, terms and lanes.
        unsafe {
            let place = |r: usize, n: usize| out.at.add((row + r) * out.stride + t + n * LANES);
            let mut acc = [[V::splat(0.0); N]; R];
            match start {
                Start::Zero => {}
                Start::Kept => {
                    for r in 0..R {
                        for n in 0..N {
                            acc[r][n] = V::load(place(r, n));
                        }
                    }
                }
                Start::Lanes(at) => {
                    for n in 0..N {
                        let v = V::load(at.add(t + n * LANES));
                        for r in 0..R {
                            acc[r][n] = v;
                        }
                    }
                }
            }
            let mut p = x.at.add(t / LANES * x.strip);
            for term in 0..self.terms {
                let mut v = [V::splat(0.0); N];
                for n in 0..N {
                    v[n] = V::load(p.add(n * x.strip));
                }
                for r in 0..R {
                    for n in 0..N {
                        acc[r][n] = acc[r][n].fma(factor.at::<V>(row + r, term, t + n * LANES), v[n]);
                    }
                }
                p = p.wrapping_add(x.term);
            }
            for r in 0..R {
                for n in 0..N {
                    acc[r][n].store(place(r, n));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Each, Grid, One, Panel, Plus, Start, Strips};
    use crate::cpu::dispatch::Level;
    use crate::cpu::product::Out;

    /// Every instruction set and every shape of register tile computes the bits of one multiply-add after another.
    #[test]
    fn instruction_sets_agree_with_the_definition() {
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
        let floats = |n: usize, seed: usize| (0..n).map(|i| value(i + seed)).collect::<Vec<_>>();
        for (rows, terms, lanes) in
            [(1, 5, 16), (1, 3, 144), (2, 7, 48), (3, 1, 32), (7, 9, 32), (13, 20, 80), (4, 0, 16)]
        {
            let (x, one) = (floats(terms * lanes, 1), floats(rows * terms, 2));
            let (each, before, lane) = (floats(rows * terms + lanes, 3), floats(rows * lanes, 4), floats(lanes, 5));
            for kept in 0..3 {
                let mut want = before.clone();
                for r in 0..rows {
                    for t in 0..lanes {
                        let start = [0.0, before[r * lanes + t], lane[t]][kept];
                        want[r * lanes + t] = (0..terms).fold(start, |s, k| {
                            (one[r * terms + k] + each[r * terms + k + t]).mul_add(x[k * lanes + t], s)
                        });
                    }
                }
                for level in Level::available() {
                    let mut got = before.clone();
                    let grid = |at: &[f32]| Grid { at: at.as_ptr(), row: terms as isize, term: 1 };
                    let factor = Plus(One(grid(&one)), Each(grid(&each)));
                    let start = [Start::Zero, Start::Kept, Start::Lanes(lane.as_ptr())][kept];
                    let strips = Strips { at: x.as_ptr(), strip: 16, term: lanes };
                    // SAFETY: the buffers above have these extents.
                    unsafe {
                        let out = Out { at: got.as_mut_ptr(), stride: lanes };
                        Panel { rows, terms, lanes }.multiply(level, strips, factor, start, out);
                    }
                    assert_eq!(got, want, "{level:?}: {rows} x {terms} x {lanes}, start {kept}");
                }
            }
        }
    }
}
