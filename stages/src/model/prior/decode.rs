//! A prior code by code, with the keys and values of all positions before it kept.
//!
//! Rows go through the layers side by side: the next positions of several sequences, or several known positions of one.
//! A row's sums run over its own inputs in order, so what a sequence becomes does not depend on the rows beside it.
use super::config::{Prior, PriorConfig};
use super::network::{self, CODES, GENRES, POSITIONS, UPPER};
use crate::model::device::{Precision, device};
use crate::model::leaves::Leaves;
use crate::model::quantise::turned;
use crate::model::weights::{Arrays, WeightsError, within};
use kernels::device::Device;
use kernels::ops::attention::{CachedAttention, KeyValues};
use kernels::ops::embedding::{NO_ROW, embedding};
use kernels::ops::gelu::gelu_in_place;
use kernels::ops::linear::Dense;
use kernels::tape::Tape;
use kernels::tensor::Slice;
use std::sync::Arc;

/// Known positions of a sequence that go through the layers side by side.
const TOGETHER: usize = 32;

fn dense(arrays: &Arrays, name: &str) -> Result<Dense, WeightsError> {
    let (weight, bias) = (find(arrays, &format!("{name}.weight"))?, find(arrays, &format!("{name}.bias"))?);
    Ok(Dense::new(weight, bias))
}

fn find<'a>(arrays: &'a Arrays, name: &str) -> Result<&'a [f32], WeightsError> {
    arrays.get(name).map(|a| a.data.as_slice()).ok_or_else(|| WeightsError::Missing(name.to_owned()))
}

struct Norm {
    gain: Vec<f32>,
    bias: Vec<f32>,
}

impl Norm {
    fn take(arrays: &Arrays, name: &str) -> Result<Self, WeightsError> {
        let own = |part: &str| find(arrays, &format!("{name}.{part}")).map(<[f32]>::to_vec);
        Ok(Self { gain: own("weight")?, bias: own("bias")? })
    }

    /// Of each row.
    fn apply(&self, x: &[f32], y: &mut Vec<f32>) {
        let width = self.gain.len();
        y.resize(x.len(), 0.0);
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            let n = width as f32;
            let mean = sum(x.iter().copied()) / n;
            let variance = sum(x.iter().map(|v| (v - mean) * (v - mean))) / n;
            let scale = 1.0 / (variance + 1e-5).sqrt();
            for ((y, x), (g, b)) in y.iter_mut().zip(x).zip(self.gain.iter().zip(&self.bias)) {
                *y = (x - mean) * scale * g + b;
            }
        }
    }
}

/// The sum in 16 interleaved lanes, so that it takes vector registers; then the lanes in order.
fn sum(values: impl Iterator<Item = f32>) -> f32 {
    let mut lanes = [0.0f32; 16];
    for (at, v) in values.enumerate() {
        lanes[at % 16] += v;
    }
    lanes.iter().sum()
}

struct Block {
    norms: [Norm; 2],
    query: Dense,
    key: Dense,
    value: Dense,
    attention: CachedAttention,
    out: Dense,
    up: Dense,
    down: Dense,
}

/// A prior, ready to be run position by position.
pub struct Stepper {
    config: PriorConfig,
    codes: Vec<f32>,
    genres: Vec<f32>,
    /// Embeddings of the places in a clip, `[positions, width]`; empty for a prior that knows distances alone.
    positions: Vec<f32>,
    blocks: Vec<Block>,
    norm: Norm,
    logits: Dense,
    device: Arc<dyn Device>,
    /// The tensors of the conditioner.
    conditioner: Leaves,
}

/// Keys and values of the positions of one sequence so far, block by block.
pub struct Cache(Vec<KeyValues>);

impl Cache {
    /// Forgets all positions.
    pub fn clear(&mut self) {
        self.0.iter_mut().for_each(KeyValues::clear);
    }
}

/// Room to work in.
#[derive(Default)]
pub struct Room {
    x: Vec<f32>,
    normed: Vec<f32>,
    qkv: [Vec<f32>; 3],
    seen: Vec<f32>,
    hidden: Vec<f32>,
    scratch: Vec<f32>,
    logits: Vec<f32>,
    overflow: bool,
}

impl Room {
    /// Whether a number was met that is not finite, or beyond [`LARGEST`](crate::model::weights::LARGEST): what came of
    /// it means nothing.
    pub fn overflow(&self) -> bool {
        self.overflow
    }
}

/// What a position is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// The first of a window: the number of a genre.
    Genre(usize),
    /// Any other: the code before it.
    Code(u16),
}

impl Stepper {
    /// Takes the tensors of a prior.
    ///
    /// # Errors
    /// None of a prior that was loaded: its tensors were checked.
    pub fn new(prior: &Prior) -> Result<Self, WeightsError> {
        let (config, arrays, device) = (prior.config().clone(), prior.arrays(), device(Precision::F32));
        let size = config.attention / config.heads;
        let blocks = (0..config.depth)
            .map(|block| {
                let base = format!("blocks.{block}");
                let layer = |part: &str| dense(arrays, &format!("{base}.{part}"));
                let distances = find(arrays, &format!("{base}.distances"))?;
                Ok(Block {
                    norms: [
                        Norm::take(arrays, &format!("{base}.norm_1"))?,
                        Norm::take(arrays, &format!("{base}.norm_2"))?,
                    ],
                    query: layer("query")?,
                    key: layer("key")?,
                    value: layer("value")?,
                    attention: CachedAttention::new(config.heads, size, config.context, distances),
                    out: layer("out")?,
                    up: layer("up")?,
                    down: layer("down")?,
                })
            })
            .collect::<Result<Vec<_>, WeightsError>>()?;
        Ok(Self {
            codes: find(arrays, CODES)?.to_vec(),
            genres: find(arrays, GENRES)?.to_vec(),
            positions: if config.positions > 0 { find(arrays, POSITIONS)?.to_vec() } else { Vec::new() },
            blocks,
            norm: Norm::take(arrays, "norm")?,
            logits: dense(arrays, "logits")?,
            conditioner: Leaves::constants(&*device, arrays, |name| name.starts_with("conditioner.")),
            device,
            config,
        })
    }

    /// The prior's shape.
    pub fn config(&self) -> &PriorConfig {
        &self.config
    }

    /// An empty cache for one sequence.
    pub fn cache(&self) -> Cache {
        Cache(self.blocks.iter().map(|block| block.attention.room()).collect())
    }

    /// What the level above and their place in the clip add to the positions of a window that begins at `first`,
    /// `[positions, width]`; nothing where neither does. `upper` are the codes above there: of a window that reaches beyond
    /// the last of them, fewer than the window has room for.
    ///
    /// # Errors
    /// A code that the level above does not have, and a network that overflows.
    pub fn condition(&self, upper: &[u16], first: u64) -> Result<Vec<f32>, WeightsError> {
        let mut condition = self.above(upper)?;
        let PriorConfig { width, context, positions, .. } = self.config;
        if positions > 0 {
            condition.resize(context * width, 0.0);
            for (at, row) in (first..).zip(condition.chunks_exact_mut(width)) {
                let place = &self.positions[(at % positions as u64) as usize * width..][..width];
                row.iter_mut().zip(place).for_each(|(c, p)| *c += p);
            }
        }
        Ok(condition)
    }

    /// What the level above adds.
    fn above(&self, upper: &[u16]) -> Result<Vec<f32>, WeightsError> {
        let (Some(shape), width) = (&self.config.upper, self.config.width) else { return Ok(Vec::new()) };
        if let Some(code) = upper.iter().find(|c| usize::from(**c) >= shape.codewords) {
            return Err(WeightsError::Config(format!("code {code} of {} codewords above", shape.codewords)));
        }
        // Always a whole window, as in training.
        let above = self.config.context / shape.ratio;
        let mut rows: Vec<u32> = upper.iter().take(above).map(|code| u32::from(*code)).collect();
        rows.resize(above, NO_ROW);
        let (tape, table) = (Tape::forward_only(&*self.device), self.conditioner.get(UPPER)?);
        let embedded = embedding(&tape, &[table], &self.device.upload(Slice::U32(&rows)), [1, width, above]);
        let added = network::condition(&tape, &self.conditioner, embedded, &self.config)?;
        let condition = self.device.floats(added.tensor());
        match within(&condition) {
            true => Ok(turned(&condition, width, self.config.context)),
            false => Err(WeightsError::Overflow("what the level above adds is not finite".into())),
        }
    }

    /// One position further: what it is given, and what [`Stepper::condition`] adds to it (`[width]`, or nothing). Its logits
    /// go into `logits`.
    ///
    /// # Panics
    /// If the cache is full, or code or genre are not the prior's.
    pub fn step(&self, given: Given, condition: &[f32], cache: &mut Cache, room: &mut Room, logits: &mut Vec<f32>) {
        self.next(&mut [(given, condition, cache)], room, |_, all| {
            logits.clear();
            logits.extend_from_slice(all);
        });
    }

    /// One position further in several sequences: what each is given, what is added to it, and its cache.
    /// `each` gets the number of a sequence and its logits.
    ///
    /// # Panics
    /// If a cache is full, or a code or genre is not the prior's.
    pub fn next(
        &self,
        sequences: &mut [(Given, &[f32], &mut Cache)],
        room: &mut Room,
        mut each: impl FnMut(usize, &[f32]),
    ) {
        room.x.clear();
        for (given, condition, _) in sequences.iter() {
            self.embed(*given, condition, &mut room.x);
        }
        let mut caches: Vec<&mut Cache> = sequences.iter_mut().map(|(_, _, cache)| &mut **cache).collect();
        self.run(&mut caches, 1, room);
        self.norm.apply(&room.x, &mut room.normed);
        self.logits.apply(&room.normed, self.config.width, &mut room.logits);
        for (at, logits) in room.logits.chunks_exact(self.logits.room()).enumerate() {
            let logits = &logits[..self.config.vocabulary()];
            room.overflow |= !within(logits);
            each(at, logits);
        }
    }

    /// Several positions further in one sequence, whose logits nobody asks for: what they are given, and what is
    /// added to them (`[positions, width]`, or as many as there are).
    ///
    /// # Panics
    /// If the cache has no room for all, or a code or genre is not the prior's.
    pub fn catch_up(&self, given: &[Given], condition: &[f32], cache: &mut Cache, room: &mut Room) {
        let mut rows = condition.chunks(self.config.width);
        for given in given.chunks(TOGETHER) {
            room.x.clear();
            for given in given {
                self.embed(*given, rows.next().unwrap_or_default(), &mut room.x);
            }
            self.run(&mut [&mut *cache], given.len(), room);
        }
    }

    fn embed(&self, given: Given, condition: &[f32], x: &mut Vec<f32>) {
        let width = self.config.width;
        let row = match given {
            Given::Genre(genre) => &self.genres[genre * width..][..width],
            Given::Code(code) => &self.codes[usize::from(code) * width..][..width],
        };
        let from = x.len();
        x.extend_from_slice(row);
        x[from..].iter_mut().zip(condition).for_each(|(x, c)| *x += c);
    }

    /// All blocks for the rows in `room.x`: `each` consecutive ones are the next positions of one cache.
    fn run(&self, caches: &mut [&mut Cache], each: usize, room: &mut Room) {
        let PriorConfig { width, attention, .. } = self.config;
        let Room { x, normed, qkv: [q, k, v], seen, hidden, scratch, .. } = room;
        for (at, block) in self.blocks.iter().enumerate() {
            block.norms[0].apply(x, normed);
            block.query.apply(normed, width, q);
            block.key.apply(normed, width, k);
            block.value.apply(normed, width, v);
            let stride = block.query.room();
            seen.resize(caches.len() * each * attention, 0.0);
            let mut rows = (0..).zip(seen.chunks_exact_mut(attention));
            for cache in caches.iter_mut() {
                let known = &mut cache.0[at];
                for (row, seen) in rows.by_ref().take(each) {
                    let [q, k, v] = [&*q, k, v].map(|rows| &rows[row * stride..][..attention]);
                    block.attention.push(known, k, v);
                    block.attention.see(known, known.filled() - 1, q, seen, scratch);
                }
            }
            block.out.apply(seen, attention, normed);
            add(x, width, normed, block.out.room());
            block.norms[1].apply(x, normed);
            block.up.apply(normed, width, hidden);
            gelu_in_place(hidden);
            block.down.apply(hidden, block.up.room(), normed);
            add(x, width, normed, block.down.room());
        }
        // Normalising hides what is too large.
        room.overflow |= !within(&room.x);
    }
}

/// Adds rows that are `stride` floats apart to rows of `width`.
fn add(x: &mut [f32], width: usize, rows: &[f32], stride: usize) {
    for (x, row) in x.chunks_exact_mut(width).zip(rows.chunks_exact(stride)) {
        x.iter_mut().zip(row).for_each(|(x, v)| *x += v);
    }
}
