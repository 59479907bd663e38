//! A GPU, by whatever runs its launches: buffers are memory of the target, and a kernel is its plan.

use std::fmt::{Debug, Display};
use std::sync::Arc;

use super::error::{DeviceError, fail};
use super::{Device, Kernel, Operand};
use crate::launch::Target;
use crate::tensor::{Arena, Buffer, DType, Memory, Slice, SliceMut};

/// A device over a target of launches, with an arena of its own.
///
/// Launches are put in line and run in the order of the calls; [`Device::download`] waits for them. Scratch memory of a plan
/// comes from the arena and goes back once its launches are in line: whoever gets it next comes behind them. Memory at rest
/// is given back to the target where it has no room for something else.
#[derive(Debug)]
pub struct Gpu<T> {
    target: T,
    arena: Arc<Arena>,
}

impl<T> Gpu<T> {
    /// A device over this target.
    pub fn new(target: T) -> Self {
        Self { target, arena: Arc::default() }
    }

    /// What runs the launches.
    pub fn target(&self) -> &T {
        &self.target
    }
}

/// A result of a target; the error of one that cannot go on unwinds.
fn done<R, E: Display>(result: Result<R, E>) -> R {
    result.unwrap_or_else(|error| fail(DeviceError::Failed(error.to_string())))
}

impl<T: Target<Memory: Send + Sync + 'static, Error: Display>> Gpu<T> {
    /// New memory, for which all that is at rest is given back if need be.
    fn room(&self, dtype: DType, len: usize) -> Memory {
        let bytes = len * dtype.bytes();
        let got = match self.target.alloc(bytes) {
            Err(error) if T::is_full(&error) && self.arena.empty() => {
                done(self.target.synchronise());
                self.target.alloc(bytes)
            }
            other => other,
        };
        match got {
            Ok(at) => Memory::Foreign { dtype, len, at: Box::new(at) },
            Err(error) if T::is_full(&error) => {
                fail(DeviceError::Memory { wanted: bytes, used: self.arena.used(), cause: error.to_string() })
            }
            Err(error) => fail(DeviceError::Failed(error.to_string())),
        }
    }
}

impl<T> Device for Gpu<T>
where
    T: Target<Memory: Send + Sync + 'static, Error: Display> + Debug + Send + Sync,
{
    fn alloc(&self, dtype: DType, len: usize) -> Buffer {
        Buffer::new(&self.arena, dtype, len, || self.room(dtype, len))
    }

    fn upload(&self, from: Slice<'_>) -> Buffer {
        let mut buffer = self.alloc(from.dtype(), from.len());
        done(self.target.write(buffer.within_mut(&self.arena), from.bytes()));
        buffer
    }

    fn download(&self, from: &Buffer, mut to: SliceMut<'_>) {
        let bytes = from.len() * from.dtype().bytes();
        assert_eq!(from.dtype(), to.dtype(), "a copy into another type");
        assert_eq!(bytes, to.bytes_mut().len(), "a copy into another length");
        done(self.target.download(from.within(&self.arena), to.bytes_mut()));
    }

    fn launch(&self, kernel: &dyn Kernel, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) {
        let operand = |buffer: &Buffer| Operand { dtype: buffer.dtype(), len: buffer.len() };
        let plan = kernel.plan(
            &inputs.iter().map(|b| operand(b)).collect::<Vec<_>>(),
            &outputs.iter().map(|b| operand(b)).collect::<Vec<_>>(),
        );
        let scratch: Vec<Buffer> = plan.scratch.iter().map(|bytes| self.alloc(DType::F32, bytes.div_ceil(4))).collect();
        let outputs: Vec<&T::Memory> = outputs.iter_mut().map(|b| &*b.within_mut(&self.arena)).collect();
        let [inputs, scratch] = [inputs.to_vec(), scratch.iter().collect()]
            .map(|all| all.iter().map(|b| b.within(&self.arena)).collect::<Vec<_>>());
        done(plan.run_within(&self.target, &inputs, &outputs, &scratch));
    }

    fn peak(&self) -> usize {
        self.arena.peak()
    }
}
