//! The training effect: clips from memory maps, checkpoints in the store, records to the screen and to Parquet.

use super::Fit;
use crate::{
    checkpoint::{pace, pack, unpack},
    encode::{load, span},
    flow::{Env, Event},
    model::{
        codec::Codec,
        cost,
        fit::{Clips, FitError, FitSettings, FitSink, StepRecord, fit},
    },
    pcm::{self, Excerpt, chain_version},
    settings::Settings,
    stage::{Context, Rows, Split, Stage, none},
    weights::describe,
};
use datasets::{
    Digest, Key,
    effect::{Effect, Fault, Load, key, numerics},
    mmap::Samples,
    row::{Pending, Weights},
    store::{Store, StoreError, write_atomic},
};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// Trains on a whole corpus.
pub(super) struct Train {
    settings: FitSettings,
    digest: Digest,
    seed: Digest,
    stage: Arc<str>,
    env: Arc<Env>,
}

impl Train {
    pub(super) fn new(fit: Fit, cx: &Context<'_>) -> Train {
        Train {
            settings: fit.training(),
            // Which split was chosen shows in the clips.
            digest: fit.digest(&["refresh", "split"]),
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
        let key = key(Fit::VERB, Fit::REVISION)
            .digest(&self.digest)
            .digest(&self.seed)
            .text(numerics())
            .text(&chain_version());
        corpus.iter().fold(key, |key, excerpt| excerpt.key(key)).finish()
    }

    fn objects(&self, weights: &Weights) -> Vec<Digest> {
        [Some(weights.digest), weights.curves, weights.lineage].into_iter().flatten().collect()
    }

    fn run(&self, corpus: &Vec<Excerpt>) -> Result<Weights, Fault> {
        if let Some(unread) = self.env.ledger.unread() {
            return Err(Fault::Failed(format!(
                "a source could not be read, so training on the rest would have to be done again: {unread}; \
                 mend or remove it, or set refresh = \"pinned\""
            )));
        }
        let wrong = corpus.iter().find(|e| e.rate != self.settings.codec.rate || e.channels != 1);
        if let Some(wrong) = wrong {
            return Err(Fault::refused(
                "wrong-rate",
                format!(
                    "clips have {} Hz and {} channels, the codec is to work on mono at {} Hz: set `rate` and `channels` of `resample`",
                    wrong.rate, wrong.channels, self.settings.codec.rate
                ),
            ));
        }
        if let Some(memory) = memory() {
            cost::check(&self.settings, memory).map_err(|e| Fault::refused("no-memory", e.to_string()))?;
        }
        let tracks = open(&self.env, corpus)?;
        let audio = Audio { corpus, tracks: &tracks };
        let path = self.env.store.checkpoint(&self.key(corpus));
        let saved = fs::read(&path).ok().and_then(|bytes| unpack(&bytes));
        let total = self.settings.levels.iter().map(|l| l.steps).sum();
        let mut sink = Sink {
            train: self,
            path: path.clone(),
            records: Vec::new(),
            total,
            last: Instant::now(),
            pace: pace(),
            failed: None,
        };
        let resume = saved.map(|(records, state)| {
            sink.records = records;
            let done = sink.records.len() as u64;
            self.env.event(Event::Resumed { stage: self.stage.to_string(), done, total });
            state
        });
        let mut trained = fit(&self.settings, self.seed.0, &audio, resume.as_deref(), &mut sink);
        if let Err(FitError::Checkpoint(why)) = &trained {
            // Whatever is wrong with it, the training itself is not lost.
            tracing::warn!("starting over: {why}");
            sink.records.clear();
            trained = fit(&self.settings, self.seed.0, &audio, None, &mut sink);
        }
        let bytes = trained.map_err(|error| match (error, sink.failed.take()) {
            (_, Some(error)) => Fault::Store(error),
            (FitError::Stopped(_), _) => Fault::Interrupted,
            (error @ (FitError::Memory { .. } | FitError::Clip { .. }), _) => Fault::Failed(error.to_string()),
            (error, _) => Fault::refused("no-codec", error.to_string()),
        })?;
        let store = &self.env.store;
        let codec = Codec::load(&bytes).map_err(|e| Fault::refused("no-codec", e.to_string()))?;
        let weights = Weights {
            curves: Some(store.put(&super::curves::parquet(&sink.records)?)?),
            lineage: Some(store.put(&lineage(corpus))?),
            ..describe(&codec, store.put(&bytes)?)
        };
        remember(store, &weights)?;
        // What is finished needs no checkpoint; one that stays is found by its age.
        let _ = fs::remove_file(path);
        Ok(weights)
    }
}

/// The memory of this host in bytes, where the system says.
fn memory() -> Option<u64> {
    let facts = fs::read_to_string("/proc/meminfo").ok()?;
    let line = facts.lines().find(|line| line.starts_with("MemTotal:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// The digests of all samples that a model was trained on, sorted.
fn lineage(corpus: &[Excerpt]) -> Vec<u8> {
    let samples: BTreeSet<Digest> = corpus.iter().map(|e| e.samples).collect();
    samples.iter().flat_map(|d| d.0).collect()
}

/// Maps every track of the corpus once.
fn open(env: &Env, corpus: &[Excerpt]) -> Result<BTreeMap<Digest, Samples>, Fault> {
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
    tracks: &'a BTreeMap<Digest, Samples>,
}

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
        let clip = span(track.as_slice(), excerpt).map_err(|e| e.to_string())?;
        let first = first as usize;
        out.copy_from_slice(clip.get(first..first + out.len()).ok_or("beyond the end of the clip")?);
        Ok(())
    }
}

struct Sink<'a> {
    train: &'a Train,
    path: PathBuf,
    records: Vec<StepRecord>,
    total: u64,
    last: Instant,
    pace: Duration,
    failed: Option<StoreError>,
}

impl FitSink for Sink<'_> {
    fn step(&mut self, record: &StepRecord) {
        self.records.push(*record);
        self.train.env.event(Event::Step {
            stage: self.train.stage.to_string(),
            done: self.records.len() as u64,
            total: self.total,
            level: record.level as u64,
            step: record.step,
            reconstruction: record.reconstruction,
            spectral: record.spectral,
            log_spectral: record.log_spectral,
            commitment: record.commitment,
            perplexity: record.perplexity,
            used: record.used as u64,
            revived: record.revived as u64,
        });
    }
    fn due(&mut self) -> bool {
        self.last.elapsed() >= self.pace
    }
    fn checkpoint(&mut self, _: u64, state: &[u8]) -> io::Result<()> {
        let packed = pack(&self.records, state)?;
        if let Err(error) = write_atomic(&self.path, &packed) {
            let text = error.to_string();
            self.failed = Some(error);
            return Err(io::Error::other(text));
        }
        self.last = Instant::now();
        let done = self.records.len() as u64;
        self.train.env.event(Event::Checkpoint { stage: self.train.stage.to_string(), done });
        Ok(())
    }
    fn stop(&mut self) -> bool {
        self.train.env.cancel.cancelled()
    }
}

/// The weights that the lock file names stand in for training, whatever the clips are.
pub(super) fn pinned<'s>(
    cx: &Context<'s>,
    digest: Digest,
    corpus: Rows<'s, Vec<Excerpt>>,
    pending: Rows<'s, Pending>,
) -> Split<'s, Weights> {
    let (env, stage) = (cx.env.clone(), cx.stage.clone());
    let counted = env.clone();
    // Only for the summary: tracks in the corpus that the weights were not trained on.
    corpus.inspect(move |(corpus, _, diff)| {
        let known = known(&counted.store, &digest);
        let newer: BTreeSet<Digest> = corpus.iter().map(|e| e.samples).filter(|s| !known.contains(s)).collect();
        if *diff > 0 && !newer.is_empty() {
            counted.ledger.note(&stage, format!("{stage} pinned, {} tracks newer than it", newer.len()));
        }
    });
    let weights = recall(&env, &digest);
    // The row comes with the first pulse of the dataflow, from one worker only.
    let kept = cx.once(weights);
    Split { kept, dropped: none(&pending), pending: none(&pending) }
}

/// Under this key lies what a training said of its weights, for later runs that pin them.
fn about(digest: &Digest) -> Digest {
    Key::new("weights").digest(digest).finish()
}

fn known(store: &Store, digest: &Digest) -> BTreeSet<Digest> {
    let about: Option<Weights> = store.receipt(&about(digest)).and_then(|b| postcard::from_bytes(&b).ok());
    let lineage = about.and_then(|w| w.lineage).and_then(|d| store.get(&d).ok()).unwrap_or_default();
    lineage.chunks_exact(32).filter_map(|c| Some(Digest(c.try_into().ok()?))).collect()
}

fn recall(env: &Env, digest: &Digest) -> Option<Weights> {
    if let Some(about) = env.store.receipt(&about(digest)).and_then(|b| postcard::from_bytes(&b).ok()) {
        return Some(about);
    }
    load(env, digest).ok().map(|codec| describe(&codec, *digest))
}

/// Remembers what a row of weights says, so that they can be pinned.
fn remember(store: &Store, weights: &Weights) -> Result<(), StoreError> {
    match postcard::to_stdvec(weights) {
        Ok(bytes) => store.remember(about(&weights.digest), &bytes),
        Err(_) => Ok(()),
    }
}
