//! The three kernels that a convolution, its transpose and both ways back are made of, and sums over channels.
//!
//! A convolution without bias is linear in x and in w. Paired with a gradient of its output it is a form linear in three
//! arguments, `<dy, convolve(x, w)>`; its three partial derivatives are these kernels.

use super::cpu::{adjoint, forward, sums, weights};
use super::shape::Convolution;
use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check, floats, floats_mut};
use crate::launch::Plan;
use crate::launch::convolution::Beside;
use crate::launch::layer;
use crate::tensor::{DType, Shape, Slice, SliceMut, Tensor};

/// y from x and w, and a bias if there is one.
struct Forward(Convolution);
impl Kernel for Forward {
    fn cpu(&self, level: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([x, w], [y]) = (floats(&inputs[..2]), floats_mut(outputs));
        forward::forward(level, x, w, inputs.get(2).map(|b| b.f32()), self.0, y);
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let bias = self.0.check(inputs, outputs, [self.0.long(), self.0.short()]);
        layer::forward(self.0.shape(), inputs[0].dtype, Beside { bias, ..Beside::default() })
    }
}

/// x from y and w, and a bias if there is one.
struct Adjoint(Convolution);
impl Kernel for Adjoint {
    fn cpu(&self, level: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([y, w], [x]) = (floats(&inputs[..2]), floats_mut(outputs));
        adjoint::adjoint(level, y, w, inputs.get(2).map(|b| b.f32()), self.0, x);
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let bias = self.0.check(inputs, outputs, [self.0.short(), self.0.long()]);
        layer::adjoint(self.0.shape(), inputs[0].dtype, Beside { bias, ..Beside::default() })
    }
}

/// The gradients of w and of the bias from x and the gradient of y.
struct Weights(Convolution);
impl Kernel for Weights {
    fn cpu(&self, level: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([x, dy], [dw, db]) = (floats(inputs), floats_mut(outputs));
        weights::weights(level, x, dy, self.0, dw, db);
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let [x, y] = [self.0.long(), self.0.short()].map(|shape| shape.iter().product());
        let dtype = inputs[0].dtype;
        check("convolution", inputs, &[(dtype, x), (dtype, y)]);
        check("convolution", outputs, &[(DType::F32, self.0.weights()), (DType::F32, self.0.outputs)]);
        layer::weights(self.0.shape(), dtype, false)
    }
}

/// `[batch, channels, frames]` summed to `[channels]`.
struct ChannelSums(Shape);
impl Kernel for ChannelSums {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([x], [to]) = (floats(inputs), floats_mut(outputs));
        sums::channel_sums(x, self.0, to);
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let [batch, channels, frames] = self.0;
        let dtype = inputs[0].dtype;
        check("convolution", inputs, &[(dtype, batch * channels * frames)]);
        check("convolution", outputs, &[(DType::F32, channels)]);
        layer::channel_sums(batch, channels, frames, dtype)
    }
}

impl Convolution {
    /// Checks the operands of a product from one side to the other; whether there is a bias.
    fn check(self, inputs: &[Operand], outputs: &[Operand], [from, to]: [Shape; 2]) -> bool {
        let (dtype, bias) = (inputs[0].dtype, inputs.len() > 2);
        let all = [(dtype, from.iter().product()), (DType::F32, self.weights()), (DType::F32, to[1])];
        check("convolution", inputs, &all[..2 + usize::from(bias)]);
        check("convolution", outputs, &[(dtype, to.iter().product())]);
        bias
    }
}

fn buffers<'a>(a: &'a Tensor, b: &'a Tensor, bias: Option<&'a Tensor>) -> Vec<&'a crate::tensor::Buffer> {
    [Some(a), Some(b), bias].into_iter().flatten().map(Tensor::buffer).collect()
}

/// y `[batch, out, frames out]` from x.
pub(super) fn convolve(device: &dyn Device, x: &Tensor, w: &Tensor, bias: Option<&Tensor>, s: Convolution) -> Tensor {
    let mut y = device.like(x, s.short());
    device.launch(&Forward(s), &buffers(x, w, bias), &mut [y.buffer_mut()]);
    y
}

/// The adjoint: x `[batch, in, frames]` from y.
pub(super) fn adjoint(device: &dyn Device, y: &Tensor, w: &Tensor, bias: Option<&Tensor>, s: Convolution) -> Tensor {
    let mut x = device.like(y, s.long());
    device.launch(&Adjoint(s), &buffers(y, w, bias), &mut [x.buffer_mut()]);
    x
}

/// The gradients of w and of the bias `[out]`.
pub(super) fn weight_gradients(device: &dyn Device, x: &Tensor, dy: &Tensor, s: Convolution) -> [Tensor; 2] {
    let (mut dw, mut db) = (device.empty([s.outputs, s.inputs, s.taps]), device.empty([s.outputs, 1, 1]));
    device.launch(&Weights(s), &[x.buffer(), dy.buffer()], &mut [dw.buffer_mut(), db.buffer_mut()]);
    [dw, db]
}

/// The sum of every channel over batch and frames.
pub(super) fn channel_sums(device: &dyn Device, x: &Tensor) -> Tensor {
    let mut to = device.empty([x.shape()[1], 1, 1]);
    device.launch(&ChannelSums(x.shape()), &[x.buffer()], &mut [to.buffer_mut()]);
    to
}
