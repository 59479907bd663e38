//! The training effect: clips from cached samples, checkpoints in the store, records to the screen and to Parquet.

use super::Fit;
use crate::{
    flow::{Env, Event, Failure, Figure, whole::all_read},
    media::{
        models::{describe, known, objects, recall, remember},
        pcm::{self, Excerpt, Track},
        training::{self, Role, Training, put_lineage, several},
    },
    model::{
        codec::{Codec, form},
        cost,
        fit::{Clips, FitSettings, LevelFit, fit},
    },
    rows::Rows,
    stage::{Context, Stage, StageOutput, memory::memory},
};
use datasets::{
    Digest, Key,
    effect::{Effect, Fault, Load},
    row::{Waiting, Weights},
};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Trains on a whole corpus.
pub(super) struct Train {
    settings: FitSettings,
    segments: Option<usize>,
    start: Key,
    seed: Digest,
    stage: Arc<str>,
    env: Arc<Env>,
}

impl Train {
    pub(super) fn new(fit: Fit, cx: &Context<'_>) -> Train {
        Train {
            start: fit.key(cx),
            settings: fit.training(),
            segments: fit.segments(),
            seed: cx.seed,
            stage: cx.stage.clone(),
            env: cx.env.clone(),
        }
    }
}

impl Effect for Train {
    type Work = Vec<Excerpt>;
    type Output = Weights;
    const LOAD: Load = Load::Heavy;
    const CORPUS: bool = true;

    fn key(&self, corpus: &Vec<Excerpt>) -> Digest {
        corpus.iter().fold(self.start.clone(), |key, excerpt| excerpt.key(key)).finish()
    }

    fn objects(&self, weights: &Weights) -> Vec<Digest> {
        objects(weights)
    }

    fn shared(&self) -> bool {
        several(self.parts())
    }

    fn help(&self, corpus: &Vec<Excerpt>) -> Result<(), Fault> {
        self.train(corpus, Role::Helps).map(drop)
    }

    fn run(&self, corpus: &Vec<Excerpt>) -> Result<Weights, Fault> {
        all_read(&self.env)?;
        let (bytes, curves) = self.train(corpus, Role::of(&self.env, self.parts()))?;
        let store = &self.env.store;
        let codec = Codec::load(&bytes).map_err(|e| Fault::refused("no-codec", e.to_string()))?;
        let weights = Weights {
            curves: Some(curves),
            lineage: Some(put_lineage(store, corpus.iter().map(|e| e.samples))?),
            ..describe(&codec, store.put(&bytes)?)
        };
        remember(store, &weights)?;
        Ok(weights)
    }
}

impl Train {
    /// The most parts that a batch of a level has.
    fn parts(&self) -> usize {
        let of = |level: &LevelFit| level.batch.div_ceil(level.micro_batch.max(1));
        self.settings.levels.iter().map(of).max().unwrap_or(1)
    }

    /// The codec's file and the object of its curves.
    fn train(&self, corpus: &Vec<Excerpt>, role: Role) -> Result<(Vec<u8>, Digest), Fault> {
        let codec = &self.settings.codec;
        let wrong = corpus.iter().find(|e| e.rate != codec.rate || usize::from(e.channels) != codec.channels);
        if let Some(wrong) = wrong {
            return Err(Fault::refused(
                "wrong-rate",
                format!(
                    "clips have {} Hz and {} channels, the codec is to work on {} at {} Hz: set `rate` and `channels` of `resample`",
                    wrong.rate,
                    wrong.channels,
                    form(codec.channels as u64),
                    codec.rate
                ),
            ));
        }
        let limit = memory().unwrap_or(u64::MAX);
        let segments = cost::check(&self.settings, self.segments, limit, self.env.pool.slots() as u64)
            .map_err(|e| Fault::refused("no-memory", e.to_string()))?;
        let tracks = open(&self.env, corpus)?;
        let audio = Audio {
            corpus,
            tracks: &tracks,
            env: &self.env,
            stage: &self.stage,
            role,
            told: Mutex::new(Instant::now()),
        };
        let training = Training {
            env: &self.env,
            stage: &self.stage,
            key: self.key(corpus),
            total: self.settings.levels.iter().map(|l| l.steps).sum(),
            refusal: "no-codec",
            role,
        };
        training.run(|resume, sink, crew| fit(&self.settings, &segments, self.seed.0, &audio, resume, sink, crew))
    }
}

/// Opens every track of the corpus once.
fn open<'e>(env: &'e Env, corpus: &[Excerpt]) -> Result<BTreeMap<Digest, Track<'e>>, Fault> {
    let firsts: BTreeMap<Digest, &Excerpt> = corpus.iter().rev().map(|e| (e.samples, e)).collect();
    let opened: Vec<Result<_, Fault>> = firsts
        .into_par_iter()
        .map(|(digest, excerpt)| {
            if env.cancel.cancelled() {
                return Err(Fault::Interrupted);
            }
            Ok((digest, pcm::open(env, excerpt)?))
        })
        .collect();
    opened.into_iter().collect()
}

struct Audio<'a> {
    corpus: &'a [Excerpt],
    tracks: &'a BTreeMap<Digest, Track<'a>>,
    env: &'a Env,
    stage: &'a str,
    role: Role,
    /// When the making of a codebook was last told of.
    told: Mutex<Instant>,
}

/// Interval at which the making of a codebook is told of; most take less.
const TOLD: Duration = Duration::from_secs(1);

impl Clips for Audio<'_> {
    fn len(&self) -> usize {
        self.corpus.len()
    }
    fn frames(&self, i: usize) -> u64 {
        self.corpus[i].frames
    }
    fn read(&self, i: usize, first: u64, out: &mut [f32]) -> Result<(), String> {
        let excerpt = &self.corpus[i];
        let track = self.tracks.get(&excerpt.samples).ok_or("its track is not open")?;
        track.read(excerpt, first, out).map_err(|e| e.to_string())
    }
    fn making(&self, level: usize, done: u64, total: u64) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if self.role == Role::Helps {
            // Whom it helps tells of it.
        } else if done == 0 {
            *told = Instant::now();
        } else if told.elapsed() >= TOLD {
            *told = Instant::now();
            let figures = vec![Figure::plain("parts of the codebook of level", level as f64)];
            let (stage, unit) = (self.stage.to_owned(), "parts");
            self.env.event(Event::Progress { stage, done, total, unit, figures });
        }
        !self.env.cancel.cancelled()
    }
}

/// The weights that the lock file names stand in for training, whatever the clips are.
pub(super) fn pinned<'s>(
    cx: &Context<'s>,
    digest: Digest,
    corpus: Rows<'s, Vec<Excerpt>>,
    pending: Rows<'s, Waiting>,
) -> StageOutput<'s, Weights> {
    let (env, stage) = (cx.env.clone(), cx.stage.clone());
    // Only for the summary: tracks in the corpus that the weights were not trained on.
    corpus.inspect(move |(corpus, _, diff)| {
        let known = known(&env.store, &digest);
        let newer: BTreeSet<Digest> = corpus.iter().map(|e| e.samples).filter(|s| !known.contains(s)).collect();
        if *diff > 0 && !newer.is_empty() {
            env.ledger.note(&stage, format!("{stage} pinned, {} tracks newer than it", newer.len()));
        }
    });
    let weights = recall(&cx.env, &cx.stage, &digest).map_err(|fault| match fault {
        Fault::Store(error) => Failure::Store(error),
        other => Failure::Pin(format!("`{}` is pinned to a codec that cannot be used: {other}", cx.stage)),
    });
    training::pinned(cx, weights, &pending)
}
