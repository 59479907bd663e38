//! Whether all numbers of a tensor are finite: a network that overflows is told, not used.

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check_floats};
use crate::launch::{self, Plan};
use crate::tensor::{Slice, SliceMut, Tensor};

/// Whether no number is infinite or NaN. Waits for the kernels that write them.
pub fn finite(device: &dyn Device, x: &Tensor) -> bool {
    let mut out = device.empty([1, 1, 1]);
    device.launch(&Finite, &[x.buffer()], &mut [out.buffer_mut()]);
    device.floats(&out)[0] == 1.0
}

/// One number, 1 or 0.
struct Finite;

impl Kernel for Finite {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([x], [out]) = (inputs, outputs) else { panic!("finite: operands") };
        // Whole chunks without a branch, which the compiler turns into vectors.
        let whole = |chunk: &[f32]| chunk.iter().fold(true, |all, v| all & v.is_finite());
        out.f32()[0] = if x.f32().chunks(1024).all(whole) { 1.0 } else { 0.0 };
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let [Operand { dtype, len }] = *inputs else { panic!("finite: operands") };
        check_floats("finite", outputs, &[1]);
        launch::finite::finite(len, dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Cpu;

    #[test]
    fn one_number_that_is_not_finite_is_found_wherever_it_stands() {
        let cpu = Cpu::new();
        let device: &dyn Device = &cpu;
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 1023, 1024, 4999] {
                let mut data = vec![f32::MAX; 5000];
                assert!(finite(device, &device.tensor(&data, [1, 5, 1000])));
                data[at] = bad;
                assert!(!finite(device, &device.tensor(&data, [1, 5, 1000])));
            }
        }
    }
}
