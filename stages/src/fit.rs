//! `fit`: trains a codec, three independent VQ-VAEs on raw audio.
//!
//! Reads clips in the order of their content digests, never of ids, so that a rename trains nothing.
//! The state is saved at most fifteen seconds apart; a run that was killed goes on from there and ends
//! with the same bytes.

mod curves;
mod settings;
mod work;

pub(crate) use settings::Fit;

use crate::{
    flow::{group, memoised, without},
    pcm::Excerpt,
    settings::Complaint,
    stage::{Context, Input, Kind, Places, Port, Refresh, Shape, Split, Stage, seal},
};
use datasets::row::{Clip, Dropped, Pending, Weights};

/// The id of the one row that a corpus-level effect runs on.
const ALL: &str = "all";

impl Stage for Fit {
    const VERB: &'static str = "fit";
    const ABOUT: &'static str = "trains a codec: three independent VQ-VAEs on raw audio";
    const REVISION: u32 = 2;
    const PORTS: &'static [Port] = &[Port { name: "clips", kind: Kind::Clip, many: true }];
    const SHAPE: Shape = Shape::Corpus;
    const UNIT: &'static str = "models";
    const RANDOM: bool = true;
    type In = Clip;
    type Out = Weights;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        self.complain(at, complaints);
    }

    fn refresh(&self) -> Option<Refresh> {
        Some(self.refresh)
    }

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Clip>) -> Split<'s, Weights> {
        let split = self.split.clone();
        let chosen = input.kept.filter(move |clip| split.is_empty() || clip.track.split.as_ref() == Some(&split));
        let sealed = chosen.map(|clip| ((), Excerpt::of(&clip))).delay(seal);
        let corpus = group(sealed, &format!("{}: all clips", cx.stage), |(), clips: &[(Excerpt, isize)]| {
            // One excerpt for each span of samples: two tracks with the same sound count once. The order is that
            // of sample digests.
            let mut corpus: Vec<Excerpt> = clips.iter().map(|(excerpt, _)| excerpt.clone()).collect();
            corpus.dedup_by(|b, a| (a.samples, a.start, a.frames) == (b.samples, b.start, b.frames));
            vec![(corpus, 1)]
        });
        let corpus = corpus.map(|(_, corpus)| corpus);
        if let Some(pinned) = cx.pinned {
            return work::pinned(cx, pinned, corpus, input.pending);
        }
        // In a dry run, a clip that is not known yet leaves the corpus open: the effect may run, or find its
        // result remembered.
        let waits = input.pending.delay(seal).map(|row| ((), row));
        let open = group(waits, &format!("{}: open", cx.stage), |(), rows: &[(Pending, isize)]| {
            rows.first()
                .map(|(row, _)| (Pending { id: ALL.into(), track: None, ..row.clone() }, 1))
                .into_iter()
                .collect()
        });
        let closed = without(corpus.map(|corpus| ((), corpus)), open.clone().map(|(key, _)| key));
        let effect = work::Train::new(self, cx);
        let done = memoised(cx, effect, closed.map(|(_, corpus)| (corpus, ALL.to_owned())), String::clone);
        let stage = cx.stage.to_string();
        Split {
            kept: done.ok.map(|(_, weights)| weights),
            dropped: done.refused.map(|(id, refusal)| Dropped {
                id,
                code: refusal.code,
                why: refusal.why,
                failed: false,
            }),
            pending: cx.may(open.map(|(_, row)| row)).concat(done.pending.map(move |(id, cause)| Pending {
                id,
                behind: stage.clone(),
                cause,
                track: None,
            })),
        }
    }
}
