//! What describes a convolution.

use crate::launch::convolution::ConvolutionShape;

/// How the frames of a kernel lie on the frames of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Input frames from an output to the next, at least 1.
    pub stride: usize,
    /// Zeros before the first and after the last input frame.
    pub padding: usize,
    /// Input frames from a tap to the next, at least 1.
    pub dilation: usize,
}

/// Everything that describes one convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    pub(crate) batch: usize,
    pub(crate) inputs: usize,
    pub(crate) frames: usize,
    pub(crate) outputs: usize,
    pub(crate) taps: usize,
    pub(crate) geometry: Geometry,
}

impl Convolution {
    /// Checked: the kernel fits the padded input, and nothing is 0 that must not be.
    pub(crate) fn new([batch, inputs, frames]: [usize; 3], [outputs, taps]: [usize; 2], geometry: Geometry) -> Self {
        let Geometry { stride, padding, dilation } = geometry;
        assert!(stride > 0 && dilation > 0 && taps > 0, "convolution: stride, dilation and taps must be positive");
        assert!(
            frames + 2 * padding > dilation * (taps - 1),
            "convolution: {taps} taps of dilation {dilation} do not fit {frames} frames padded by {padding}"
        );
        Self { batch, inputs, frames, outputs, taps, geometry }
    }

    /// Frames of the convolution's output.
    pub(crate) fn frames_out(&self) -> usize {
        let Geometry { stride, padding, dilation } = self.geometry;
        (self.frames + 2 * padding - dilation * (self.taps - 1) - 1) / stride + 1
    }

    /// Weights.
    pub(crate) fn weights(&self) -> usize {
        self.outputs * self.inputs * self.taps
    }

    /// The same for launches.
    pub(crate) fn shape(&self) -> ConvolutionShape {
        let Self { batch, inputs, frames, outputs, taps, geometry } = *self;
        let Geometry { stride, padding, dilation } = geometry;
        ConvolutionShape { batch, inputs, frames, outputs, taps, stride, padding, dilation }
    }

    /// The shape of the longer side, x of a convolution.
    pub(crate) fn long(&self) -> [usize; 3] {
        [self.batch, self.inputs, self.frames]
    }

    /// The shape of the shorter side, y of a convolution.
    pub(crate) fn short(&self) -> [usize; 3] {
        [self.batch, self.outputs, self.frames_out()]
    }
}
