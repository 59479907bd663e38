//! Devices: where buffers lie and what runs kernels on them.
//!
//! | a device | does |
//! |---|---|
//! | [`Device::alloc`] | gives a buffer of its arena |
//! | [`Device::upload`], [`Device::download`] | copy from and to the host |
//! | [`Device::launch`] | runs a [`Kernel`] on buffers, in the order of the calls |
//!
//! A kernel is a plain struct of extents. It says how it runs on each kind of device; which device that is, only the device
//! knows. Operations launch kernels and nothing else, so that one orchestration serves all devices.
//!
//! | device | memory | a kernel runs |
//! |---|---|---|
//! | [`Cpu`] | the host's | as [`Kernel::cpu`] on slices, before `launch` returns |
//! | [`Gpu`] | that of a [`Target`](crate::launch::Target): `cuda::Card`, or the tests' emulation | as [`Kernel::plan`] says, some time after |
//!
//! **What fails.** The CPU does not; a GPU may have no room, or break. Networks have no use for a `Result` at every line, so
//! that a [`DeviceError`] unwinds to the one [`attempt`] around a piece of work, which returns it. No message is printed on
//! the way, and nothing goes on with numbers that were never computed.

mod cpu;
mod error;
mod gpu;

use std::fmt::Debug;

use crate::cpu::dispatch::Level;
use crate::launch::Plan;
use crate::tensor::{Buffer, DType, Half, Shape, Slice, SliceMut, Tensor};

pub use cpu::Cpu;
pub use error::{DeviceError, attempt};
pub use gpu::Gpu;

/// A place where tensors live and kernels run. Threads may share it.
pub trait Device: Debug + Send + Sync {
    /// A buffer of `len` elements with whatever its memory held before.
    fn alloc(&self, dtype: DType, len: usize) -> Buffer;

    /// Copies elements of the host to the device.
    fn upload(&self, from: Slice<'_>) -> Buffer;

    /// Copies elements to the host, once every kernel that writes them is done.
    ///
    /// # Panics
    /// If types or lengths differ.
    fn download(&self, from: &Buffer, to: SliceMut<'_>);

    /// Runs a kernel. Outputs may be read as well, where the kernel says so.
    ///
    /// # Panics
    /// If an output has more than one handle, or the kernel refuses the lengths.
    fn launch(&self, kernel: &dyn Kernel, inputs: &[&Buffer], outputs: &mut [&mut Buffer]);

    /// The most bytes of buffers that were in use at once since the last call.
    fn peak(&self) -> usize;

    /// The element type of activations and of their gradients: F32, F16 or BF16. Sums are of F32 or wider for each of them,
    /// and so are parameters, their gradients and their moments.
    fn precision(&self) -> DType;
}

/// What a device runs.
pub trait Kernel {
    /// On the CPU, with this instruction set. The number of threads changes no bit.
    ///
    /// # Panics
    /// If operands are missing, or of other types or lengths than the kernel's extents.
    fn cpu(&self, level: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]);

    /// On a GPU: the launches for operands of these types and lengths, which take and give what [`Kernel::cpu`] does. Sums
    /// are added in an order that the extents alone decide.
    ///
    /// # Panics
    /// As [`Kernel::cpu`]. What only the contents could show, such as a row that a table has not, becomes a NaN instead.
    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan;
}

/// What a plan knows of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The element type.
    pub dtype: DType,
    /// The number of elements.
    pub len: usize,
}

/// Checks the operands of a plan: their number, and of each its type and length.
///
/// # Panics
/// If they are others; `what` is the operation.
pub(crate) fn check(what: &str, operands: &[Operand], wanted: &[(DType, usize)]) {
    let same = operands.iter().map(|o| (o.dtype, o.len)).eq(wanted.iter().copied());
    assert!(same, "{what}: operands {operands:?} in place of {wanted:?}");
}

/// The same where all are floats.
pub(crate) fn check_floats(what: &str, operands: &[Operand], lengths: &[usize]) {
    check(what, operands, &lengths.iter().map(|n| (DType::F32, *n)).collect::<Vec<_>>());
}

impl dyn Device + '_ {
    /// A tensor of floats with whatever its memory held before.
    pub fn empty(&self, shape: Shape) -> Tensor {
        Tensor::new(self.alloc(DType::F32, shape.iter().product()), shape)
    }

    /// A tensor of these floats.
    ///
    /// # Panics
    /// If the shape has another number of elements.
    pub fn tensor(&self, data: &[f32], shape: Shape) -> Tensor {
        Tensor::new(self.upload(Slice::F32(data)), shape)
    }

    /// An activation, of the element type of `x`, with whatever its memory held before.
    pub(crate) fn like(&self, x: &Tensor, shape: Shape) -> Tensor {
        Tensor::new(self.alloc(x.dtype(), shape.iter().product()), shape)
    }

    /// An activation of these floats, rounded to the precision of the device: what enters a network, or the gradient of what
    /// leaves it.
    ///
    /// # Panics
    /// If the shape has another number of elements.
    pub fn activation(&self, data: &[f32], shape: Shape) -> Tensor {
        let rounded = |half: Half| data.iter().map(|v| half.round(*v)).collect::<Vec<u16>>();
        let buffer = match self.precision().half() {
            None => self.upload(Slice::F32(data)),
            Some(Half::F16) => self.upload(Slice::F16(&rounded(Half::F16))),
            Some(Half::Bf16) => self.upload(Slice::BF16(&rounded(Half::Bf16))),
        };
        Tensor::new(buffer, shape)
    }

    /// The floats of a tensor; those of 16 bits are widened.
    pub fn floats(&self, tensor: &Tensor) -> Vec<f32> {
        let Some(half) = tensor.dtype().half() else {
            let mut out = vec![0.0; tensor.len()];
            self.download(tensor.buffer(), SliceMut::F32(&mut out));
            return out;
        };
        let mut out = vec![0; tensor.len()];
        let to = if half == Half::F16 { SliceMut::F16(&mut out) } else { SliceMut::BF16(&mut out) };
        self.download(tensor.buffer(), to);
        out.into_iter().map(|v| half.widen(v)).collect()
    }

    /// The doubles of a buffer.
    pub fn doubles(&self, buffer: &Buffer) -> Vec<f64> {
        let mut out = vec![0.0; buffer.len()];
        self.download(buffer, SliceMut::F64(&mut out));
        out
    }
}

/// The floats of all inputs of a kernel.
///
/// # Panics
/// If there are others than `N`, or of another type.
pub(crate) fn floats<'a, const N: usize>(inputs: &[Slice<'a>]) -> [&'a [f32]; N] {
    let all: &[Slice<'a>; N] = inputs.try_into().expect("the number of a kernel's inputs");
    all.map(Slice::f32)
}

/// The floats of all outputs of a kernel.
///
/// # Panics
/// If there are others than `N`, or of another type.
pub(crate) fn floats_mut<'a, const N: usize>(outputs: &'a mut [SliceMut<'_>]) -> [&'a mut [f32]; N] {
    let all: &'a mut [SliceMut<'_>; N] = outputs.try_into().expect("the number of a kernel's outputs");
    all.each_mut().map(SliceMut::f32)
}
