//! Versions of what results depend on beside revision, settings and input, and the start of an effect's keys.

use crate::{
    media::pcm::chain_version,
    metric::embedding::{EMBEDDING, Embedding},
};
use datasets::{
    Digest, Key,
    audio::{decode::DECODER, resample::RESAMPLER},
    effect::{key, networks, numerics},
};

/// A versioned dependency of a verb's results, such as the decoder. It is in the keys of the stages whose
/// [`Stage::VERSIONS`] name it, and `plan` tells when one differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The audio decoder.
    Decoder,
    /// The embedding of sounds.
    Embedding,
    /// The class of arithmetic of what runs networks.
    Networks,
    /// The class of arithmetic of this machine.
    Numerics,
    /// The resampler.
    Resampler,
}

impl Version {
    /// All versions.
    pub const ALL: [Version; 5] =
        [Version::Decoder, Version::Embedding, Version::Networks, Version::Numerics, Version::Resampler];

    /// Name of the version in the record of a run and in reasons.
    pub fn name(self) -> &'static str {
        match self {
            Version::Decoder => "decoder",
            Version::Embedding => "embedding",
            Version::Networks => "networks",
            Version::Numerics => "numerics",
            Version::Resampler => "resampler",
        }
    }

    /// The version in use.
    pub fn text(self) -> String {
        match self {
            Version::Decoder => DECODER.to_owned(),
            Version::Embedding => format!("{} {}", EMBEDDING.name(), EMBEDDING.version()),
            Version::Networks => networks().to_owned(),
            Version::Numerics => numerics().to_owned(),
            Version::Resampler => RESAMPLER.to_owned(),
        }
    }

    /// Adds the version in use to a key.
    fn add(self, key: Key) -> Key {
        match self {
            Version::Decoder => key.text(DECODER),
            Version::Embedding => key.text(EMBEDDING.name()).number(EMBEDDING.version().into()),
            Version::Networks => key.text(networks()),
            Version::Numerics => key.text(numerics()),
            Version::Resampler => key.text(&chain_version()),
        }
    }
}

/// The start of the keys of a verb's effect: `settings` is the digest of those that are keyed, where it has any.
pub(super) fn start(
    (verb, revision): (&str, u32),
    settings: Option<&Digest>,
    seed: Option<&Digest>,
    versions: &[Version],
) -> Key {
    let start = settings.into_iter().chain(seed).fold(key(verb, revision), Key::digest);
    versions.iter().fold(start, |key, version| version.add(key))
}
