//! Which decoded frames are sound: encoder delay and padding, as the LAME header of an MPEG stream or the edit
//! list and iTunes' gapless tag of an MP4 file state them.

use std::ops::Range;

use symphonia::core::formats::Track;

/// Frames of the decoded stream that are no sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trim {
    /// Frames before the first of sound.
    pub(super) start: u64,
    /// A later range without sound. What follows it is kept: headers are known to count too few frames.
    pub(super) gap: Range<u64>,
}

impl Trim {
    /// Trim from the delay, padding and length in a Xing/LAME header.
    pub(super) fn from_lame(track: &Track) -> Self {
        let (Some(delay), Some(padding)) = (track.delay, track.padding) else { return Trim::default() };
        let start = u64::from(delay);
        let gap = match track.num_frames {
            // A delay and a padding beyond the stated length cannot both be right.
            Some(0) | None => 0..0,
            Some(frames) => start + frames..start + frames + u64::from(padding),
        };
        Trim { start, gap }
    }

    /// Trim from what an MP4 file presents of a track whose sound has this rate.
    pub(super) fn from_edit(edit: &Edit, rate: u32) -> Self {
        let frames = |time: u64, units: u32| {
            let exact = u128::from(time) * u128::from(rate) / u128::from(units.max(1));
            u64::try_from(exact).unwrap_or(u64::MAX)
        };
        // The tag counts frames; the list is often rounded to the movie's coarser clock.
        if let Some(Gapless { delay, count }) = edit.gapless {
            let gap = if count > 0 { delay.saturating_add(count)..u64::MAX } else { 0..0 };
            return Trim { start: delay, gap };
        }
        let start = match edit.segment {
            Some((time, _)) if edit.timescale > 0 => frames(time, edit.timescale),
            _ => 0,
        };
        if edit.timescale == 0 || edit.media == 0 {
            return Trim { start, gap: 0..0 };
        }
        let media = frames(edit.media, edit.timescale);
        let end = match edit.segment {
            // The duration of an edit is that of its media but for rounding, or it leaves sound out.
            Some((_, lasts)) if lasts > 0 && edit.movie > 0 => {
                let lasts = start.saturating_add(frames(lasts, edit.movie));
                let rounding = frames(2, edit.movie).max(1);
                if lasts.saturating_add(rounding) < media { lasts } else { media }
            }
            _ => media,
        };
        Trim { start, gap: end.max(start)..u64::MAX }
    }

    /// The parts, in frames relative to the block, that are sound in a block of `frames` decoded frames that
    /// starts at frame `at` of the stream.
    pub(super) fn keep(&self, at: u64, frames: u64) -> [Range<u64>; 2] {
        let end = at + frames;
        let clamp = |x: u64| x.clamp(at, end) - at;
        let first = clamp(self.start.max(at))..clamp(self.gap.start.max(self.start));
        let second = clamp(self.gap.end.max(self.start))..frames;
        if self.gap.is_empty() { [clamp(self.start)..frames, 0..0] } else { [first, second] }
    }
}

/// What an MP4 file says of the presented part of a track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// Units of a second in which the track's times count.
    pub(super) timescale: u32,
    /// Units of a second in which the duration of an edit counts.
    pub(super) movie: u32,
    /// Start and duration of the only presented segment.
    pub(super) segment: Option<(u64, u64)>,
    /// Duration of the track's samples; 0 where it is not known.
    pub(super) media: u64,
    pub(super) gapless: Option<Gapless>,
}

/// iTunes' gapless tag: words in hexadecimal, of which the second is the encoder delay in frames, the third the padding
/// and the fourth the frames between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gapless {
    delay: u64,
    /// Frames of sound; 0 where they are not stated.
    count: u64,
}

impl Gapless {
    pub(super) fn parse(value: &[u8]) -> Option<Gapless> {
        let words = std::str::from_utf8(value).ok()?.split_ascii_whitespace();
        let mut words = words.map(|word| u64::from_str_radix(word, 16).ok());
        let delay = words.nth(1)??;
        let count = words.nth(1).flatten().unwrap_or(0);
        (delay < 1 << 16).then_some(Gapless { delay, count })
    }
}

/// The delay in frames of the encoder FAAC, which states no delay but its name, in a fill element (ISO/IEC 14496-3,
/// 4.4.2.7) at the start of its first packet. Other decoders drop a block of 1024 frames for it.
pub(super) fn faac_delay(first_packet: &[u8]) -> u64 {
    let fills = first_packet.first().is_some_and(|byte| byte >> 5 == 6);
    if fills && first_packet.get(4..).is_some_and(|text| text.starts_with(b"libfaac ")) { 1024 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_edit_is_that_of_the_sound() {
        let edit = |segment, media| Edit { timescale: 44_100, movie: 1000, segment, media, gapless: None };
        let of = |edit: Edit| Trim::from_edit(&edit, 44_100);
        // 0.3 s of media behind a delay of 1024 frames: all of it, or the first tenth of a second.
        assert_eq!(of(edit(Some((1024, 300)), 14_254)), Trim { start: 1024, gap: 14_254..u64::MAX });
        assert_eq!(of(edit(Some((1024, 100)), 14_254)), Trim { start: 1024, gap: 5_434..u64::MAX });
        assert_eq!(of(edit(None, 0)).keep(0, 10), [0..10, 0..0]);
        let tag = Gapless::parse(b" 00000000 00000840 000001CA 0000000000000FA0 0").expect("a tag");
        let tagged = Edit { gapless: Some(tag), ..edit(None, 0) };
        assert_eq!(of(tagged), Trim { start: 2112, gap: 6112..u64::MAX });
        assert_eq!(of(tagged).keep(6000, 1024), [0..112, 1024..1024]);
    }
}
