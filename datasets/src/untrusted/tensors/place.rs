//! Places of the tensors of a file, checked against the bytes that are there.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// The type of a tensor's elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// 16-bit floats with 5 bits of exponent.
    F16,
    /// 16-bit floats with 8 bits of exponent.
    Bf16,
    /// Another type: its name in the file, and the bytes of an element.
    Other(String, u64),
}

impl Element {
    /// Bytes of an element.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Element::F32 => 4,
            Element::F16 | Element::Bf16 => 2,
            Element::Other(_, bytes) => *bytes,
        }
    }
}

/// Place of a tensor, in bytes that were seen to be inside the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    /// Elements from one to the next along each axis.
    pub(super) strides: Vec<u64>,
    pub(super) start: u64,
}

/// Why a place cannot be one.
pub(super) type Misplaced = &'static str;

impl Place {
    /// A tensor in a storage of `length` bytes that starts at `storage`, beginning with element `offset`.
    pub(super) fn new(
        element: Element,
        (shape, strides): (&[i64], &[i64]),
        (storage, length): (u64, u64),
        offset: i64,
    ) -> Result<Place, Misplaced> {
        let lengths = |list: &[i64]| list.iter().map(|n| u64::try_from(*n)).collect::<Result<Vec<u64>, _>>();
        let (Ok(shape), Ok(strides), Ok(offset)) = (lengths(shape), lengths(strides), u64::try_from(offset)) else {
            return Err("a negative length");
        };
        if shape.len() != strides.len() {
            return Err("another number of strides than of axes");
        }
        let count = shape.iter().try_fold(1u64, |all, n| all.checked_mul(*n)).ok_or("lengths beyond all numbers")?;
        let reach = shape
            .iter()
            .zip(&strides)
            .try_fold(1u64, |reach, (n, stride)| reach.checked_add(n.saturating_sub(1).checked_mul(*stride)?));
        let reach = if count == 0 { Some(0) } else { reach };
        let end = reach.and_then(|reach| offset.checked_add(reach)?.checked_mul(element.bytes()));
        if end.is_none_or(|end| end > length) {
            return Err("it ends behind its storage");
        }
        // What repeats elements would unpack to more than it is.
        if reach.is_some_and(|reach| count > reach) {
            return Err("it repeats elements of its storage");
        }
        let start = storage + offset * element.bytes();
        let shape = shape.iter().map(|n| usize::try_from(*n)).collect::<Result<_, _>>();
        Ok(Place { element, shape: shape.map_err(|_| "lengths beyond all numbers")?, strides, start })
    }

    /// Number of elements, which fits since they lie in the file.
    pub(super) fn count(&self) -> u64 {
        self.shape.iter().map(|n| *n as u64).product()
    }

    /// Elements from the first to the last one.
    pub(super) fn reach(&self) -> u64 {
        if self.count() == 0 {
            return 0;
        }
        1 + self.shape.iter().zip(&self.strides).map(|(n, stride)| (*n as u64 - 1) * stride).sum::<u64>()
    }
}

/// The strides of a tensor whose elements lie one after another in row-major order.
pub(super) fn row_major(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = i64::saturating_mul(strides[axis], shape[axis].max(1));
    }
    strides
}

/// What a file tells before its data are read.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) places: BTreeMap<String, Place>,
    /// Texts that stand beside the tensors of a safetensors file.
    pub(super) metadata: BTreeMap<String, String>,
    /// Whole numbers that stand beside the tensors of a checkpoint.
    pub(super) numbers: BTreeMap<String, i64>,
}

/// An error of a file's content.
pub(super) fn wrong(why: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.into())
}

/// Bytes of a file that were seen to lie inside it.
pub(super) fn bytes_at<R: Read + Seek>(file: &mut R, start: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let room = usize::try_from(length).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(room).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() < room { Err(io::Error::from(ErrorKind::UnexpectedEof)) } else { Ok(bytes) }
}
