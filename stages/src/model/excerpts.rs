//! Random excerpts of the clips to train on.
use std::ops::Range;

use super::fit::Clips;
use super::quantise::turned;
use super::random::Random;
use super::training::TrainingError;

/// The clips, and where each begins when every possible first frame of an excerpt is numbered through.
pub(crate) struct Excerpts<'a> {
    pub(crate) clips: &'a dyn Clips,
    /// Channels of every clip.
    channels: usize,
    ends: Vec<u64>,
}

impl<'a> Excerpts<'a> {
    pub(crate) fn new(clips: &'a dyn Clips, channels: usize) -> Result<Self, TrainingError> {
        let mut total = 0u64;
        let ends = (0..clips.len())
            .map(|i| {
                total += clips.frames(i);
                total
            })
            .collect();
        if total == 0 {
            return Err(TrainingError::Empty("audio"));
        }
        Ok(Self { clips, channels, ends })
    }

    /// Some `items` of the excerpts of a batch, of `crop` frames, `[items, channels, around + crop + around]`: clips by their
    /// length, places in them uniformly.
    /// `around` frames of the clip before and after come along, zeros beyond its ends; a clip shorter than `crop` is
    /// followed by zeros.
    pub(crate) fn batch(
        &self,
        seed: &[u8; 32],
        purpose: &str,
        counter: u64,
        items: Range<usize>,
        (crop, around): (usize, usize),
    ) -> Result<Vec<f32>, TrainingError> {
        let mut random = Random::new(seed, purpose, counter);
        let (length, channels) = (crop + 2 * around, self.channels);
        let mut out = vec![0.0; items.len() * channels * length];
        let total = self.ends.last().copied().unwrap_or(0);
        let mut draw = || {
            let at = random.below(total);
            let clip = self.ends.partition_point(|end| *end <= at);
            let frames = self.clips.frames(clip);
            let room = frames.saturating_sub(crop as u64);
            (clip, frames, random.below(room + 1))
        };
        // Those of others are drawn, but not read.
        for _ in 0..items.start {
            draw();
        }
        for excerpt in out.chunks_exact_mut(channels * length) {
            let (clip, frames, first) = draw();
            let before = first.min(around as u64);
            let (start, end) = (first - before, (first + (crop + around) as u64).min(frames));
            let silent = around - before as usize;
            self.clips
                .read(clip, start, &mut excerpt[silent * channels..][..(end - start) as usize * channels])
                .map_err(|message| TrainingError::Clip { clip, message })?;
            if channels > 1 {
                let by_channel = turned(excerpt, length, channels);
                excerpt.copy_from_slice(&by_channel);
            }
        }
        Ok(out)
    }
}
