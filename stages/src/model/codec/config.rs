//! The shape of a codec.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::model::oscillators::{HOP, channels};
use crate::model::weights::{self, WeightsError};

/// The most levels of a codec.
pub(in crate::model) const MOST_LEVELS: usize = 8;
/// The highest sample rate of a codec, in Hz.
pub(in crate::model) const MOST_RATE: u32 = 768_000;
/// The largest hop of a level, in frames.
pub(crate) const MOST_HOP: u64 = 1 << 16;
/// The most blocks of a level.
pub(crate) const MOST_BLOCKS: usize = 16;
/// The strides of convolutions.
pub(crate) const STRIDES: RangeInclusive<u32> = 2..=256;
/// The most channels of the audio.
pub(crate) const MOST_CHANNELS: usize = 2;

/// One level of a codec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelConfig {
    /// Convolutions in each block of which every one divides the rate by the block's stride. Jukebox's top level has
    /// `[3, 2, 2]`.
    pub downs: Vec<u32>,
    /// The stride of each block; empty where all are 2, as in Jukebox.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strides: Vec<u32>,
    /// Channels inside the network.
    pub width: usize,
    /// Residual blocks after each convolution with a stride.
    pub depth: usize,
    /// The dilation of residual block `i` is this to the power of `i`.
    pub dilation_growth: usize,
    /// Vectors in the codebook, at most 65,536.
    pub codewords: usize,
    /// Oscillators of fixed pitch to the octave that the decoder plays, and the encoder hears; 0 where both work on samples.
    #[serde(default, skip_serializing_if = "weights::is_zero")]
    pub oscillators: usize,
}

/// The most oscillators to the octave.
pub(crate) const MOST_OSCILLATORS: usize = 96;
/// The lowest sample rate for oscillators, in Hz.
pub(crate) const LEAST_RATE: u32 = 1000;
/// The hops of a level with oscillators: their amplitudes change every 512 samples, and a code says up to 16 of them.
pub(crate) const OSCILLATED: RangeInclusive<u32> = HOP as u32..=(HOP as u32) << 4;

/// Frames of audio for each code of a level with these blocks; `None` for blocks or strides that make no level, and hops
/// beyond [`MOST_HOP`].
pub(crate) fn hop(downs: &[u32], strides: &[u32]) -> Option<u32> {
    let sound = (1..=MOST_BLOCKS).contains(&downs.len()) && (strides.is_empty() || strides.len() == downs.len());
    let strides = strides.iter().copied().chain(std::iter::repeat(2));
    let hop = downs.iter().zip(strides).try_fold(1u64, |hop, (&down, stride)| {
        let factor = (down > 0 && STRIDES.contains(&stride)).then(|| u64::from(stride).checked_pow(down))??;
        hop.checked_mul(factor).filter(|hop| *hop <= MOST_HOP)
    });
    hop.filter(|_| sound).map(|hop| hop as u32)
}

impl LevelConfig {
    /// Frames of audio for each code.
    pub fn hop(&self) -> usize {
        (0..self.downs.len()).map(|block| self.stride(block).pow(self.downs[block])).product()
    }

    /// The stride of the convolutions of a block.
    pub fn stride(&self, block: usize) -> usize {
        self.strides.get(block).map_or(2, |stride| *stride as usize)
    }

    pub(crate) fn dilation(&self, depth: usize) -> usize {
        self.dilation_growth.pow(depth as u32)
    }
}

/// The shape of a codec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodecConfig {
    /// Frames per second of the audio it was made for.
    pub rate: u32,
    /// Channels of that audio: 1, or 2 for stereo.
    #[serde(default = "mono", skip_serializing_if = "is_mono")]
    pub channels: usize,
    /// Length of a codeword.
    pub dim: usize,
    /// The levels, from the smallest hop to the largest.
    pub levels: Vec<LevelConfig>,
}

fn mono() -> usize {
    1
}

/// Whether a codec is for mono, which is not written: files of before there was stereo keep their bytes.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it a reference")]
fn is_mono(channels: &usize) -> bool {
    *channels == 1
}

/// "mono" or "stereo", for sentences.
pub(crate) fn form(channels: u64) -> &'static str {
    if channels == 1 { "mono" } else { "stereo" }
}

impl CodecConfig {
    /// Frames of audio for a position of what a level's network works on, and the channels of a position: those of a frame,
    /// or of each oscillator and band of noise all that a code says.
    pub(crate) fn grain(&self, level: usize) -> (usize, usize) {
        let level = &self.levels[level];
        match level.oscillators {
            0 => (1, self.channels),
            per_octave => (level.hop(), level.hop() / HOP * channels(self.rate, per_octave)),
        }
    }

    /// Checks that the numbers make a network of sane size.
    pub fn validate(&self) -> Result<(), WeightsError> {
        let complain = |text: String| Err(WeightsError::Config(text));
        if !(1..=MOST_RATE).contains(&self.rate) {
            return complain(format!("the rate is {}, expected 1 to {MOST_RATE}", self.rate));
        }
        if self.levels.is_empty() || self.levels.len() > MOST_LEVELS {
            return complain(format!("{} levels, expected 1 to {MOST_LEVELS}", self.levels.len()));
        }
        if self.dim == 0 || self.dim > 4096 {
            return complain(format!("codewords of length {}, expected 1 to 4096", self.dim));
        }
        if !(1..=MOST_CHANNELS).contains(&self.channels) {
            return complain(format!("{} channels, expected 1 or 2", self.channels));
        }
        for (i, level) in self.levels.iter().enumerate() {
            if hop(&level.downs, &level.strides).is_none() {
                let short = |list: &[u32]| format!("{:?}", &list[..list.len().min(MOST_BLOCKS)]);
                let strides = if level.strides.is_empty() { "2".to_owned() } else { short(&level.strides) };
                return complain(format!(
                    "level {i} has blocks of {} convolutions with strides of {strides}, expected 1 to {MOST_BLOCKS} blocks of at \
                     least 1, a stride of {} to {} for each, and a hop of at most {MOST_HOP}",
                    short(&level.downs),
                    STRIDES.start(),
                    STRIDES.end()
                ));
            }
            if level.oscillators > 0 {
                if self.channels > 1 {
                    return complain(format!("level {i} plays oscillators, which are mono, in a codec for stereo"));
                }
                if level.oscillators > MOST_OSCILLATORS {
                    return complain(format!(
                        "level {i} has {} oscillators to the octave, expected at most {MOST_OSCILLATORS}",
                        level.oscillators
                    ));
                }
                if !OSCILLATED.contains(&(level.hop() as u32)) {
                    return complain(format!(
                        "level {i} plays oscillators with a hop of {}, expected {OSCILLATED:?}",
                        level.hop()
                    ));
                }
                if self.rate < LEAST_RATE {
                    return complain(format!("the rate is {}, oscillators need at least {LEAST_RATE}", self.rate));
                }
            }
            if level.width == 0 || level.width > 8192 {
                return complain(format!("level {i} has width {}, expected 1 to 8192", level.width));
            }
            if level.codewords == 0 || level.codewords > 1 << 16 {
                return complain(format!("level {i} has {} codewords, expected 1 to 65536", level.codewords));
            }
            let widest =
                u32::try_from(level.depth.saturating_sub(1)).ok().and_then(|d| level.dilation_growth.checked_pow(d));
            if level.depth > 64 || level.dilation_growth == 0 || widest.is_none_or(|d| d > 1 << 16) {
                return complain(format!(
                    "level {i} has {} residual blocks with dilations growing by {}, expected at most 64 and a dilation of at \
                     most 65536",
                    level.depth, level.dilation_growth
                ));
            }
        }
        if self.levels.windows(2).any(|w| w[0].hop() >= w[1].hop()) {
            return complain("the hops of the levels do not grow".into());
        }
        if let Some(level) =
            (1..self.levels.len()).find(|&l| !self.levels[l].hop().is_multiple_of(self.levels[l - 1].hop()))
        {
            let [below, hop] = [level - 1, level].map(|level| self.levels[level].hop());
            return complain(format!("the hop of level {level} is {hop}, no multiple of {below}, the hop below it"));
        }
        Ok(())
    }

    /// The largest hop: encoded lengths are multiples of it.
    pub fn align(&self) -> usize {
        self.levels.iter().map(LevelConfig::hop).max().unwrap_or(1)
    }
}
