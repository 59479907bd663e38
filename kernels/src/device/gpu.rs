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
    precision: DType,
    arena: Arc<Arena>,
}

impl<T> Gpu<T> {
    /// A device over this target, with activations of this element type.
    ///
    /// # Panics
    /// If that is no float of 16 or 32 bits.
    pub fn new(target: T, precision: DType) -> Self {
        assert!(precision == DType::F32 || precision.half().is_some(), "activations of {precision:?}");
        Self { target, precision, arena: Arc::default() }
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

    fn precision(&self) -> DType {
        self.precision
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::device::attempt;
    use crate::launch::{Bound, Launch};
    use crate::ops::gelu::gelu;
    use crate::tape::{Tape, Value};

    /// A target of little memory, that runs nothing.
    #[derive(Debug, Default)]
    struct Small {
        used: Arc<AtomicUsize>,
    }

    const ROOM: usize = 64;

    struct Piece {
        bytes: Vec<u8>,
        used: Arc<AtomicUsize>,
    }

    impl Drop for Piece {
        fn drop(&mut self) {
            self.used.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        }
    }

    impl Target for Small {
        type Memory = Piece;
        type Error = &'static str;

        fn alloc(&self, bytes: usize) -> Result<Piece, &'static str> {
            if self.used.load(Ordering::Relaxed) + bytes > ROOM {
                return Err("full");
            }
            self.used.fetch_add(bytes, Ordering::Relaxed);
            Ok(Piece { bytes: vec![0; bytes], used: self.used.clone() })
        }

        fn write(&self, to: &mut Piece, from: &[u8]) -> Result<(), &'static str> {
            to.bytes[..from.len()].copy_from_slice(from);
            Ok(())
        }

        fn download(&self, from: &Piece, to: &mut [u8]) -> Result<(), &'static str> {
            to.copy_from_slice(&from.bytes[..to.len()]);
            Ok(())
        }

        fn launch(&self, _: &Launch, _: &[Bound<'_, Piece>]) -> Result<(), &'static str> {
            Err("no compiler")
        }

        fn synchronise(&self) -> Result<(), &'static str> {
            Ok(())
        }

        fn is_full(error: &&'static str) -> bool {
            *error == "full"
        }
    }

    #[test]
    fn what_was_written_is_read_and_memory_is_found_again() {
        let gpu = Gpu::new(Small::default(), DType::F32);
        let device: &dyn Device = &gpu;
        for _ in 0..3 {
            let tensor = device.tensor(&[1.0, 2.0, 3.0], [1, 1, 3]);
            assert_eq!(device.floats(&tensor), [1.0, 2.0, 3.0]);
        }
        assert_eq!((gpu.target().used.load(Ordering::Relaxed), gpu.peak(), gpu.peak()), (12, 12, 0));
        let mut words = [0; 2];
        device.download(&device.upload(Slice::U32(&[7, u32::MAX])), SliceMut::U32(&mut words));
        assert_eq!(words, [7, u32::MAX]);
    }

    #[test]
    fn memory_at_rest_makes_room_before_there_is_none() {
        let gpu = Gpu::new(Small::default(), DType::F32);
        let device: &dyn Device = &gpu;
        drop(device.empty([1, 1, 10]));
        // 40 bytes are at rest, and 60 do not fit beside them
        let held = device.empty([1, 1, 15]);
        assert_eq!(gpu.target().used.load(Ordering::Relaxed), 60);
        let refused = attempt(|| device.empty([1, 1, 2])).expect_err("64 bytes in all");
        assert_eq!(refused, DeviceError::Memory { wanted: 8, used: 60, cause: "full".into() });
        assert!(refused.to_string().contains("no room for 8 bytes"), "{refused}");
        // what holds memory is dropped, and the device goes on
        drop(held);
        assert!(attempt(|| device.empty([1, 1, 16])).is_ok());
        assert_eq!(gpu.peak(), 64);
    }

    #[test]
    fn a_launch_that_fails_ends_the_work() {
        let gpu = Gpu::new(Small::default(), DType::F32);
        let device: &dyn Device = &gpu;
        let work = || {
            let x = Value::constant(device.tensor(&[1.0], [1, 1, 1]));
            device.floats(gelu(&Tape::forward_only(device), &x).tensor())
        };
        assert_eq!(attempt(work), Err(DeviceError::Failed("no compiler".into())));
    }

    #[test]
    #[should_panic(expected = "a buffer of another device")]
    fn buffers_stay_on_their_device() {
        let [here, there] = [0, 1].map(|_| Gpu::new(Small::default(), DType::F32));
        let tensor = (&here as &dyn Device).tensor(&[1.0], [1, 1, 1]);
        (&there as &dyn Device).floats(&tensor);
    }

    #[test]
    #[should_panic(expected = "other")]
    fn other_panics_pass() {
        attempt(|| panic!("other")).unwrap_or(());
    }
}
