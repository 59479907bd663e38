//! `bundle.json`: the index of a bundle.

use crate::record::lineage::RestsOn;
use datasets::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version that this program writes, and the latest that it reads.
pub const FORMAT: u32 = 1;
/// The file that says what belongs to the bundle.
pub const INDEX: &str = "bundle.json";
/// The model card.
pub const CARD: &str = "README.md";
/// File name of the attribution: the works that the models are owed to.
pub const ATTRIBUTION: &str = "ATTRIBUTION.md";

/// Index of a bundle: the content of `bundle.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The version of this layout.
    pub format: u32,
    /// The version of Refrain that wrote it.
    pub refrain: String,
    /// The run that it belongs to.
    pub run: String,
    /// The class of arithmetic in which its models were trained.
    pub numerics: String,
    /// The codec.
    pub codec: CodecEntry,
    /// The priors on its codes, the bottom first.
    pub priors: Vec<PriorEntry>,
    /// The genres that all priors know, in the order of their numbers.
    pub genres: Vec<String>,
    /// Tracks that codec and priors were trained on, counted by license and genre.
    pub trained_on: RestsOn,
    /// Models whose training data is not recorded here.
    pub unrecorded: Vec<String>,
    /// Every other file of the folder, with the digest of its bytes.
    pub files: BTreeMap<String, Digest>,
}

/// A codec in a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodecEntry {
    /// File name of the codec.
    pub file: String,
    /// The digest of its file.
    pub digest: Digest,
    /// Sample rate in Hz.
    pub rate: u32,
    /// Hop of each level in frames, the bottom first.
    pub hops: Vec<u32>,
    /// Codewords of each level.
    pub codewords: Vec<u32>,
    /// Channels of the audio: 1, or 2 for stereo.
    #[serde(default = "mono", skip_serializing_if = "is_mono")]
    pub channels: u16,
    /// License of imported weights. `None` if it is not stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Source of imported weights. `None` if it is not stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

fn mono() -> u16 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it a reference")]
fn is_mono(channels: &u16) -> bool {
    *channels == 1
}

impl CodecEntry {
    /// License and source of imported weights as a sentence; empty if neither is stated.
    pub fn terms(&self) -> String {
        match (&self.license, &self.source) {
            (None, None) => String::new(),
            (license, source) => format!(
                "The weights of `{}` were imported{}{}.",
                self.file,
                source.as_ref().map_or_else(String::new, |source| format!(" from {source}")),
                license.as_ref().map_or_else(String::new, |license| format!(", under the license {license}"))
            ),
        }
    }
}

/// A prior in a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorEntry {
    /// The level whose codes it predicts.
    pub level: u32,
    /// File name of the prior.
    pub file: String,
    /// The digest of its file.
    pub digest: Digest,
    /// Bits that it needs for a code.
    pub bits: BitsEntry,
}

/// Bits per code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitsEntry {
    /// Bits per code over the split that the prior was trained on.
    pub train: f64,
    /// Bits per code over held-out clips. `None` if it was not measured.
    pub held_out: Option<f64>,
    /// Bits per code of a unigram over the held-out clips. `None` if it was not measured.
    pub unigram: Option<f64>,
    /// Bits per code of a bigram over the held-out clips. `None` if it was not measured.
    pub bigram: Option<f64>,
}
