//! `dedup`: of tracks with exactly the same samples, keeps the one with the least id.
//!
//! Equal samples in another container or with other tags are duplicates; a different rate, channel
//! count or a single different sample are not.

use crate::{
    flow::group,
    stage::{Context, Input, Kind, Port, Shape, Split, Stage, Trait},
};
use datasets::row::{Dropped, Track};

crate::settings! {
    /// Settings of `dedup`: none.
    pub struct Dedup {}
}

impl Stage for Dedup {
    const VERB: &'static str = "dedup";
    const ABOUT: &'static str = "of tracks with exactly the same samples, keeps the one with the least id";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port::many("tracks", Kind::Track)];
    const NEEDS: &'static [Trait] = &[Trait::Decoded];
    const SHAPE: Shape = Shape::Reduce;
    const UNIT: &'static str = "tracks";
    type In = Track;
    type Out = Track;

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Track>) -> Split<'s, Track> {
        let keyed = input.kept.map(|track| (track.recording.as_ref().map(|r| r.samples), track));
        // The kept row, or what it was refused for: the order of rows is the order of ids.
        let judged = group(keyed, &format!("{}: same samples", cx.stage), |_, tracks: &[(Track, isize)]| {
            let mut judged: Vec<(Result<Track, Dropped>, isize)> = Vec::with_capacity(tracks.len());
            for (i, (track, count)) in tracks.iter().enumerate() {
                let first = &tracks[0].0;
                if i == 0 {
                    judged.push((Ok(track.clone()), 1));
                }
                // The same row may come in several times, from two stages that read one folder.
                let others = if i == 0 { count - 1 } else { *count };
                if others > 0 {
                    let why = format!("has exactly the samples of {}", first.id);
                    let id = track.id.clone();
                    judged.push((Err(Dropped { id, code: "duplicate".into(), why, failed: false }), others));
                }
            }
            judged
        });
        Split {
            kept: judged.clone().flat_map(|(_, judged)| judged.ok()),
            dropped: judged.flat_map(|(_, judged)| judged.err()),
            pending: input.pending,
        }
    }
}
