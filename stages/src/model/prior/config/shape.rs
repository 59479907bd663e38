//! The shape of a prior.

use serde::{Deserialize, Serialize};

use crate::model::codec::{MOST_LEVELS, MOST_RATE};
use crate::model::weights::{self, WeightsError};

/// The most places with an embedding of their own.
pub(crate) const MOST_POSITIONS: usize = 1 << 16;
/// The most genres of a prior.
const MOST_GENRES: usize = 1 << 16;

/// The level above, as a prior is conditioned on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upper {
    /// Codewords of the level above.
    pub codewords: usize,
    /// Codes of this level for each code of the level above: a power of two.
    pub ratio: usize,
    /// Residual blocks before each doubling of the rate.
    pub depth: usize,
}

/// The shape of a prior.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorConfig {
    /// The level whose codes it predicts, 0 at the bottom.
    pub level: usize,
    /// Channels between blocks.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Channels of all heads together.
    pub attention: usize,
    /// Channels inside the multilayer perceptron of a block.
    pub hidden: usize,
    /// Codes of a window.
    pub context: usize,
    /// Relative distances with an embedding of their own; greater ones share the last.
    pub distances: usize,
    /// Places in a clip with an embedding of their own, after which they begin again; 0 where only distances count.
    #[serde(default, skip_serializing_if = "weights::is_zero")]
    pub positions: usize,
    /// The level above; none at the top.
    pub upper: Option<Upper>,
    /// The genres it knows, sorted; genre 0 of the network stands for all others.
    pub genres: Vec<String>,
    /// Hexadecimal digest of the codec whose codes it models.
    pub codec: String,
    /// Sample rate of the codec.
    pub rate: u32,
    /// Hop of each level of the codec in frames, the bottom first.
    pub hops: Vec<u32>,
    /// Codewords of each level of the codec.
    pub codewords: Vec<u32>,
}

impl PriorConfig {
    /// Checks that the numbers make a network.
    pub fn validate(&self) -> Result<(), WeightsError> {
        let complain = |text: String| Err(WeightsError::Config(text));
        if self.positions > MOST_POSITIONS {
            return complain(format!("{} positions, expected at most {MOST_POSITIONS}", self.positions));
        }
        let sizes = [
            ("width", self.width, 1 << 14),
            ("depth", self.depth, 256),
            ("heads", self.heads, 256),
            ("attention", self.attention, 1 << 14),
            ("hidden", self.hidden, 1 << 16),
            ("context", self.context, 1 << 16),
            ("distances", self.distances, 1 << 16),
        ];
        if let Some((name, value, most)) = sizes.iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
            return complain(format!("{name} is {value}, expected 1 to {most}"));
        }
        if !self.attention.is_multiple_of(self.heads) {
            return complain(format!("{} attention channels for {} heads", self.attention, self.heads));
        }
        if self.level >= self.hops.len() || self.hops.len() != self.codewords.len() {
            return complain(format!("level {} of a codec with {} levels", self.level, self.hops.len()));
        }
        let of_codec = [
            ("rate", u64::from(self.rate), u64::from(MOST_RATE)),
            ("hops", self.hops.len() as u64, MOST_LEVELS as u64),
        ];
        if let Some((name, value, most)) = of_codec.iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
            return complain(format!("the codec has {value} as {name}, expected 1 to {most}"));
        }
        if self.hops.iter().any(|hop| !(1..=1 << 16).contains(hop)) || !self.hops.is_sorted_by(|a, b| a < b) {
            return complain(format!("hops of {:?}, expected 1 to 65536, growing", self.hops));
        }
        if self.codewords.iter().any(|words| !(1..=1 << 16).contains(words)) {
            return complain(format!("codebooks of {:?} codewords, expected 1 to 65536", self.codewords));
        }
        if self.genres.len() > MOST_GENRES {
            return complain(format!("{} genres, expected at most {MOST_GENRES}", self.genres.len()));
        }
        if let Some(upper) = &self.upper {
            let sizes =
                [("codewords", upper.codewords, 1 << 16), ("ratio", upper.ratio, 1 << 16), ("depth", upper.depth, 256)];
            if let Some((name, value, most)) = sizes.iter().find(|(_, value, most)| value > most) {
                return complain(format!("the conditioner's {name} is {value}, expected at most {most}"));
            }
            if !upper.ratio.is_power_of_two() || upper.ratio < 2 {
                return complain(format!("{} codes for each code above, expected a power of two", upper.ratio));
            }
            if !self.context.is_multiple_of(upper.ratio) {
                return complain(format!("a context of {} codes is no multiple of {}", self.context, upper.ratio));
            }
        }
        Ok(())
    }

    /// Codewords of its own level.
    pub fn vocabulary(&self) -> usize {
        self.codewords[self.level] as usize
    }

    /// The number that the network has for a genre: 0 where it does not know it.
    pub fn genre(&self, name: Option<&str>) -> usize {
        name.and_then(|name| self.genres.iter().position(|known| known == name)).map_or(0, |at| at + 1)
    }
}
