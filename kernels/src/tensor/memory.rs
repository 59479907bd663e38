//! Memory of one element type.

use std::any::Any;
use std::fmt;

use super::dtype::DType;
use super::view::{Slice, SliceMut};

/// Memory of the host, or of another device.
pub(crate) enum Memory {
    F32(Vec<f32>),
    F16(Vec<u16>),
    BF16(Vec<u16>),
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
            DType::F16 => Self::F16(vec![0; len]),
            DType::BF16 => Self::BF16(vec![0; len]),
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
            Self::F16(v) => Slice::F16(v),
            Self::BF16(v) => Slice::BF16(v),
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
            Self::F16(v) => SliceMut::F16(v),
            Self::BF16(v) => SliceMut::BF16(v),
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
