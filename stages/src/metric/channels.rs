//! The mean of all channels: distances and notes are those of one sound.

use std::borrow::Cow;

/// Interleaved samples as mono, the mean of the channels of each frame.
///
/// ```
/// assert_eq!(stages::metric::channels::mono(&[1.0, 0.0, -0.5, 0.5], 2)[..], [0.5, 0.0]);
/// ```
pub fn mono(samples: &[f32], channels: u16) -> Cow<'_, [f32]> {
    let width = usize::from(channels.max(1));
    if width == 1 {
        return samples.into();
    }
    samples.chunks_exact(width).map(|frame| frame.iter().sum::<f32>() / width as f32).collect::<Vec<_>>().into()
}
