//! The residual block of a codec as one operation: `x + b2 + w2 relu(b1 + w1 * relu(x))`.
//!
//! Unfused, a narrow block spends more time in reading and writing activations than in its products. Of the activations
//! only the rectified hidden one is kept for the way back, where plain operations keep four.

mod cpu;
pub mod plain;
mod shape;

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check, floats, floats_mut};
use crate::launch::Plan;
use crate::launch::residual::{self as launch, ResidualShape};
use crate::tape::{Backward, Tape, Value};
use crate::tensor::{Buffer, DType, Slice, SliceMut, Tensor};
use shape::Block;

/// A residual block: x `[batch, channels, frames]`; of `parameters` w1 is `[hidden, channels, taps]` with an odd number of
/// taps `dilation` frames apart, b1 `[hidden]`, w2 `[channels, hidden, 1]`, b2 `[channels]`. As many frames come out.
///
/// # Panics
/// If the shapes do not fit each other, the number of taps is even, or `dilation` is 0.
pub fn residual_block(tape: &Tape<'_>, x: &Value, parameters: [&Value; 4], dilation: usize) -> Value {
    let [w1, b1, w2, b2] = parameters;
    let block = Block::new(x.shape(), w1.shape(), w2.shape(), dilation, true);
    let places = [x.place(), w1.place(), b1.place(), w2.place(), b2.place()];
    if !tape.records(&places) {
        return Value::constant(run(tape.device(), x, parameters, block, None));
    }
    let mut hidden = tape.device().like(x.tensor(), [block.batch, block.hidden, block.frames]);
    let y = run(tape.device(), x, parameters, block, Some(&mut hidden));
    tape.record(&places, &[x.tensor(), &hidden, w1.tensor(), w2.tensor()], block, y)
}

/// The frames of [`residual_block`] that see no padding: `dilation * (taps - 1)` fewer than there are. It has no way back.
///
/// # Panics
/// As [`residual_block`], and if no frame is left.
pub fn residual_block_within(tape: &Tape<'_>, x: &Value, parameters: [&Value; 4], dilation: usize) -> Value {
    let block = Block::new(x.shape(), parameters[0].shape(), parameters[2].shape(), dilation, false);
    Value::constant(run(tape.device(), x, parameters, block, None))
}

fn run(device: &dyn Device, x: &Value, parameters: [&Value; 4], block: Block, hidden: Option<&mut Tensor>) -> Tensor {
    let [w1, b1, w2, b2] = parameters.map(|p| p.tensor().buffer());
    let mut y = device.like(x.tensor(), [block.batch, block.channels, block.frames_out()]);
    let mut outputs: Vec<&mut Buffer> = vec![y.buffer_mut()];
    outputs.extend(hidden.map(Tensor::buffer_mut));
    device.launch(&Forward(block), &[x.tensor().buffer(), w1, b1, w2, b2], &mut outputs);
    y
}

/// y, and the rectified hidden activation if there is a second output.
struct Forward(Block);
impl Kernel for Forward {
    fn cpu(&self, level: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let [x, w1, b1, w2, b2] = floats(inputs);
        let [y, hidden @ ..] = outputs else { return };
        self.0.forward(level, x, [w1, b1, w2, b2], y.f32(), hidden.first_mut().map(SliceMut::f32));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let Block { batch, channels, frames, hidden, .. } = self.0;
        let (keeps, [w1, w2]) = (outputs.len() > 1, self.0.weights());
        let [y, inside] = [channels, hidden].map(|channels| batch * channels * self.0.frames_out());
        let (dtype, own) = (inputs[0].dtype, [w1, hidden, w2, channels].map(|n| (DType::F32, n)));
        check("residual_block", inputs, &[&[(dtype, batch * channels * frames)], &own[..]].concat());
        check("residual_block", outputs, &[(dtype, y), (dtype, inside)][..1 + usize::from(keeps)]);
        launch::forward(self.0.shape(), keeps, dtype)
    }
}

/// All gradients; the last output is room to work in.
struct Gradients(Block);
impl Kernel for Gradients {
    fn cpu(&self, level: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        self.0.backward(level, floats(inputs), floats_mut(outputs));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let Block { batch, channels, frames, hidden, .. } = self.0;
        assert_eq!(self.0.frames_out(), frames, "residual: a block that is cut has no way back");
        let ([w1, w2], [x, inside]) = (self.0.weights(), [channels, hidden].map(|channels| batch * channels * frames));
        let dtype = inputs[0].dtype;
        let ([x, inside], [w1, b1, w2, b2]) =
            ([x, inside].map(|n| (dtype, n)), [w1, hidden, w2, channels].map(|n| (DType::F32, n)));
        check("residual_block", inputs, &[x, inside, x, w1, w2]);
        check("residual_block", outputs, &[x, w1, b1, w2, b2, inside]);
        launch::backward(self.0.shape(), dtype)
    }
}

impl Block {
    fn shape(&self) -> ResidualShape {
        let Self { batch, channels, frames, hidden, taps, dilation, padding } = *self;
        ResidualShape { batch, channels, frames, hidden, taps, dilation, padding }
    }

    /// Weights of both convolutions.
    fn weights(&self) -> [usize; 2] {
        [self.hidden * self.channels * self.taps, self.channels * self.hidden]
    }
}

impl Backward for Block {
    fn backward(&self, device: &dyn Device, saved: &[Tensor], dy: Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let [x, hidden, w1, w2] = [&saved[0], &saved[1], &saved[2], &saved[3]];
        let flat = |n: usize| device.empty([n, 1, 1]);
        let [mut dx, mut dw1, mut dw2, mut room] = [x, w1, w2, hidden].map(|t| device.like(t, t.shape()));
        let (mut db1, mut db2) = (flat(self.hidden), flat(self.channels));
        let inputs = [x, hidden, &dy, w1, w2].map(Tensor::buffer);
        let mut outputs = [&mut dx, &mut dw1, &mut db1, &mut dw2, &mut db2, &mut room].map(Tensor::buffer_mut);
        device.launch(&Gradients(*self), &inputs, &mut outputs);
        [dx, dw1, db1, dw2, db2].map(Some).into()
    }
}
