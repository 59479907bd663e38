//! Elements of one type on the host, to read or to write.

use super::dtype::DType;

/// Elements to read.
#[derive(Clone, Copy, Debug)]
pub enum Slice<'a> {
    /// See [`DType::F32`].
    F32(&'a [f32]),
    /// See [`DType::F16`].
    F16(&'a [u16]),
    /// See [`DType::BF16`].
    BF16(&'a [u16]),
    /// See [`DType::F64`].
    F64(&'a [f64]),
    /// See [`DType::U32`].
    U32(&'a [u32]),
}

impl<'a> Slice<'a> {
    /// The element type.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F16(_) => DType::F16,
            Self::BF16(_) => DType::BF16,
            Self::F64(_) => DType::F64,
            Self::U32(_) => DType::U32,
        }
    }

    /// The number of elements.
    pub fn len(self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F16(v) | Self::BF16(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::U32(v) => v.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The floats.
    ///
    /// # Panics
    /// If it holds another type.
    pub fn f32(self) -> &'a [f32] {
        match self {
            Self::F32(v) => v,
            other => panic!("a buffer of {:?} is read as F32", other.dtype()),
        }
    }

    /// The bytes, as the host has them.
    pub(crate) fn bytes(self) -> &'a [u8] {
        let (at, bytes) = match self {
            Self::F32(v) => (v.as_ptr().cast(), size_of_val(v)),
            Self::F16(v) | Self::BF16(v) => (v.as_ptr().cast(), size_of_val(v)),
            Self::F64(v) => (v.as_ptr().cast(), size_of_val(v)),
            Self::U32(v) => (v.as_ptr().cast(), size_of_val(v)),
        };
        // SAFETY: the elements' own memory for as long as they are borrowed; numbers have no padding.
        unsafe { core::slice::from_raw_parts(at, bytes) }
    }

    /// The integers.
    ///
    /// # Panics
    /// If it holds another type.
    pub fn u32(self) -> &'a [u32] {
        match self {
            Self::U32(v) => v,
            other => panic!("a buffer of {:?} is read as U32", other.dtype()),
        }
    }
}

/// Elements to write.
#[derive(Debug)]
pub enum SliceMut<'a> {
    /// See [`DType::F32`].
    F32(&'a mut [f32]),
    /// See [`DType::F16`].
    F16(&'a mut [u16]),
    /// See [`DType::BF16`].
    BF16(&'a mut [u16]),
    /// See [`DType::F64`].
    F64(&'a mut [f64]),
    /// See [`DType::U32`].
    U32(&'a mut [u32]),
}

impl SliceMut<'_> {
    /// Takes over the elements of `from`.
    ///
    /// # Panics
    /// If types or lengths differ.
    pub fn copy_from(&mut self, from: Slice<'_>) {
        match (self, from) {
            (Self::F32(to), Slice::F32(from)) => to.copy_from_slice(from),
            (Self::F16(to), Slice::F16(from)) | (Self::BF16(to), Slice::BF16(from)) => to.copy_from_slice(from),
            (Self::F64(to), Slice::F64(from)) => to.copy_from_slice(from),
            (Self::U32(to), Slice::U32(from)) => to.copy_from_slice(from),
            (_, from) => panic!("a copy of {:?} into another type", from.dtype()),
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F16(_) => DType::F16,
            Self::BF16(_) => DType::BF16,
            Self::F64(_) => DType::F64,
            Self::U32(_) => DType::U32,
        }
    }

    /// The bytes, as the host has them.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let (at, bytes) = match self {
            Self::F32(v) => (v.as_mut_ptr().cast(), size_of_val(*v)),
            Self::F16(v) | Self::BF16(v) => (v.as_mut_ptr().cast(), size_of_val(*v)),
            Self::F64(v) => (v.as_mut_ptr().cast(), size_of_val(*v)),
            Self::U32(v) => (v.as_mut_ptr().cast(), size_of_val(*v)),
        };
        // SAFETY: the elements' own memory for as long as they are borrowed; numbers have no padding, and any bytes are one.
        unsafe { core::slice::from_raw_parts_mut(at, bytes) }
    }

    /// The floats.
    ///
    /// # Panics
    /// If it holds another type.
    pub fn f32(&mut self) -> &mut [f32] {
        match self {
            Self::F32(v) => v,
            other => panic!("{other:?} is written as F32"),
        }
    }

    /// The integers.
    ///
    /// # Panics
    /// If it holds another type.
    pub fn u32(&mut self) -> &mut [u32] {
        match self {
            Self::U32(v) => v,
            other => panic!("{other:?} is written as U32"),
        }
    }

    /// The doubles.
    ///
    /// # Panics
    /// If it holds another type.
    pub fn f64(&mut self) -> &mut [f64] {
        match self {
            Self::F64(v) => v,
            other => panic!("{other:?} is written as F64"),
        }
    }
}
