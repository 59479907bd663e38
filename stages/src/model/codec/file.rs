//! The file that holds a codec.

use super::config::{CodecConfig, LevelConfig, MOST_LEVELS};
use crate::model::layer;
use crate::model::weights::{self, Arrays, WeightsError};

/// The metadata entry of a codec file.
const ENTRY: &str = "refrain_codec";
/// The version of the codec file that this program writes, and the latest that it reads.
const VERSION: u32 = 1;

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
        weights::check(&arrays, (0..config.levels.len()).flat_map(|l| layer::shapes(&config, l)))?;
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
    // One too many is refused for its number.
    while levels.len() <= MOST_LEVELS && arrays.keys().any(|n| n.starts_with(&format!("encoders.{}.", levels.len()))) {
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
            oscillators: 0,
        });
    }
    if levels.is_empty() {
        return Err(WeightsError::NotACodec);
    }
    Ok(CodecConfig { rate: 44_100, dim, levels })
}
