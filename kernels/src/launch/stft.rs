//! Magnitudes of the short-time Fourier transform as a product with a matrix, and the way back.

use super::sources::STFT;
use super::{Argument, Plan, blocks, int, long};

/// The side of a block's tile, and the bytes of its operands in shared memory.
const TILE: usize = 64;
const SHARED: usize = 2 * 16 * (TILE + 4) * 4;

/// The extents of a transform of x `[batch, frames]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transform {
    /// Items.
    pub batch: usize,
    /// Samples of each, more than half of `fft`.
    pub frames: usize,
    /// Samples of a transform, even.
    pub fft: usize,
    /// Samples from one to the next.
    pub hop: usize,
}

impl Transform {
    /// Frequencies.
    pub fn bins(&self) -> usize {
        self.fft / 2 + 1
    }

    /// Transforms of an item.
    pub fn times(&self) -> usize {
        self.frames / self.hop + 1
    }
}

/// A plan whose input 1 is the matrix `[2 * bins, fft]`, given waves `[3, fft]` in its place: the window (padded to the
/// transform), cosines and negative sines, of whose products it is made.
pub fn on_waves(s: Transform, part: Plan) -> Plan {
    let (mut plan, n) = (Plan::default(), (s.fft + 2) * s.fft);
    let matrix = plan.scratch(n * 4);
    let arguments = vec![Argument::Input(1), matrix, int(s.fft), long(n)];
    plan.launch(&STFT, "stft_matrix", [blocks(n, 256), 1, 1], 0, arguments);
    plan.join(part, &[Argument::Input(0), matrix], &[Argument::Output(0)]);
    plan
}

/// Inputs: x, and the matrix `[2 * bins, fft]` (the window times cosines, then times negative sines). Output: spectra
/// `[batch, times, 2 * bins]`, real parts, then imaginary.
pub fn spectrum(s: Transform) -> Plan {
    let mut plan = Plan::default();
    let sizes = [s.frames, s.times(), s.fft, s.hop].map(int);
    let mut arguments = vec![Argument::Input(0), Argument::Input(1), Argument::Output(0)];
    arguments.extend(sizes);
    let grid = [blocks(s.fft + 2, TILE), blocks(s.times(), TILE), blocks(s.batch, 1)];
    plan.launch(&STFT, "stft_spectrum", grid, SHARED, arguments);
    plan
}

/// Inputs: the gradient of spectra, the matrix. Output: that of x.
pub fn adjoint(s: Transform) -> Plan {
    let mut plan = Plan::default();
    let windowed = plan.scratch(s.batch * s.times() * s.fft * 4);
    let arguments = vec![Argument::Input(0), Argument::Input(1), windowed, int(s.times()), int(s.fft)];
    let grid = [blocks(s.fft, TILE), blocks(s.times(), TILE), blocks(s.batch, 1)];
    plan.launch(&STFT, "stft_frames", grid, SHARED, arguments);
    let mut arguments = vec![windowed, Argument::Output(0)];
    arguments.extend([s.frames, s.times(), s.fft, s.hop].map(int));
    plan.launch(&STFT, "stft_overlap", [blocks(s.frames, 256), blocks(s.batch, 1), 1], 0, arguments);
    plan
}

fn each(s: Transform, kernel: &'static str, memory: &[Argument]) -> Plan {
    let (mut plan, n) = (Plan::default(), s.batch * s.bins() * s.times());
    let mut arguments = memory.to_vec();
    arguments.extend([int(s.bins()), int(s.times()), long(n)]);
    plan.launch(&STFT, kernel, [blocks(n, 256), 1, 1], 0, arguments);
    plan
}

/// Input: spectra. Output: magnitudes `[batch, bins, times]`.
pub fn magnitude(s: Transform) -> Plan {
    each(s, "stft_magnitude", &[Argument::Input(0), Argument::Output(0)])
}

/// Inputs: spectra, the gradient of their magnitudes. Output: that of the spectra, 0 where the square of a magnitude is 0.
pub fn magnitude_backward(s: Transform) -> Plan {
    each(s, "stft_magnitude_backward", &[Argument::Input(0), Argument::Input(1), Argument::Output(0)])
}
