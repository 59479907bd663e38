//! The state of a prior's training as bytes.
use std::sync::Arc;

use kernels::device::Device;
use kernels::tape::LossScale;
use serde::{Deserialize, Serialize};

use super::config::PriorConfig;
use super::network;
use crate::model::device::Precision;
use crate::model::training::TrainingError;
use crate::model::training::checkpoint::{self, Groups, Header, Scale};
use crate::model::training::parameters::Parameters;
use crate::model::weights::Arrays;

const GROUPS: Groups = ["weights", "first", "second"];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriorHeader {
    version: u32,
    identity: String,
    step: u64,
    scale: Scale,
}

impl Header for PriorHeader {
    const ENTRY: &'static str = "refrain_prior_checkpoint";
    const VERSION: u32 = 2;
    const DATA: &'static str = "codes";
    fn version(&self) -> u32 {
        self.version
    }
    fn identity(&self) -> &str {
        &self.identity
    }
}

/// All that changes while a prior is trained.
pub(crate) struct State {
    /// Steps made.
    pub(crate) step: u64,
    pub(crate) parameters: Parameters,
    /// What the loss is multiplied by.
    pub(crate) scale: LossScale,
}

/// The bytes of a checkpoint. `identity` is a digest of what the training started from.
pub(crate) fn write(state: &State, identity: &str) -> Result<Vec<u8>, TrainingError> {
    let mut arrays = Arrays::new();
    checkpoint::put(&mut arrays, "", GROUPS, &state.parameters);
    let scale = checkpoint::scale(&state.scale);
    let header = PriorHeader { version: PriorHeader::VERSION, identity: identity.to_owned(), step: state.step, scale };
    checkpoint::write(&header, &arrays)
}

/// The state in a checkpoint of the same training.
pub(crate) fn read(
    bytes: &[u8],
    identity: &str,
    (config, precision): (&PriorConfig, Precision),
    device: &Arc<dyn Device>,
) -> Result<State, TrainingError> {
    let (header, mut arrays) = checkpoint::read::<PriorHeader>(bytes, identity)?;
    let like: Vec<_> = network::tensors(config).into_iter().map(|tensor| (tensor.name, tensor.shape)).collect();
    let parameters = checkpoint::take(&mut arrays, "", GROUPS, device, &like)?;
    Ok(State { step: header.step, parameters, scale: checkpoint::scaled(precision, header.scale) })
}
