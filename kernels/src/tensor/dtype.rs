//! Element types.

/// Element type of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DType {
    /// 32-bit floats: activations, parameters, gradients.
    F32,
    /// 16-bit floats with 5 bits of exponent: activations and their gradients, where a device computes so.
    F16,
    /// 16-bit floats with 8 bits of exponent: the same.
    BF16,
    /// 64-bit floats: sums that are read by the host.
    F64,
    /// 32-bit unsigned integers: codes, and rows of tables.
    U32,
}

impl DType {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 | Self::U32 => 4,
            Self::F64 => 8,
        }
    }
}
