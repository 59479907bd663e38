//! What training needs in memory, before it starts.
use super::fit::{FitError, FitSettings};
use super::layer::{Kind, Layer};

/// Arrays of a layer's output size that are alive at once for a residual block: its input, both rectified tensors, the
/// inner sum, the output, and the gradient that passes.
const RESIDUAL: u64 = 6;
/// The same for the other layers: output and gradient.
const PLAIN: u64 = 2;

/// An estimate of the bytes that training needs at its peak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// For each level: the network's intermediate values for one batch.
    pub activations: Vec<u64>,
    /// For each level: weights, gradients, moments and codebook.
    pub weights: Vec<u64>,
}

impl Cost {
    /// All levels together: they are trained side by side.
    pub fn total(&self) -> u64 {
        self.activations.iter().chain(&self.weights).sum()
    }
}

/// The cost of training with these settings.
pub fn cost(settings: &FitSettings) -> Cost {
    let levels = || settings.levels.iter().enumerate();
    let activations = levels().map(|(level, fit)| {
        let (mut length, mut floats) = ((fit.batch * fit.crop) as u64, 0);
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
                floats += length * channels as u64 * alive;
            }
        };
        add(&settings.codec.encoder(level));
        add(&settings.codec.decoder(level));
        4 * floats
    });
    let weights = levels().map(|(level, _)| {
        let shapes = settings.codec.shapes(level);
        let floats: u64 = shapes.iter().map(|(_, s)| s.iter().map(|n| *n as u64).product::<u64>()).sum();
        // Value, gradient and two moments; the codebook's share of it covers its averages.
        16 * floats
    });
    Cost { activations: activations.collect(), weights: weights.collect() }
}

/// Refuses settings whose training needs more than `limit` bytes, and says what would fit.
pub fn check(settings: &FitSettings, limit: u64) -> Result<(), FitError> {
    let needed = cost(settings).total();
    if needed <= limit {
        return Ok(());
    }
    let mut smaller = settings.clone();
    loop {
        let cost = cost(&smaller);
        if cost.total() <= limit {
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
            return Err(FitError::Memory { needed, limit, remedy });
        }
    }
    let changes = settings.levels.iter().zip(&smaller.levels).enumerate().filter(|(_, (a, b))| a != b);
    let changes: Vec<String> = changes
        .map(|(level, (_, b))| format!("level {level} with a batch of {} x {} frames", b.batch, b.crop))
        .collect();
    let remedy = format!("{} would fit", changes.join(" and "));
    Err(FitError::Memory { needed, limit, remedy })
}
