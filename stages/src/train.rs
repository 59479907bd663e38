//! `train`: trains a prior, an autoregressive Transformer over the codes of one level given those of the level above.
//!
//! Keyed by what training reads of the shards, their view: a corrected title or a renamed file rewrites a shard and
//! trains nothing. The state is saved at most fifteen seconds apart; a run that was killed goes on from there and ends
//! with the same bytes.

mod settings;
mod work;

pub(crate) use settings::Train;
pub(crate) use work::load;

use crate::{
    flow::{group, memoised, without},
    settings::Complaint,
    stage::{Context, Input, Kind, Places, Port, Refresh, Shape, Split, Stage, seal},
};
use datasets::{
    Digest,
    row::{Dropped, Pending, Prior, Shard},
};

/// The id of the one row that a corpus-level effect runs on.
const ALL: &str = "all";
/// The id of the item that measures what came of it.
const BITS: &str = "bits";

impl Stage for Train {
    const VERB: &'static str = "train";
    const ABOUT: &'static str =
        "trains a prior: a Transformer over the codes of one level, given those of the level above";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port { name: "shards", kind: Kind::Shard, many: true }];
    const SHAPE: Shape = Shape::Corpus;
    const UNIT: &'static str = "models";
    const RANDOM: bool = true;
    type In = Shard;
    type Out = Prior;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        self.complain(at, complaints);
    }

    fn refresh(&self) -> Option<Refresh> {
        Some(self.refresh)
    }

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Shard>) -> Split<'s, Prior> {
        let splits = [self.split.clone(), self.held_out.clone()];
        let chosen = input.kept.filter(move |shard| splits.iter().any(|s| s.is_empty() || *s == shard.split));
        let sealed = chosen.map(|shard| ((), (shard.split, shard.view, shard.file))).delay(seal);
        let corpus =
            group(sealed, &format!("{}: all shards", cx.stage), |(), shards: &[((String, Digest, Digest), isize)]| {
                vec![(shards.iter().map(|(shard, _)| shard.clone()).collect::<work::Shards>(), 1)]
            });
        let corpus = corpus.map(|((), corpus)| corpus);
        if let Some(pinned) = cx.pinned {
            return work::pinned(cx, pinned, corpus, input.pending);
        }
        // In a dry run, a shard that is not known yet leaves the corpus open: the effect may run, or find its result
        // remembered.
        let waits = input.pending.delay(seal).map(|row| ((), row));
        let open = group(waits, &format!("{}: open", cx.stage), |(), rows: &[(Pending, isize)]| {
            rows.first()
                .map(|(row, _)| (Pending { id: ALL.into(), track: None, ..row.clone() }, 1))
                .into_iter()
                .collect()
        });
        let closed = without(corpus.map(|corpus| ((), corpus)), open.clone().map(|(key, _)| key));
        let (learn, measure) = (work::Learn::new(&self, cx), work::Measure::new(&self, cx));
        let (split, held_out) = (self.split.clone(), self.held_out.clone());
        let parted = closed.map(move |((), shards)| {
            let of = |name: &str, all: bool| -> work::Shards {
                shards.iter().filter(|(split, ..)| all || split == name).cloned().collect()
            };
            (of(&split, split.is_empty()), of(&held_out, false))
        });
        // The weights rest on the training split alone: a change of held-out clips measures them anew.
        let learned =
            memoised(cx, learn, parted.map(|(train, held_out)| (train.clone(), (train, held_out))), |_| ALL.to_owned());
        // In a dry run, what waits for training may be measured after it.
        let later = |rows: &crate::stage::Rows<'s, String>| {
            let stage = cx.stage.to_string();
            cx.may(rows.clone().map(move |cause| Pending {
                id: BITS.into(),
                behind: stage.clone(),
                cause,
                track: None,
            }));
        };
        later(&open.clone().map(|(_, row)| row.cause));
        later(&learned.pending.clone().map(|(_, cause)| cause));
        let work = learned.ok.map(|((train, held_out), learned)| ((learned.digest(), train, held_out), learned));
        let measured = memoised(cx, measure, work, |_| BITS.to_owned());
        let (env, stage) = (cx.env.clone(), cx.stage.to_string());
        let refused = learned.refused.map(|(_, refusal)| refusal).concat(measured.refused.map(|(_, refusal)| refusal));
        let causes = learned.pending.map(|(_, cause)| cause).concat(measured.pending.map(|(_, cause)| cause));
        Split {
            kept: measured.ok.map(move |(learned, bits)| work::finish(&env.store, learned, bits)),
            dropped: refused.map(|refusal| Dropped {
                id: ALL.into(),
                code: refusal.code,
                why: refusal.why,
                failed: false,
            }),
            pending: cx.may(open.map(|(_, row)| row)).concat(causes.map(move |cause| Pending {
                id: ALL.into(),
                behind: stage.clone(),
                cause,
                track: None,
            })),
        }
    }
}
