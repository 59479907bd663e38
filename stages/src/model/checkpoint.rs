//! The state of a training run as bytes: a safetensors file, moments and averages beside the weights, all by name.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::ema::Codebook;
use super::fit::{Clips, FitError, FitSettings};
use super::level::LevelState;
use super::loss::Bandwidth;
use super::weights::{self, Array, Arrays};

const ENTRY: &str = "refrain_codec_checkpoint";
const VERSION: u32 = 1;

/// What the metadata entry holds. Floats by their bits: a decimal detour must not change them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    identity: String,
    rounds: u64,
    steps: Vec<u64>,
    bandwidths: Vec<[u64; 2]>,
}

/// A digest of what a training run starts from. Of the clips it covers number and lengths; that they are the same clips
/// is the caller's to know.
pub(crate) fn identity(settings: &FitSettings, seed: &[u8; 32], clips: &dyn Clips) -> String {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(format!("{settings:?}").as_bytes());
    for i in 0..clips.len() {
        hasher.update(&clips.frames(i).to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The bytes of a checkpoint after `rounds`.
pub(crate) fn write(
    states: &[LevelState],
    bandwidths: &[Bandwidth],
    rounds: u64,
    identity: &str,
) -> Result<Vec<u8>, FitError> {
    let mut arrays = Arrays::new();
    for (level, state) in states.iter().enumerate() {
        let groups =
            [("weights", &state.parameters), ("adam_first", &state.adam.first), ("adam_second", &state.adam.second)];
        for (group, members) in groups {
            arrays.extend(members.iter().map(|(n, a)| (format!("{level}.{group}.{n}"), a.clone())));
        }
        if let Some(book) = &state.codebook {
            let words = book.counts.len();
            let mut insert = |name: &str, shape: &[usize], data: &[f32]| {
                let array = Array { shape: shape.to_vec(), data: data.to_vec() };
                arrays.insert(format!("{level}.codebook.{name}"), array);
            };
            insert("centres", &[words, book.dim], &book.centres);
            insert("counts", &[words], &book.counts);
            insert("sums", &[words, book.dim], &book.sums);
        }
    }
    let header = Header {
        version: VERSION,
        identity: identity.to_owned(),
        rounds,
        steps: states.iter().map(|s| s.step).collect(),
        bandwidths: bandwidths.iter().map(|b| [b.power.to_bits(), b.spectral.to_bits()]).collect(),
    };
    let text = serde_json::to_string(&header).map_err(|e| FitError::Checkpoint(e.to_string()))?;
    Ok(weights::to_bytes(&arrays, (ENTRY, text))?)
}

/// The states of all levels, their bandwidths and the rounds made.
pub(crate) fn read(
    bytes: &[u8],
    settings: &FitSettings,
    identity: &str,
) -> Result<(Vec<LevelState>, Vec<Bandwidth>, u64), FitError> {
    let broken = |text: &str| FitError::Checkpoint(text.to_owned());
    let (arrays, entry) = weights::from_bytes(bytes, ENTRY)?;
    let entry = entry.ok_or_else(|| broken("it is no checkpoint"))?;
    let header: Header = serde_json::from_str(&entry).map_err(|e| broken(&e.to_string()))?;
    if header.version != VERSION {
        return Err(broken(&format!("it has version {}, this program reads {VERSION}", header.version)));
    }
    if header.identity != identity {
        return Err(broken("it belongs to other settings, another seed or other clips"));
    }
    let levels = settings.levels.len();
    if header.steps.len() != levels || header.bandwidths.len() != levels {
        return Err(broken("it has another number of levels"));
    }
    let mut groups: BTreeMap<(usize, String), Arrays> = BTreeMap::new();
    for (name, array) in arrays {
        let mut parts = name.splitn(3, '.');
        let level = parts.next().and_then(|l| l.parse().ok());
        let (Some(level), Some(group), Some(rest)) = (level, parts.next(), parts.next()) else {
            return Err(broken(&format!("tensor `{name}` does not belong")));
        };
        groups.entry((level, group.to_owned())).or_default().insert(rest.to_owned(), array);
    }
    let mut states = Vec::new();
    for (level, step) in header.steps.iter().enumerate() {
        let fresh = LevelState::new(&settings.codec, level, &[0; 32]);
        let mut take = |group: &str| {
            let found = groups.remove(&(level, group.to_owned())).unwrap_or_default();
            let same = found.len() == fresh.parameters.len()
                && found.iter().zip(&fresh.parameters).all(|((n, a), (m, b))| n == m && a.shape == b.shape);
            if same { Ok(found) } else { Err(broken(&format!("level {level} lacks {group}"))) }
        };
        let (parameters, first, second) = (take("weights")?, take("adam_first")?, take("adam_second")?);
        let codebook = match groups.remove(&(level, "codebook".to_owned())) {
            Some(book) => Some(codebook(book, settings, level).ok_or_else(|| broken("a codebook is incomplete"))?),
            None => None,
        };
        states.push(LevelState { step: *step, parameters, adam: Adam { first, second }, codebook });
    }
    let bandwidths = header
        .bandwidths
        .iter()
        .map(|[power, spectral]| Bandwidth { power: f64::from_bits(*power), spectral: f64::from_bits(*spectral) });
    Ok((states, bandwidths.collect(), header.rounds))
}

fn codebook(mut book: Arrays, settings: &FitSettings, level: usize) -> Option<Codebook> {
    let (dim, words) = (settings.codec.dim, settings.codec.levels[level].codewords);
    let mut take = |name: &str, n: usize| book.remove(name).map(|a| a.data).filter(|d| d.len() == n);
    Some(Codebook {
        dim,
        centres: take("centres", words * dim)?,
        counts: take("counts", words)?,
        sums: take("sums", words * dim)?,
    })
}
