//! Rows: what travels on the edges of the dataflow.
//!
//! Knows digests. No path, no stage, no store.
//!
//! Small, ordered, serialisable descriptions. Samples and codes lie in the store under their digest;
//! a row names them. No row holds a path or the name of a stage, so that moving a folder or renaming
//! a stage changes no row.

use crate::{Digest, effect::Refusal};
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, sync::Arc};

macro_rules! row { ($($(#[$doc:meta])* pub struct $name:ident { $($body:tt)* })*) => {
    $($(#[$doc])*
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    pub struct $name { $($body)* })*
} }

mod labels;
mod metric;
mod pending;
mod view;
pub use labels::Labels;
pub use metric::{Embedding, Measured, Metric, Real};
pub use pending::{Length, Pending, Unknown, Waiting};
pub use view::TrackView;

fn mono() -> u16 {
    1
}

/// Channels of a model at the end of a packed row, which older rows lack: those are mono.
fn channels<'de, D: Deserializer<'de>>(row: D) -> Result<u16, D::Error> {
    Ok(u16::deserialize(row).unwrap_or_else(|_| mono()))
}

/// A text at the end of a packed row, which older rows lack.
fn absent<'de, D: Deserializer<'de>>(row: D) -> Result<Option<String>, D::Error> {
    Ok(Option::deserialize(row).unwrap_or_default())
}

row! {
    /// Result of decoding a file once: a property of the file's bytes.
    pub struct Recording {
        /// Frames (samples per channel) after gapless trimming.
        pub frames: u64,
        /// Frames per second.
        pub rate: u32,
        /// Channels.
        pub channels: u16,
        /// Digest of rate, channels and all interleaved f32 samples.
        pub samples: Digest,
    }

    /// Resampling and mixing of decoded samples, before anything reads them: the recipe of a PCM blob.
    pub struct Chain {
        /// Frames per second after resampling.
        pub rate: u32,
        /// Channels after mixing down.
        pub channels: u16,
        /// Frames after resampling: `ceil(frames * rate / recording.rate)`.
        pub frames: u64,
    }

    /// One recording of a corpus: a file, what is said about it and what was found in it.
    pub struct Track {
        /// `dataset/key`.
        pub id: String,
        /// Digest of the file's bytes.
        pub content: Digest,
        /// Size of the file in bytes.
        pub bytes: u64,
        /// The license as stated until the stage `license` has read it, its SPDX form afterwards.
        pub license: Option<String>,
        /// Title, artist, genre and other labels.
        pub labels: Labels,
        /// Result of decoding; set by `decode`.
        pub recording: Option<Recording>,
        /// Rate, channels and length after resampling; set by `resample`.
        pub chain: Option<Chain>,
        /// Name of the split; set by `split`.
        pub split: Option<String>,
    }

    /// A span of a resampled track, in frames at the chain's rate.
    pub struct Clip {
        /// The track it is cut from.
        pub track: Arc<Track>,
        /// First frame.
        pub start: u64,
        /// Number of frames.
        pub frames: u64,
    }

    /// The discrete codes of one clip.
    pub struct Codes {
        /// The clip that was encoded.
        pub clip: Clip,
        /// Digest of the codec's weights.
        pub codec: Digest,
        /// The object in the store that holds the codes of all levels.
        pub blob: Digest,
        /// Hop of each level in frames, the bottom first.
        pub hops: Vec<u32>,
        /// Codewords of each level, the bottom first.
        pub codewords: Vec<u32>,
    }

    /// One Parquet file of codes.
    pub struct Shard {
        /// The split that it belongs to.
        pub split: String,
        /// The bits of blake3(track id) that its tracks share, as zeros and ones.
        pub prefix: String,
        /// Digest of the file's bytes: the object in the store.
        pub file: Digest,
        /// Digest of what training reads: codes, split and conditioning labels.
        pub view: Digest,
        /// Digest of the codec whose codes they are.
        pub codec: Digest,
        /// Number of clips in the shard.
        pub clips: u64,
        /// Size of the file in bytes.
        pub bytes: u64,
    }

    /// A trained or loaded model.
    pub struct Weights {
        /// Digest of the safetensors file: the object in the store.
        pub digest: Digest,
        /// Sample rate that it was trained for.
        pub rate: u32,
        /// Hop of each level in frames, the bottom first.
        pub hops: Vec<u32>,
        /// Codewords of each level, the bottom first.
        pub codewords: Vec<u32>,
        /// Training curves, a Parquet object, where it was trained here.
        pub curves: Option<Digest>,
        /// Object that lists the sample digests of the training data; `None` if the model was not trained here.
        pub lineage: Option<Digest>,
        /// Channels of the audio that it was trained for. Packed rows of before there was stereo end here.
        #[serde(default = "mono", deserialize_with = "channels")]
        pub channels: u16,
        /// License of imported weights, as an SPDX expression where it could be read.
        #[serde(default, deserialize_with = "absent")]
        pub license: Option<String>,
        /// Source of imported weights.
        #[serde(default, deserialize_with = "absent")]
        pub source: Option<String>,
    }

    /// A trained model of one level's codes.
    pub struct Prior {
        /// Digest of the safetensors file: the object in the store.
        pub digest: Digest,
        /// The level whose codes it predicts, 0 at the bottom.
        pub level: u32,
        /// Digest of the codec whose codes they are.
        pub codec: Digest,
        /// Sample rate of the audio.
        pub rate: u32,
        /// Hop of each level of the codec in frames, the bottom first.
        pub hops: Vec<u32>,
        /// Codewords of each level, the bottom first.
        pub codewords: Vec<u32>,
        /// The genres that it can be asked for, sorted.
        pub genres: Vec<String>,
        /// Bits per code of the prior, and of two simpler models.
        pub bits: Bits,
        /// Training curves, a Parquet object.
        pub curves: Digest,
        /// Object that lists the sample digests of the training data.
        pub lineage: Digest,
    }

    /// Bits per code, in millionths: of a model, and of two that know less, over the same codes.
    pub struct Bits {
        /// The model over the split that it was trained on.
        pub train: u64,
        /// The model over held-out clips; none where no clip was held out.
        pub held_out: Option<u64>,
        /// Unigram over held-out clips: how often each code stands in the training split, plus one.
        pub unigram: Option<u64>,
        /// Bigram over held-out clips: how often each code follows each other in the training split, plus one.
        pub bigram: Option<u64>,
        /// The codes that it was trained on, as far as they were scored.
        pub on_train: Measured,
        /// The held-out codes, as far as they were scored.
        pub on_held_out: Measured,
    }

    /// A piece of audio that was made here.
    pub struct Audio {
        /// Name within its stage: genre and number.
        pub name: String,
        /// Digest of the WAV file: the object in the store.
        pub file: Digest,
        /// Frames.
        pub frames: u64,
        /// Frames per second.
        pub rate: u32,
        /// The genre that was asked for.
        pub genre: Option<String>,
        /// The seed that it was sampled with.
        pub seed: Digest,
        /// Digest of the codec that decoded it.
        pub codec: Digest,
        /// Digests of the priors that its codes came from, the bottom first.
        pub priors: Vec<Digest>,
        /// Objects that list the sample digests of the training data of the codec and the priors.
        pub lineage: Vec<Digest>,
    }

    /// A row that a stage refused, with its reason: refused rows are rows.
    pub struct Dropped {
        /// The row's id.
        pub id: String,
        /// A short, stable code such as `license-unknown`; rows that a stage refuses for one reason may share it.
        pub code: Arc<str>,
        /// A sentence for people; shared likewise.
        pub why: Arc<str>,
        /// The source could not be read: tried again by the next run.
        pub failed: bool,
    }
}

impl Clip {
    /// Track id, first frame and number of frames: `dataset/key@start+frames`.
    pub fn id(&self) -> String {
        format!("{}@{}+{}", self.track.id, self.start, self.frames)
    }
}

impl Shard {
    /// `split/prefix`; the whole of a split is `split/all`.
    pub fn id(&self) -> String {
        shard_id(&self.split, &self.prefix)
    }
}

/// The id of the shard of a split whose tracks share these bits.
pub fn shard_id(split: &str, prefix: &str) -> String {
    format!("{split}/{}", if prefix.is_empty() { "all" } else { prefix })
}

impl Dropped {
    /// The code of a track that an opt-out list names.
    pub const WITHDRAWN: &'static str = "withdrawn";

    /// Whether a list of withdrawn tracks names it.
    pub fn withdrawn(&self) -> bool {
        *self.code == *Dropped::WITHDRAWN
    }

    /// A row that an effect refused for what it is.
    pub fn refused(id: String, Refusal { code, why }: Refusal) -> Dropped {
        Dropped { id, code: code.into(), why: why.into(), failed: false }
    }

    /// A row whose source could not be read.
    pub fn failed(id: String, why: String) -> Dropped {
        Dropped { id, code: "failed".into(), why: why.into(), failed: true }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.id, self.why, self.code)
    }
}

row! {
    /// One key of a scanned source, with what was found there; the input of `ingest`.
    pub struct Found {
        /// The corpus's own key.
        pub key: String,
        /// Origin of the bytes: a file or a piece to render; or the reason why there are none.
        pub origin: Origin,
        /// Whether another file of the scan has the same key.
        pub shared: bool,
        /// The license as stated.
        pub license: Option<String>,
        /// Labels as stated.
        pub labels: Labels,
    }
}

impl Found {
    /// A row of which nothing is stated.
    pub fn bare(key: String, origin: Origin) -> Found {
        Found { key, origin, shared: false, license: None, labels: Labels::default() }
    }
}

/// Origin of the bytes of a found row, or the reason why there are none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// A file that was read.
    File {
        /// Digest of its bytes.
        content: Digest,
        /// Size of the file in bytes.
        bytes: u64,
    },
    /// A piece of the built-in corpus, not rendered yet.
    Piece {
        /// Number of the piece in the corpus.
        index: u32,
        /// Pieces in the corpus.
        pieces: u32,
        /// Nominal length in milliseconds.
        milliseconds: u64,
        /// The corpus's seed.
        seed: u64,
        /// The corpus's grid in frames; 0 if it has none.
        grid: u32,
    },
    /// A file that could not be read, with the reason as a sentence.
    Unreadable(String),
    /// A row of a table that cannot be used: code and sentence.
    Unusable(String, String),
}
