//! The transform and its adjoint on a device.

use super::Stft;
use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check_floats, floats, floats_mut};
use crate::launch::Plan;
use crate::launch::stft::{self as launch, Transform};
use crate::tensor::{Slice, SliceMut, Tensor};

/// A transform on a device.
#[derive(Clone, Debug)]
pub struct Spectrum {
    stft: Stft,
    /// `[3, 1, fft]`: the window, cosines, and negative sines.
    waves: Tensor,
}

impl Spectrum {
    /// The transform, ready on a device.
    pub fn new(device: &dyn Device, stft: Stft) -> Self {
        let fft = stft.fft;
        let turn = |n: usize| core::f64::consts::TAU * n as f64 / fft as f64;
        let mut waves = stft.window.to_vec();
        waves.extend((0..fft).map(|n| libm::cos(turn(n)) as f32));
        waves.extend((0..fft).map(|n| -libm::sin(turn(n)) as f32));
        Self { waves: device.tensor(&waves, [3, 1, fft]), stft }
    }

    /// The transform.
    pub fn stft(&self) -> &Stft {
        &self.stft
    }

    /// Spectra `[items, times, 2 * bins]` (real parts, then imaginary) of x `[items, 1, frames]`.
    ///
    /// # Panics
    /// If x is not longer than half a transform, or of another shape or type.
    pub fn spectra(&self, device: &dyn Device, x: &Tensor) -> Tensor {
        let s = self.extents(x);
        let mut to = device.empty([s.batch, s.times(), 2 * s.bins()]);
        device.launch(&Forward(self.stft.clone(), s), &[x.buffer(), self.waves.buffer()], &mut [to.buffer_mut()]);
        to
    }

    /// The adjoint of [`Spectrum::spectra`]: the gradient of x from that of its spectra. `like` has the shape of x.
    ///
    /// # Panics
    /// As for [`Spectrum::spectra`].
    pub fn adjoint(&self, device: &dyn Device, spectra: &Tensor, like: &Tensor) -> Tensor {
        let s = self.extents(like);
        assert_eq!(spectra.shape(), [s.batch, s.times(), 2 * s.bins()], "stft: spectra");
        let mut to = device.empty(like.shape());
        device.launch(&Adjoint(self.stft.clone(), s), &[spectra.buffer(), self.waves.buffer()], &mut [to.buffer_mut()]);
        to
    }

    fn extents(&self, x: &Tensor) -> Transform {
        let [batch, one, frames] = x.shape();
        assert_eq!(one, 1, "stft: one channel");
        self.stft.check(frames);
        Transform { batch, frames, fft: self.stft.fft, hop: self.stft.hop }
    }
}

struct Forward(Stft, Transform);
impl Kernel for Forward {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([x, _], [to]) = (floats(inputs), floats_mut(outputs));
        to.copy_from_slice(&self.0.spectra(x, self.1.frames));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let s = self.1;
        check_floats("stft", inputs, &[s.batch * s.frames, 3 * s.fft]);
        check_floats("stft", outputs, &[s.batch * s.times() * 2 * s.bins()]);
        launch::on_waves(s, launch::spectrum(s))
    }
}

struct Adjoint(Stft, Transform);
impl Kernel for Adjoint {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([g, _], [to]) = (floats(inputs), floats_mut(outputs));
        to.copy_from_slice(&self.0.adjoint(g, self.1.frames));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let s = self.1;
        check_floats("stft", inputs, &[s.batch * s.times() * 2 * s.bins(), 3 * s.fft]);
        check_floats("stft", outputs, &[s.batch * s.frames]);
        launch::on_waves(s, launch::adjoint(s))
    }
}
