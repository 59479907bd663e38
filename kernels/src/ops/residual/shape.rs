//! The extents of a residual block.

/// The extents of a block, checked.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) frames: usize,
    pub(super) hidden: usize,
    pub(super) taps: usize,
    pub(super) dilation: usize,
    /// Zeros before the first and after the last frame.
    pub(super) padding: usize,
}

impl Block {
    /// Of x `[batch, channels, frames]`, w1 `[hidden, channels, taps]` and w2 `[channels, hidden, 1]`. With `padded`, zeros
    /// lie around the frames and as many come out as went in.
    pub(super) fn new(x: [usize; 3], w1: [usize; 3], w2: [usize; 3], dilation: usize, padded: bool) -> Self {
        let ([batch, channels, frames], [hidden, c, taps]) = (x, w1);
        assert_eq!(c, channels, "residual_block: channels of input and first weight");
        assert_eq!(w2, [channels, hidden, 1], "residual_block: shape of the second weight");
        assert!(taps % 2 == 1 && dilation > 0, "residual_block: an odd number of taps, dilation at least 1");
        let reach = dilation * (taps - 1);
        assert!(padded || frames > reach, "residual_block: {frames} frames within a reach of {reach}");
        let padding = if padded { reach / 2 } else { 0 };
        Self { batch, channels, frames, hidden, taps, dilation, padding }
    }

    /// Frames that come out.
    pub(super) fn frames_out(&self) -> usize {
        self.frames + 2 * self.padding - self.dilation * (self.taps - 1)
    }

    /// Frames of x before the one that the first output is added to.
    pub(super) fn skip(&self) -> usize {
        self.dilation * (self.taps - 1) / 2 - self.padding
    }
}
