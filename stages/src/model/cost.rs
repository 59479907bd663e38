//! What training needs in memory, before it starts, and what a codec takes that encodes and decodes.
use super::codec::CodecConfig;
use super::device::Precision;
use super::fit::{FitSettings, LevelFit, MEASURED};
use super::infer;
use super::layer::{self, Kind, Layer};
use super::level::VECTORS_PER_CODEWORD;
use super::loss;
use super::scale::{PARAMETER, Training};
use super::training::{TrainingError, segments::held as held_in, tree};

/// Arrays of a layer's output size that are alive at once for a residual block: its input, both rectified tensors, the
/// inner sum, the output, and the gradient that passes.
const RESIDUAL: u64 = 6;
/// The same for the other layers: output and gradient.
const PLAIN: u64 = 2;
/// Arrays of the largest layer's size that are alive in a tile: its input before and after the context is put to it, the
/// engine's copy of that, what comes out, and its part that is handed on, with those of a wider neighbour.
const TILES: u64 = 10;

/// Arrays of the widest layer's size that are in 32 bits at once where activations have 16.
const WIDENED: u64 = 3;
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

/// Bytes of a level's activations and their gradients, and of the spectra of its loss.
fn activations(settings: &FitSettings, segments: &[usize], level: usize) -> u64 {
    let fit = &settings.levels[level];
    let segments = segments.get(level).copied().unwrap_or(1);
    let (grain, channels) = settings.codec.grain(level);
    let mut length = (fit.micro_batch * fit.crop / grain) as u64;
    let mut input = length.saturating_mul(channels as u64);
    // What each layer holds, and what its input takes.
    let mut held = |layers: &[Layer]| {
        let each = layers.iter().map(|layer| {
            let (channels, alive) = match layer.kind {
                Kind::Down { output, stride, .. } => {
                    length /= stride as u64;
                    (output, PLAIN)
                }
                Kind::Up { output, stride, .. } => {
                    length *= stride as u64;
                    (output, PLAIN)
                }
                Kind::Same { output, .. } | Kind::Beside { output, .. } => (output, PLAIN),
                Kind::Residual { width, .. } => (width, RESIDUAL),
            };
            let of = length.saturating_mul(channels as u64);
            (of.saturating_mul(alive), std::mem::replace(&mut input, of))
        });
        held_in(&each.collect::<Vec<_>>(), segments)
    };
    let floats = held(&layer::encoder(&settings.codec, level));
    let floats = held(&layer::decoder(&settings.codec, level)).saturating_add(floats);
    let spectral = grain == 1 && (fit.spectral > 0.0 || fit.log_spectral > 0.0);
    let spectra = if spectral { SPECTRA * loss::floats(fit.crop) * (fit.micro_batch * channels) as u64 } else { 0 };
    floats.saturating_mul(settings.precision.bytes()).saturating_add(spectra.saturating_mul(4))
}

/// The cost of training with these settings, each level's encoder and decoder in so many segments.
pub fn cost(settings: &FitSettings, segments: &[usize]) -> TrainingCost {
    let levels = || settings.levels.iter().enumerate();
    let activations = levels().map(|(level, fit)| {
        // What is wider for a while on a CPU: what a kernel reads and writes.
        let wide = match settings.precision {
            Precision::F32 => 0,
            _ => 4 * WIDENED * (fit.micro_batch * fit.crop) as u64 * widest(&settings.codec, level),
        };
        activations(settings, segments, level).saturating_add(wide)
    });
    let weights = levels().map(|(level, fit)| {
        let of = &settings.codec.levels[level];
        let nodes = 4 * tree::nodes(fit.batch.div_ceil(fit.micro_batch.max(1)));
        // The codebook's share of it covers its averages.
        let drawn = VECTORS * 4 * (of.codewords * VECTORS_PER_CODEWORD * settings.codec.dim) as u64;
        (WEIGHT + nodes) * weights(&settings.codec, level) + drawn
    });
    let longest = settings.levels.iter().map(|fit| fit.crop).max().unwrap_or(0);
    let measured = 4 * (MEASURED * longest * settings.codec.channels) as u64 + 4 * SPECTRA * loss::floats(longest);
    TrainingCost { activations: activations.collect(), weights: weights.collect(), measured }
}

/// The size of the training of each level.
pub fn trainings(settings: &FitSettings) -> Vec<Training> {
    let levels = settings.levels.iter().enumerate();
    let of = |(level, fit): (usize, &LevelFit)| {
        let config = &settings.codec.levels[level];
        let mut length = (fit.batch * fit.crop / settings.codec.grain(level).0) as f64;
        let mut forward = 0.0;
        for layer in layer::encoder(&settings.codec, level).iter().chain(&layer::decoder(&settings.codec, level)) {
            let (taps, input, output) = match layer.kind {
                Kind::Down { input, output, stride } => {
                    length /= stride as f64;
                    (2 * stride, input, output)
                }
                // Each sample sees two of the taps.
                Kind::Up { input, output, stride } => {
                    length *= stride as f64;
                    (2, input, output)
                }
                Kind::Same { input, output } => (3, input, output),
                Kind::Residual { width, .. } => (4, width, width),
                Kind::Beside { input, output } => (1, input, output),
            };
            forward += 2.0 * length * (taps * input * output) as f64;
        }
        let latents = (fit.batch * fit.crop / config.hop()) as f64;
        forward += 2.0 * latents * (config.codewords * settings.codec.dim) as f64;
        let parameters = weights(&settings.codec, level);
        let nodes = tree::nodes(fit.batch.div_ceil(fit.micro_batch.max(1)));
        let bytes = |segments: usize| {
            let all = vec![segments; settings.levels.len()];
            activations(settings, &all, level) + (PARAMETER + 4 * nodes) * parameters
        };
        Training {
            part: format!("level {level}"),
            parameters,
            steps: fit.steps,
            half: settings.precision != Precision::F32,
            forward,
            on_card: (1..=most(settings, level)).map(bytes).collect(),
        }
    };
    levels.map(of).collect()
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
        let (hop, (grain, channels)) = (of.hop() as u64, codec.grain(level));
        let codes = if grain == 1 { infer::codes(of.hop()) } else { infer::PLAYED } as u64;
        let mut length = codes * hop / grain as u64;
        let (mut largest, mut contexts) = ((codes * hop).max(length * channels as u64), 0);
        for layer in layer::encoder(codec, level).iter().chain(&layer::decoder(codec, level)) {
            let channels = match layer.kind {
                Kind::Down { output, stride, .. } => {
                    length /= stride as u64;
                    output
                }
                Kind::Up { output, stride, .. } => {
                    length *= stride as u64;
                    output
                }
                Kind::Same { output, .. } | Kind::Beside { output, .. } => output,
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

/// Channels times share of the samples of a level's largest layer.
fn widest(codec: &CodecConfig, level: usize) -> u64 {
    let (grain, channels) = codec.grain(level);
    if grain > 1 {
        return (codec.levels[level].width.max(channels) as u64).div_ceil(grain as u64);
    }
    // The first layer of the encoder and the last but one of the decoder have half of the samples.
    (codec.levels[level].width.max(codec.dim) as u64).div_ceil(2)
}

/// The most segments of a level that do any good: each a layer of its encoder or decoder.
fn most(settings: &FitSettings, level: usize) -> usize {
    layer::encoder(&settings.codec, level).len().max(layer::decoder(&settings.codec, level).len())
}

/// Segments of each level with which training needs at most `limit` bytes with so many workers: one more, again and again,
/// for the level that takes most. None where no number of them does.
pub fn fewest(settings: &FitSettings, limit: u64, workers: u64) -> Option<Vec<usize>> {
    let mut segments = vec![1; settings.levels.len()];
    loop {
        let cost = cost(settings, &segments);
        if cost.with(workers) <= limit {
            return Some(segments);
        }
        let room = (0..segments.len()).filter(|level| segments[*level] < most(settings, *level));
        let largest = room.max_by_key(|level| cost.activations[*level])?;
        segments[largest] += 1;
    }
}

/// The segments of each level of a training that needs at most `limit` bytes with so many workers: as many as asked for, or
/// as few as fit.
///
/// # Errors
/// [`TrainingError::Memory`], which says what would fit.
pub fn check(
    settings: &FitSettings,
    asked: Option<usize>,
    limit: u64,
    workers: u64,
) -> Result<Vec<usize>, TrainingError> {
    let all = |segments: usize| vec![segments; settings.levels.len()];
    let fitting = |settings: &FitSettings| match asked {
        Some(segments) => (cost(settings, &all(segments)).with(workers) <= limit).then(|| all(segments)),
        None => fewest(settings, limit, workers),
    };
    if let Some(segments) = fitting(settings) {
        return Ok(segments);
    }
    let deepest = (0..settings.levels.len()).map(|level| most(settings, level)).max().unwrap_or(1);
    let tried = all(asked.unwrap_or(deepest));
    let needed = cost(settings, &tried).with(workers);
    let refused = |remedy: String| Err(TrainingError::Memory { needed, limit, remedy });
    if fewest(settings, limit, workers).is_some() {
        return refused("`segments = \"auto\"` would fit".to_owned());
    }
    let mut smaller = settings.clone();
    while fitting(&smaller).is_none() {
        let cost = cost(&smaller, &tried);
        let largest = (0..smaller.levels.len()).max_by_key(|l| cost.activations[*l]).unwrap_or(0);
        let hop = smaller.codec.levels[largest].hop();
        let fit = &mut smaller.levels[largest];
        if fit.micro_batch > 1 {
            fit.micro_batch /= 2;
        } else if fit.crop >= 2 * 32 * hop {
            fit.crop = (fit.crop / 2).next_multiple_of(hop);
        } else {
            return refused(
                "no number of excerpts at a time fits: the network has to be narrower or less deep".to_owned(),
            );
        }
    }
    let changes = settings.levels.iter().zip(&smaller.levels).enumerate().filter(|(_, (a, b))| a != b);
    let changes: Vec<String> = changes
        .map(|(level, (_, b))| format!("level {level} with a micro-batch of {} x {} frames", b.micro_batch, b.crop))
        .collect();
    refused(format!("{} would fit", changes.join(" and ")))
}
