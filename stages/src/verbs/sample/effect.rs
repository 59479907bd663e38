//! The effect of `sample`: codes window by window, saved as they are done, then audio.

use super::Sample;
use crate::{
    flow::{Env, Event},
    media::generate::{Models, Named, SavedSongs, SongError},
    media::models,
    model::prior::sample::SampleError,
    stage::{Context, Stage},
};
use datasets::{
    Digest, Key,
    effect::{Effect, Fault, Load},
    row::{Audio, Prior, Weights},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Samples all songs of a stage.
pub(super) struct Songs {
    settings: Sample,
    start: Key,
    seed: Digest,
    stage: Arc<str>,
    env: Arc<Env>,
}

/// Codec and priors by digest, the priors sorted.
type Work = (Digest, Vec<Digest>);

pub(super) fn models(codec: &Weights, priors: &[Prior]) -> Work {
    let mut digests: Vec<Digest> = priors.iter().map(|prior| prior.digest).collect();
    digests.sort();
    (codec.digest, digests)
}

/// One song that was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Made {
    name: String,
    genre: Option<String>,
    seed: Digest,
    file: Digest,
    frames: u64,
}

impl Made {
    /// The song as a row, with its codec, priors and lineage.
    pub(super) fn row(self, codec: &Weights, priors: &[Prior]) -> Audio {
        let mut by_level: Vec<&Prior> = priors.iter().collect();
        by_level.sort_by_key(|prior| prior.level);
        let mut lineage: Vec<Digest> = by_level.iter().map(|prior| prior.lineage).chain(codec.lineage).collect();
        lineage.sort();
        lineage.dedup();
        Audio {
            name: self.name,
            file: self.file,
            frames: self.frames,
            rate: codec.rate,
            genre: self.genre,
            seed: self.seed,
            codec: codec.digest,
            priors: by_level.iter().map(|prior| prior.digest).collect(),
            lineage,
        }
    }
}

impl Songs {
    pub(super) fn new(settings: Sample, cx: &Context<'_>) -> Songs {
        Songs { start: settings.key(cx), settings, seed: cx.seed, stage: cx.stage.clone(), env: cx.env.clone() }
    }
}

fn fault(error: SongError) -> Fault {
    let code = match &error {
        SongError::Genre { .. } => "no-genre",
        SongError::Level { .. } => "no-level",
        SongError::Codec { .. } => "wrong-codec",
        _ => "no-song",
    };
    match error {
        SongError::Sample(SampleError::Stopped) => Fault::Interrupted,
        SongError::Store(error) => Fault::Store(error),
        error => Fault::refused(code, error.to_string()),
    }
}

impl Effect for Songs {
    type Work = Work;
    type Output = Vec<Made>;
    const LOAD: Load = Load::Heavy;
    const CORPUS: bool = true;

    fn key(&self, (codec, priors): &Work) -> Digest {
        priors.iter().fold(self.start.clone().digest(codec), |key, prior| key.digest(prior)).finish()
    }

    fn objects(&self, made: &Vec<Made>) -> Vec<Digest> {
        made.iter().map(|song| song.file).collect()
    }

    fn run(&self, work: &Work) -> Result<Vec<Made>, Fault> {
        let (codec, priors) = work;
        let store = &self.env.store;
        let loaded = priors.iter().map(|prior| models::load_prior(store, prior)).collect::<Result<Vec<_>, _>>()?;
        let models = Models::new(&models::load(&self.env, codec)?, codec, &loaded).map_err(fault)?;
        let ask = self.settings.ask();
        let named = models.songs(&ask, &self.seed).map_err(fault)?;
        let key = self.key(work);
        let mut kept = SavedSongs::open(&store.checkpoint(&key), &key, &models, named.len())?;
        let (done, total) = (kept.codes(), models.codes(&named).iter().sum());
        if done > 0 {
            self.env.event(Event::Resumed { stage: self.stage.to_string(), done, total });
        }
        let mut each = |done| {
            self.env.event(Event::Progress {
                stage: self.stage.to_string(),
                done,
                total,
                unit: "codes",
                figures: Vec::new(),
            });
            !self.env.cancel.cancelled()
        };
        models.sample(&named, ask.draw, &mut kept, &mut each).map_err(fault)?;
        let mut made = Vec::new();
        for (Named { name, song }, sampled) in named.into_iter().zip(kept.songs()) {
            let mut file = Vec::new();
            let loudest = models.write(&song, sampled, ask.level, 1.0, &mut file).map_err(fault)?;
            if loudest > 1.0 {
                file.clear();
                models.write(&song, sampled, ask.level, loudest, &mut file).map_err(fault)?;
            }
            let file = store.put(&file)?;
            made.push(Made { name, genre: song.genre, seed: Digest(song.seed), file, frames: song.frames });
        }
        Ok(made)
    }
}
