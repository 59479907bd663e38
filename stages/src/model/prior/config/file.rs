//! The file that holds a prior.

use super::shape::PriorConfig;
use crate::model::prior::network;
use crate::model::weights::{self, Arrays, WeightsError};

/// The metadata entry of a prior's file.
const ENTRY: &str = "refrain_prior";
/// The version of the file that this program writes, and the latest that it reads.
const VERSION: u32 = 1;

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
