//! The effects of `train`: training from memory-mapped codes with checkpoints in the store, and scoring what came of it.

use super::{ALL, Train};
use crate::{
    checkpoint::{pace, pack, unpack},
    flow::{Env, Event},
    model::prior::{
        config::{Prior, PriorConfig, Upper},
        fit::{PriorError, PriorRecord, PriorSettings, PriorSink, Tokens, baselines, bits, fit},
    },
    settings::Settings,
    stage::{Context, Rows, Split, Stage, none},
    tokens::Corpus,
};
use datasets::{
    Digest, Key,
    effect::{Effect, Fault, Load, key, numerics},
    row::{self, Bits, Pending},
    shard::{Column, ShardMeta, ShardReader, View, table},
    store::{Store, StoreError, write_atomic},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// Shards as (split, view, file).
pub(super) type Shards = Vec<(String, Digest, Digest)>;

/// Windows scored at a time: in no key, as it changes no bit.
const SCORED_TOGETHER: usize = 8;

/// The view of all shards of a split together.
fn view<'a>(shards: impl Iterator<Item = &'a (String, Digest, Digest)>) -> Digest {
    Digest(shards.map(|(_, view, _)| View::from_bytes(view.0)).sum::<View>().bytes())
}

/// Trains on the shards of the training split.
pub(super) struct Learn {
    settings: Train,
    digest: Digest,
    seed: Digest,
    stage: Arc<str>,
    env: Arc<Env>,
}

impl Learn {
    pub(super) fn new(settings: &Train, cx: &Context<'_>) -> Learn {
        Learn {
            // Which split was chosen shows in the shards; how the outcome is measured changes no weight.
            digest: settings.digest(&["refresh", "split", "held_out", "scored"]),
            settings: settings.clone(),
            seed: cx.seed,
            stage: cx.stage.clone(),
            env: cx.env.clone(),
        }
    }

    fn plan(&self, meta: &ShardMeta, genres: Vec<String>) -> Result<PriorSettings, Fault> {
        let (own, levels) = (self.settings.level as usize, meta.hops.len());
        if own >= levels {
            let why = format!("the codes have {levels} levels, numbered from 0; `level` is {own}");
            return Err(Fault::refused("no-level", why));
        }
        let upper = (own + 1 < levels).then(|| Upper {
            codewords: meta.codewords[own + 1] as usize,
            ratio: (meta.hops[own + 1] / meta.hops[own].max(1)) as usize,
            depth: self.settings.conditioner_depth as usize,
        });
        let s = &self.settings;
        Ok(PriorSettings {
            config: PriorConfig {
                level: own,
                width: s.width as usize,
                depth: s.depth as usize,
                heads: s.heads as usize,
                attention: s.attention(),
                hidden: s.hidden(),
                context: s.context as usize,
                distances: s.distances as usize,
                upper,
                genres,
                codec: Digest(meta.codec).hex(),
                rate: meta.rate,
                hops: meta.hops.clone(),
                codewords: meta.codewords.clone(),
            },
            steps: s.steps,
            batch: s.batch as usize,
            learning_rate: s.learning_rate,
            warmup: s.warmup,
            final_rate: s.final_rate,
            weight_decay: s.weight_decay,
            clip: s.clip,
        })
    }
}

/// What all shards have in common.
fn meta(store: &Store, shards: &Shards) -> Result<ShardMeta, Fault> {
    let mut common: Option<ShardMeta> = None;
    for (_, _, file) in shards {
        let reader = ShardReader::open(&store.path(file)).map_err(|_| StoreError::Damaged(*file))?;
        match &common {
            Some(known) if known != reader.meta() => {
                return Err(Fault::refused("mixed-codecs", "the shards hold codes of different codecs"));
            }
            _ => common = Some(reader.meta().clone()),
        }
    }
    common.ok_or_else(|| Fault::refused("no-codes", "there is no shard to train on"))
}

fn corpus(env: &Env, shards: &Shards) -> Result<Arc<Corpus>, Fault> {
    let files: Vec<(Digest, Digest)> = shards.iter().map(|(_, view, file)| (*file, *view)).collect();
    Corpus::open(env, &files)
}

fn fault(error: PriorError) -> Fault {
    match error {
        PriorError::Stopped(_) => Fault::Interrupted,
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
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }
}

impl Effect for Learn {
    type Work = Shards;
    type Output = Learned;
    const LOAD: Load = Load::Heavy;
    const CORPUS: bool = true;

    fn key(&self, shards: &Shards) -> Digest {
        key(Train::VERB, Train::REVISION)
            .digest(&self.digest)
            .digest(&self.seed)
            .text(numerics())
            .digest(&view(shards.iter()))
            .finish()
    }

    fn objects(&self, learned: &Learned) -> Vec<Digest> {
        vec![learned.digest, learned.curves, learned.lineage]
    }

    fn run(&self, shards: &Shards) -> Result<Learned, Fault> {
        if let Some(unread) = self.env.ledger.unread() {
            return Err(Fault::Failed(format!(
                "a source could not be read, so training on the rest would have to be done again: {unread}; \
                 mend or remove it, or set refresh = \"pinned\""
            )));
        }
        let store = &self.env.store;
        let meta = meta(store, shards)?;
        let corpus = corpus(&self.env, shards)?;
        let tokens = corpus.part("", self.settings.level as usize);
        let settings = self.plan(&meta, tokens.genres())?;
        let path = store.checkpoint(&self.key(shards));
        let saved = fs::read(&path).ok().and_then(|bytes| unpack(&bytes));
        let mut sink = Sink::new(self, path.clone(), settings.steps);
        let resume = saved.map(|(records, state)| {
            sink.records = records;
            let done = sink.records.len() as u64;
            self.env.event(Event::Resumed { stage: self.stage.to_string(), done, total: settings.steps });
            state
        });
        let mut trained = fit(&settings, self.seed.0, &tokens, resume.as_deref(), &mut sink);
        if let Err(PriorError::Checkpoint(why)) = &trained {
            // Whatever is wrong with it, the training itself is not lost.
            tracing::warn!("starting over: {why}");
            sink.records.clear();
            trained = fit(&settings, self.seed.0, &tokens, None, &mut sink);
        }
        let prior = trained.map_err(|error| match sink.failed.take() {
            Some(error) => Fault::Store(error),
            None => fault(error),
        })?;
        let bytes = prior.to_bytes().map_err(|e| Fault::refused("no-prior", e.to_string()))?;
        let lineage: Vec<u8> = tokens.samples().iter().flat_map(|d| d.0).collect();
        let config = prior.config();
        let learned = Learned {
            digest: store.put(&bytes)?,
            level: self.settings.level,
            codec: Digest(meta.codec),
            rate: config.rate,
            hops: config.hops.clone(),
            codewords: config.codewords.clone(),
            genres: config.genres.clone(),
            curves: store.put(&curves(&sink.records)?)?,
            lineage: store.put(&lineage)?,
        };
        // What is finished needs no checkpoint; one that stays is found by its age.
        let _ = fs::remove_file(path);
        Ok(learned)
    }
}

fn curves(records: &[PriorRecord]) -> Result<Vec<u8>, Fault> {
    let columns = [
        ("step", Column::U64(records.iter().map(|r| r.step).collect())),
        ("bits", Column::F64(records.iter().map(|r| r.bits).collect())),
        ("norm", Column::F64(records.iter().map(|r| r.norm).collect())),
    ];
    let mut bytes = Vec::new();
    table(&columns, &mut bytes).map_err(|e| Fault::refused("no-curves", e.to_string()))?;
    Ok(bytes)
}

struct Sink<'a> {
    learn: &'a Learn,
    path: PathBuf,
    records: Vec<PriorRecord>,
    total: u64,
    last: Instant,
    pace: Duration,
    failed: Option<StoreError>,
}

impl<'a> Sink<'a> {
    fn new(learn: &'a Learn, path: PathBuf, total: u64) -> Self {
        Sink { learn, path, records: Vec::new(), total, last: Instant::now(), pace: pace(), failed: None }
    }
}

impl PriorSink for Sink<'_> {
    fn step(&mut self, record: &PriorRecord) {
        self.records.push(*record);
        self.learn.env.event(Event::Learned {
            stage: self.learn.stage.to_string(),
            done: self.records.len() as u64,
            total: self.total,
            step: record.step,
            bits: record.bits,
            norm: record.norm,
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
        self.learn.env.event(Event::Checkpoint { stage: self.learn.stage.to_string(), done });
        Ok(())
    }
    fn stop(&mut self) -> bool {
        self.learn.env.cancel.cancelled()
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
}

impl Effect for Measure {
    /// The prior, the shards that it was trained on, and the held-out ones.
    type Work = (Digest, Shards, Shards);
    type Output = Bits;
    const LOAD: Load = Load::Heavy;
    const CORPUS: bool = true;

    fn key(&self, (prior, train, held_out): &Self::Work) -> Digest {
        key("train: bits", Train::REVISION)
            .number(self.settings.scored.into())
            .text(numerics())
            .digest(prior)
            .digest(&view(train.iter()))
            .digest(&view(held_out.iter()))
            .finish()
    }

    fn objects(&self, _: &Bits) -> Vec<Digest> {
        Vec::new()
    }

    fn run(&self, (prior, train, held_out): &Self::Work) -> Result<Bits, Fault> {
        let prior = load(&self.env.store, prior)?;
        let level = prior.config().level;
        let stop = || self.env.cancel.cancelled();
        let score = |tokens: &dyn Tokens| -> Result<Option<u64>, Fault> {
            let bits = bits(&prior, tokens, self.settings.scored as usize, SCORED_TOGETHER, &stop).map_err(fault)?;
            Ok(bits.map(millionths))
        };
        let train = corpus(&self.env, train)?.part("", level);
        let mut found = Bits { train: score(&train)?.unwrap_or(0), held_out: None, unigram: None, bigram: None };
        if !held_out.is_empty() {
            let held_out = corpus(&self.env, held_out)?.part("", level);
            found.held_out = score(&held_out)?;
            let simple = baselines(&train, &held_out, prior.config().vocabulary()).map_err(fault)?;
            (found.unigram, found.bigram) =
                (simple.map(|[unigram, _]| millionths(unigram)), simple.map(|[_, bigram]| millionths(bigram)));
        }
        Ok(found)
    }
}

fn millionths(bits: f64) -> u64 {
    libm::round(bits * 1e6) as u64
}

/// A prior that lies in the store.
pub(crate) fn load(store: &Store, digest: &Digest) -> Result<Prior, Fault> {
    let bytes = store.get(digest)?;
    Prior::load(&bytes).map_err(|e| Fault::Failed(format!("the prior {} cannot be used: {e}", digest.short(12))))
}

/// The row of a prior that was trained and measured, remembered so that it can be pinned.
pub(super) fn finish(store: &Store, learned: Learned, bits: Bits) -> row::Prior {
    let prior = row::Prior {
        digest: learned.digest,
        level: learned.level,
        codec: learned.codec,
        rate: learned.rate,
        hops: learned.hops,
        codewords: learned.codewords,
        genres: learned.genres,
        bits,
        curves: learned.curves,
        lineage: learned.lineage,
    };
    if let Ok(bytes) = postcard::to_stdvec(&prior)
        && let Err(error) = store.remember(about(&prior.digest), &bytes)
    {
        tracing::warn!("{ALL}: the prior cannot be pinned: {error}");
    }
    prior
}

/// Under this key lies what a training said of its prior, for later runs that pin it.
fn about(digest: &Digest) -> Digest {
    Key::new("prior").digest(digest).finish()
}

/// The prior that the lock file names stands in for training, whatever the shards are.
pub(super) fn pinned<'s>(
    cx: &Context<'s>,
    digest: Digest,
    corpus: Rows<'s, Shards>,
    pending: Rows<'s, Pending>,
) -> Split<'s, row::Prior> {
    let about = cx.env.store.receipt(&about(&digest));
    let prior: Option<row::Prior> = about.and_then(|bytes| postcard::from_bytes(&bytes).ok());
    let (env, stage) = (cx.env.clone(), cx.stage.clone());
    let lineage = prior.as_ref().map(|prior| prior.lineage);
    // Only for the summary: whether there is anything that the prior was not trained on.
    corpus.inspect(move |(shards, _, diff)| {
        let known = lineage.and_then(|digest| env.store.get(&digest).ok()).unwrap_or_default();
        let known: BTreeSet<Digest> = known.chunks_exact(32).filter_map(|c| Some(Digest(c.try_into().ok()?))).collect();
        let Ok(corpus) = self::corpus(&env, shards) else { return };
        let newer = corpus.part("", 0).samples().into_iter().filter(|s| !known.contains(s)).count();
        if *diff > 0 && newer > 0 {
            env.ledger.note(&stage, format!("{stage} pinned, {newer} tracks newer than it"));
        }
    });
    Split { kept: cx.once(prior), dropped: none(&pending), pending: none(&pending) }
}
