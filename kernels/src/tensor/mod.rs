//! Tensors: a shape, and a buffer that lives on a device.
//!
//! | element type | holds |
//! |---|---|
//! | `F32` | parameters, their moments and gradients; activations and their gradients by default |
//! | `F16`, `BF16` | activations and their gradients on a device of that precision |
//! | `F64` | sums that the host reads |
//! | `U32` | codes, and rows of tables |

mod arena;
mod buffer;
mod dtype;
mod half;
mod memory;
mod view;

pub(crate) use arena::Arena;
pub use buffer::Buffer;
pub use dtype::DType;
pub use half::Half;
pub(crate) use memory::Memory;
pub use view::{Slice, SliceMut};

/// Extents, the outermost first: `[batch, channels, positions]` of activations. Of parameters that have fewer axes the
/// last extents are 1.
pub type Shape = [usize; 3];

/// A handle of a dense array in row-major order. Clones share the buffer.
#[derive(Clone, Debug)]
pub struct Tensor {
    buffer: Buffer,
    shape: Shape,
}

impl Tensor {
    /// A buffer with a shape.
    ///
    /// # Panics
    /// If it has another number of elements.
    pub fn new(buffer: Buffer, shape: Shape) -> Self {
        assert_eq!(buffer.len(), shape.iter().product::<usize>(), "a tensor of shape {shape:?}");
        Self { buffer, shape }
    }

    /// The extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The elements, on their device.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// The same to hand to a kernel that writes.
    pub fn buffer_mut(&mut self) -> &mut Buffer {
        &mut self.buffer
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.buffer.dtype()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}
