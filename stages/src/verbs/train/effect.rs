//! The effects of `train`: training from cached codes with checkpoints in the store, and scoring what came of it.

use super::Train;
use crate::{
    flow::{Env, Failure, whole::all_read},
    media::{
        codes::{Part, unread},
        models::{load_prior, trained_prior},
        training::{self, Role, Training, put_lineage, several},
    },
    model::{
        prior::{
            config::{Prior, PriorConfig, Upper},
            cost,
            fit::{PriorSettings, Tokens, baselines, bits, fit},
        },
        training::TrainingError,
    },
    rows::Rows,
    stage::{Context, Stage, StageOutput, memory::memory},
};
use datasets::{
    Digest, Key,
    effect::{Effect, Fault, Load, key, networks},
    row::{self, Bits, Measured, Waiting},
    shard::{ShardMeta, ShardReader, View},
    store::Store,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The fields of a shard's row that training needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) split: String,
    codec: Digest,
    view: Digest,
    /// Digest of the shard's file: in no key, since a corrected title changes it.
    file: Digest,
}

impl Listed {
    pub(super) fn of(shard: &row::Shard) -> Listed {
        Listed { split: shard.split.clone(), codec: shard.codec, view: shard.view, file: shard.file }
    }
}

/// Shards, sorted.
pub(super) type Shards = Vec<Listed>;

/// Windows scored at a time: in no key, as it changes no bit.
pub(super) const SCORED_TOGETHER: usize = 8;

/// The view of all these shards together.
fn view(shards: &Shards) -> Digest {
    Digest(shards.iter().map(|shard| View::from_bytes(shard.view.0)).sum::<View>().bytes())
}

/// Trains on the shards of the training split.
pub(super) struct Learn {
    settings: Train,
    start: Key,
    seed: Digest,
    stage: Arc<str>,
    env: Arc<Env>,
}

impl Learn {
    pub(super) fn new(settings: &Train, cx: &Context<'_>) -> Learn {
        Learn {
            start: settings.key(cx),
            settings: settings.clone(),
            seed: cx.seed,
            stage: cx.stage.clone(),
            env: cx.env.clone(),
        }
    }
}

/// The training that these settings ask for on codes of this kind.
pub(super) fn plan(s: &Train, meta: &ShardMeta, genres: Vec<String>) -> Result<PriorSettings, Fault> {
    let (own, levels) = (s.level as usize, meta.hops.len());
    if own >= levels {
        let why = format!("the codes have {levels} levels, numbered from 0; `level` is {own}");
        return Err(Fault::refused("no-level", why));
    }
    let upper = (own + 1 < levels).then(|| Upper {
        codewords: meta.codewords[own + 1] as usize,
        ratio: (meta.hops[own + 1] / meta.hops[own].max(1)) as usize,
        depth: s.conditioner_depth as usize,
    });
    Ok(PriorSettings {
        corruption: s.corruption,
        config: PriorConfig {
            level: own,
            width: s.width as usize,
            depth: s.depth as usize,
            heads: s.heads as usize,
            attention: s.attention(),
            hidden: s.hidden(),
            context: s.context as usize,
            distances: s.distances as usize,
            positions: s.positions as usize,
            upper,
            genres,
            codec: Digest(meta.codec).hex(),
            rate: meta.rate,
            hops: meta.hops.clone(),
            codewords: meta.codewords.clone(),
        },
        steps: s.steps,
        batch: s.batch as usize,
        micro_batch: s.micro_batch.unwrap_or(s.batch) as usize,
        precision: s.precision.precision(),
        learning_rate: s.learning_rate,
        warmup: s.warmup,
        final_rate: s.final_rate,
        weight_decay: s.weight_decay,
        clip: s.clip,
    })
}

/// The sentence of a fault, without its code.
pub(super) fn sentence(fault: &Fault) -> String {
    match fault {
        Fault::Refused(refusal) => refusal.why.clone(),
        other => other.to_string(),
    }
}

/// Metadata that all shards share; refuses shards of different codecs.
fn meta(store: &Store, shards: &Shards) -> Result<ShardMeta, Fault> {
    let Some(first) = shards.first() else {
        return Err(Fault::refused("no-codes", "there is no shard to train on"));
    };
    if shards.iter().any(|shard| shard.codec != first.codec) {
        return Err(Fault::refused("mixed-codecs", "the shards hold codes of different codecs"));
    }
    let object = store.check(&first.file)?;
    let reader = ShardReader::open(&object).map_err(|error| unread(error, &object, &first.file))?;
    Ok(reader.meta().clone())
}

/// All clips of these shards at a level.
fn tokens<'e>(env: &'e Env, shards: &Shards, level: usize) -> Result<Part<'e>, Fault> {
    let files: Vec<Digest> = shards.iter().map(|shard| shard.file).collect();
    Part::open(env, files, level)
}

fn fault(error: TrainingError) -> Fault {
    match error {
        TrainingError::Stopped(_) => Fault::Interrupted,
        error => Fault::refused("no-prior", error.to_string()),
    }
}

/// A prior before it is measured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Learned {
    digest: Digest,
    level: u32,
    codec: Digest,
    rate: u32,
    hops: Vec<u32>,
    codewords: Vec<u32>,
    genres: Vec<String>,
    curves: Digest,
    lineage: Digest,
}

impl Learned {
    /// The row of a prior that was measured.
    fn row(self, bits: Bits) -> row::Prior {
        row::Prior {
            digest: self.digest,
            level: self.level,
            codec: self.codec,
            rate: self.rate,
            hops: self.hops,
            codewords: self.codewords,
            genres: self.genres,
            bits,
            curves: self.curves,
            lineage: self.lineage,
        }
    }
}

impl Effect for Learn {
    type Work = Shards;
    type Output = Learned;
    const LOAD: Load = Load::Heavy;
    const CORPUS: bool = true;

    fn key(&self, shards: &Shards) -> Digest {
        self.start
            .clone()
            .digest(&shards.first().map_or_else(Digest::default, |shard| shard.codec))
            .digest(&view(shards))
            .finish()
    }

    fn objects(&self, learned: &Learned) -> Vec<Digest> {
        vec![learned.digest, learned.curves, learned.lineage]
    }

    fn shared(&self) -> bool {
        several(self.parts())
    }

    fn help(&self, shards: &Shards) -> Result<(), Fault> {
        self.train(shards, Role::Helps).map(drop)
    }

    fn run(&self, shards: &Shards) -> Result<Learned, Fault> {
        all_read(&self.env)?;
        let store = &self.env.store;
        let trained = self.train(shards, Role::of(&self.env, self.parts()))?;
        let bytes = trained.prior.to_bytes().map_err(|e| Fault::refused("no-prior", e.to_string()))?;
        let config = trained.prior.config();
        let learned = Learned {
            digest: store.put(&bytes)?,
            level: self.settings.level,
            codec: trained.codec,
            rate: config.rate,
            hops: config.hops.clone(),
            codewords: config.codewords.clone(),
            genres: config.genres.clone(),
            curves: trained.curves,
            lineage: put_lineage(store, trained.samples)?,
        };
        Ok(learned)
    }
}

/// What a training gives.
struct Trained {
    prior: Prior,
    curves: Digest,
    codec: Digest,
    /// Digests of the samples that it was trained on.
    samples: Vec<Digest>,
}

impl Learn {
    /// Parts of a batch.
    fn parts(&self) -> usize {
        let Train { batch, micro_batch, .. } = &self.settings;
        batch.div_ceil(micro_batch.unwrap_or(*batch).max(1)) as usize
    }

    fn train(&self, shards: &Shards, role: Role) -> Result<Trained, Fault> {
        let store = &self.env.store;
        let meta = meta(store, shards)?;
        let tokens = tokens(&self.env, shards, self.settings.level as usize)?;
        let settings = plan(&self.settings, &meta, tokens.genres())?;
        let segments = cost::check(&settings, self.settings.segments(), memory().unwrap_or(u64::MAX))
            .map_err(|e| Fault::refused("no-memory", e.to_string()))?;
        let training = Training {
            env: &self.env,
            stage: &self.stage,
            key: self.key(shards),
            total: settings.steps,
            refusal: "no-prior",
            role,
        };
        let (prior, curves) =
            training.run(|resume, sink, crew| fit(&settings, segments, self.seed.0, &tokens, resume, sink, crew))?;
        Ok(Trained { prior, curves, codec: Digest(meta.codec), samples: tokens.samples().into_iter().collect() })
    }
}

/// Measures a prior on the training split and on held-out clips, beside a unigram and a bigram.
pub(super) struct Measure {
    settings: Train,
    env: Arc<Env>,
}

impl Measure {
    pub(super) fn new(settings: &Train, cx: &Context<'_>) -> Measure {
        Measure { settings: settings.clone(), env: cx.env.clone() }
    }

    /// The set of codes from which windows are scored; the number of windows goes into its digest.
    fn measured(&self, tokens: &Part<'_>, view: Digest) -> Measured {
        let codes = (0..tokens.clips()).map(|clip| tokens.codes(clip)).sum();
        let scored = self.settings.scored.into();
        let digest = Key::new("scored codes").digest(&view).number(scored).finish();
        Measured { clips: tokens.clips() as u64, frames: codes, digest }
    }
}

impl Effect for Measure {
    /// The prior, the shards that it was trained on, and the held-out ones.
    type Work = (Learned, Shards, Shards);
    type Output = row::Prior;
    const LOAD: Load = Load::Heavy;
    const CORPUS: bool = true;

    fn key(&self, (learned, train, held_out): &Self::Work) -> Digest {
        key("train: bits and on what", Train::REVISION)
            .number(self.settings.scored.into())
            .text(networks())
            .digest(&learned.digest)
            .digest(&view(train))
            .digest(&view(held_out))
            .finish()
    }

    fn objects(&self, prior: &row::Prior) -> Vec<Digest> {
        vec![prior.digest, prior.curves, prior.lineage]
    }

    fn run(&self, (learned, train, held_out): &Self::Work) -> Result<row::Prior, Fault> {
        let prior = load_prior(&self.env.store, &learned.digest)?;
        let level = prior.config().level;
        let stop = || self.env.cancel.cancelled();
        let score = |tokens: &dyn Tokens| -> Result<Option<u64>, Fault> {
            let bits = bits(&prior, tokens, self.settings.scored as usize, SCORED_TOGETHER, &stop).map_err(fault)?;
            Ok(bits.map(millionths))
        };
        let trained_on = view(train);
        let view_held_out = view(held_out);
        let train = tokens(&self.env, train, level)?;
        let mut found = Bits {
            train: score(&train)?.unwrap_or(0),
            held_out: None,
            unigram: None,
            bigram: None,
            on_train: self.measured(&train, trained_on),
            on_held_out: Measured { clips: 0, frames: 0, digest: view_held_out },
        };
        if !held_out.is_empty() {
            let held_out = tokens(&self.env, held_out, level)?;
            found.on_held_out = self.measured(&held_out, view_held_out);
            found.held_out = score(&held_out)?;
            if let Some([unigram, bigram]) = baselines(&train, &held_out, prior.config().vocabulary()).map_err(fault)? {
                (found.unigram, found.bigram) = (Some(millionths(unigram)), Some(millionths(bigram)));
            }
        }
        let prior = learned.clone().row(found);
        // For later runs that pin it.
        trained_prior(&prior.digest).put(&self.env.store, &(prior.clone(), trained_on), &self.objects(&prior))?;
        Ok(prior)
    }
}

fn millionths(bits: f64) -> u64 {
    libm::round(bits * 1e6) as u64
}

/// The prior that the lock file names stands in for training, whatever the shards are.
pub(super) fn pinned<'s>(
    cx: &Context<'s>,
    digest: Digest,
    train: Rows<'s, Shards>,
    pending: Rows<'s, Waiting>,
) -> StageOutput<'s, row::Prior> {
    let known = trained_prior(&digest).get(&cx.env.store);
    let (env, stage) = (cx.env.clone(), cx.stage.clone());
    let trained_on = known.as_ref().map(|(_, view)| *view);
    // Only for the summary.
    train.inspect(move |(shards, _, diff)| {
        if *diff > 0 && trained_on != Some(view(shards)) {
            env.ledger.note(&stage, format!("{stage} pinned, the codes have changed since it was trained"));
        }
    });
    let prior = known.map(|(prior, _)| prior).ok_or_else(|| {
        Failure::Pin(format!(
            "`{}` is pinned to the prior {}, of which the store {} holds the file but not what was measured: train anew \
             with --refresh {}, or use the store in which it was trained",
            cx.stage,
            digest.short(12),
            cx.env.store.root().display(),
            cx.stage
        ))
    });
    training::pinned(cx, prior, &pending)
}
