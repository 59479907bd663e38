//! Conversion of the ticks of a score to frames.

/// Frames a second of every piece.
pub const SAMPLE_RATE: u32 = 44_100;
/// [`SAMPLE_RATE`] for arithmetic.
pub(super) const RATE: f64 = SAMPLE_RATE as f64;
/// Silence before the first note, in frames.
pub(super) const LEAD_IN: u64 = 441;
/// Time for the last echoes, in frames.
pub(super) const TAIL: u64 = 26_460;

/// Conversion of ticks to frames.
pub(super) struct Timing {
    pub(super) frames_per_tick: f64,
    pub(super) frames: u64,
}

impl Timing {
    pub(super) fn frame(&self, tick: u32) -> usize {
        LEAD_IN as usize + (f64::from(tick) * self.frames_per_tick) as usize
    }
}
