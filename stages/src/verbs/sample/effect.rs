//! The effect of `sample`, song by song: codes window by window, saved as they are done, then audio. Songs of the same models
//! are sampled side by side, which changes none of them.

use super::Sample;
use crate::{
    flow::{Env, Event},
    media::generate::{Models, Named, SavedSongs, SongError, listed, name},
    media::models,
    model::prior::sample::{SampleError, Sampled},
    stage::{
        Context, Stage,
        memory::{Known, memory},
    },
};
use datasets::{
    Digest, Key,
    effect::{Effect, Fault, Load},
    row::{Audio, Prior, Weights},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Samples songs, each by itself or beside others.
pub(super) struct Songs {
    settings: Sample,
    start: Key,
    seed: Digest,
    stage: Arc<str>,
    env: Arc<Env>,
}

/// One song to be, with the digests of its models.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Work {
    codec: Digest,
    /// Sorted.
    priors: Vec<Digest>,
    genre: Option<String>,
    number: u32,
}

impl Work {
    /// The songs that the settings ask for of these models, each with its name.
    ///
    /// # Errors
    /// More songs than there is memory for their rows.
    pub(super) fn all(
        settings: &Sample,
        codec: &Weights,
        priors: &[Prior],
    ) -> Result<impl Iterator<Item = (String, Work)> + use<>, String> {
        let mut digests: Vec<Digest> = priors.iter().map(|prior| prior.digest).collect();
        digests.sort();
        let mut known =
            priors.iter().min_by_key(|prior| prior.level).map_or_else(Vec::new, |prior| prior.genres.clone());
        known.retain(|genre| priors.iter().all(|prior| prior.genres.contains(genre)));
        let ask = settings.ask();
        let asked = if ask.genres.is_empty() { known.len() } else { ask.genres.len() };
        let needed = (asked.max(1) as u64).saturating_mul(ask.songs.into()).saturating_mul(ROW);
        if let Some(there) = memory().filter(|there| needed > *there) {
            return Err(too_much(needed, there));
        }
        let codec = codec.digest;
        Ok(listed(&ask.genres, &known, ask.songs).map(move |(genre, number)| {
            (name(genre.as_deref(), number), Work { codec, priors: digests.clone(), genre, number })
        }))
    }
}

/// Bytes of a song as rows of the dataflow, before it is sampled.
const ROW: u64 = 1024;

/// The sentence about songs that do not fit into memory.
fn too_much(needed: u64, there: u64) -> String {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    format!("sampling needs {} MiB of memory and {} MiB are here: ask for fewer `songs`", mib(needed), there >> 20)
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

    /// The part of a key that all songs of the same models have in common.
    fn models(&self, work: &Work) -> Key {
        work.priors.iter().fold(self.start.clone().digest(&work.codec), |key, prior| key.digest(prior))
    }

    /// Loads the models of songs of one group, and names the songs.
    fn load(&self, works: &[Work]) -> Result<(Models, Vec<Result<Named, SongError>>), Fault> {
        let Some(Work { codec, priors, .. }) = works.first() else { return Err(Fault::Interrupted) };
        let store = &self.env.store;
        let loaded = priors.iter().map(|prior| models::load_prior(store, prior)).collect::<Result<Vec<_>, _>>()?;
        let loaded_codec = models::load(&self.env, codec)?;
        let ask = self.settings.ask();
        let frames = ask.seconds * f64::from(loaded_codec.config().rate);
        let known = Known {
            codec: Some(loaded_codec.config().clone()),
            priors: loaded.iter().map(|prior| prior.config().clone()).collect(),
            ..Known::default()
        };
        let needed = known.sampling(works.len() as u64, frames as u64);
        if let Some(there) = memory().filter(|there| needed > *there) {
            return Err(Fault::refused("no-memory", too_much(needed, there)));
        }
        let models = Models::new(&loaded_codec, codec, &loaded).map_err(fault)?;
        let song = |work: &Work| models.song(&ask, &self.seed, work.genre.clone(), work.number);
        let named = works.iter().map(song).collect();
        Ok((models, named))
    }

    /// Samples songs side by side and writes each. What is sampled so far lies in the checkpoint of their group.
    fn sample(&self, works: &[Work], models: &Models, songs: &[Named]) -> Result<Vec<Result<Made, Fault>>, Fault> {
        let Some(group) = works.first().map(|work| self.group(work)).filter(|_| !songs.is_empty()) else {
            return Ok(Vec::new());
        };
        let (store, ask) = (&self.env.store, self.settings.ask());
        let mut kept = SavedSongs::open(&store.checkpoint(&group), &group, models, songs)?;
        let (done, total) = (kept.codes(), models.codes(songs).iter().sum());
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
        models.sample(songs, ask.draw, &mut kept, &mut each).map_err(fault)?;
        let write = |(named, sampled): (&Named, &Sampled)| -> Result<Made, Fault> {
            let song = &named.song;
            let mut file = Vec::new();
            let loudest = models.write(song, sampled, ask.level, 1.0, &mut file).map_err(fault)?;
            if loudest > 1.0 {
                file.clear();
                models.write(song, sampled, ask.level, loudest, &mut file).map_err(fault)?;
            }
            let file = store.put(&file)?;
            let (name, genre) = (named.name.clone(), song.genre.clone());
            Ok(Made { name, genre, seed: Digest(song.seed), file, frames: song.frames })
        };
        Ok(songs.iter().zip(kept.songs()).map(write).collect())
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
    type Output = Made;
    const LOAD: Load = Load::Heavy;
    const CORPUS: bool = true;
    // A step of several songs reads the weights once.
    const TOGETHER: bool = true;

    fn key(&self, work: &Work) -> Digest {
        let genre = work.genre.as_deref();
        let key = self.models(work).number(genre.is_some().into()).text(genre.unwrap_or_default());
        key.number(work.number.into()).finish()
    }

    fn group(&self, work: &Work) -> Digest {
        self.models(work).text("all songs").finish()
    }

    fn objects(&self, made: &Made) -> Vec<Digest> {
        vec![made.file]
    }

    fn run(&self, work: &Work) -> Result<Made, Fault> {
        self.run_together(std::slice::from_ref(work)).pop().unwrap_or(Err(Fault::Interrupted))
    }

    fn run_together(&self, works: &[Work]) -> Vec<Result<Made, Fault>> {
        let (models, named) = match self.load(works) {
            Ok(loaded) => loaded,
            Err(fault) => return all(works.len(), fault),
        };
        // A song that cannot be is no reason to leave out the others.
        let songs: Vec<Named> = named.iter().flatten().cloned().collect();
        let mut made = match self.sample(works, &models, &songs) {
            Ok(made) => made.into_iter(),
            Err(fault) => return all(works.len(), fault),
        };
        let outcome = |named: Result<Named, SongError>| match named {
            Ok(_) => made.next().unwrap_or(Err(Fault::Interrupted)),
            Err(error) => Err(fault(error)),
        };
        named.into_iter().map(outcome).collect()
    }
}

/// One fault for all songs: a refusal is that of each.
fn all(songs: usize, fault: Fault) -> Vec<Result<Made, Fault>> {
    let refusal = if let Fault::Refused(refusal) = &fault { Some(refusal.clone()) } else { None };
    let rest = (1..songs).map(|_| Err(refusal.clone().map_or(Fault::Interrupted, Fault::Refused)));
    std::iter::once(Err(fault)).chain(rest).collect()
}
