//! Published codecs in and out.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

use datasets::untrusted::tensors::{Element, Tensor, TensorFile};
use kernels::tensor::Half;

use super::config::CodecConfig;
use super::file::{Codec, ENTRY};
use super::names::{GROWTH, RATE, Unstated, config, own};
use crate::model::layer;
use crate::model::weights::{self, Array, Arrays, WeightsError};

/// Why a published file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is no file of tensors, or cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Its tensors are no codec.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// It is no published file.
    #[error("it is a codec of Refrain's own: it needs no import")]
    Own,
}

/// Reads a published codec. Floats of 16 bits are widened, which changes no value.
///
/// # Errors
/// See [`ImportError`].
pub fn import<R: Read + Seek>(file: &mut TensorFile<R>, unstated: &Unstated) -> Result<Codec, ImportError> {
    if file.text(ENTRY).is_some() {
        return Err(ImportError::Own);
    }
    // What the authors' checkpoints state of their settings.
    let stated = |name: &str| file.number(name).and_then(|number| u32::try_from(number).ok());
    let unstated = Unstated {
        rate: unstated.rate.or_else(|| stated("hps.sr")),
        dilation_growth: unstated.dilation_growth.or_else(|| stated("hps.dilation_growth_rate")),
    };
    let mut theirs: BTreeMap<String, (String, Vec<usize>)> = BTreeMap::new();
    for (name, shape) in file.shapes() {
        let Some(own) = own(name) else { continue };
        if theirs.insert(own.clone(), (name.to_owned(), shape.to_vec())).is_some() {
            return Err(WeightsError::Twice(own).into());
        }
    }
    // Shapes are checked before a tensor is read: what is read is what the codec takes.
    let shapes: BTreeMap<&str, &[usize]> = theirs.iter().map(|(own, (_, shape))| (own.as_str(), &shape[..])).collect();
    let config = config(&shapes, &unstated)?;
    config.validate()?;
    weights::check_shapes(&shapes, (0..config.levels.len()).flat_map(|level| layer::shapes(&config, level)))?;
    let names: Vec<&str> = theirs.values().map(|(name, _)| name.as_str()).collect();
    let tensors = file.read(&names)?;
    let arrays = theirs.keys().zip(tensors).map(|(own, tensor)| Ok((own.clone(), widened(own, tensor)?)));
    let arrays = arrays.collect::<Result<Arrays, WeightsError>>()?;
    weights::sane(&arrays)?;
    Ok(Codec::new(config, arrays)?)
}

/// The bytes of a safetensors file with the published names, as `transformers` reads it.
///
/// # Errors
/// A codec of levels that were never published, which play oscillators.
pub fn export(codec: &Codec) -> Result<Vec<u8>, WeightsError> {
    if let Some(level) = codec.config().levels.iter().position(|level| level.oscillators > 0) {
        let why = format!("level {level} plays oscillators, for which there are no published names");
        return Err(WeightsError::Config(why));
    }
    weights::to_bytes(codec.arrays(), ("format", "pt".to_owned()))
}

/// What is lost of a codec when it is exported: what [`import`] must be told.
pub fn unstated(codec: &CodecConfig) -> Unstated {
    let growth = codec.levels.first().map(|level| level.dilation_growth as u32);
    Unstated {
        rate: Some(codec.rate).filter(|rate| *rate != RATE),
        dilation_growth: growth.filter(|growth| *growth != GROWTH),
    }
}

/// A tensor in 32 bits.
fn widened(name: &str, tensor: Tensor) -> Result<Array, WeightsError> {
    let half = |half: Half| -> Vec<f32> {
        let (halves, _) = tensor.bytes.as_chunks::<2>();
        halves.iter().map(|bytes| half.widen(u16::from_le_bytes(*bytes))).collect()
    };
    let data: Vec<f32> = match &tensor.element {
        Element::F32 => tensor.bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Element::F16 => half(Half::F16),
        Element::Bf16 => half(Half::Bf16),
        Element::Other(found, _) => {
            let (name, found) = (name.to_owned(), found.clone());
            return Err(WeightsError::Type { name, found, expected: "F32, F16 or BF16" });
        }
    };
    Ok(Array { shape: tensor.shape, data })
}
