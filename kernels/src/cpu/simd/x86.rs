//! Sixteen lanes in registers of x86-64.

use super::Lanes;
use core::arch::x86_64::*;

/// Two registers of 8.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256, __m256);

/// One register of 8: the lower or the upper lanes of an [`Avx2`], for loops that need as many vectors of their own
/// as there are registers.
#[derive(Clone, Copy)]
pub(crate) struct Avx2Half(__m256);

/// One register of 16.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

/// `v[0] + v[2]` and `v[1] + v[3]`, then these two.
#[inline(always)]
unsafe fn sum4(v: __m128) -> f32 {
    // SAFETY: SSE2 is part of x86-64.
    unsafe {
        let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
        _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps::<1>(v, v)))
    }
}

/// A mask whose first `n` (at most 8) lanes are set.
#[inline(always)]
unsafe fn first(n: usize) -> __m256i {
    // SAFETY: the caller is inlined where AVX2 is enabled.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}

// SAFETY of every block below: the caller of a `Lanes` method vouches for the instruction set and for as many
// floats behind the pointer as the method's documentation names; the masked forms touch only those lanes.
macro_rules! isa {
    ($e:expr) => {
        // SAFETY: see above.
        unsafe { $e }
    };
}

/// # Safety
/// As for [`Lanes`], with 8 floats for 16.
impl Avx2Half {
    /// All lanes 0.
    #[inline(always)]
    pub(crate) unsafe fn zero() -> Self {
        isa!(Self(_mm256_setzero_ps()))
    }
    /// Reads 8 floats from `p`.
    #[inline(always)]
    pub(crate) unsafe fn load(p: *const f32) -> Self {
        isa!(Self(_mm256_loadu_ps(p)))
    }
    /// `self + a * b`, rounded once.
    #[inline(always)]
    pub(crate) unsafe fn fma(self, a: Self, b: Self) -> Self {
        isa!(Self(_mm256_fmadd_ps(a.0, b.0, self.0)))
    }
    /// The sum of the 16 lanes of which `self` is the lower half.
    #[inline(always)]
    pub(crate) unsafe fn sum_with(self, upper: Self) -> f32 {
        // SAFETY: the caller's.
        unsafe { Avx2(self.0, upper.0).sum() }
    }
}

impl Lanes for Avx2 {
    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        isa!({
            let v = _mm256_set1_ps(v);
            Self(v, v)
        })
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        isa!(Self(_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))))
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        isa!({
            let hi = if n > 8 { _mm256_maskload_ps(p.add(8), first(n - 8)) } else { _mm256_setzero_ps() };
            Self(_mm256_maskload_ps(p, first(n)), hi)
        })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        isa!({
            _mm256_storeu_ps(p, self.0);
            _mm256_storeu_ps(p.add(8), self.1);
        })
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        isa!({
            _mm256_maskstore_ps(p, first(n), self.0);
            if n > 8 {
                _mm256_maskstore_ps(p.add(8), first(n - 8), self.1);
            }
        })
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        isa!(Self(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)))
    }
    #[inline(always)]
    unsafe fn add(self, o: Self) -> Self {
        isa!(Self(_mm256_add_ps(self.0, o.0), _mm256_add_ps(self.1, o.1)))
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // max returns its second operand when either is NaN or both are zeros
        isa!({
            let z = _mm256_setzero_ps();
            Self(_mm256_max_ps(z, self.0), _mm256_max_ps(z, self.1))
        })
    }
    #[inline(always)]
    unsafe fn where_positive(self, m: Self) -> Self {
        isa!({
            let z = _mm256_setzero_ps();
            let (a, b) = (_mm256_cmp_ps::<_CMP_GT_OQ>(m.0, z), _mm256_cmp_ps::<_CMP_GT_OQ>(m.1, z));
            Self(_mm256_and_ps(self.0, a), _mm256_and_ps(self.1, b))
        })
    }
    #[inline(always)]
    unsafe fn keep_less(self, row: Self, least: Self, at: Self) -> (Self, Self) {
        isa!({
            let (a, b) = (_mm256_cmp_ps::<_CMP_LT_OQ>(self.0, least.0), _mm256_cmp_ps::<_CMP_LT_OQ>(self.1, least.1));
            (
                Self(_mm256_blendv_ps(least.0, self.0, a), _mm256_blendv_ps(least.1, self.1, b)),
                Self(_mm256_blendv_ps(at.0, row.0, a), _mm256_blendv_ps(at.1, row.1, b)),
            )
        })
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        isa!({
            let v = _mm256_add_ps(self.0, self.1);
            sum4(_mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v)))
        })
    }
}

impl Lanes for Avx512 {
    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        isa!(Self(_mm512_set1_ps(v)))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        isa!(Self(_mm512_loadu_ps(p)))
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        isa!(Self(_mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p)))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        isa!(_mm512_storeu_ps(p, self.0))
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        isa!(_mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as u16, self.0))
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        isa!(Self(_mm512_fmadd_ps(a.0, b.0, self.0)))
    }
    #[inline(always)]
    unsafe fn add(self, o: Self) -> Self {
        isa!(Self(_mm512_add_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        isa!(Self(_mm512_max_ps(_mm512_setzero_ps(), self.0)))
    }
    #[inline(always)]
    unsafe fn where_positive(self, m: Self) -> Self {
        isa!({
            let k = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(m.0, _mm512_setzero_ps());
            Self(_mm512_maskz_mov_ps(k, self.0))
        })
    }
    #[inline(always)]
    unsafe fn keep_less(self, row: Self, least: Self, at: Self) -> (Self, Self) {
        isa!({
            let k = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, least.0);
            (Self(_mm512_mask_mov_ps(least.0, k, self.0)), Self(_mm512_mask_mov_ps(at.0, k, row.0)))
        })
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        isa!({
            let hi = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self.0)));
            let v = _mm256_add_ps(_mm512_castps512_ps256(self.0), hi);
            sum4(_mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v)))
        })
    }
}
