//! The network of a prior: its tensors, and the way from embedded codes to logits.
//!
//! Activations are `[batch, channels, positions]`, so that a linear layer is a convolution of one tap.
use kernels::ops::add::add;
use kernels::ops::attention::relative_attention;
use kernels::ops::convolution::{Geometry, conv_transpose1d, conv1d};
use kernels::ops::gelu::gelu;
use kernels::ops::layer_norm::layer_norm;
use kernels::ops::linear::linear;
use kernels::ops::residual::residual_block;
use kernels::tape::{Tape, Value, segment};

use super::config::PriorConfig;
use crate::model::leaves::Leaves;
use crate::model::random::Random;
use crate::model::training::segments::shares;
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
pub(crate) const POSITIONS: &str = "embedding.positions";
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
    if config.positions > 0 {
        add(POSITIONS.into(), &[config.positions, w], Start::Normal(DEVIATION));
    }
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

/// What the level above adds to each position: from its embedded codes `[batch, width, codes]` to
/// `[batch, width, codes * ratio]`.
pub(crate) fn condition(
    tape: &Tape<'_>,
    leaves: &Leaves,
    upper: Value,
    config: &PriorConfig,
) -> Result<Value, WeightsError> {
    let Some(shape) = &config.upper else { return Ok(upper) };
    let [weight, bias] = leaves.pair("conditioner.in")?;
    let mut x = conv1d(tape, &upper, weight, bias, Geometry { stride: 1, padding: 1, dilation: 1 });
    for double in 0..shape.ratio.ilog2() {
        for block in 0..shape.depth {
            let base = format!("conditioner.{double}.{block}");
            let [[w1, b1], [w2, b2]] =
                [leaves.pair(&format!("{base}.conv1d_1"))?, leaves.pair(&format!("{base}.conv1d_2"))?];
            x = residual_block(tape, &x, [w1, b1, w2, b2], 3usize.pow(block as u32 % 4));
        }
        let [weight, bias] = leaves.pair(&format!("conditioner.{double}.up"))?;
        x = conv_transpose1d(tape, &x, weight, bias, 2, 1);
    }
    let [gain, bias] = leaves.pair("conditioner.norm")?;
    Ok(layer_norm(tape, &x, gain, bias))
}

/// From embedded codes, conditioning added, `[batch, width, positions]` to logits `[batch, codewords, positions]`. Of more
/// than one of `segments`, shares of the blocks that are as equal as can be, a tape keeps the input alone.
pub(crate) fn logits(
    tape: &Tape<'_>,
    leaves: &Leaves,
    x: Value,
    config: &PriorConfig,
    segments: usize,
) -> Result<Value, WeightsError> {
    let mut x = x;
    for share in shares(config.depth, segments) {
        let mut tensors = Vec::with_capacity(share.len() * OF_BLOCK.len());
        for at in share {
            for part in OF_BLOCK {
                tensors.push(leaves.get(&format!("blocks.{at}.{part}"))?.clone());
            }
        }
        let blocks = |tape: &Tape<'_>, x: Value, tensors: &[Value]| {
            tensors.chunks_exact(OF_BLOCK.len()).fold(x, |x, tensors| block(tape, tensors, x))
        };
        x = match segments > 1 {
            true => segment(tape, x, &tensors, blocks),
            false => blocks(tape, x, &tensors),
        };
    }
    let [gain, bias] = leaves.pair("norm")?;
    let last = layer_norm(tape, &x, gain, bias);
    let [weight, bias] = leaves.pair("logits")?;
    Ok(linear(tape, &last, weight, bias))
}

/// The tensors of a block of the Transformer, in the order in which [`block`] takes them.
const OF_BLOCK: [&str; 17] = [
    "norm_1.weight",
    "norm_1.bias",
    "query.weight",
    "query.bias",
    "key.weight",
    "key.bias",
    "value.weight",
    "value.bias",
    "distances",
    "out.weight",
    "out.bias",
    "norm_2.weight",
    "norm_2.bias",
    "up.weight",
    "up.bias",
    "down.weight",
    "down.bias",
];

/// A block of the Transformer with its tensors, those of [`OF_BLOCK`].
fn block(tape: &Tape<'_>, of: &[Value], x: Value) -> Value {
    let apply = |x: &Value, first: usize| linear(tape, x, &of[first], &of[first + 1]);
    let normed = layer_norm(tape, &x, &of[0], &of[1]);
    let [q, k, v] = [2, 4, 6].map(|first| apply(&normed, first));
    drop(normed);
    let seen = relative_attention(tape, &q, &k, &v, &of[8]);
    drop((q, k, v));
    let x = add(tape, x, apply(&seen, 9));
    let hidden = gelu(tape, &apply(&layer_norm(tape, &x, &of[11], &of[12]), 13));
    add(tape, x, apply(&hidden, 15))
}
