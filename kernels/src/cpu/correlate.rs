//! The gradient of a convolution's weights, on one tile of frames: the companion of [`product`](crate::cpu::product).
//!
//! With the tiles and terms of that module, [`correlate`] computes
//! `dw[term][row] += sum over t of dy[row][t] * x[offset[term] + t]`. Frames are summed in 16 interleaved lanes, tile by
//! tile, whatever the register blocking, so the bits depend on the operands alone.

use crate::cpu::dispatch::Level;
#[cfg(target_arch = "x86_64")]
use crate::cpu::simd::{Avx2Half, Avx512};
use crate::cpu::simd::{LANES, Lanes, Portable};

/// What a correlation reads; `padded` floats lie behind every row of `dy` and every term of `x`.
#[derive(Clone, Copy)]
struct Operands<'a> {
    dy: &'a [f32],
    stride: usize,
    rows: usize,
    x: &'a [f32],
    padded: usize,
}

/// `sums[term * rows + row] += sum over frames of dy[row * stride + t] * x[offsets[term] + t]`.
///
/// `dy` must hold zeros from `frames` to the next multiple of 16 in every row, so that what `x` holds there does not
/// count (it must be finite).
pub(crate) fn correlate(
    level: Level,
    dy: &[f32],
    stride: usize,
    rows: usize,
    x: &[f32],
    offsets: &[usize],
    frames: usize,
    sums: &mut [f32],
) {
    let padded = frames.next_multiple_of(LANES);
    let reach = offsets.iter().max().map_or(0, |o| o + padded);
    assert!(reach <= x.len(), "a term reaches {reach} of {} floats", x.len());
    assert!(rows == 0 || (rows - 1) * stride + padded <= dy.len(), "{rows} rows of {stride} in {} floats", dy.len());
    assert_eq!(sums.len(), offsets.len() * rows, "one sum a term and row");
    let operands = Operands { dy, stride, rows, x, padded };
    // SAFETY: the level was detected; the asserts above bound every read, slice indexing every write.
    unsafe {
        match level {
            Level::Portable => all::<Whole<Portable>, 2, 2>(operands, offsets, sums),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2(operands, offsets, sums),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512(operands, offsets, sums),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(operands: Operands<'_>, offsets: &[usize], sums: &mut [f32]) {
    // SAFETY: as the caller's.
    unsafe { all::<Halves, 3, 4>(operands, offsets, sums) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn avx512(operands: Operands<'_>, offsets: &[usize], sums: &mut [f32]) {
    // SAFETY: as the caller's.
    unsafe { all::<Whole<Avx512>, 4, 6>(operands, offsets, sums) }
}

/// How the 16 lanes of a correlation are kept in registers.
trait Dot {
    /// `sums[i][r] = sum over t of at[r * stride + t] * x[i][t]` for `padded` frames, a multiple of 16.
    ///
    /// # Safety
    /// As for [`Lanes`]; `padded` floats must lie behind every row of `at` and every `x`.
    unsafe fn dot<const R: usize, const T: usize>(
        at: *const f32,
        stride: usize,
        x: [*const f32; T],
        padded: usize,
    ) -> [[f32; R]; T];
}

/// All 16 at once.
struct Whole<V>(core::marker::PhantomData<V>);
impl<V: Lanes> Dot for Whole<V> {
    #[inline(always)]
    unsafe fn dot<const R: usize, const T: usize>(
        at: *const f32,
        stride: usize,
        x: [*const f32; T],
        padded: usize,
    ) -> [[f32; R]; T] {
        // SAFETY: the caller's.
        unsafe {
            let mut acc = [[V::splat(0.0); R]; T];
            let mut t = 0;
            while t < padded {
                let mut g = [V::splat(0.0); R];
                for r in 0..R {
                    g[r] = V::load(at.add(r * stride + t));
                }
                for i in 0..T {
                    let v = V::load(x[i].add(t));
                    for r in 0..R {
                        acc[i][r] = acc[i][r].fma(g[r], v);
                    }
                }
                t += LANES;
            }
            acc.map(|row| row.map(|v| v.sum()))
        }
    }
}

/// The lower 8 over all frames, then the upper 8: with sixteen registers of 8, twelve sums can grow at a time, where
/// whole vectors leave room for four, and fewer loads feed them. The tile stays in cache between the two.
#[cfg(target_arch = "x86_64")]
struct Halves;
#[cfg(target_arch = "x86_64")]
impl Dot for Halves {
    #[inline(always)]
    unsafe fn dot<const R: usize, const T: usize>(
        at: *const f32,
        stride: usize,
        x: [*const f32; T],
        padded: usize,
    ) -> [[f32; R]; T] {
        // SAFETY: the caller's; a half reads 8 of every 16 floats.
        unsafe {
            let half = |first: usize| {
                let mut acc = [[Avx2Half::zero(); R]; T];
                let mut t = first;
                while t < padded {
                    let mut g = [Avx2Half::zero(); R];
                    for r in 0..R {
                        g[r] = Avx2Half::load(at.add(r * stride + t));
                    }
                    for i in 0..T {
                        let v = Avx2Half::load(x[i].add(t));
                        for r in 0..R {
                            acc[i][r] = acc[i][r].fma(g[r], v);
                        }
                    }
                    t += LANES;
                }
                acc
            };
            let (lower, upper) = (half(0), half(LANES / 2));
            let mut sums = [[0.0; R]; T];
            for i in 0..T {
                for r in 0..R {
                    sums[i][r] = lower[i][r].sum_with(upper[i][r]);
                }
            }
            sums
        }
    }
}

#[inline(always)]
unsafe fn all<D: Dot, const R: usize, const T: usize>(operands: Operands<'_>, offsets: &[usize], sums: &mut [f32]) {
    let (mut term, rows) = (0, operands.rows);
    // SAFETY: as the caller's.
    unsafe {
        while term + T <= offsets.len() {
            terms::<D, R, T>(operands, &offsets[term..], &mut sums[term * rows..]);
            term += T;
        }
        while term < offsets.len() {
            terms::<D, R, 1>(operands, &offsets[term..], &mut sums[term * rows..]);
            term += 1;
        }
    }
}

/// `T` terms, all rows.
#[inline(always)]
unsafe fn terms<D: Dot, const R: usize, const T: usize>(operands: Operands<'_>, offsets: &[usize], sums: &mut [f32]) {
    let (mut row, rows) = (0, operands.rows);
    // SAFETY: as the caller's.
    unsafe {
        // Two pairs are faster than three rows and a lone one.
        while row + R <= rows && !(R == 3 && row + 4 == rows) {
            registers::<D, R, T>(operands, row, offsets, sums);
            row += R;
        }
        while row + 2 <= rows {
            registers::<D, 2, T>(operands, row, offsets, sums);
            row += 2;
        }
        while row < rows {
            registers::<D, 1, T>(operands, row, offsets, sums);
            row += 1;
        }
    }
}

/// `T` terms, `R` rows from `row` on.
#[inline(always)]
unsafe fn registers<D: Dot, const R: usize, const T: usize>(
    operands: Operands<'_>,
    row: usize,
    offsets: &[usize],
    sums: &mut [f32],
) {
    let Operands { dy, stride, rows, x, padded } = operands;
    // SAFETY: `correlate` checked that `padded` floats lie behind each of these rows and offsets.
    unsafe {
        let mut at = [x.as_ptr(); T];
        for i in 0..T {
            at[i] = x.as_ptr().add(offsets[i]);
        }
        let dots = D::dot::<R, T>(dy[row * stride..].as_ptr(), stride, at, padded);
        for i in 0..T {
            for r in 0..R {
                sums[i * rows + row + r] += dots[i][r];
            }
        }
    }
}
