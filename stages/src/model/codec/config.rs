//! The shape of a codec.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::model::oscillators::{HOP, channels};
use crate::model::weights::{self, WeightsError};

/// The most levels of a codec.
pub(in crate::model) const MOST_LEVELS: usize = 8;
/// The highest sample rate of a codec, in Hz.
pub(in crate::model) const MOST_RATE: u32 = 768_000;

/// One level of a codec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelConfig {
    /// Halvings of the rate in each block: the hop is 2 to the power of their sum. Jukebox's top level has `[3, 2, 2]`.
    pub downs: Vec<u32>,
    /// Channels inside the network.
    pub width: usize,
    /// Residual blocks after each halving.
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

impl LevelConfig {
    /// Frames of audio for each code.
    pub fn hop(&self) -> usize {
        1 << self.downs.iter().sum::<u32>()
    }

    /// Samples of a position of what the network works on, and the channels of a position: a sample alone, or of each
    /// oscillator and band of noise all that a code says.
    pub(crate) fn grain(&self, rate: u32) -> (usize, usize) {
        match self.oscillators {
            0 => (1, 1),
            per_octave => (self.hop(), self.hop() / HOP * channels(rate, per_octave)),
        }
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
    /// Length of a codeword.
    pub dim: usize,
    /// The levels, from the smallest hop to the largest.
    pub levels: Vec<LevelConfig>,
}

impl CodecConfig {
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
        for (i, level) in self.levels.iter().enumerate() {
            let halvings: u64 = level.downs.iter().map(|d| u64::from(*d)).sum();
            if level.downs.is_empty() || level.downs.contains(&0) || halvings > 16 {
                return complain(format!(
                    "level {i} halves the rate {:?} times, expected blocks of at least 1 and 1 to 16 in all",
                    &level.downs[..level.downs.len().min(16)]
                ));
            }
            if level.oscillators > 0 {
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
        Ok(())
    }

    /// The largest hop: encoded lengths are multiples of it.
    pub fn align(&self) -> usize {
        self.levels.iter().map(LevelConfig::hop).max().unwrap_or(1)
    }
}
