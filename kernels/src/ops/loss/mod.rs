//! What reconstruction costs, with gradients: the distance of samples, and of spectra.
//!
//! | function | of an item it sums | after |
//! |---|---|---|
//! | [`samples`] | `(y - x)^2` over samples | |
//! | [`spectra`] | the norm of the difference of STFT magnitudes | Yamamoto et al. 2020, Dhariwal et al. 2020 |
//! | | the mean absolute difference of their logarithms | Engel et al. 2020 |

mod cpu;

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check, check_floats, floats};
use crate::launch::Plan;
use crate::launch::loss::{self as launch, Weights};
use crate::launch::stft::Transform;
use crate::ops::stft::Spectrum;
use crate::tensor::{DType, Slice, SliceMut, Tensor};

/// The sum of `(y - x)^2` over all items, and the gradient of `weight` times it with respect to y; both are `[items, 1,
/// samples]` in 32 bits.
///
/// # Panics
/// If shapes or types differ.
pub fn samples(device: &dyn Device, x: &Tensor, y: &Tensor, weight: f64) -> (f64, Tensor) {
    assert_eq!(x.shape(), y.shape(), "loss: shapes");
    let [items, _, length] = x.shape();
    let (mut gradient, mut sums) = (device.empty(x.shape()), device.alloc(DType::F64, items));
    let kernel = Samples { items, length, weight };
    device.launch(&kernel, &[x.buffer(), y.buffer()], &mut [gradient.buffer_mut(), &mut sums]);
    (device.doubles(&sums).iter().sum(), gradient)
}

/// The norms of the difference of magnitudes, and the mean absolute differences of their logarithms (0 where that has no
/// weight), each summed over items; and the gradient of both with their weights with respect to y. x and y are `[items, 1,
/// samples]` in 32 bits.
///
/// # Panics
/// If shapes or types differ, or there are too few samples for a transform.
pub fn spectra(device: &dyn Device, by: &Spectrum, x: &Tensor, y: &Tensor, weights: Weights) -> ([f64; 2], Tensor) {
    assert_eq!(x.shape(), y.shape(), "loss: shapes");
    let [items, _, frames] = x.shape();
    let (of_x, mut of_y) = (by.spectra(device, x), by.spectra(device, y));
    let [mut norms, mut logs] = [0, 1].map(|_| device.alloc(DType::F64, items));
    let s = Transform { batch: items, frames, fft: by.stft().fft(), hop: by.stft().hop() };
    let mut outputs = [of_y.buffer_mut(), &mut norms, &mut logs];
    device.launch(&Spectra(s, weights), &[of_x.buffer()], &mut outputs);
    let sums = [norms, logs].map(|sums| device.doubles(&sums).iter().sum());
    (sums, by.adjoint(device, &of_y, y))
}

struct Samples {
    items: usize,
    length: usize,
    weight: f64,
}
impl Kernel for Samples {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let [x, y] = floats(inputs);
        let [gradient, sums] = outputs else { panic!("loss: operands") };
        cpu::samples(x, y, self.length, self.weight, gradient.f32(), sums.f64());
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let n = self.items * self.length;
        check_floats("loss", inputs, &[n, n]);
        check("loss", outputs, &[(DType::F32, n), (DType::F64, self.items)]);
        launch::samples(self.items, self.length, self.weight)
    }
}

/// The gradient of spectra in their place, and both sums of each item.
struct Spectra(Transform, Weights);
impl Kernel for Spectra {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let [x] = floats(inputs);
        let [y, norms, logs] = outputs else { panic!("loss: operands") };
        cpu::spectra(x, y.f32(), self.0.bins(), self.1, [norms.f64(), logs.f64()]);
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let (s, n) = (self.0, self.0.batch * self.0.times() * 2 * self.0.bins());
        check_floats("loss", inputs, &[n]);
        check("loss", outputs, &[(DType::F32, n), (DType::F64, s.batch), (DType::F64, s.batch)]);
        launch::spectra(s, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Cpu;
    use crate::ops::stft::{Stft, hann_window};
    use crate::tape::sum;

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let device: &dyn Device = &Cpu::new();
        let (shape, n) = ([2, 1, 300], 600);
        let wave = |f: f64| (0..n).map(|i| libm::sin(f * (i * i) as f64) as f32).collect::<Vec<f32>>();
        let (x, y) = (device.tensor(&wave(1e-4), shape), wave(2.3e-4));
        let by = Spectrum::new(device, Stft::new(64, 16, &hann_window(48)));
        let weights = |norm, logarithms| Weights { norm, logarithms, floor: 0.05 };
        // the absolute value of a logarithm has a kink wherever magnitudes meet, so its differences are coarser
        for (norm, logarithms, share) in [(0.7, 0.0, 2e-3), (0.0, 0.4, 5e-2)] {
            let all = |y: &[f32]| {
                let y = device.tensor(y, shape);
                let (square, gradient) = samples(device, &x, &y, 0.3);
                let ([norms, logs], more) = spectra(device, &by, &x, &y, weights(norm, logarithms));
                let gradient = sum(device, gradient, more);
                (0.3 * square + norm * norms + logarithms * logs, device.floats(&gradient))
            };
            let (_, gradient) = all(&y);
            for at in [3, 100, 299, 300, 470] {
                let moved = |by: f32| {
                    let mut y = y.clone();
                    y[at] += by;
                    all(&y).0
                };
                let expected = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                let found = f64::from(gradient[at]);
                assert!((found - expected).abs() < share * expected.abs() + 2e-3, "{at}: {found} and {expected}");
            }
        }
        let same = device.tensor(&y, shape);
        let (sums, gradient) = spectra(device, &by, &same, &same, weights(1.0, 1.0));
        assert_eq!(sums, [0.0; 2]);
        assert!(device.floats(&gradient).iter().all(|g| *g == 0.0));
    }
}
