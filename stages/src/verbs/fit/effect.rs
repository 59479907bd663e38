//! The training effect: clips from memory maps, checkpoints in the store, records to the screen and to Parquet.

use super::Fit;
use crate::{
    flow::{Env, Event, Failure, whole::all_read},
    media::{
        checkpoint::Saver,
        models::{describe, known, objects, recall, remember},
        pcm::{self, Excerpt, chain_version, span},
    },
    model::{
        codec::Codec,
        cost,
        fit::{Clips, FitError, FitSettings, FitSink, StepRecord, fit},
    },
    rows::Rows,
    settings::Settings,
    stage::{Context, Stage, StageOutput, memory::memory, none},
};
use datasets::{
    Digest,
    effect::{Effect, Fault, Load, key, numerics},
    mmap::Samples,
    row::{Waiting, Weights},
};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
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
        objects(weights)
    }

    fn run(&self, corpus: &Vec<Excerpt>) -> Result<Weights, Fault> {
        all_read(&self.env)?;
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
        let total = self.settings.levels.iter().map(|l| l.steps).sum();
        let (saver, resume) = Saver::open(&self.env, &self.stage, path, total);
        let mut sink = Sink(saver);
        let mut trained = fit(&self.settings, self.seed.0, &audio, resume.as_deref(), &mut sink);
        if let Err(FitError::Checkpoint(why)) = &trained {
            // Whatever is wrong with it, the training itself is not lost.
            tracing::warn!("starting over: {why}");
            sink.0.records.clear();
            trained = fit(&self.settings, self.seed.0, &audio, None, &mut sink);
        }
        let bytes = trained.map_err(|error| match (error, sink.0.failed()) {
            (_, Some(error)) => Fault::Store(error),
            (FitError::Stopped(_), _) => Fault::Interrupted,
            (error @ (FitError::Memory { .. } | FitError::Clip { .. }), _) => Fault::Failed(error.to_string()),
            (error, _) => Fault::refused("no-codec", error.to_string()),
        })?;
        let store = &self.env.store;
        let codec = Codec::load(&bytes).map_err(|e| Fault::refused("no-codec", e.to_string()))?;
        let weights = Weights {
            curves: Some(store.put(&super::curves::parquet(&sink.0.records)?)?),
            lineage: Some(store.put(&lineage(corpus))?),
            ..describe(&codec, store.put(&bytes)?)
        };
        remember(store, &weights)?;
        Ok(weights)
    }
}

/// The digests of all samples that a model was trained on, sorted.
pub(crate) fn lineage(corpus: &[Excerpt]) -> Vec<u8> {
    let samples: BTreeSet<Digest> = corpus.iter().map(|e| e.samples).collect();
    Digest::joined(samples)
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

struct Sink<'a>(Saver<'a, StepRecord>);

impl FitSink for Sink<'_> {
    fn step(&mut self, record: &StepRecord) {
        self.0.records.push(*record);
        self.0.env.event(Event::Step {
            stage: self.0.stage.to_owned(),
            done: self.0.records.len() as u64,
            total: self.0.total,
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
        self.0.due()
    }
    fn checkpoint(&mut self, _: u64, state: &[u8]) -> io::Result<()> {
        self.0.save(state)
    }
    fn stop(&mut self) -> bool {
        self.0.env.cancel.cancelled()
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
    let counted = env.clone();
    // Only for the summary: tracks in the corpus that the weights were not trained on.
    corpus.inspect(move |(corpus, _, diff)| {
        let known = known(&counted.store, &digest);
        let newer: BTreeSet<Digest> = corpus.iter().map(|e| e.samples).filter(|s| !known.contains(s)).collect();
        if *diff > 0 && !newer.is_empty() {
            counted.ledger.note(&stage, format!("{stage} pinned, {} tracks newer than it", newer.len()));
        }
    });
    let weights = recall(&env, &digest).map_err(|fault| {
        // No row would come of it; the run ends here.
        env.ledger.fail(match fault {
            Fault::Store(error) => Failure::Store(error),
            other => Failure::Pin(format!("`{}` is pinned to a codec that cannot be used: {other}", cx.stage)),
        });
        env.cancel.cancel();
    });
    // The row comes with the first pulse of the dataflow, from one worker only.
    let kept = cx.once(weights.ok());
    StageOutput { kept, dropped: none(&pending), pending: none(&pending) }
}
