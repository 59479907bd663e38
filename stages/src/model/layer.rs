//! The layers of one level of the codec, in order, with the names and shapes of their tensors.
//!
//! Names and order are those of Jukebox's VQ-VAE (Dhariwal et al. 2020) as published in its `transformers` port, so that
//! a published file and a file of ours are read by the same code.
use burn::tensor::{Tensor, TensorData};
use kernels::Kernels;

use super::codec::LevelConfig;
use super::weights::{Array, Arrays, WeightsError};

/// What a layer computes. Channels are the second axis of `[batch, channels, time]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Convolution of 4 taps, stride 2, padding 1: half the length.
    Down { input: usize, output: usize },
    /// Transposed convolution of 4 taps, stride 2, padding 1: twice the length.
    Up { input: usize, output: usize },
    /// Convolution of 3 taps, padding 1: the same length.
    Same { input: usize, output: usize },
    /// `x + conv1(relu(conv3(relu(x))))`, where conv3 has a dilation and as much padding.
    Residual { width: usize, dilation: usize },
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
            Kind::Down { input, output } => affine(&self.name, [output, input, 4], output, input * 4).into(),
            // Each output of a transposed convolution with stride 2 sees two of the four taps.
            Kind::Up { input, output } => affine(&self.name, [input, output, 4], output, input * 2).into(),
            Kind::Same { input, output } => affine(&self.name, [output, input, 3], output, input * 3).into(),
            Kind::Residual { width, .. } => [
                affine(&format!("{}.conv1d_1", self.name), [width, width, 3], width, width * 3),
                affine(&format!("{}.conv1d_2", self.name), [width, width, 1], width, width),
            ]
            .concat(),
        }
    }
}

/// The encoder of `level`, from `[batch, 1, time]` to `[batch, dim, time / hop]`.
pub(crate) fn encoder(level: usize, config: &LevelConfig, dim: usize) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (block, &halvings) in config.downs.iter().enumerate() {
        let base = format!("encoders.{level}.level_blocks.{block}");
        for i in 0..halvings {
            let input = match (block, i) {
                (0, 0) => 1,
                (_, 0) => dim,
                _ => config.width,
            };
            layers.push(Layer {
                kind: Kind::Down { input, output: config.width },
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

/// The decoder of `level`, from `[batch, dim, time / hop]` to `[batch, 1, time]`.
pub(crate) fn decoder(level: usize, config: &LevelConfig, dim: usize) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (block, &halvings) in config.downs.iter().enumerate().rev() {
        let base = format!("decoders.{level}.level_blocks.{block}");
        layers.push(Layer { kind: Kind::Same { input: dim, output: config.width }, name: format!("{base}.proj_in") });
        for i in 0..halvings {
            for depth in 0..config.depth {
                layers.push(Layer {
                    kind: Kind::Residual { width: config.width, dilation: config.dilation(config.depth - 1 - depth) },
                    name: format!("{base}.upsample_block.{}.resnet_block.{depth}", 2 * i),
                });
            }
            layers.push(Layer {
                kind: Kind::Up { input: config.width, output: if i + 1 < halvings { config.width } else { dim } },
                name: format!("{base}.upsample_block.{}", 2 * i + 1),
            });
        }
    }
    layers.push(Layer { kind: Kind::Same { input: dim, output: 1 }, name: format!("decoders.{level}.out") });
    layers
}

/// The name of a level's codebook, `[codewords, dim]`.
pub(crate) fn codebook_name(level: usize) -> String {
    format!("bottleneck.level_blocks.{level}.codebook")
}

/// A weight and a bias as tensors of the engine.
#[derive(Debug, Clone)]
pub(crate) struct Affine<B: Kernels> {
    pub(crate) weight: Tensor<B, 3>,
    pub(crate) bias: Tensor<B, 1>,
}

/// A layer with its tensors.
#[derive(Debug, Clone)]
pub(crate) struct Loaded<B: Kernels> {
    pub(crate) kind: Kind,
    pub(crate) first: Affine<B>,
    /// The second convolution of a residual block.
    pub(crate) second: Option<Affine<B>>,
}

/// The tensors of `layers`, taken from `arrays`.
pub(crate) fn load<B: Kernels>(
    layers: &[Layer],
    arrays: &Arrays,
    device: &B::Device,
) -> Result<Vec<Loaded<B>>, WeightsError> {
    let find = |name: &str| arrays.get(name).ok_or_else(|| WeightsError::Missing(name.to_owned()));
    let affine = |tensors: &[(String, Vec<usize>, usize)]| -> Result<Affine<B>, WeightsError> {
        Ok(Affine { weight: tensor(find(&tensors[0].0)?, device), bias: tensor(find(&tensors[1].0)?, device) })
    };
    layers
        .iter()
        .map(|layer| {
            let tensors = layer.tensors();
            Ok(Loaded {
                kind: layer.kind,
                first: affine(&tensors[..2])?,
                second: if tensors.len() > 2 { Some(affine(&tensors[2..])?) } else { None },
            })
        })
        .collect()
}

/// An array as a tensor of the engine.
pub(crate) fn tensor<B: Kernels, const D: usize>(array: &Array, device: &B::Device) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(array.data.clone(), array.shape.clone()), device)
}

impl<B: Kernels> Loaded<B> {
    /// The layer on a whole sequence, `[batch, channels, time]`, zeros on both sides of it.
    pub(crate) fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let Affine { weight, bias } = self.first.clone();
        match (self.kind, &self.second) {
            (Kind::Down { .. }, _) => kernels::conv1d(x, weight, bias, 2, 1, 1),
            (Kind::Up { .. }, _) => kernels::conv_transpose1d(x, weight, bias, 2, 1),
            (Kind::Same { .. }, _) | (Kind::Residual { .. }, None) => kernels::conv1d(x, weight, bias, 1, 1, 1),
            (Kind::Residual { dilation, .. }, Some(second)) => {
                let Affine { weight: outer, bias: last } = second.clone();
                kernels::residual_block(x, weight, bias, outer, last, dilation)
            }
        }
    }
}

/// All layers, one after the other, on whole sequences.
pub(crate) fn forward<B: Kernels>(layers: &[Loaded<B>], x: Tensor<B, 3>) -> Tensor<B, 3> {
    layers.iter().fold(x, |x, layer| layer.forward(x))
}
