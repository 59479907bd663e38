//! What the lanes of a term are multiplied by.

use crate::cpu::simd::Lanes;

/// Index of the operand for a row and a term.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    /// Row 0, term 0.
    pub(crate) at: *const f32,
    /// Floats from a row to the next.
    pub(crate) row: isize,
    /// Floats from a term to the next.
    pub(crate) term: isize,
}

impl Grid {
    #[inline(always)]
    pub(crate) unsafe fn get(self, row: usize, term: usize) -> *const f32 {
        // SAFETY: whoever made the grid vouches for every row and term of the product.
        unsafe { self.at.offset(row as isize * self.row + term as isize * self.term) }
    }
}

/// What the lanes of a term are multiplied by.
pub(crate) trait Factor: Copy {
    /// The factors of 16 lanes from `t` on.
    ///
    /// # Safety
    /// As for [`Lanes`]; the operand must be readable there.
    unsafe fn at<V: Lanes>(self, row: usize, term: usize, t: usize) -> V;
}

/// One float for all lanes.
#[derive(Clone, Copy)]
pub(crate) struct One(pub(crate) Grid);
impl Factor for One {
    #[inline(always)]
    unsafe fn at<V: Lanes>(self, row: usize, term: usize, _: usize) -> V {
        // SAFETY: the caller's.
        unsafe { V::splat(*self.0.get(row, term)) }
    }
}

/// A float for each lane.
#[derive(Clone, Copy)]
pub(crate) struct Each(pub(crate) Grid);
impl Factor for Each {
    #[inline(always)]
    unsafe fn at<V: Lanes>(self, row: usize, term: usize, t: usize) -> V {
        // SAFETY: the caller's.
        unsafe { V::load(self.0.get(row, term).add(t)) }
    }
}

/// The sum of two factors.
#[derive(Clone, Copy)]
pub(crate) struct Plus<A, B>(pub(crate) A, pub(crate) B);
impl<A: Factor, B: Factor> Factor for Plus<A, B> {
    #[inline(always)]
    unsafe fn at<V: Lanes>(self, row: usize, term: usize, t: usize) -> V {
        // SAFETY: the caller's.
        unsafe { self.0.at::<V>(row, term, t).add(self.1.at::<V>(row, term, t)) }
    }
}
