//! The codec: independent levels of vector-quantised autoencoders on raw audio.
//!
//! Layer for layer the VQ-VAE of Jukebox (Dhariwal et al. 2020): every level has its own encoder from samples, its own
//! codebook and its own decoder to samples. Level 0 is the bottom, with the smallest hop.
use serde::{Deserialize, Serialize};

use super::layer::{self, Layer};
use super::weights::{self, Arrays, WeightsError};

/// The metadata entry of a codec file.
const ENTRY: &str = "refrain_codec";
/// The version of the codec file that this program writes, and the latest that it reads.
const VERSION: u32 = 1;

/// One level of a codec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelConfig {
    /// Halvings of the rate in each block: the hop is 2 to the power of their sum. Jukebox's top level has `[3, 2, 2]`.
    pub downs: Vec<u32>,
    /// Channels inside the network.
    pub width: usize,
    /// Residual blocks after each halving.
    pub depth: usize,
    /// The dilation of residual block `i` is this to the power of `i`.
    pub dilation_growth: usize,
    /// Vectors in the codebook, at most 65,536.
    pub codewords: usize,
}

impl LevelConfig {
    /// Frames of audio for each code.
    pub fn hop(&self) -> usize {
        1 << self.downs.iter().sum::<u32>()
    }

    pub(crate) fn dilation(&self, depth: usize) -> usize {
        self.dilation_growth.pow(depth as u32)
    }
}

/// The shape of a codec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodecConfig {
    /// Frames per second of the audio it was made for.
    pub rate: u32,
    /// Length of a codeword.
    pub dim: usize,
    /// The levels, from the smallest hop to the largest.
    pub levels: Vec<LevelConfig>,
}

impl CodecConfig {
    /// Checks that the numbers make a network of sane size.
    pub fn validate(&self) -> Result<(), WeightsError> {
        let complain = |text: String| Err(WeightsError::Config(text));
        if self.rate == 0 {
            return complain("the rate is 0".into());
        }
        if self.levels.is_empty() || self.levels.len() > 8 {
            return complain(format!("{} levels, expected 1 to 8", self.levels.len()));
        }
        if self.dim == 0 || self.dim > 4096 {
            return complain(format!("codewords of length {}, expected 1 to 4096", self.dim));
        }
        for (i, level) in self.levels.iter().enumerate() {
            let halvings: u64 = level.downs.iter().map(|d| u64::from(*d)).sum();
            if level.downs.is_empty() || level.downs.contains(&0) || halvings > 16 {
                return complain(format!(
                    "level {i} halves the rate {:?} times, expected blocks of at least 1 and 1 to 16 in all",
                    level.downs
                ));
            }
            if level.width == 0 || level.width > 8192 {
                return complain(format!("level {i} has width {}, expected 1 to 8192", level.width));
            }
            if level.codewords == 0 || level.codewords > 1 << 16 {
                return complain(format!("level {i} has {} codewords, expected 1 to 65536", level.codewords));
            }
            let widest =
                u32::try_from(level.depth.saturating_sub(1)).ok().and_then(|d| level.dilation_growth.checked_pow(d));
            if level.depth > 64 || level.dilation_growth == 0 || widest.is_none_or(|d| d > 1 << 16) {
                return complain(format!(
                    "level {i} has {} residual blocks with dilations growing by {}, expected at most 64 and a dilation of at \
                     most 65536",
                    level.depth, level.dilation_growth
                ));
            }
        }
        if self.levels.windows(2).any(|w| w[0].hop() >= w[1].hop()) {
            return complain("the hops of the levels do not grow".into());
        }
        Ok(())
    }

    /// The largest hop: encoded lengths are multiples of it.
    pub fn align(&self) -> usize {
        self.levels.iter().map(LevelConfig::hop).max().unwrap_or(1)
    }

    pub(crate) fn encoder(&self, level: usize) -> Vec<Layer> {
        layer::encoder(level, &self.levels[level], self.dim)
    }

    pub(crate) fn decoder(&self, level: usize) -> Vec<Layer> {
        layer::decoder(level, &self.levels[level], self.dim)
    }

    /// Every tensor of `level` with its shape.
    pub(crate) fn shapes(&self, level: usize) -> Vec<(String, Vec<usize>)> {
        let codebook = (layer::codebook_name(level), vec![self.levels[level].codewords, self.dim]);
        self.encoder(level)
            .iter()
            .chain(&self.decoder(level))
            .flat_map(Layer::tensors)
            .map(|(name, shape, _)| (name, shape))
            .chain([codebook])
            .collect()
    }
}

/// A codec: its configuration and the values of its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Codec {
    config: CodecConfig,
    arrays: Arrays,
}

impl Codec {
    /// A codec of this configuration with these tensors.
    ///
    /// Errors: a tensor is missing, has another shape or does not belong.
    pub fn new(config: CodecConfig, arrays: Arrays) -> Result<Self, WeightsError> {
        config.validate()?;
        weights::check(&arrays, (0..config.levels.len()).flat_map(|l| config.shapes(l)))?;
        Ok(Self { config, arrays })
    }

    /// Reads a codec file: one of ours, or one with the tensor names of Jukebox's published VQ-VAE.
    ///
    /// A published file has no configuration; it follows from names and shapes, with Jukebox's rate (44,100) and dilation
    /// growth (3), which leave no trace in them. Tensors of the priors in the same file are not read.
    pub fn load(bytes: &[u8]) -> Result<Self, WeightsError> {
        let (arrays, entry) = weights::from_bytes(bytes, ENTRY)?;
        let Some(text) = entry else {
            let arrays = published(arrays);
            return Self::new(infer_config(&arrays)?, arrays);
        };
        Self::new(weights::config(&text, VERSION)?, arrays)
    }

    /// The bytes of the codec's file: equal codecs give equal bytes, whose digest is the codec's identity.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        weights::save(&self.arrays, ENTRY, VERSION, &self.config)
    }

    /// The shape of the codec.
    pub fn config(&self) -> &CodecConfig {
        &self.config
    }

    /// The tensors by name.
    pub fn arrays(&self) -> &Arrays {
        &self.arrays
    }

    /// The codebook of a level, `[codewords, dim]` in row-major order.
    ///
    /// Panics if there is no such level.
    pub fn codebook(&self, level: usize) -> &[f32] {
        &self.arrays[&layer::codebook_name(level)].data
    }
}

/// The codec's tensors of a published file, which may hold the priors beside it under names of their own.
fn published(arrays: Arrays) -> Arrays {
    arrays
        .into_iter()
        .filter_map(|(name, array)| {
            let short = name.strip_prefix("vqvae.").unwrap_or(&name);
            ["encoders.", "decoders.", "bottleneck."]
                .iter()
                .any(|p| short.starts_with(p))
                .then(|| (short.to_owned(), array))
        })
        .collect()
}

/// The configuration that names and shapes of a published file imply.
fn infer_config(arrays: &Arrays) -> Result<CodecConfig, WeightsError> {
    let shape = |name: String| match arrays.get(&name) {
        Some(array) if array.shape.len() > 1 => Ok(array.shape.clone()),
        Some(array) => Err(WeightsError::Shape { name, found: array.shape.clone(), expected: vec![0, 0] }),
        None => Err(WeightsError::Missing(name)),
    };
    let count = |name: &dyn Fn(usize) -> String| (0..).take_while(|i| arrays.contains_key(&name(*i))).count();
    let mut levels = Vec::new();
    let mut dim = 0;
    while arrays.keys().any(|n| n.starts_with(&format!("encoders.{}.", levels.len()))) {
        let base = format!("encoders.{}.level_blocks", levels.len());
        let blocks = count(&|b| format!("{base}.{b}.proj_out.weight"));
        let downs =
            (0..blocks).map(|b| count(&|i| format!("{base}.{b}.downsample_block.{}.weight", 2 * i)) as u32).collect();
        let codebook = shape(layer::codebook_name(levels.len()))?;
        dim = codebook[1];
        levels.push(LevelConfig {
            downs,
            width: shape(format!("{base}.0.downsample_block.0.weight"))?[0],
            depth: count(&|d| format!("{base}.0.downsample_block.1.resnet_block.{d}.conv1d_1.weight")),
            dilation_growth: 3,
            codewords: codebook[0],
        });
    }
    if levels.is_empty() {
        return Err(WeightsError::NotACodec);
    }
    Ok(CodecConfig { rate: 44_100, dim, levels })
}
