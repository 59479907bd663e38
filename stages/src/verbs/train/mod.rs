//! `train`: trains a prior, an autoregressive Transformer over the codes of one level given those of the level above.
//!
//! Keyed by what training reads of the shards, their view: a corrected title or a renamed file rewrites a shard and
//! trains nothing. The state is saved at most fifteen seconds apart; a run that was killed goes on from there and ends
//! with the same bytes.

mod effect;
mod settings;

pub(crate) use settings::Train;
pub(super) use settings::{MOST_STEPS, Numbers};

use crate::{
    flow::{
        group, memoised,
        whole::{ALL, all, close, waiting},
    },
    model::{codec::CodecConfig, prior::cost, scale::Training},
    rows::{Input, Kind, end_of_build},
    settings::Complaint,
    stage::{
        Cardinality, Context, Facts, Places, Port, Refresh, Stage, StageOutput, Version,
        memory::{Known, Memory, memory},
    },
};
use datasets::{
    row::{Prior, Shard},
    shard::ShardMeta,
};

/// The codes that a codec will give, as shards tell of them.
fn meta(codec: &CodecConfig) -> ShardMeta {
    ShardMeta {
        codec: [0; 32],
        rate: codec.rate,
        hops: codec.levels.iter().map(|level| level.hop() as u32).collect(),
        codewords: codec.levels.iter().map(|level| level.codewords as u32).collect(),
    }
}

/// The id of the item that measures what came of it.
const BITS: &str = "bits";

impl Stage for Train {
    const VERB: &'static str = "train";
    const ABOUT: &'static str =
        "trains a prior: a Transformer over the codes of one level, given those of the level above";
    const REVISION: u32 = 2;
    const PORTS: &'static [Port] = &[Port::many("shards", Kind::Shard)];
    const CARDINALITY: Cardinality = Cardinality::Corpus;
    const UNIT: &'static str = "models";
    const FACTS: Facts = Facts { on_card: true, ..Facts::NONE };
    const VERSIONS: &'static [Version] = &[Version::Networks];
    const RANDOM: bool = true;
    type In = Shard;
    type Out = Prior;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        self.complain(at, complaints);
    }

    fn refresh(&self) -> Option<Refresh> {
        Some(self.refresh)
    }

    fn foresee(&self, known: &[Known], at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        let [shards] = known else { return };
        if self.refresh == Refresh::Auto {
            shards.filled("split", &self.split, at, complaints);
        }
        // The default is measured on where there is such a split.
        if at.table.get("held_out").is_some() {
            shards.filled("held_out", &self.held_out, at, complaints);
        }
        match shards.codec.as_ref().map(|codec| effect::plan(self, &meta(codec), Vec::new())) {
            Some(Ok(settings)) => self.fits(&settings, at, complaints),
            Some(Err(wrong)) => complaints.push(Complaint::new(at.of("level"), effect::sentence(&wrong))),
            None => {}
        }
    }

    fn trainings(&self, known: &Known) -> Vec<Training> {
        let planned = known.codec.as_ref().and_then(|codec| effect::plan(self, &meta(codec), Vec::new()).ok());
        planned.iter().map(cost::training).collect()
    }

    fn memory(&self, known: &mut Known, _: u64) -> Memory {
        known.without_rows();
        known.priors.clear();
        let planned = known.codec.as_ref().map(|codec| effect::plan(self, &meta(codec), Vec::new()));
        let Some(Ok(settings)) = planned else {
            known.unknown_priors = true;
            return Memory::default();
        };
        // Of what does not fit, the run will say what would.
        let segments = cost::check(&settings, self.segments(), memory().unwrap_or(u64::MAX));
        let bytes =
            cost::cost(&settings, segments.unwrap_or(1)).max(cost::scoring(&settings.config, effect::SCORED_TOGETHER));
        known.priors = vec![settings.config];
        Memory::alone(bytes)
    }

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Shard>) -> StageOutput<'s, Prior> {
        let splits = [self.split.clone(), self.held_out.clone()];
        let chosen = input.kept.filter(move |shard| splits.iter().any(|s| s.is_empty() || *s == shard.split));
        let sealed = chosen.map(|shard| ((), effect::Listed::of(&shard))).delay(end_of_build);
        let corpus = group(sealed, &format!("{}: all shards", cx.stage), |(), shards: &[(effect::Listed, isize)]| {
            vec![(shards.iter().map(|(shard, _)| shard.clone()).collect::<effect::Shards>(), 1)]
        });
        let (split, held_out) = (self.split.clone(), self.held_out.clone());
        let parted = corpus.map(move |((), shards)| {
            let of = |name: &str, all: bool| -> effect::Shards {
                shards.iter().filter(|shard| all || shard.split == name).cloned().collect()
            };
            (of(&split, split.is_empty()), of(&held_out, false))
        });
        if let Some(pinned) = cx.pinned {
            return effect::pinned(cx, pinned, parted.map(|(train, _)| train), input.pending);
        }
        let (learn, measure) = (effect::Learn::new(&self, cx), effect::Measure::new(&self, cx));
        let (closed, open) = close(cx, parted, input.pending);
        // The weights rest on the training split alone: a change of held-out clips measures them anew.
        let work = closed.map(|(train, held_out)| (train.clone(), (train, held_out)));
        let learned = memoised(cx, learn, work, |_| ALL.to_owned()).split(cx, all);
        // In a dry run, what waits for training may be measured after it.
        let untrained = open.clone().concat(learned.pending.clone());
        cx.may(waiting(cx, BITS, untrained.map(|waiting| waiting.row.cause.clone())));
        let work = learned.kept.map(|((train, held_out), learned)| ((learned, train, held_out), ()));
        let measured = memoised(cx, measure, work, |()| BITS.to_owned()).split(cx, all);
        let pending = cx.may(open).concat(learned.pending);
        measured.map(|((), prior)| prior).and_dropped(learned.dropped).and_pending(pending)
    }
}
