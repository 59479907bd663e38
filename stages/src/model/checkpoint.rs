//! The state of a codec's training as bytes: of each level weights, moments, averages and what its losses are measured by.
use std::sync::Arc;

use kernels::device::Device;
use serde::{Deserialize, Serialize};

use super::codebook::Codebook;
use super::fit::FitSettings;
use super::layer;
use super::level::LevelState;
use super::loss::Bandwidth;
use super::training::TrainingError;
use super::training::checkpoint::{
    Groups, Header, Scale, broken, put, read as open, scale, scaled, take, write as pack,
};
use super::weights::{Array, Arrays};

const GROUPS: Groups = ["weights", "adam_first", "adam_second"];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodecHeader {
    version: u32,
    identity: String,
    rounds: u64,
    steps: Vec<u64>,
    bandwidths: Vec<[u64; 2]>,
    scales: Vec<Scale>,
}

impl Header for CodecHeader {
    const ENTRY: &'static str = "refrain_codec_checkpoint";
    const VERSION: u32 = 2;
    const DATA: &'static str = "clips";
    fn version(&self) -> u32 {
        self.version
    }
    fn identity(&self) -> &str {
        &self.identity
    }
}

/// All that changes while a codec is trained, and the bandwidths that were measured at its start.
pub(crate) struct CodecState {
    /// Rounds made: in each, every level makes at most one step.
    pub(crate) rounds: u64,
    pub(crate) levels: Vec<LevelState>,
    pub(crate) bandwidths: Vec<Bandwidth>,
}

/// The bytes of a checkpoint. `identity` is a digest of what the training started from.
pub(crate) fn write(state: &CodecState, identity: &str) -> Result<Vec<u8>, TrainingError> {
    let mut arrays = Arrays::new();
    for (level, own) in state.levels.iter().enumerate() {
        put(&mut arrays, &format!("{level}."), GROUPS, &own.parameters);
        if let Some(book) = &own.codebook {
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
    let header = CodecHeader {
        version: CodecHeader::VERSION,
        identity: identity.to_owned(),
        rounds: state.rounds,
        steps: state.levels.iter().map(|s| s.step).collect(),
        bandwidths: state.bandwidths.iter().map(|b| [b.power.to_bits(), b.spectral.to_bits()]).collect(),
        scales: state.levels.iter().map(|s| scale(&s.scale)).collect(),
    };
    pack(&header, &arrays)
}

/// The state in a checkpoint of the same training.
pub(crate) fn read(
    bytes: &[u8],
    settings: &FitSettings,
    identity: &str,
    device: &Arc<dyn Device>,
) -> Result<CodecState, TrainingError> {
    let (header, mut arrays) = open::<CodecHeader>(bytes, identity)?;
    let count = settings.levels.len();
    if [header.steps.len(), header.bandwidths.len(), header.scales.len()] != [count; 3] {
        return Err(broken("it has another number of levels"));
    }
    let mut levels = Vec::new();
    for (level, (step, scale)) in header.steps.iter().zip(&header.scales).enumerate() {
        let shapes = layer::parameters(&settings.codec, level);
        let parameters = take(&mut arrays, &format!("{level}."), GROUPS, device, &shapes)?;
        let codebook = codebook(&mut arrays, settings, level)?;
        let scale = scaled(settings.precision, *scale);
        levels.push(LevelState { step: *step, parameters, codebook, scale });
    }
    if let Some(name) = arrays.keys().next() {
        return Err(broken(format!("tensor `{name}` does not belong")));
    }
    let bandwidths = header
        .bandwidths
        .iter()
        .map(|[power, spectral]| Bandwidth { power: f64::from_bits(*power), spectral: f64::from_bits(*spectral) });
    Ok(CodecState { rounds: header.rounds, levels, bandwidths: bandwidths.collect() })
}

/// The codebook of a level; `None` where the level had none yet.
fn codebook(arrays: &mut Arrays, settings: &FitSettings, level: usize) -> Result<Option<Codebook>, TrainingError> {
    let (dim, words) = (settings.codec.dim, settings.codec.levels[level].codewords);
    let mut take = |name: &str| arrays.remove(&format!("{level}.codebook.{name}")).map(|array| array.data);
    match (take("centres"), take("counts"), take("sums")) {
        (None, None, None) => Ok(None),
        (Some(centres), Some(counts), Some(sums))
            if (centres.len(), counts.len(), sums.len()) == (words * dim, words, words * dim) =>
        {
            Ok(Some(Codebook { dim, centres, counts, sums }))
        }
        _ => Err(broken("a codebook is incomplete")),
    }
}
