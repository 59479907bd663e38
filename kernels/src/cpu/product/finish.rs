//! What happens to the values of a product on their way to memory.

use crate::cpu::simd::{LANES, Lanes};

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

/// Target of a product: row 0, frame 0 of the tile, and the distance of rows.
#[derive(Clone, Copy)]
pub(crate) struct Out {
    pub(crate) at: *mut f32,
    pub(crate) stride: usize,
}
