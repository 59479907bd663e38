//! Estimated cost of items, from measured costs and the length of recordings.

use crate::{explain::Explainer, record::history::parts};
use datasets::row::{Length, Pending, Track, TrackView};
use rayon::prelude::*;
use stages::{rows::Kind, stage::Cardinality};

/// Estimated cost of items; `None` where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Seconds of sound to go through.
    pub audio: Option<f64>,
    /// Bytes to write.
    pub bytes: Option<f64>,
    /// Seconds of work: beside each other they take less.
    pub seconds: Option<f64>,
}

impl Estimate {
    /// Adds two estimates; where only one of them is known, the sum is that one.
    pub(super) fn add(self, other: Estimate) -> Estimate {
        let sum = |a: Option<f64>, b: Option<f64>| {
            if a.is_some() || b.is_some() { Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)) } else { None }
        };
        Estimate {
            audio: sum(self.audio, other.audio),
            bytes: sum(self.bytes, other.bytes),
            seconds: sum(self.seconds, other.seconds),
        }
    }
}

/// Keeps the first entry of each item: it decides for an item that waits for several.
pub(super) fn first_of_each(may: &[Pending]) -> impl Iterator<Item = &Pending> + Clone {
    may.chunk_by(|a, b| a.id == b.id).filter_map(<[_]>::first)
}

/// Seconds of sound per byte of a file, estimated from decoded recordings for those that are not decoded.
pub(super) struct Pace(Option<f64>);

fn length(track: &Track) -> Length {
    Length::of(track.bytes, track.recording.as_ref(), track.chain.as_ref())
}

fn length_of_view(track: &TrackView<'_>) -> Length {
    Length::of(track.bytes, track.recording.as_ref(), track.chain.as_ref())
}

/// Seconds of a decoded track.
fn decoded(length: Length) -> Option<f64> {
    let (frames, rate) = length.frames?;
    Some(frames as f64 / f64::from(rate.max(1)))
}

impl Pace {
    pub(super) fn of(explainer: &Explainer<'_>) -> Pace {
        let tracks = |stage: usize| -> Vec<(f64, u64)> {
            let kept = &explainer.outcome.stages[stage].kept;
            let known = |track: TrackView<'_>| Some((decoded(length_of_view(&track))?, track.bytes));
            if kept.are(Kind::Track) { kept.views().filter_map(known).collect() } else { Vec::new() }
        };
        // In the order of rows: sums of other orders would be others.
        let sums = (0..explainer.plan.stages.len()).map(|stage| {
            let all = tracks(stage).into_iter();
            all.fold((0.0, 0), |(seconds, bytes), (more, size)| (seconds + more, bytes + size))
        });
        Pace(sums.into_iter().find(|(_, bytes)| *bytes > 0).map(|(seconds, bytes)| seconds / bytes as f64))
    }

    /// Seconds of a track, or of the part of it that `id` names. `None` if unknown.
    fn of_part(&self, track: Length, id: &str) -> Option<f64> {
        let frames = parts(id).1.and_then(|span| span.split_once('+')?.1.parse::<f64>().ok());
        match (frames, track.rate) {
            (Some(frames), Some(rate)) => Some(frames / f64::from(rate.max(1))),
            _ => decoded(track).or_else(|| (track.bytes > 0).then_some(self.0? * track.bytes as f64)),
        }
    }
}

/// Estimates the cost of a stage's items from what they cost when they were last measured.
pub(super) fn cost(explainer: &Explainer<'_>, stage: usize, items: u64, pace: &Pace) -> Estimate {
    let (planned, own) = (&explainer.plan.stages[stage], &explainer.outcome.stages[stage]);
    if items == 0 {
        return Estimate::default();
    }
    let mut audio = None;
    if planned.entry.cardinality == Cardinality::OneToOne {
        let waiting = first_of_each(&own.ledger.may).filter_map(|row| pace.of_part(row.length?, &row.id));
        let fed = planned.inputs.first().into_iter().flatten().filter(|_| !own.ledger.will.is_empty());
        let certain = fed.flat_map(|&fed| certain(explainer, stage, fed, pace));
        audio = certain.chain(waiting).reduce(|sum, seconds| sum + seconds);
    }
    let known = explainer.past(stage).and_then(|past| past.cost).filter(|cost| cost.executed > 0);
    let mean = |sum: f64, of: u64| sum / of as f64 * items as f64;
    Estimate {
        audio,
        bytes: known.map(|cost| mean(cost.bytes as f64, cost.executed)),
        seconds: known.map(|cost| mean(cost.seconds, cost.executed)),
    }
}

/// Seconds of each row of a stage on which the effect of the one that it feeds will run, as far as they are known.
fn certain(explainer: &Explainer<'_>, stage: usize, fed: usize, pace: &Pace) -> Vec<f64> {
    let (kept, own) = (&explainer.outcome.stages[fed].kept, &explainer.outcome.stages[stage].ledger);
    if kept.are(Kind::Track) {
        let seconds = |track: TrackView<'_>| {
            let seconds = pace.of_part(length_of_view(&track), track.id)?;
            own.will_run(track.id).then_some(seconds)
        };
        return kept.views().filter_map(seconds).collect();
    }
    let seconds = kept.iter().filter_map(|row| {
        let id = row.id();
        own.will_run(&id).then(|| pace.of_part(length(row.track()?), &id)).flatten()
    });
    seconds.collect()
}
