//! The network of a prior: its tensors, and the way from embedded codes to logits.
//!
//! Activations are `[batch, channels, positions]`, so that a linear layer is a convolution of one tap. Embeddings are
//! looked up outside of it: rows of a table need no graph.
use std::collections::BTreeMap;

use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use kernels::{Kernels, conv_transpose1d, conv1d, layer_norm, quick_gelu, relative_attention, residual_block};

use super::config::PriorConfig;
use crate::model::random::Random;
use crate::model::weights::{Array, Arrays, WeightsError};

/// How a tensor begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Start {
    Zeros,
    Ones,
    /// Normal with this deviation.
    Normal(f64),
}

/// A tensor of the network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) start: Start,
}

/// Deviation of the output layer and of distances, as in GPT-2 (Radford et al. 2019).
const DEVIATION: f64 = 0.02;

/// Tables that are looked up rather than multiplied, `[rows, width]`.
pub(crate) const CODES: &str = "embedding.codes";
pub(crate) const GENRES: &str = "embedding.genres";
pub(crate) const UPPER: &str = "conditioner.embedding";

/// All tensors of a prior of this shape.
pub(crate) fn tensors(config: &PriorConfig) -> Vec<Named> {
    let mut all = Vec::new();
    let mut add = |name: String, shape: &[usize], start: Start| all.push(Named { name, shape: shape.to_vec(), start });
    let w = config.width;
    let fan = |inputs: usize| Start::Normal(1.0 / (inputs as f64).sqrt());
    // As large as what the conditioner adds: smaller, and the code before would drown in it.
    add(CODES.into(), &[config.vocabulary(), w], Start::Normal(1.0));
    add(GENRES.into(), &[config.genres.len() + 1, w], Start::Normal(1.0));
    // The last layer of each residual branch starts smaller, so that the sum of all branches keeps its size.
    let quiet = |inputs: usize| Start::Normal(1.0 / (inputs as f64 * 2.0 * config.depth as f64).sqrt());
    for block in 0..config.depth {
        let base = format!("blocks.{block}");
        for norm in ["norm_1", "norm_2"] {
            add(format!("{base}.{norm}.weight"), &[w], Start::Ones);
            add(format!("{base}.{norm}.bias"), &[w], Start::Zeros);
        }
        let (a, size) = (config.attention, config.attention / config.heads);
        for part in ["query", "key", "value"] {
            add(format!("{base}.{part}.weight"), &[a, w, 1], fan(w));
            add(format!("{base}.{part}.bias"), &[a], Start::Zeros);
        }
        let distance = Start::Normal(DEVIATION);
        add(format!("{base}.distances"), &[config.heads, config.distances, size], distance);
        for (part, outputs, inputs, start) in [
            ("out", w, a, quiet(a)),
            ("up", config.hidden, w, fan(w)),
            ("down", w, config.hidden, quiet(config.hidden)),
        ] {
            add(format!("{base}.{part}.weight"), &[outputs, inputs, 1], start);
            add(format!("{base}.{part}.bias"), &[outputs], Start::Zeros);
        }
    }
    add("norm.weight".into(), &[w], Start::Ones);
    add("norm.bias".into(), &[w], Start::Zeros);
    add("logits.weight".into(), &[config.vocabulary(), w, 1], Start::Normal(DEVIATION));
    add("logits.bias".into(), &[config.vocabulary()], Start::Zeros);
    if let Some(upper) = &config.upper {
        add(UPPER.into(), &[upper.codewords, w], Start::Normal(1.0));
        add("conditioner.in.weight".into(), &[w, w, 3], fan(3 * w));
        add("conditioner.in.bias".into(), &[w], Start::Zeros);
        for double in 0..upper.ratio.ilog2() {
            for block in 0..upper.depth {
                let base = format!("conditioner.{double}.{block}");
                add(format!("{base}.conv1d_1.weight"), &[w, w, 3], fan(3 * w));
                add(format!("{base}.conv1d_1.bias"), &[w], Start::Zeros);
                add(format!("{base}.conv1d_2.weight"), &[w, w, 1], fan(w));
                add(format!("{base}.conv1d_2.bias"), &[w], Start::Zeros);
            }
            add(format!("conditioner.{double}.up.weight"), &[w, w, 4], fan(2 * w));
            add(format!("conditioner.{double}.up.bias"), &[w], Start::Zeros);
        }
        add("conditioner.norm.weight".into(), &[w], Start::Ones);
        add("conditioner.norm.bias".into(), &[w], Start::Zeros);
    }
    all
}

/// The tensors at the start of training.
pub(crate) fn start(config: &PriorConfig, seed: &[u8; 32]) -> Arrays {
    let begin = |tensor: Named| {
        let n: usize = tensor.shape.iter().product();
        let data = match tensor.start {
            Start::Zeros => vec![0.0; n],
            Start::Ones => vec![1.0; n],
            Start::Normal(deviation) => {
                let mut random = Random::new(seed, &format!("prior {}", tensor.name), config.level as u64);
                (0..n).map(|_| (deviation * random.normal()) as f32).collect()
            }
        };
        (tensor.name, Array { shape: tensor.shape, data })
    };
    tensors(config).into_iter().map(begin).collect()
}

/// The tensors that the graph works on, by name.
pub(crate) struct Network<B: Kernels> {
    flat: BTreeMap<String, Tensor<B, 1>>,
    cubes: BTreeMap<String, Tensor<B, 3>>,
}

impl<B: Kernels> Network<B> {
    /// Takes all but the tables from `arrays`.
    pub(crate) fn load(arrays: &Arrays, device: &B::Device) -> Self {
        let (mut flat, mut cubes) = (BTreeMap::new(), BTreeMap::new());
        for (name, array) in arrays {
            match array.shape.len() {
                1 => drop(flat.insert(name.clone(), crate::model::layer::tensor(array, device))),
                3 => drop(cubes.insert(name.clone(), crate::model::layer::tensor(array, device))),
                _ => {}
            }
        }
        Self { flat, cubes }
    }

    fn flat(&self, name: &str) -> Result<Tensor<B, 1>, WeightsError> {
        self.flat.get(name).cloned().ok_or_else(|| WeightsError::Missing(name.to_owned()))
    }

    fn cube(&self, name: &str) -> Result<Tensor<B, 3>, WeightsError> {
        self.cubes.get(name).cloned().ok_or_else(|| WeightsError::Missing(name.to_owned()))
    }

    fn linear(&self, x: Tensor<B, 3>, name: &str) -> Result<Tensor<B, 3>, WeightsError> {
        let (weight, bias) = (self.cube(&format!("{name}.weight"))?, self.flat(&format!("{name}.bias"))?);
        Ok(conv1d(x, weight, bias, 1, 0, 1))
    }

    fn norm(&self, x: Tensor<B, 3>, name: &str) -> Result<Tensor<B, 3>, WeightsError> {
        Ok(layer_norm(x, self.flat(&format!("{name}.weight"))?, self.flat(&format!("{name}.bias"))?))
    }

    /// What the level above adds to each position: from its embedded codes `[batch, width, codes]` to
    /// `[batch, width, codes * ratio]`.
    pub(crate) fn condition(&self, upper: Tensor<B, 3>, config: &PriorConfig) -> Result<Tensor<B, 3>, WeightsError> {
        let Some(shape) = &config.upper else { return Ok(upper) };
        let (weight, bias) = (self.cube("conditioner.in.weight")?, self.flat("conditioner.in.bias")?);
        let mut x = conv1d(upper, weight, bias, 1, 1, 1);
        for double in 0..shape.ratio.ilog2() {
            for block in 0..shape.depth {
                let base = format!("conditioner.{double}.{block}");
                let first =
                    (self.cube(&format!("{base}.conv1d_1.weight"))?, self.flat(&format!("{base}.conv1d_1.bias"))?);
                let second =
                    (self.cube(&format!("{base}.conv1d_2.weight"))?, self.flat(&format!("{base}.conv1d_2.bias"))?);
                x = residual_block(x, first.0, first.1, second.0, second.1, 3usize.pow(block as u32 % 4));
            }
            let base = format!("conditioner.{double}.up");
            x = conv_transpose1d(x, self.cube(&format!("{base}.weight"))?, self.flat(&format!("{base}.bias"))?, 2, 1);
        }
        self.norm(x, "conditioner.norm")
    }

    /// From embedded codes, conditioning added, `[batch, width, positions]` to logits `[batch, codewords, positions]`.
    pub(crate) fn logits(&self, x: Tensor<B, 3>, config: &PriorConfig) -> Result<Tensor<B, 3>, WeightsError> {
        let mut x = x;
        for block in 0..config.depth {
            let base = format!("blocks.{block}");
            let normed = self.norm(x.clone(), &format!("{base}.norm_1"))?;
            let q = self.linear(normed.clone(), &format!("{base}.query"))?;
            let k = self.linear(normed.clone(), &format!("{base}.key"))?;
            let v = self.linear(normed, &format!("{base}.value"))?;
            let seen = relative_attention(q, k, v, self.cube(&format!("{base}.distances"))?);
            x = x + self.linear(seen, &format!("{base}.out"))?;
            let normed = self.norm(x.clone(), &format!("{base}.norm_2"))?;
            let hidden = quick_gelu(self.linear(normed, &format!("{base}.up"))?);
            x = x + self.linear(hidden, &format!("{base}.down"))?;
        }
        let last = self.norm(x, "norm")?;
        self.linear(last, "logits")
    }
}

impl<B: Kernels + AutodiffBackend<InnerBackend: Kernels>> Network<B> {
    /// The same with gradients wanted.
    pub(crate) fn track(self) -> Self {
        Self {
            flat: self.flat.into_iter().map(|(name, tensor)| (name, tensor.require_grad())).collect(),
            cubes: self.cubes.into_iter().map(|(name, tensor)| (name, tensor.require_grad())).collect(),
        }
    }

    /// The gradient of each tensor by name; zeros where nothing flowed.
    pub(crate) fn gradients(&self, back: &B::Gradients) -> BTreeMap<String, Vec<f32>> {
        use crate::model::infer::values;
        let zeros = |n: usize| vec![0.0; n];
        let flat = self.flat.iter().map(|(name, t)| {
            let g = t.grad(back).map_or_else(|| zeros(t.shape().num_elements()), values::<B::InnerBackend, 1>);
            (name.clone(), g)
        });
        let cubes = self.cubes.iter().map(|(name, t)| {
            let g = t.grad(back).map_or_else(|| zeros(t.shape().num_elements()), values::<B::InnerBackend, 3>);
            (name.clone(), g)
        });
        flat.chain(cubes).collect()
    }
}
