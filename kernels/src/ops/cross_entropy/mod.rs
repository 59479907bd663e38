//! Cross-entropy of codes under logits, in nats, and its gradient, in place of the logits.

mod cpu;
pub mod plain;

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check};
use crate::launch::{self, Plan};
use crate::tensor::{Buffer, DType, Shape, Slice, SliceMut, Tensor};

/// What is to be predicted.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// Codes `[items, positions]`.
    pub codes: &'a Buffer,
    /// First position that counts and the one behind the last, of each item `[items, 2]`.
    pub live: &'a Buffer,
    /// The factor of the gradient.
    pub share: f32,
}

/// Nats of the labels under logits `[items, codewords, positions]`, summed over the positions that count, unscaled; and the
/// gradient of `share` times that with respect to the logits, in their place. Where a position does not count it is 0.
///
/// # Panics
/// If the lengths do not fit each other, a code is not below `codewords`, or the logits have another handle.
pub fn cross_entropy(device: &dyn Device, mut logits: Tensor, labels: Labels<'_>) -> (f64, Tensor) {
    let mut nats = device.alloc(DType::F64, 1);
    let kernel = CrossEntropy { shape: logits.shape(), share: labels.share };
    device.launch(&kernel, &[labels.codes, labels.live], &mut [logits.buffer_mut(), &mut nats]);
    (device.doubles(&nats)[0], logits)
}

/// The gradient in place of the logits, and the sum of nats.
struct CrossEntropy {
    shape: Shape,
    share: f32,
}
impl Kernel for CrossEntropy {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([codes, live], [logits, nats]) = (inputs, outputs) else { panic!("cross_entropy: operands") };
        nats.f64()[0] = cpu::cross_entropy(logits.f32(), self.shape, [codes.u32(), live.u32()], self.share);
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let [items, codewords, positions] = self.shape;
        check("cross_entropy", inputs, &[(DType::U32, items * positions), (DType::U32, 2 * items)]);
        let dtype = outputs[0].dtype;
        check("cross_entropy", outputs, &[(dtype, items * codewords * positions), (DType::F64, 1)]);
        launch::cross_entropy::forward(self.shape, self.share, dtype)
    }
}
