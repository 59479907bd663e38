//! Codecs with the names that Jukebox's VQ-VAE was published under.
//!
//! | names | of |
//! |---|---|
//! | `encoders.0.level_blocks.0.model.2.1.model.3.model.1.weight`, `bottleneck.level_blocks.0.k` | the authors' checkpoints |
//! | `encoders.0.level_blocks.0.downsample_block.5.resnet_block.3.conv1d_1.weight`, `bottleneck.level_blocks.0.codebook` | the port in `transformers`, and Refrain's own files |
//!
//! Both may stand behind `model.`, `module.`, `vqvae.` or `state_dict.`; whatever else a file holds is left out. Levels, blocks,
//! strides, channels, widths and depths follow from names and shapes.

use std::collections::BTreeMap;

use super::config::{CodecConfig, LevelConfig, MOST_LEVELS};
use crate::model::layer;
use crate::model::weights::WeightsError;

/// Jukebox's sample rate in Hz and growth of dilations.
pub(super) const RATE: u32 = 44_100;
pub(super) const GROWTH: u32 = 3;

/// What leaves no trace in names and shapes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unstated {
    /// Frames per second; without it those that the file states beside its tensors, or Jukebox's 44,100.
    pub rate: Option<u32>,
    /// What the dilation of a residual block is a power of; without it what the file states, or Jukebox's 3.
    pub dilation_growth: Option<u32>,
}

/// What a name may begin with.
const PREFIXES: [&str; 4] = ["model.", "module.", "vqvae.", "state_dict."];
/// What a codebook's running averages are called, which only training reads.
const AVERAGES: [&str; 4] = ["k_sum", "k_elem", "codebook_sum", "codebook_elem"];

/// Our name of a published tensor; `None` for one that is no part of the codec.
pub(super) fn own(published: &str) -> Option<String> {
    let mut short = published;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| short.strip_prefix(prefix)) {
        short = rest;
    }
    let words: Vec<&str> = short.split('.').collect();
    let part = words.first().filter(|part| ["encoders", "decoders", "bottleneck"].contains(part))?;
    if words.last().is_some_and(|last| *part == "bottleneck" && AVERAGES.contains(last)) {
        return None;
    }
    let renamed = match &words[..] {
        ["bottleneck", "level_blocks", level, "k"] => Some(layer::codebook_name(level.parse().ok()?)),
        [_, level, "level_blocks", block, "model", rest @ ..] => {
            inside(part, rest).map(|rest| format!("{part}.{level}.level_blocks.{block}.{rest}"))
        }
        _ => None,
    };
    Some(renamed.unwrap_or_else(|| short.to_owned()))
}

/// What stands behind `model.` in a name of the authors' checkpoints: positions in nested sequences of layers.
fn inside(part: &str, rest: &[&str]) -> Option<String> {
    let number = |word: &str| word.parse::<usize>().ok().filter(|number| *number < 1 << 16);
    let (blocks, ahead) = match part {
        "encoders" => ("downsample_block", 0),
        // The first of the sequence is the projection.
        _ => ("upsample_block", 1),
    };
    match rest {
        [at, end @ ("weight" | "bias")] => match part {
            "encoders" => Some(format!("proj_out.{end}")),
            _ => (number(at) == Some(0)).then(|| format!("proj_in.{end}")),
        },
        [at, layer, end @ ("weight" | "bias")] => {
            Some(format!("{blocks}.{}.{end}", 2 * number(at)?.checked_sub(ahead)? + number(layer)?))
        }
        [at, layer, "model" | "blocks", residual, "model", inner, end @ ("weight" | "bias")] => {
            let inner = match *inner {
                "1" => 1,
                "3" => 2,
                _ => return None,
            };
            let block = 2 * number(at)?.checked_sub(ahead)? + number(layer)?;
            Some(format!("{blocks}.{block}.resnet_block.{residual}.conv1d_{inner}.{end}"))
        }
        _ => None,
    }
}

/// The configuration that names and shapes imply.
pub(super) fn config(shapes: &BTreeMap<&str, &[usize]>, unstated: &Unstated) -> Result<CodecConfig, WeightsError> {
    let shape = |name: String, axes: usize| match shapes.get(name.as_str()) {
        Some(shape) if shape.len() == axes => Ok(*shape),
        Some(shape) => Err(WeightsError::Shape { name, found: shape.to_vec(), expected: vec![0; axes] }),
        None => Err(WeightsError::Missing(name)),
    };
    let count = |name: &dyn Fn(usize) -> String| (0..).take_while(|i| shapes.contains_key(name(*i).as_str())).count();
    let (mut levels, mut dim, mut channels) = (Vec::new(), 0, 1);
    // One too many is refused for its number.
    while levels.len() <= MOST_LEVELS && shapes.keys().any(|n| n.starts_with(&format!("encoders.{}.", levels.len()))) {
        let base = format!("encoders.{}.level_blocks", levels.len());
        let blocks = count(&|b| format!("{base}.{b}.proj_out.weight"));
        let first = |block: usize| shape(format!("{base}.{block}.downsample_block.0.weight"), 3);
        let downs =
            (0..blocks).map(|b| count(&|i| format!("{base}.{b}.downsample_block.{}.weight", 2 * i)) as u32).collect();
        // A stride has twice as many taps.
        let strides =
            (0..blocks).map(|block| Ok((first(block)?[2] / 2) as u32)).collect::<Result<Vec<u32>, WeightsError>>()?;
        let codebook = shape(layer::codebook_name(levels.len()), 2)?;
        let outermost = first(0)?;
        (dim, channels) = (codebook[1], outermost[1]);
        levels.push(LevelConfig {
            downs,
            strides: if strides.iter().all(|stride| *stride == 2) { Vec::new() } else { strides },
            width: outermost[0],
            depth: count(&|d| format!("{base}.0.downsample_block.1.resnet_block.{d}.conv1d_1.weight")),
            dilation_growth: unstated.dilation_growth.unwrap_or(GROWTH) as usize,
            codewords: codebook[0],
            oscillators: 0,
        });
    }
    if levels.is_empty() {
        return Err(WeightsError::NotACodec);
    }
    Ok(CodecConfig { rate: unstated.rate.unwrap_or(RATE), channels, dim, levels })
}
