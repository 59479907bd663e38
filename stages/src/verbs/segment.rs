//! `segment`: cuts each track into clips.
//!
//! Lengths are given in seconds and rounded down to a multiple of `align` frames, so that a clip holds
//! a whole number of codes at every level.

use crate::{
    rows::{Input, Kind},
    settings::Complaint,
    stage::{
        Cardinality, Context, Facts, Places, Port, Property, Stage, StageOutput,
        memory::{Known, Memory},
    },
};
use datasets::row::{Clip, Dropped, Track};
use std::sync::Arc;

crate::choice! {
    /// What becomes of the frames after the last whole clip.
    pub enum Tail {
        /// Kept as a shorter clip, if it is at least `minimum` long.
        Keep = "keep",
        /// Left out.
        Drop = "drop",
        /// Kept as a whole clip that is shifted back, so that it overlaps the one before.
        Shift = "shift",
    }
}

crate::settings! {
    /// Settings of `segment`.
    pub struct Segment {
        /// Length of a clip in seconds.
        seconds: f64 = 10.0,
        /// Distance between the starts of two clips in seconds; by default clips touch.
        #[otherwise(seconds)]
        stride: Option<f64> = None,
        /// A track or a tail shorter than this many seconds gives no clip.
        minimum: f64 = 1.0,
        /// What becomes of the frames after the last whole clip.
        tail: Tail = Tail::Keep,
        /// Clips start and end at multiples of this many frames.
        align: u32 = 128,
    }
}

impl Segment {
    fn frames(&self, seconds: f64, rate: u32) -> u64 {
        let align = u64::from(self.align);
        (seconds * f64::from(rate)) as u64 / align * align
    }

    /// First frame and number of frames of every clip.
    fn spans(&self, frames: u64, rate: u32) -> Vec<(u64, u64)> {
        let align = u64::from(self.align);
        let length = self.frames(self.seconds, rate).max(align);
        let stride = self.frames(self.stride.unwrap_or(self.seconds), rate).max(align);
        let minimum = self.frames(self.minimum, rate).max(align);
        let mut spans = Vec::new();
        let mut start = 0;
        while start + length <= frames {
            spans.push((start, length));
            start += stride;
        }
        let covered = spans.last().map_or(0, |(start, length)| start + length);
        let rest = frames.saturating_sub(start) / align * align;
        match self.tail {
            // A tail that earlier, overlapping clips hold already is no news.
            Tail::Keep if rest >= minimum && frames / align * align > covered => spans.push((start, rest)),
            Tail::Shift if frames - covered >= align && frames >= length => {
                spans.push(((frames - length) / align * align, length));
            }
            Tail::Shift if spans.is_empty() && rest >= minimum => spans.push((0, rest)),
            _ => {}
        }
        spans
    }

    fn cut(&self, track: Track) -> Result<Vec<Clip>, Dropped> {
        let Some(chain) = track.chain.clone() else { unreachable!("the plan checked that tracks are resampled") };
        let spans = self.spans(chain.frames, chain.rate);
        if spans.is_empty() {
            let seconds = chain.frames as f64 / f64::from(chain.rate);
            let why = format!("its {seconds:.3} s give no clip of at least {} s", self.least());
            return Err(Dropped { id: track.id, code: "too-short".into(), why: why.into(), failed: false });
        }
        let track = Arc::new(track);
        Ok(spans.into_iter().map(|(start, frames)| Clip { track: track.clone(), start, frames }).collect())
    }

    fn least(&self) -> f64 {
        if self.tail == Tail::Drop { self.seconds } else { self.minimum.min(self.seconds) }
    }
}

impl Stage for Segment {
    const VERB: &'static str = "segment";
    const ABOUT: &'static str = "cuts each track into clips";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port::many("tracks", Kind::Track)];
    const NEEDS: &'static [Property] = &[Property::Decoded, Property::Resampled];
    const CARDINALITY: Cardinality = Cardinality::OneToMany;
    const UNIT: &'static str = "clips";
    const FACTS: Facts = Facts { changes: Some("cut"), on_card: true, ..Facts::NONE };
    type In = Track;
    type Out = Clip;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        if self.align == 0 {
            complaints
                .push(Complaint::new(at.of("align"), "`align`: 0 frames").help("128 holds one code of the top level"));
        }
        let positive = [("seconds", Some(self.seconds)), ("stride", self.stride)];
        for (name, value) in positive {
            if value.is_some_and(|v| v <= 0.0 || v > 86_400.0) {
                let message = format!("`{name}`: a length between 0 and 86400 seconds is needed");
                complaints.push(Complaint::new(at.of(name), message));
            }
        }
        if self.minimum < 0.0 || self.minimum > self.seconds {
            let message = format!("`minimum`: {} s is not between 0 and `seconds` ({})", self.minimum, self.seconds);
            complaints
                .push(Complaint::new(at.of("minimum"), message).help("a whole clip must be long enough to be kept"));
        }
    }

    fn memory(&self, known: &mut Known, _: u64) -> Memory {
        known.clip = self.frames(self.seconds, known.rate).max(self.align.into());
        Memory::default()
    }

    fn render<'s>(self, _: &Context<'s>, input: Input<'s, Track>) -> StageOutput<'s, Clip> {
        let drops = self.clone();
        StageOutput {
            kept: input.kept.clone().flat_map(move |track| self.cut(track).unwrap_or_default()),
            dropped: input.kept.flat_map(move |track| drops.cut(track).err()),
            pending: input.pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(tail: Tail) -> Segment {
        Segment { seconds: 2.0, stride: None, minimum: 0.5, tail, align: 128 }
    }

    #[test]
    fn tails_follow_the_policy() {
        // 1000 Hz: a clip is 1920 frames, a tail at least 384.
        let keep = |frames| segment(Tail::Keep).spans(frames, 1000);
        assert_eq!(keep(1920 + 383), [(0, 1920)]);
        assert_eq!(keep(1920 + 384), [(0, 1920), (1920, 384)]);
        assert_eq!(keep(500), [(0, 384)]);
        assert_eq!(keep(383), []);
        assert_eq!(segment(Tail::Drop).spans(3839, 1000), [(0, 1920)]);
        assert_eq!(segment(Tail::Shift).spans(3000, 1000), [(0, 1920), (1024, 1920)]);
        assert_eq!(segment(Tail::Shift).spans(600, 1000), [(0, 512)]);
        let overlapping = Segment { stride: Some(1.0), ..segment(Tail::Keep) };
        assert_eq!(overlapping.spans(3000, 1000), [(0, 1920), (896, 1920), (1792, 1152)]);
    }

    #[test]
    fn every_span_is_aligned_and_inside() {
        for tail in [Tail::Keep, Tail::Drop, Tail::Shift] {
            for frames in (0..6000).step_by(37) {
                for stride in [None, Some(0.3), Some(3.0)] {
                    let spans = Segment { stride, ..segment(tail) }.spans(frames, 1000);
                    assert!(spans.iter().all(|(s, n)| s % 128 == 0 && n % 128 == 0 && *n > 0 && s + n <= frames));
                    assert!(spans.windows(2).all(|w| w[0].0 < w[1].0), "{tail:?} {frames} {stride:?} {spans:?}");
                }
            }
        }
    }
}
