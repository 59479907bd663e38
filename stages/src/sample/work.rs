//! The effect of `sample`: codes window by window, saved as they are done, then audio.

use super::Sample;
use crate::{
    encode,
    flow::{Env, Event},
    model::{
        infer::Coder,
        prior::sample::{Draw, SampleError, Sampled, Sampler, Song},
    },
    settings::Settings,
    stage::{Context, Stage},
    train,
};
use burn_flex::Flex;
use datasets::{
    Digest, Key,
    audio::wav,
    effect::{Effect, Fault, Load, key, numerics},
    row::{Audio, Prior, Weights},
    store::write_atomic,
};
use serde::{Deserialize, Serialize};
use std::{fs, sync::Arc};

/// Samples all songs of a stage.
pub(super) struct Songs {
    settings: Sample,
    digest: Digest,
    seed: Digest,
    stage: Arc<str>,
    env: Arc<Env>,
}

/// Codec and priors by digest, the priors sorted.
type Models = (Digest, Vec<Digest>);

pub(super) fn models(codec: &Weights, priors: &[Prior]) -> Models {
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
    /// As a row, with what it rests on.
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
        Songs { digest: settings.digest(&[]), settings, seed: cx.seed, stage: cx.stage.clone(), env: cx.env.clone() }
    }

    /// The songs to make, with their names.
    fn songs(&self, sampler: &Sampler, rate: u32) -> Result<Vec<(String, Song)>, Fault> {
        let known = sampler.genres();
        if let Some(wrong) = self.settings.genres.iter().find(|genre| !known.contains(genre)) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Fault::refused(
                "no-genre",
                format!("the priors do not know the genre {wrong:?}; they know {known}"),
            ));
        }
        let asked = if self.settings.genres.is_empty() { known } else { self.settings.genres.clone() };
        let genres: Vec<Option<String>> =
            if asked.is_empty() { vec![None] } else { asked.into_iter().map(Some).collect() };
        let frames = libm::round(self.settings.seconds * f64::from(rate)) as u64;
        let song = |genre: &Option<String>, number: u32| {
            let label = genre.as_deref().unwrap_or("song");
            let seed = Key::new("song").digest(&self.seed).text(label).number(number.into()).finish();
            (format!("{label}-{number}"), Song { genre: genre.clone(), frames, seed: seed.0 })
        };
        Ok(genres.iter().flat_map(|genre| (1..=self.settings.songs).map(move |n| song(genre, n))).collect())
    }
}

fn fault(error: SampleError) -> Fault {
    match error {
        SampleError::Stopped => Fault::Interrupted,
        error => Fault::refused("no-song", error.to_string()),
    }
}

/// Why sampling ends early.
enum Ended {
    Sample(SampleError),
    Fault(Fault),
}

impl From<SampleError> for Ended {
    fn from(error: SampleError) -> Self {
        Ended::Sample(error)
    }
}

impl Effect for Songs {
    type Work = Models;
    type Output = Vec<Made>;
    const LOAD: Load = Load::Heavy;
    const CORPUS: bool = true;

    fn key(&self, (codec, priors): &Models) -> Digest {
        let key = key(Sample::VERB, Sample::REVISION).digest(&self.digest).digest(&self.seed).text(numerics());
        priors.iter().fold(key.digest(codec), |key, prior| key.digest(prior)).finish()
    }

    fn objects(&self, made: &Vec<Made>) -> Vec<Digest> {
        made.iter().map(|song| song.file).collect()
    }

    fn run(&self, models: &Models) -> Result<Vec<Made>, Fault> {
        let (codec, priors) = models;
        let store = &self.env.store;
        let loaded = priors.iter().map(|prior| train::load(store, prior)).collect::<Result<Vec<_>, _>>()?;
        let sampler = Sampler::new(&loaded).map_err(fault)?;
        if let Some(wrong) = loaded.iter().find(|prior| prior.config().codec != codec.hex()) {
            let level = wrong.config().level;
            let why = format!("the prior of level {level} was trained on the codes of another codec");
            return Err(Fault::refused("wrong-codec", why));
        }
        let codec = encode::load(&self.env, codec)?;
        let rate = codec.config().rate;
        let level = self.settings.level as usize;
        if level >= codec.config().levels.len() {
            let levels = codec.config().levels.len();
            return Err(Fault::refused(
                "no-level",
                format!("the codec has {levels} levels, numbered from 0; `level` is {level}"),
            ));
        }
        let named = self.songs(&sampler, rate)?;
        let songs: Vec<Song> = named.iter().map(|(_, song)| song.clone()).collect();
        let path = store.checkpoint(&self.key(models));
        let saved: Option<Vec<Sampled>> = fs::read(&path).ok().and_then(|bytes| postcard::from_bytes(&bytes).ok());
        let mut sampled =
            saved.filter(|s| s.len() == songs.len()).unwrap_or_else(|| vec![Sampled::default(); songs.len()]);
        let total = (0..codec.config().levels.len())
            .map(|level| songs.iter().map(|song| sampler.codes(level, song.frames) as u64).sum::<u64>())
            .sum();
        let count =
            |sampled: &[Sampled]| -> u64 { sampled.iter().flat_map(|s| &s.levels).map(|l| l.len() as u64).sum() };
        let before = count(&sampled);
        if before > 0 {
            self.env.event(Event::Resumed { stage: self.stage.to_string(), done: before, total });
        }
        let s = &self.settings;
        let draw = Draw { temperature: s.temperature, top_p: s.top_p, overlap: s.overlap };
        let done = sampler.sample(&songs, draw, &mut sampled, &mut |sampled| {
            let bytes = postcard::to_stdvec(sampled).map_err(|e| Ended::Fault(Fault::Failed(e.to_string())))?;
            write_atomic(&path, &bytes).map_err(|error| Ended::Fault(error.into()))?;
            self.env.event(Event::Sampled { stage: self.stage.to_string(), done: count(sampled), total });
            if self.env.cancel.cancelled() { Err(Ended::Sample(SampleError::Stopped)) } else { Ok(()) }
        });
        done.map_err(|ended| match ended {
            Ended::Sample(error) => fault(error),
            Ended::Fault(fault) => fault,
        })?;
        let coder = Coder::<Flex>::new(&codec, Default::default()).map_err(|e| Fault::Failed(e.to_string()))?;
        let mut made = Vec::new();
        for ((name, song), sampled) in named.into_iter().zip(&sampled) {
            let sound = sound(&coder, level, &sampled.levels[level], song.frames)?;
            let mut file = Vec::new();
            wav::write(&mut file, &sound, rate, 1, wav::Encoding::Pcm16)
                .map_err(|e| Fault::refused("no-wav", e.to_string()))?;
            let file = store.put(&file)?;
            made.push(Made { name, genre: song.genre, seed: Digest(song.seed), file, frames: song.frames });
        }
        // What is finished needs no checkpoint.
        let _ = fs::remove_file(path);
        Ok(made)
    }
}

/// The sound of a song's codes; turned down where it would clip.
fn sound(coder: &Coder<Flex>, level: usize, codes: &[u16], frames: u64) -> Result<Vec<f32>, Fault> {
    let sound = coder.decode_samples(level, codes, frames);
    let mut sound = sound.map_err(|e| Fault::refused("no-sound", e.to_string()))?;
    let peak = sound.iter().fold(0.0f32, |peak, v| peak.max(v.abs()));
    if peak > 1.0 {
        sound.iter_mut().for_each(|v| *v /= peak);
    }
    Ok(sound)
}
