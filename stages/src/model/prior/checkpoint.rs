//! The state of a prior's training as bytes: weights and moments by name in a safetensors file.
use serde::{Deserialize, Serialize};

use super::fit::PriorError;
use crate::model::adam::Adam;
use crate::model::weights::{self, Arrays};

const ENTRY: &str = "refrain_prior_checkpoint";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    identity: String,
    step: u64,
}

/// All that changes while a prior is trained.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    /// Steps made.
    pub(crate) step: u64,
    pub(crate) parameters: Arrays,
    pub(crate) adam: Adam,
}

/// The bytes of a checkpoint. `identity` is a digest of what the training started from.
pub(crate) fn write(state: &State, identity: &str) -> Result<Vec<u8>, PriorError> {
    let groups = [("weights", &state.parameters), ("first", &state.adam.first), ("second", &state.adam.second)];
    let arrays: Arrays = groups
        .into_iter()
        .flat_map(|(group, members)| members.iter().map(move |(name, a)| (format!("{group}.{name}"), a.clone())))
        .collect();
    let header = Header { version: VERSION, identity: identity.to_owned(), step: state.step };
    let text = serde_json::to_string(&header).map_err(|e| PriorError::Checkpoint(e.to_string()))?;
    Ok(weights::to_bytes(&arrays, (ENTRY, text))?)
}

/// The state in a checkpoint of the same training; `fresh` is a state of the same shape.
pub(crate) fn read(bytes: &[u8], identity: &str, fresh: &State) -> Result<State, PriorError> {
    let broken = |text: &str| PriorError::Checkpoint(text.to_owned());
    let (mut arrays, entry) = weights::from_bytes(bytes, ENTRY)?;
    let entry = entry.ok_or_else(|| broken("it is no checkpoint of a prior"))?;
    let header: Header = serde_json::from_str(&entry).map_err(|e| broken(&e.to_string()))?;
    if header.version != VERSION {
        return Err(broken(&format!("it has version {}, this program reads {VERSION}", header.version)));
    }
    if header.identity != identity {
        return Err(broken("it belongs to other settings, another seed or other codes"));
    }
    let mut take = |group: &str| -> Result<Arrays, PriorError> {
        fresh
            .parameters
            .iter()
            .map(|(name, like)| match arrays.remove(&format!("{group}.{name}")) {
                Some(array) if array.shape == like.shape => Ok((name.clone(), array)),
                _ => Err(broken(&format!("it lacks {group} of `{name}`"))),
            })
            .collect()
    };
    let (parameters, first, second) = (take("weights")?, take("first")?, take("second")?);
    Ok(State { step: header.step, parameters, adam: Adam { first, second } })
}
