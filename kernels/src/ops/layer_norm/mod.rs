//! Layer normalisation over channels as one operation (Ba et al. 2016).
//!
//! For the way back the mean and the reciprocal deviation of every position are kept.

mod cpu;
pub mod plain;

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check, floats, floats_mut};
use crate::launch::{self, Plan};
use crate::tape::{Backward, Tape, Value};
use crate::tensor::{DType, Shape, Slice, SliceMut, Tensor};

/// `(x - mean) / sqrt(variance + 1e-5) * gain + bias` over the channels of x `[batch, channels, positions]`; gain and bias
/// are `[channels]`.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn layer_norm(tape: &Tape<'_>, x: &Value, gain: &Value, bias: &Value) -> Value {
    let (device, shape) = (tape.device(), x.shape());
    let (mut y, mut kept) = (device.like(x.tensor(), shape), device.empty([shape[0], 2, shape[2]]));
    let inputs = [x, gain, bias].map(|v| v.tensor().buffer());
    device.launch(&Forward(shape), &inputs, &mut [y.buffer_mut(), kept.buffer_mut()]);
    let places = [x.place(), gain.place(), bias.place()];
    tape.record(&places, &[x.tensor(), gain.tensor(), &kept], LayerNorm, y)
}

/// The result, and what is kept of every position.
struct Forward(Shape);
impl Kernel for Forward {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        cpu::forward(floats(inputs), self.0, floats_mut(outputs));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let [batch, channels, positions] = self.0;
        let (dtype, n) = (inputs[0].dtype, batch * channels * positions);
        check("layer_norm", inputs, &[(dtype, n), (DType::F32, channels), (DType::F32, channels)]);
        check("layer_norm", outputs, &[(dtype, n), (DType::F32, 2 * batch * positions)]);
        launch::layer_norm::forward(self.0, dtype)
    }
}

/// All gradients.
struct Gradients(Shape);
impl Kernel for Gradients {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        cpu::backward(floats(inputs), self.0, floats_mut(outputs));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let [batch, channels, positions] = self.0;
        let (dtype, n) = (inputs[0].dtype, batch * channels * positions);
        let [own, kept] = [channels, 2 * batch * positions].map(|n| (DType::F32, n));
        check("layer_norm", inputs, &[(dtype, n), own, kept, (dtype, n)]);
        check("layer_norm", outputs, &[(dtype, n), own, own]);
        launch::layer_norm::backward(self.0, dtype)
    }
}

struct LayerNorm;

impl Backward for LayerNorm {
    fn backward(&self, device: &dyn Device, saved: &[Tensor], dy: Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let [x, gain, kept] = [&saved[0], &saved[1], &saved[2]];
        let [mut dx, mut dgain, mut dbias] = [x, gain, gain].map(|t| device.like(t, t.shape()));
        let inputs = [x, gain, kept, &dy].map(Tensor::buffer);
        let mut outputs = [&mut dx, &mut dgain, &mut dbias].map(Tensor::buffer_mut);
        device.launch(&Gradients(x.shape()), &inputs, &mut outputs);
        [dx, dgain, dbias].map(Some).into()
    }
}
