//! `dedup`: of tracks with exactly the same samples, keeps the one with the least id.
//!
//! Equal samples in another container or with other tags are duplicates; a different rate, channel
//! count or a single different sample are not.

use crate::stage::{Context, Input, Kind, Port, Shape, Split, Stage, Trait};
use datasets::row::{Dropped, Track};

crate::settings! {
    /// Settings of `dedup`: none.
    pub struct Dedup {}
}

impl Stage for Dedup {
    const VERB: &'static str = "dedup";
    const ABOUT: &'static str = "of tracks with exactly the same samples, keeps the one with the least id";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port { name: "tracks", kind: Kind::Track, many: true }];
    const NEEDS: &'static [Trait] = &[Trait::Decoded];
    const SHAPE: Shape = Shape::Reduce;
    const UNIT: &'static str = "tracks";
    type In = Track;
    type Out = Track;

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Track>) -> Split<'s, Track> {
        let keyed = input.kept.map(|track| (track.recording.as_ref().map(|r| r.samples), track));
        // The kept row, or what it was refused for: the order of rows is the order of ids.
        let judged = keyed.reduce_named(&format!("{}: same samples", cx.stage), |_, tracks, out| {
            let mut kept: Option<&Track> = None;
            for (track, count) in tracks {
                match kept {
                    None => {
                        kept = Some(track);
                        out.push((Ok((*track).clone()), *count));
                    }
                    Some(first) => {
                        let why = format!("has exactly the samples of {}", first.id);
                        let id = track.id.clone();
                        out.push((Err(Dropped { id, code: "duplicate".into(), why, failed: false }), *count));
                    }
                }
            }
        });
        Split {
            kept: judged.clone().flat_map(|(_, judged)| judged.ok()),
            dropped: judged.flat_map(|(_, judged)| judged.err()),
            pending: input.pending,
        }
    }
}
