//! Checkpoints as bytes: a safetensors file with weights and moments by name, and a header in its metadata.

use std::sync::Arc;

use kernels::device::Device;
use kernels::tape::LossScale;
use serde::{Serialize, de::DeserializeOwned};

use super::TrainingError;
use super::parameters::Parameters;
use crate::model::device::Precision;
use crate::model::weights::{self, Arrays};

/// Header of a network's checkpoint. Floats go in by their bits: a decimal detour must not change them.
pub(crate) trait Header: Serialize + DeserializeOwned {
    /// The name of the metadata entry that holds it.
    const ENTRY: &'static str;
    /// The version that this program writes and reads.
    const VERSION: u32;
    /// What the network learns from, in the plural.
    const DATA: &'static str;
    /// The version that the header states.
    fn version(&self) -> u32;
    /// The digest of what the training started from; see [`super::identity`].
    fn identity(&self) -> &str;
}

/// The error of a checkpoint that cannot be used.
pub(crate) fn broken(why: impl Into<String>) -> TrainingError {
    TrainingError::Checkpoint(why.into())
}

/// The bytes of a checkpoint.
pub(crate) fn write<H: Header>(header: &H, arrays: &Arrays) -> Result<Vec<u8>, TrainingError> {
    let text = serde_json::to_string(header).map_err(|e| broken(e.to_string()))?;
    Ok(weights::to_bytes(arrays, (H::ENTRY, text))?)
}

/// Header and tensors of a checkpoint of the training `identity`.
///
/// # Errors
/// [`TrainingError::Checkpoint`], whatever is wrong with it: a training starts over without it.
pub(crate) fn read<H: Header>(bytes: &[u8], identity: &str) -> Result<(H, Arrays), TrainingError> {
    let (arrays, entry) = weights::from_bytes(bytes, H::ENTRY).map_err(|e| broken(e.to_string()))?;
    let entry = entry.ok_or_else(|| broken("it is no checkpoint of this kind of network"))?;
    let header: H = serde_json::from_str(&entry).map_err(|e| broken(e.to_string()))?;
    if header.version() != H::VERSION {
        return Err(broken(format!("it has version {}, this program reads {}", header.version(), H::VERSION)));
    }
    if header.identity() != identity {
        return Err(broken(format!("it belongs to other settings, another seed or other {}", H::DATA)));
    }
    Ok((header, arrays))
}

/// The scale of a loss as a checkpoint keeps it: its bits, and the steps since it last changed.
pub(crate) type Scale = (u32, u32);

/// The scale for a checkpoint.
pub(crate) fn scale(of: &LossScale) -> Scale {
    (of.factor().to_bits(), of.since())
}

/// The scale that [`scale`] kept.
pub(crate) fn scaled(precision: Precision, (factor, since): Scale) -> LossScale {
    LossScale::resumed(precision.dtype(), f32::from_bits(factor), since)
}

/// Names of the three groups of tensors: weights, first and second moments.
pub(crate) type Groups = [&'static str; 3];

/// Puts weights and moments into `arrays`, named `<prefix><group>.<name>`.
pub(crate) fn put(arrays: &mut Arrays, prefix: &str, groups: Groups, parameters: &Parameters) {
    for (group, members) in groups.into_iter().zip(parameters.arrays()) {
        arrays.extend(members.into_iter().map(|(name, array)| (format!("{prefix}{group}.{name}"), array)));
    }
}

/// Takes what [`put`] put there; `like` has the names and shapes that it must have.
pub(crate) fn take(
    arrays: &mut Arrays,
    prefix: &str,
    groups: Groups,
    device: &Arc<dyn Device>,
    like: &[(String, Vec<usize>)],
) -> Result<Parameters, TrainingError> {
    let mut group = |group: &str| -> Result<Arrays, TrainingError> {
        like.iter()
            .map(|(name, shape)| match arrays.remove(&format!("{prefix}{group}.{name}")) {
                Some(array) if array.shape == *shape => Ok((name.clone(), array)),
                _ => Err(broken(format!("it lacks {prefix}{group} of `{name}`"))),
            })
            .collect()
    };
    let [values, first, second] = [group(groups[0])?, group(groups[1])?, group(groups[2])?];
    Ok(Parameters::resumed(device.clone(), [&values, &first, &second]))
}
