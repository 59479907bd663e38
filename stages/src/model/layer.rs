//! The layers of one level of the codec, in order, with the names and shapes of their tensors.
//!
//! Names and order are those of Jukebox's VQ-VAE (Dhariwal et al. 2020) as published in its `transformers` port, so that
//! a published file and a file of ours are read by the same code.
use kernels::ops::add::add;
use kernels::ops::convolution::{Geometry, conv_transpose1d_to, conv1d};
use kernels::ops::linear::linear;
use kernels::ops::residual::residual_block;
use kernels::tape::{Tape, Value, segment};

use super::codec::{CodecConfig, LevelConfig};
use super::leaves::Leaves;
use super::training::segments::shares;
use super::weights::WeightsError;

/// What a layer computes. Channels are the second axis of `[batch, channels, time]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Convolution of `2 * stride` taps, [`padded`] by half of the stride: the length divided by the stride.
    Down { input: usize, output: usize, stride: usize },
    /// Transposed convolution of `2 * stride` taps, [`padded`] likewise: the length multiplied by the stride.
    Up { input: usize, output: usize, stride: usize },
    /// Convolution of 3 taps, padding 1: the same length.
    Same { input: usize, output: usize },
    /// `x + conv1(relu(conv3(relu(x))))`, where conv3 has a dilation and as much padding.
    Residual { width: usize, dilation: usize },
    /// Convolution of 1 tap of what the first layer takes, added to what the layers between give: always the last, after
    /// layers that keep the length.
    Beside { input: usize, output: usize },
}

/// Frames of padding before the first frame of a layer with a stride: half of the stride, rounded up. That is Jukebox's
/// padding for the even strides, the only ones with which its lengths fit, and for odd ones that of EnCodec and DAC
/// (Kumar et al. 2023), with one frame less at the end.
pub(crate) fn padded(stride: usize) -> usize {
    stride.div_ceil(2)
}

/// A layer and where its tensors are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) kind: Kind,
    /// The name of its tensors up to `.weight` and `.bias` (for a residual block up to `.conv1d_1.weight` and so on).
    pub(crate) name: String,
}

impl Layer {
    /// The layer's tensors in a fixed order: name, shape, and the number of inputs that feed one output.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>, usize)> {
        let affine = |name: &str, shape: [usize; 3], channels: usize, fan: usize| {
            [(format!("{name}.weight"), shape.to_vec(), fan), (format!("{name}.bias"), vec![channels], fan)]
        };
        match self.kind {
            Kind::Down { input, output, stride } => {
                affine(&self.name, [output, input, 2 * stride], output, input * 2 * stride).into()
            }
            // Each output of a transposed convolution sees two of the taps.
            Kind::Up { input, output, stride } => {
                affine(&self.name, [input, output, 2 * stride], output, input * 2).into()
            }
            Kind::Same { input, output } => affine(&self.name, [output, input, 3], output, input * 3).into(),
            Kind::Beside { input, output } => affine(&self.name, [output, input, 1], output, input).into(),
            Kind::Residual { width, .. } => [
                affine(&format!("{}.conv1d_1", self.name), [width, width, 3], width, width * 3),
                affine(&format!("{}.conv1d_2", self.name), [width, width, 1], width, width),
            ]
            .concat(),
        }
    }
}

/// The encoder of `level`, from `[batch, channels, time]` to `[batch, dim, time / hop]`.
pub(crate) fn encoder(codec: &CodecConfig, level: usize) -> Vec<Layer> {
    let (config, dim) = (&codec.levels[level], codec.dim);
    if config.oscillators > 0 {
        return frames(config, &format!("encoders.{level}"), codec.grain(level).1, dim);
    }
    let mut layers = Vec::new();
    for (block, &downs) in config.downs.iter().enumerate() {
        let base = format!("encoders.{level}.level_blocks.{block}");
        for i in 0..downs {
            let input = match (block, i) {
                (0, 0) => codec.channels,
                (_, 0) => dim,
                _ => config.width,
            };
            layers.push(Layer {
                kind: Kind::Down { input, output: config.width, stride: config.stride(block) },
                name: format!("{base}.downsample_block.{}", 2 * i),
            });
            for depth in 0..config.depth {
                layers.push(Layer {
                    kind: Kind::Residual { width: config.width, dilation: config.dilation(depth) },
                    name: format!("{base}.downsample_block.{}.resnet_block.{depth}", 2 * i + 1),
                });
            }
        }
        layers.push(Layer { kind: Kind::Same { input: config.width, output: dim }, name: format!("{base}.proj_out") });
    }
    layers
}

/// The decoder of `level`, from `[batch, dim, time / hop]` to `[batch, channels, time]`.
pub(crate) fn decoder(codec: &CodecConfig, level: usize) -> Vec<Layer> {
    let (config, dim) = (&codec.levels[level], codec.dim);
    if config.oscillators > 0 {
        return frames(config, &format!("decoders.{level}"), dim, codec.grain(level).1);
    }
    let mut layers = Vec::new();
    for (block, &downs) in config.downs.iter().enumerate().rev() {
        let base = format!("decoders.{level}.level_blocks.{block}");
        layers.push(Layer { kind: Kind::Same { input: dim, output: config.width }, name: format!("{base}.proj_in") });
        for i in 0..downs {
            for depth in 0..config.depth {
                layers.push(Layer {
                    kind: Kind::Residual { width: config.width, dilation: config.dilation(config.depth - 1 - depth) },
                    name: format!("{base}.upsample_block.{}.resnet_block.{depth}", 2 * i),
                });
            }
            let output = if i + 1 < downs { config.width } else { dim };
            layers.push(Layer {
                kind: Kind::Up { input: config.width, output, stride: config.stride(block) },
                name: format!("{base}.upsample_block.{}", 2 * i + 1),
            });
        }
    }
    let out = Kind::Same { input: dim, output: codec.channels };
    layers.push(Layer { kind: out, name: format!("decoders.{level}.out") });
    layers
}

/// A network at the rate of codes: convolutions, and beside them a linear map, which is where training starts.
fn frames(config: &LevelConfig, base: &str, input: usize, output: usize) -> Vec<Layer> {
    let width = config.width;
    let layer = |kind, name: String| Layer { kind, name: format!("{base}.{name}") };
    let residual = |depth| {
        let kind = Kind::Residual { width, dilation: config.dilation(depth) };
        layer(kind, format!("resnet_block.{depth}"))
    };
    std::iter::once(layer(Kind::Same { input, output: width }, "proj_in".to_owned()))
        .chain((0..config.depth).map(residual))
        .chain([
            layer(Kind::Same { input: width, output }, "proj_out".to_owned()),
            layer(Kind::Beside { input, output }, "linear".to_owned()),
        ])
        .collect()
}

/// The name of a level's codebook, `[codewords, dim]`.
pub(crate) fn codebook_name(level: usize) -> String {
    format!("bottleneck.level_blocks.{level}.codebook")
}

/// Every tensor of `level` that an optimiser moves, with its shape.
pub(crate) fn parameters(codec: &CodecConfig, level: usize) -> Vec<(String, Vec<usize>)> {
    let (encoder, decoder) = (encoder(codec, level), decoder(codec, level));
    encoder.iter().chain(&decoder).flat_map(Layer::tensors).map(|(name, shape, _)| (name, shape)).collect()
}

/// Every tensor of `level` with its shape.
pub(crate) fn shapes(codec: &CodecConfig, level: usize) -> Vec<(String, Vec<usize>)> {
    let codebook = (codebook_name(level), vec![codec.levels[level].codewords, codec.dim]);
    parameters(codec, level).into_iter().chain([codebook]).collect()
}

/// A layer with its tensors, in the order of [`Layer::tensors`].
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) kind: Kind,
    tensors: Vec<Value>,
}

/// The tensors of `layers`, taken from `leaves`.
pub(crate) fn load(layers: &[Layer], leaves: &Leaves) -> Result<Vec<Loaded>, WeightsError> {
    let tensors = |layer: &Layer| -> Result<Vec<Value>, WeightsError> {
        layer.tensors().iter().map(|(name, ..)| leaves.get(name).cloned()).collect()
    };
    layers.iter().map(|layer| Ok(Loaded { kind: layer.kind, tensors: tensors(layer)? })).collect()
}

impl Loaded {
    /// Weight and bias of the first convolution.
    pub(crate) fn affine(&self) -> [&Value; 2] {
        [&self.tensors[0], &self.tensors[1]]
    }

    /// Weights and biases of both convolutions of a residual block.
    pub(crate) fn block(&self) -> [&Value; 4] {
        [0, 1, 2, 3].map(|at| &self.tensors[at])
    }

    /// The layer on a whole sequence, `[batch, channels, time]`, zeros on both sides of it.
    fn forward(&self, tape: &Tape<'_>, x: &Value) -> Value {
        let [weight, bias] = self.affine();
        match self.kind {
            Kind::Down { stride, .. } => {
                conv1d(tape, x, weight, bias, Geometry { stride, padding: padded(stride), dilation: 1 })
            }
            Kind::Up { stride, .. } => {
                let length = x.shape()[2] * stride;
                conv_transpose1d_to(tape, x, weight, bias, [stride, padded(stride)], length)
            }
            Kind::Same { .. } => conv1d(tape, x, weight, bias, Geometry { stride: 1, padding: 1, dilation: 1 }),
            Kind::Residual { dilation, .. } => residual_block(tape, x, self.block(), dilation),
            Kind::Beside { .. } => linear(tape, x, weight, bias),
        }
    }
}

/// All layers, one after the other, on whole sequences. Of more than one of `segments`, shares of the layers that are as
/// equal as can be, a tape keeps the input alone.
pub(crate) fn forward(tape: &Tape<'_>, layers: &[Loaded], x: Value, segments: usize) -> Value {
    if let Some((beside @ Loaded { kind: Kind::Beside { .. }, .. }, layers)) = layers.split_last() {
        let given = beside.forward(tape, &x);
        return add(tape, forward(tape, layers, x, segments), given);
    }
    if segments <= 1 {
        return plain(tape, layers, x);
    }
    shares(layers.len(), segments).fold(x, |x, share| {
        let layers = &layers[share];
        let tensors: Vec<Value> = layers.iter().flat_map(|layer| layer.tensors.clone()).collect();
        let shapes: Vec<(Kind, usize)> = layers.iter().map(|layer| (layer.kind, layer.tensors.len())).collect();
        segment(tape, x, &tensors, move |tape, x, mut tensors| {
            let own = |&(kind, count): &(Kind, usize)| {
                let (own, rest) = tensors.split_at(count);
                tensors = rest;
                Loaded { kind, tensors: own.to_vec() }
            };
            let layers: Vec<Loaded> = shapes.iter().map(own).collect();
            plain(tape, &layers, x)
        })
    })
}

fn plain(tape: &Tape<'_>, layers: &[Loaded], x: Value) -> Value {
    layers.iter().fold(x, |x, layer| layer.forward(tape, &x))
}
