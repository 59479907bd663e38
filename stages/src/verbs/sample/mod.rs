//! `sample`: songs from priors and a codec, the top level first, then each level given the one above, then audio.
//!
//! Every window is saved as it is done. Songs are named by genre and number; what one becomes depends on its own seed
//! alone, not on those beside it.

mod effect;
mod settings;

use crate::{
    flow::{Failure, Item, group, memoised, pair, whole::close},
    rows::{Input, Kind, end_of_build},
    settings::Complaint,
    stage::{
        Cardinality, Context, Places, Port, Stage, StageOutput, Version,
        memory::{Known, Memory},
        seed,
    },
};
use datasets::{
    Digest,
    row::{Audio, Prior, Weights},
};
pub(crate) use settings::Sample;
use std::sync::Arc;

impl Stage for Sample {
    const VERB: &'static str = "sample";
    const ABOUT: &'static str = "samples songs from priors and decodes them to WAV";
    const REVISION: u32 = 2;
    const PORTS: &'static [Port] = &[Port::one("codec", Kind::Weights), Port::many("priors", Kind::Prior)];
    // Which level a prior is of, it says itself.
    const NAMES: &'static [(&'static str, &'static str)] =
        &[("top", "priors"), ("middle", "priors"), ("bottom", "priors")];
    const CARDINALITY: Cardinality = Cardinality::Made;
    const UNIT: &'static str = "songs";
    const VERSIONS: &'static [Version] = &[Version::Networks];
    const RANDOM: bool = true;
    type In = (Weights, Prior);
    type Out = Audio;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        let wrong = self.ask().complaints();
        complaints
            .extend(wrong.into_iter().map(|(field, message, help)| Complaint::new(at.of(field), message).help(help)));
    }

    fn foresee(&self, known: &[Known], at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        let [Known { codec: Some(codec), .. }, priors] = known else { return };
        let levels = codec.levels.len();
        if self.level as usize >= levels {
            let message = format!("the codec has {levels} levels, numbered from 0; `level` is {}", self.level);
            complaints.push(Complaint::new(at.of("level"), message));
        }
        if priors.unknown_priors {
            return;
        }
        let count = |level: usize| priors.priors.iter().filter(|prior| prior.level == level).count();
        for (level, count) in (0..levels).map(|level| (level, count(level))).filter(|(_, count)| *count != 1) {
            let message = match count {
                0 => format!("no prior of level {level} comes in"),
                _ => format!("{count} priors of level {level} come in"),
            };
            complaints.push(Complaint::new(at.of("from"), message).help("one prior for each level of the codec"));
        }
    }

    fn memory(&self, known: &mut Known, _: u64) -> Memory {
        let frames = self.seconds * known.codec.as_ref().map_or(0.0, |codec| f64::from(codec.rate));
        // Of all genres that the priors know, where none is named: for each as much again.
        Memory::sampling(known, u64::from(self.songs) * self.genres.len().max(1) as u64, frames as u64)
    }

    fn render<'s>(
        self,
        cx: &Context<'s>,
        (codec, priors): (Input<'s, Weights>, Input<'s, Prior>),
    ) -> StageOutput<'s, Audio> {
        let sealed = priors.kept.map(|prior| ((), prior)).delay(end_of_build);
        let together = group(sealed, &format!("{}: all priors", cx.stage), |(), priors: &[(Prior, isize)]| {
            vec![(priors.iter().map(|(prior, _)| prior.clone()).collect::<Vec<Prior>>(), 1)]
        });
        let codecs = codec.kept.map(|weights| ((), weights)).delay(end_of_build);
        let models = pair(together, codecs).map(|((), priors, codec)| (codec, priors));
        let (closed, open) = close(cx, models, codec.pending.concat(priors.pending));
        let (settings, env, stage) = (self.clone(), cx.env.clone(), cx.stage.to_string());
        let work = closed.flat_map(move |(codec, priors)| {
            let models = Arc::new((codec, priors));
            let songs = effect::Work::all(&settings, &models.0, &models.1);
            let failed = |why| env.ledger.fail(Failure::Stage { stage: stage.clone(), why });
            songs.map_err(failed).into_iter().flatten().map(move |(name, work)| (work, (name, models.clone())))
        });
        let done = memoised(cx, effect::Songs::new(self, cx), work, |(name, _)| name.clone());
        let songs = done.split(cx, |(name, _)| Item::Other(name));
        songs.map(|((_, models), song)| song.row(&models.0, &models.1)).and_pending(cx.may(open))
    }
}

/// The seed of all songs of a stage `sample` without a salt, in a manifest with this seed.
pub fn seed_of(manifest: u64) -> Digest {
    seed(manifest, Sample::VERB, "")
}
