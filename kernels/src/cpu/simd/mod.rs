//! Sixteen f32 lanes on every CPU.
//!
//! Every kernel of this crate is written once over [`Lanes`]. A lane computes the same sequence of fused
//! multiply-adds whatever register holds it, so results are the same bits with AVX-512, with AVX2 and with
//! neither; the instruction set decides the speed only.

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx2Half, Avx512};

/// Lanes of one vector, on every instruction set.
pub(crate) const LANES: usize = 16;

/// Sixteen floats.
///
/// # Safety
/// The methods of an implementation may be called only where its instruction set exists, and pointers must be
/// valid for the number of floats that each method names. All methods are inlined into a function that enables
/// the set, which is where it is checked.
pub(crate) trait Lanes: Copy {
    /// All lanes `v`.
    unsafe fn splat(v: f32) -> Self;
    /// Reads 16 floats from `p`.
    unsafe fn load(p: *const f32) -> Self;
    /// Reads `n <= 16` floats from `p`; the other lanes are 0.
    unsafe fn load_part(p: *const f32, n: usize) -> Self;
    /// Writes 16 floats to `p`.
    unsafe fn store(self, p: *mut f32);
    /// Writes the first `n <= 16` lanes to `p`.
    unsafe fn store_part(self, p: *mut f32, n: usize);
    /// `self + a * b`, rounded once.
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    /// `self + o`.
    unsafe fn add(self, o: Self) -> Self;
    /// 0 where `self < 0`, else `self` (a NaN stays).
    unsafe fn relu(self) -> Self;
    /// `self` where `m > 0`, else 0.
    unsafe fn where_positive(self, m: Self) -> Self;
    /// (`self`, `row`) in lanes where `self < least`, else (`least`, `at`); `row` and `at` are bits that are only moved.
    unsafe fn keep_less(self, row: Self, least: Self, at: Self) -> (Self, Self);
    /// Lanes `i` and `i + 8` added, then `i` and `i + 4`, `i + 2`, `i + 1`.
    unsafe fn sum(self) -> f32;
}

/// The lanes as an array.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

impl Lanes for Portable {
    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        Self([v; LANES])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for 16 floats at `p`; an array of floats has their alignment.
        unsafe { Self(p.cast::<[f32; LANES]>().read()) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        let mut a = [0.0; LANES];
        // SAFETY: the caller vouches for `n <= 16` floats at `p`.
        unsafe { core::ptr::copy_nonoverlapping(p, a.as_mut_ptr(), n) };
        Self(a)
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for 16 floats at `p`.
        unsafe { p.cast::<[f32; LANES]>().write(self.0) }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        // SAFETY: the caller vouches for `n <= 16` floats at `p`.
        unsafe { core::ptr::copy_nonoverlapping(self.0.as_ptr(), p, n) }
    }
    #[inline(always)]
    unsafe fn fma(mut self, a: Self, b: Self) -> Self {
        for i in 0..LANES {
            self.0[i] = a.0[i].mul_add(b.0[i], self.0[i]);
        }
        self
    }
    #[inline(always)]
    unsafe fn add(mut self, o: Self) -> Self {
        for i in 0..LANES {
            self.0[i] += o.0[i];
        }
        self
    }
    #[inline(always)]
    unsafe fn relu(mut self) -> Self {
        for v in &mut self.0 {
            *v = if *v < 0.0 { 0.0 } else { *v };
        }
        self
    }
    #[inline(always)]
    unsafe fn where_positive(mut self, m: Self) -> Self {
        for i in 0..LANES {
            self.0[i] = if m.0[i] > 0.0 { self.0[i] } else { 0.0 };
        }
        self
    }
    #[inline(always)]
    unsafe fn keep_less(self, row: Self, mut least: Self, mut at: Self) -> (Self, Self) {
        for i in 0..LANES {
            if self.0[i] < least.0[i] {
                (least.0[i], at.0[i]) = (self.0[i], row.0[i]);
            }
        }
        (least, at)
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut a = self.0;
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                a[i] += a[i + half];
            }
        }
        a[0]
    }
}
