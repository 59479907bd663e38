//! What training needs in memory, before it starts, and what a codec takes that encodes and decodes.
use super::codec::CodecConfig;
use super::fit::{FitSettings, MEASURED};
use super::infer;
use super::layer::{self, Kind, Layer};
use super::level::VECTORS_PER_CODEWORD;
use super::loss;
use super::training::TrainingError;

/// Arrays of a layer's output size that are alive at once for a residual block: its input, both rectified tensors, the
/// inner sum, the output, and the gradient that passes.
const RESIDUAL: u64 = 6;
/// The same for the other layers: output and gradient.
const PLAIN: u64 = 2;
/// Arrays of the largest layer's size that are alive in a tile: its input before and after the context is put to it, the
/// engine's copy of that, what comes out, and its part that is handed on, with those of a wider neighbour.
const TILES: u64 = 10;

/// Spectra of a batch that are alive at once: of both sounds, and one of them as it is handed on.
const SPECTRA: u64 = 4;
/// Bytes for each weight: value, gradient, two moments, and all but the gradient in a checkpoint and in the file that it
/// goes to.
const WEIGHT: u64 = 16 + 2 * 12;
/// Copies of the vectors of which a codebook is made.
const VECTORS: u64 = 3;

/// An estimate of the bytes that training needs at its peak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingCost {
    /// For each level: the network's intermediate values for one batch, and the spectra of its loss.
    pub activations: Vec<u64>,
    /// For each level: weights, gradients, moments, codebook, and their checkpoint.
    pub weights: Vec<u64>,
    /// The excerpts that are measured before the first step.
    pub measured: u64,
}

impl TrainingCost {
    /// Bytes with so many workers: one trains a level after the other, several train all levels side by side.
    pub fn with(&self, workers: u64) -> u64 {
        let activations = self.activations.iter().copied();
        let activations =
            if workers == 1 { activations.max().unwrap_or(0) } else { activations.fold(0, u64::saturating_add) };
        activations.max(self.measured).saturating_add(self.weights.iter().sum())
    }
}

/// The cost of training with these settings.
pub fn cost(settings: &FitSettings) -> TrainingCost {
    let levels = || settings.levels.iter().enumerate();
    let activations = levels().map(|(level, fit)| {
        let (mut length, mut floats) = ((fit.batch * fit.crop) as u64, 0u64);
        let mut add = |layers: &[Layer]| {
            for layer in layers {
                let (channels, alive) = match layer.kind {
                    Kind::Down { output, .. } => {
                        length /= 2;
                        (output, PLAIN)
                    }
                    Kind::Up { output, .. } => {
                        length *= 2;
                        (output, PLAIN)
                    }
                    Kind::Same { output, .. } => (output, PLAIN),
                    Kind::Residual { width, .. } => (width, RESIDUAL),
                };
                floats = length.saturating_mul(channels as u64 * alive).saturating_add(floats);
            }
        };
        add(&layer::encoder(&settings.codec, level));
        add(&layer::decoder(&settings.codec, level));
        let spectral = fit.spectral > 0.0 || fit.log_spectral > 0.0;
        let spectra = if spectral { SPECTRA * loss::floats(fit.crop) * fit.batch as u64 } else { 0 };
        floats.saturating_add(spectra).saturating_mul(4)
    });
    let weights = levels().map(|(level, _)| {
        let of = &settings.codec.levels[level];
        // The codebook's share of it covers its averages.
        let drawn = VECTORS * 4 * (of.codewords * VECTORS_PER_CODEWORD * settings.codec.dim) as u64;
        WEIGHT * weights(&settings.codec, level) + drawn
    });
    let longest = settings.levels.iter().map(|fit| fit.crop).max().unwrap_or(0);
    let measured = 4 * (MEASURED * longest) as u64 + 4 * SPECTRA * loss::floats(longest);
    TrainingCost { activations: activations.collect(), weights: weights.collect(), measured }
}

/// Weights of a level.
fn weights(codec: &CodecConfig, level: usize) -> u64 {
    layer::shapes(codec, level).iter().map(|(_, shape)| shape.iter().map(|n| *n as u64).product::<u64>()).sum()
}

/// Bytes of a codec that encodes and decodes: its file, its arrays, and the engine's tensors.
pub fn loaded(codec: &CodecConfig) -> u64 {
    3 * 4 * (0..codec.levels.len()).map(|level| weights(codec, level)).sum::<u64>()
}

/// Bytes that a clip takes on its way through a codec, whatever its length: the arrays of the layer that has the largest.
pub fn tile(codec: &CodecConfig) -> u64 {
    let levels = codec.levels.iter().enumerate();
    let largest = levels.map(|(level, of)| {
        let (codes, hop) = (infer::codes(of.hop()) as u64, of.hop() as u64);
        let (mut length, mut largest, mut contexts) = (codes * hop, codes * hop, 0);
        for layer in layer::encoder(codec, level).iter().chain(&layer::decoder(codec, level)) {
            let channels = match layer.kind {
                Kind::Down { output, .. } => {
                    length /= 2;
                    output
                }
                Kind::Up { output, .. } => {
                    length *= 2;
                    output
                }
                Kind::Same { output, .. } => output,
                Kind::Residual { width, dilation } => {
                    contexts += 2 * (width * dilation) as u64;
                    width
                }
            };
            largest = largest.max(length * channels as u64);
        }
        4 * (TILES * largest + 2 * contexts)
    });
    largest.max().unwrap_or(0)
}

/// Refuses settings whose training needs more than `limit` bytes with so many workers, and says what would fit.
///
/// # Errors
/// [`TrainingError::Memory`].
pub fn check(settings: &FitSettings, limit: u64, workers: u64) -> Result<(), TrainingError> {
    let needed = cost(settings).with(workers);
    if needed <= limit {
        return Ok(());
    }
    let mut smaller = settings.clone();
    loop {
        let cost = cost(&smaller);
        if cost.with(workers) <= limit {
            break;
        }
        let largest = (0..smaller.levels.len()).max_by_key(|l| cost.activations[*l]).unwrap_or(0);
        let hop = smaller.codec.levels[largest].hop();
        let fit = &mut smaller.levels[largest];
        if fit.batch > 1 {
            fit.batch /= 2;
        } else if fit.crop >= 2 * 32 * hop {
            fit.crop = (fit.crop / 2).next_multiple_of(hop);
        } else {
            let remedy = "no batch fits: the network has to be narrower or less deep".to_owned();
            return Err(TrainingError::Memory { needed, limit, remedy });
        }
    }
    let changes = settings.levels.iter().zip(&smaller.levels).enumerate().filter(|(_, (a, b))| a != b);
    let changes: Vec<String> = changes
        .map(|(level, (_, b))| format!("level {level} with a batch of {} x {} frames", b.batch, b.crop))
        .collect();
    let remedy = format!("{} would fit", changes.join(" and "));
    Err(TrainingError::Memory { needed, limit, remedy })
}
