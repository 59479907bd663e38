//! `dedup`: of tracks with exactly the same samples, keeps the one with the least id.
//!
//! Equal samples in another container or with other tags are duplicates; a different rate, channel
//! count or a single different sample are not. Before `decode` nothing is known of samples: there, files with exactly
//! the same bytes are duplicates.
//!
//! Some data sets hold one sound under several labels on purpose, such as NSynth's velocity layers of instruments that have no
//! dynamics: `apart` names the columns that make tracks differ although they sound the same.

use crate::{
    flow::{divide, group},
    rows::{Input, Kind},
    stage::{Cardinality, Context, Facts, Port, Stage, StageOutput},
};
use datasets::row::{Dropped, Track};

crate::settings! {
    /// Settings of `dedup`.
    pub struct Dedup {
        /// Columns of the corpus's own, or labels: tracks that differ in one of them are no duplicates.
        apart: Vec<String> = Vec::new(),
    }
}

/// The texts of a track in columns.
fn texts(track: &Track, columns: &[String]) -> Vec<Option<String>> {
    let labels = &track.labels;
    let text = |column: &String| labels.get(column).map(str::to_owned).or_else(|| labels.extra.get(column).cloned());
    columns.iter().map(text).collect()
}

impl Stage for Dedup {
    const VERB: &'static str = "dedup";
    const ABOUT: &'static str =
        "of tracks with exactly the same samples (before `decode`: of the same files), keeps the one with the least id";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port::many("tracks", Kind::Track)];
    const CARDINALITY: Cardinality = Cardinality::Reduce;
    const UNIT: &'static str = "tracks";
    const FACTS: Facts = Facts { light: true, ..Facts::NONE };
    type In = Track;
    type Out = Track;

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Track>) -> StageOutput<'s, Track> {
        let Dedup { apart } = self;
        let keyed = input.kept.map(move |track| {
            let decoded = track.recording.is_some();
            let sound = track.recording.as_ref().map_or(track.content, |r| r.samples);
            ((decoded, sound, texts(&track, &apart)), track)
        });
        // The kept row, or what it was refused for: the order of rows is the order of ids.
        let judged =
            group(keyed, &format!("{}: same samples", cx.stage), |(decoded, ..), tracks: &[(Track, isize)]| {
                let mut judged: Vec<(Result<Track, Dropped>, isize)> = Vec::with_capacity(tracks.len());
                for (i, (track, count)) in tracks.iter().enumerate() {
                    let first = &tracks[0].0;
                    if i == 0 {
                        judged.push((Ok(track.clone()), 1));
                    }
                    // The same row may come in several times, from two stages that read one folder.
                    let others = if i == 0 { count - 1 } else { *count };
                    if others > 0 {
                        let what = if *decoded { "samples" } else { "bytes" };
                        let why = format!("has exactly the {what} of {}", first.id);
                        let id = track.id.clone();
                        judged.push((
                            Err(Dropped { id, code: "duplicate".into(), why: why.into(), failed: false }),
                            others,
                        ));
                    }
                }
                judged
            });
        let (kept, dropped) = divide(judged, |(_, judged)| judged.into());
        StageOutput { kept, dropped, pending: input.pending }
    }
}
