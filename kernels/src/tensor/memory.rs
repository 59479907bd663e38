//! Memory of one element type, and views of it.

use std::any::Any;
use std::fmt;

/// Element type of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DType {
    /// 32-bit floats: activations, parameters, gradients.
    F32,
    /// 64-bit floats: sums that are read by the host.
    F64,
    /// 32-bit unsigned integers: codes, and rows of tables.
    U32,
}

impl DType {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Memory of the host, or of another device.
pub(crate) enum Memory {
    F32(Vec<f32>),
    F64(Vec<f64>),
    U32(Vec<u32>),
    /// Memory that only the device knows how to read.
    Foreign {
        dtype: DType,
        len: usize,
        at: Box<dyn Any + Send + Sync>,
    },
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", self.len(), self.dtype())
    }
}

impl Memory {
    pub(crate) fn zeros(dtype: DType, len: usize) -> Self {
        match dtype {
            DType::F32 => Self::F32(vec![0.0; len]),
            DType::F64 => Self::F64(vec![0.0; len]),
            DType::U32 => Self::U32(vec![0; len]),
        }
    }

    pub(crate) fn dtype(&self) -> DType {
        match self {
            Self::Foreign { dtype, .. } => *dtype,
            host => host.view().dtype(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Foreign { len, .. } => *len,
            host => host.view().len(),
        }
    }

    /// The elements.
    ///
    /// # Panics
    /// If they are not on the host.
    pub(crate) fn view(&self) -> Slice<'_> {
        match self {
            Self::F32(v) => Slice::F32(v),
            Self::F64(v) => Slice::F64(v),
            Self::U32(v) => Slice::U32(v),
            Self::Foreign { .. } => panic!("{ELSEWHERE}"),
        }
    }

    /// The elements, to write.
    ///
    /// # Panics
    /// If they are not on the host.
    pub(crate) fn view_mut(&mut self) -> SliceMut<'_> {
        match self {
            Self::F32(v) => SliceMut::F32(v),
            Self::F64(v) => SliceMut::F64(v),
            Self::U32(v) => SliceMut::U32(v),
            Self::Foreign { .. } => panic!("{ELSEWHERE}"),
        }
    }

    /// Memory of a device of this kind.
    ///
    /// # Panics
    /// If it is the host's or another kind's.
    pub(crate) fn foreign<M: 'static>(&self) -> &M {
        match self {
            Self::Foreign { at, .. } => at.downcast_ref().expect(ELSEWHERE),
            _ => panic!("{ELSEWHERE}"),
        }
    }

    /// The same, to write.
    ///
    /// # Panics
    /// If it is the host's or another kind's.
    pub(crate) fn foreign_mut<M: 'static>(&mut self) -> &mut M {
        match self {
            Self::Foreign { at, .. } => at.downcast_mut().expect(ELSEWHERE),
            _ => panic!("{ELSEWHERE}"),
        }
    }
}

pub(super) const ELSEWHERE: &str = "a buffer of another device";

/// Elements to read.
#[derive(Clone, Copy, Debug)]
pub enum Slice<'a> {
    /// See [`DType::F32`].
    F32(&'a [f32]),
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
            Self::F64(_) => DType::F64,
            Self::U32(_) => DType::U32,
        }
    }

    /// The number of elements.
    pub fn len(self) -> usize {
        match self {
            Self::F32(v) => v.len(),
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
            (Self::F64(to), Slice::F64(from)) => to.copy_from_slice(from),
            (Self::U32(to), Slice::U32(from)) => to.copy_from_slice(from),
            (_, from) => panic!("a copy of {:?} into another type", from.dtype()),
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
            Self::U32(_) => DType::U32,
        }
    }

    /// The bytes, as the host has them.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let (at, bytes) = match self {
            Self::F32(v) => (v.as_mut_ptr().cast(), size_of_val(*v)),
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
