//! Activations in another element type: from 16 bits to 32 for a loss, and its gradient back.

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check, floats, floats_mut};
use crate::launch::{self, Plan};
use crate::tensor::{DType, Slice, SliceMut, Tensor};

/// The floats of x as `dtype`, rounded to nearest even where that has fewer bits; x itself if it is of that type.
///
/// # Panics
/// If either is no float of 16 or 32 bits, or both are of 16.
pub fn cast(device: &dyn Device, x: &Tensor, dtype: DType) -> Tensor {
    if x.dtype() == dtype {
        return x.clone();
    }
    let mut y = Tensor::new(device.alloc(dtype, x.len()), x.shape());
    device.launch(&Cast, &[x.buffer()], &mut [y.buffer_mut()]);
    y
}

struct Cast;
impl Kernel for Cast {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        // the CPU hands floats of 32 bits to every kernel
        let ([x], [y]) = (floats(inputs), floats_mut(outputs));
        y.copy_from_slice(x);
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let ([x], [y]) = (inputs, outputs) else { panic!("cast: operands") };
        let (from, to) = (x.dtype.half(), y.dtype.half());
        check("cast", inputs, &[(if from.is_some() { x.dtype } else { DType::F32 }, y.len)]);
        check("cast", outputs, &[(if to.is_some() { y.dtype } else { DType::F32 }, x.len)]);
        match (from, to) {
            (None, Some(half)) => launch::cast::narrow(half, x.len, 1, 1),
            (Some(half), None) => launch::cast::widen(half, x.len),
            _ => panic!("cast: {:?} to {:?}", x.dtype, y.dtype),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Cpu;

    #[test]
    fn halves_are_rounded_and_widened() {
        let device: &dyn Device = &Cpu::new();
        let x = device.tensor(&[1.0, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, -70000.0], [1, 1, 4]);
        let half = |dtype| device.floats(&cast(device, &cast(device, &x, dtype), DType::F32));
        assert_eq!(half(DType::BF16), [1.0, 1.0, 1.015625, -70144.0]);
        assert_eq!(half(DType::F16), [1.0, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, f32::NEG_INFINITY]);
    }
}
