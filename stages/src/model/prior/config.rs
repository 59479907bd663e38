//! The shape of a prior and the file that holds one.
use serde::{Deserialize, Serialize};

use super::network;
use crate::model::weights::{self, Arrays, WeightsError};

/// The metadata entry of a prior's file.
const ENTRY: &str = "refrain_prior";
/// The version of the file that this program writes, and the latest that it reads.
const VERSION: u32 = 1;

/// The level above, as a prior is conditioned on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upper {
    /// Codewords of the level above.
    pub codewords: usize,
    /// Codes of this level for each code of the level above: a power of two.
    pub ratio: usize,
    /// Residual blocks before each doubling of the rate.
    pub depth: usize,
}

/// The shape of a prior.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorConfig {
    /// The level whose codes it predicts, 0 at the bottom.
    pub level: usize,
    /// Channels between blocks.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Channels of all heads together.
    pub attention: usize,
    /// Channels inside the multilayer perceptron of a block.
    pub hidden: usize,
    /// Codes of a window.
    pub context: usize,
    /// Relative distances with an embedding of their own; greater ones share the last.
    pub distances: usize,
    /// The level above; none at the top.
    pub upper: Option<Upper>,
    /// The genres it knows, sorted; genre 0 of the network stands for all others.
    pub genres: Vec<String>,
    /// Hexadecimal digest of the codec whose codes it models.
    pub codec: String,
    /// Sample rate of the codec.
    pub rate: u32,
    /// Hop of each level of the codec in frames, the bottom first.
    pub hops: Vec<u32>,
    /// Codewords of each level of the codec.
    pub codewords: Vec<u32>,
}

impl PriorConfig {
    /// Checks that the numbers make a network.
    pub fn validate(&self) -> Result<(), WeightsError> {
        let complain = |text: String| Err(WeightsError::Config(text));
        let sizes = [
            ("width", self.width, 1 << 14),
            ("depth", self.depth, 256),
            ("heads", self.heads, 256),
            ("attention", self.attention, 1 << 14),
            ("hidden", self.hidden, 1 << 16),
            ("context", self.context, 1 << 16),
            ("distances", self.distances, 1 << 16),
        ];
        if let Some((name, value, most)) = sizes.iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
            return complain(format!("{name} is {value}, expected 1 to {most}"));
        }
        if !self.attention.is_multiple_of(self.heads) {
            return complain(format!("{} attention channels for {} heads", self.attention, self.heads));
        }
        if self.level >= self.hops.len() || self.hops.len() != self.codewords.len() {
            return complain(format!("level {} of a codec with {} levels", self.level, self.hops.len()));
        }
        if let Some(upper) = &self.upper {
            if !upper.ratio.is_power_of_two() || upper.ratio < 2 {
                return complain(format!("{} codes for each code above, expected a power of two", upper.ratio));
            }
            if !self.context.is_multiple_of(upper.ratio) {
                return complain(format!("a context of {} codes is no multiple of {}", self.context, upper.ratio));
            }
        }
        Ok(())
    }

    /// Codewords of its own level.
    pub fn vocabulary(&self) -> usize {
        self.codewords[self.level] as usize
    }

    /// The number that the network has for a genre: 0 where it does not know it.
    pub fn genre(&self, name: Option<&str>) -> usize {
        name.and_then(|name| self.genres.iter().position(|known| known == name)).map_or(0, |at| at + 1)
    }
}

/// A prior: its configuration and the values of its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    config: PriorConfig,
    arrays: Arrays,
}

impl Prior {
    /// A prior of this configuration with these tensors.
    ///
    /// Errors: a tensor is missing, has another shape or does not belong.
    pub fn new(config: PriorConfig, arrays: Arrays) -> Result<Self, WeightsError> {
        config.validate()?;
        weights::check(&arrays, network::tensors(&config).into_iter().map(|tensor| (tensor.name, tensor.shape)))?;
        Ok(Self { config, arrays })
    }

    /// Reads a prior's file.
    ///
    /// Errors: no safetensors file, no prior, one of a later version, or tensors that do not fit.
    pub fn load(bytes: &[u8]) -> Result<Self, WeightsError> {
        let (arrays, entry) = weights::from_bytes(bytes, ENTRY)?;
        let text = entry.ok_or_else(|| WeightsError::Metadata(format!("there is no entry `{ENTRY}`")))?;
        Self::new(weights::config(&text, VERSION)?, arrays)
    }

    /// The bytes of the prior's file: equal priors give equal bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        weights::save(&self.arrays, ENTRY, VERSION, &self.config)
    }

    /// Its shape.
    pub fn config(&self) -> &PriorConfig {
        &self.config
    }

    /// Its tensors by name.
    pub fn arrays(&self) -> &Arrays {
        &self.arrays
    }
}
