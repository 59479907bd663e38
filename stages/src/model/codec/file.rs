//! The file that holds a codec.

use super::config::CodecConfig;
use super::names::{self, Unstated};
use crate::model::layer;
use crate::model::weights::{self, Arrays, WeightsError};

/// The metadata entry of a codec file.
pub(super) const ENTRY: &str = "refrain_codec";
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
    /// growth (3), which leave no trace in them. Tensors of the priors in the same file are not read. What else published files
    /// may be is read by [`import`](super::import).
    pub fn load(bytes: &[u8]) -> Result<Self, WeightsError> {
        let (arrays, entry) = weights::from_bytes(bytes, ENTRY)?;
        let Some(text) = entry else {
            let own = |(name, array): (String, _)| names::own(&name).map(|own| (own, array));
            let arrays: Arrays = arrays.into_iter().filter_map(own).collect();
            let shapes = arrays.iter().map(|(name, array)| (name.as_str(), &array.shape[..])).collect();
            return Self::new(names::config(&shapes, &Unstated::default())?, arrays);
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
