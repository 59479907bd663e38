//! A prior code by code: one position at a time, with the keys and values of all positions before it kept.
//!
//! Sequences are independent of each other: what one becomes does not depend on those beside it. Sums run over inputs in
//! order, outputs side by side, so that the compiler vectorises them without changing a bit.
use super::config::{Prior, PriorConfig};
use super::network::{CODES, GENRES, Network, UPPER};
use crate::model::infer::values;
use crate::model::weights::{Arrays, WeightsError};
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;

/// A linear layer with its weights as `[inputs, outputs]`.
struct Dense {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Dense {
    fn take(arrays: &Arrays, name: &str) -> Result<Self, WeightsError> {
        let weight = find(arrays, &format!("{name}.weight"))?;
        let bias = find(arrays, &format!("{name}.bias"))?.to_vec();
        Ok(Self { weights: transposed(weight, bias.len()), bias })
    }

    /// `x` holds the inputs of one position.
    fn apply(&self, x: &[f32], y: &mut Vec<f32>) {
        y.clear();
        y.extend_from_slice(&self.bias);
        for (v, row) in x.iter().zip(self.weights.chunks_exact(self.bias.len())) {
            axpy(*v, row, y);
        }
    }
}

/// `y += a * x`.
fn axpy(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = a.mul_add(*x, *y);
    }
}

/// `[rows, columns]` as `[columns, rows]`.
fn transposed(matrix: &[f32], rows: usize) -> Vec<f32> {
    let columns = matrix.len() / rows;
    (0..matrix.len()).map(|at| matrix[(at % rows) * columns + at / rows]).collect()
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

    fn apply(&self, x: &[f32], y: &mut Vec<f32>) {
        let n = x.len() as f32;
        let mean = x.iter().sum::<f32>() / n;
        let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
        let scale = 1.0 / (variance + 1e-5).sqrt();
        y.clear();
        y.extend(x.iter().zip(self.gain.iter().zip(&self.bias)).map(|(v, (g, b))| (v - mean) * scale * g + b));
    }
}

struct Block {
    norms: [Norm; 2],
    query: Dense,
    key: Dense,
    value: Dense,
    out: Dense,
    up: Dense,
    down: Dense,
    /// `[heads, size, distances]`.
    distances: Vec<f32>,
}

/// A prior, ready to be run position by position.
pub struct Stepper {
    config: PriorConfig,
    codes: Vec<f32>,
    genres: Vec<f32>,
    upper: Vec<f32>,
    blocks: Vec<Block>,
    norm: Norm,
    logits: Dense,
    conditioner: Network<Flex>,
}

/// Keys and values of the positions of one sequence so far, and room to work in.
pub struct Cache {
    filled: usize,
    /// Of each block `[heads, size, context]`.
    keys: Vec<Vec<f32>>,
    /// Of each block `[context, attention]`.
    values: Vec<Vec<f32>>,
    rows: [Vec<f32>; 7],
}

impl Cache {
    /// Forgets all positions.
    pub fn clear(&mut self) {
        self.filled = 0;
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
        let (config, arrays) = (prior.config().clone(), prior.arrays());
        let size = config.attention / config.heads;
        let blocks = (0..config.depth)
            .map(|block| {
                let base = format!("blocks.{block}");
                let dense = |part: &str| Dense::take(arrays, &format!("{base}.{part}"));
                let distances = find(arrays, &format!("{base}.distances"))?;
                Ok(Block {
                    norms: [
                        Norm::take(arrays, &format!("{base}.norm_1"))?,
                        Norm::take(arrays, &format!("{base}.norm_2"))?,
                    ],
                    query: dense("query")?,
                    key: dense("key")?,
                    value: dense("value")?,
                    out: dense("out")?,
                    up: dense("up")?,
                    down: dense("down")?,
                    distances: distances
                        .chunks_exact(config.distances * size)
                        .flat_map(|head| transposed(head, config.distances))
                        .collect(),
                })
            })
            .collect::<Result<Vec<_>, WeightsError>>()?;
        Ok(Self {
            codes: find(arrays, CODES)?.to_vec(),
            genres: find(arrays, GENRES)?.to_vec(),
            upper: if config.upper.is_some() { find(arrays, UPPER)?.to_vec() } else { Vec::new() },
            blocks,
            norm: Norm::take(arrays, "norm")?,
            logits: Dense::take(arrays, "logits")?,
            conditioner: Network::load(arrays, &Default::default()),
            config,
        })
    }

    /// The prior's shape.
    pub fn config(&self) -> &PriorConfig {
        &self.config
    }

    /// An empty cache for one sequence.
    pub fn cache(&self) -> Cache {
        let room = self.config.attention * self.config.context;
        Cache {
            filled: 0,
            keys: vec![vec![0.0; room]; self.config.depth],
            values: vec![vec![0.0; room]; self.config.depth],
            rows: Default::default(),
        }
    }

    /// What the level above adds to the positions of a window, `[positions, width]`, from its codes there. Of a window
    /// that reaches beyond the last of them, fewer are given than the window has room for.
    ///
    /// # Errors
    /// A code that the level above does not have.
    pub fn condition(&self, upper: &[u16]) -> Result<Vec<f32>, WeightsError> {
        let (Some(shape), width) = (&self.config.upper, self.config.width) else { return Ok(Vec::new()) };
        if let Some(code) = upper.iter().find(|c| usize::from(**c) >= shape.codewords) {
            return Err(WeightsError::Config(format!("code {code} of {} codewords above", shape.codewords)));
        }
        // Always a whole window, as in training.
        let above = self.config.context / shape.ratio;
        let mut embedded = vec![0.0; width * above];
        for (at, code) in upper.iter().take(above).enumerate() {
            let row = &self.upper[usize::from(*code) * width..][..width];
            row.iter().enumerate().for_each(|(c, v)| embedded[c * above + at] = *v);
        }
        let embedded = Tensor::<Flex, 3>::from_data(TensorData::new(embedded, [1, width, above]), &Default::default());
        Ok(transposed(&values(self.conditioner.condition(embedded, &self.config)?), width))
    }

    /// One position further: what it is given, and what the level above adds to it (`[width]`, or nothing). The logits of
    /// its code go into `logits` where it is given.
    ///
    /// # Panics
    /// If the cache is full, or code or genre are not the prior's.
    pub fn step(&self, given: Given, condition: &[f32], cache: &mut Cache, logits: Option<&mut Vec<f32>>) {
        let width = self.config.width;
        assert!(cache.filled < self.config.context, "a window of {} codes is full", self.config.context);
        let row = match given {
            Given::Genre(genre) => &self.genres[genre * width..][..width],
            Given::Code(code) => &self.codes[usize::from(code) * width..][..width],
        };
        let [x, normed, q, k, v, seen, hidden] = &mut cache.rows;
        x.clear();
        x.extend_from_slice(row);
        x.iter_mut().zip(condition).for_each(|(x, c)| *x += c);
        let at = cache.filled;
        for (block, (keys, values)) in self.blocks.iter().zip(cache.keys.iter_mut().zip(&mut cache.values)) {
            block.norms[0].apply(x, normed);
            block.query.apply(normed, q);
            block.key.apply(normed, k);
            block.value.apply(normed, v);
            for (c, k) in k.iter().enumerate() {
                keys[c * self.config.context + at] = *k;
            }
            values[at * v.len()..][..v.len()].copy_from_slice(v);
            self.attend(block, q, keys, values, at + 1, seen, hidden);
            block.out.apply(seen, normed);
            x.iter_mut().zip(&*normed).for_each(|(x, v)| *x += v);
            block.norms[1].apply(x, normed);
            block.up.apply(normed, hidden);
            hidden.iter_mut().for_each(|v| *v /= 1.0 + libm::expf(-1.702 * *v));
            block.down.apply(hidden, normed);
            x.iter_mut().zip(&*normed).for_each(|(x, v)| *x += v);
        }
        cache.filled += 1;
        if let Some(logits) = logits {
            self.norm.apply(x, normed);
            self.logits.apply(normed, logits);
        }
    }

    /// What the newest of `filled` positions sees.
    fn attend(
        &self,
        block: &Block,
        q: &[f32],
        keys: &[f32],
        values: &[f32],
        filled: usize,
        seen: &mut Vec<f32>,
        scores: &mut Vec<f32>,
    ) {
        let PriorConfig { attention, heads, distances, context, .. } = self.config;
        let size = attention / heads;
        let scale = 1.0 / (size as f32).sqrt();
        let near = filled.min(distances);
        seen.clear();
        seen.resize(attention, 0.0);
        // Scores of all positions, then those of the distances that occur.
        scores.clear();
        scores.resize(filled + near, 0.0);
        let (scores, far) = scores.split_at_mut(filled);
        for head in 0..heads {
            scores.fill(0.0);
            far.fill(0.0);
            for (c, q) in q[head * size..][..size].iter().enumerate() {
                axpy(*q, &keys[(head * size + c) * context..][..filled], scores);
                axpy(*q, &block.distances[(head * size + c) * distances..][..near], far);
            }
            let mut most = f32::NEG_INFINITY;
            for (at, score) in scores.iter_mut().enumerate() {
                *score = (*score + far[(filled - 1 - at).min(distances - 1)]) * scale;
                most = most.max(*score);
            }
            let mut sum = 0.0;
            for score in scores.iter_mut() {
                *score = libm::expf(*score - most);
                sum += *score;
            }
            let out = &mut seen[head * size..][..size];
            for (at, score) in scores.iter().enumerate() {
                axpy(*score / sum, &values[at * attention + head * size..][..size], out);
            }
        }
    }
}
