//! Shards: discrete codes with their provenance, as Parquet files whose bytes follow from their
//! rows alone.
//!
//! Knows codes, labels and their columns. No corpus.
//!
//! One row is one clip. A file opens as it is in pyarrow, DuckDB, pandas and Hugging Face
//! `datasets`, whose feature types stand in the footer under the key `huggingface`.
//!
//! What a corpus says in columns of its own stands in one column of text, `extra`, as a JSON object in the order of the
//! names: so all shards of a corpus have one schema, whatever its tables call their columns. Where no row of a file has
//! any, the file lacks that column.

mod read;
mod schema;
mod view;
mod write;

pub use read::{ShardMember, ShardReader, members, read};
pub(crate) use schema::properties;
pub use schema::{LABELS, ShardMeta};
pub use view::{View, clip_view, view};
pub use write::{ShardSummary, write};

use crate::row::Labels;
use crate::untrusted::parquet::ParquetInError;
use serde::{Deserialize, Serialize};

/// One clip and its codes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardRow {
    /// Track id.
    pub track: String,
    /// Clip id.
    pub clip: String,
    /// The split that the track is in.
    pub split: String,
    /// First frame of the clip in its track, at `rate`.
    pub start: u64,
    /// Frames of the clip, at `rate`.
    pub frames: u64,
    /// Frames per second, after resampling.
    pub rate: u32,
    /// Canonical license expression.
    pub license: String,
    /// The credit line.
    pub attribution: String,
    /// Labels of the track, with the corpus's own columns.
    pub labels: Labels,
    /// BLAKE3 of the source file's bytes.
    pub content: [u8; 32],
    /// BLAKE3 of the decoded samples.
    pub samples: [u8; 32],
    /// Digest of the codec's weights.
    pub codec: [u8; 32],
    /// Codes by level, level 0 at the bottom (the smallest hop).
    pub codes: Vec<Vec<u16>>,
}

/// Errors of writing or reading a shard.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// A shard without rows is no file.
    #[error("a shard needs at least one row")]
    Empty,
    /// The settings of the file contradict themselves.
    #[error("a shard needs one hop and one number of codewords (1 to 65536) a level: {0}")]
    Levels(String),
    /// A row does not fit the file's settings.
    #[error("clip {clip:?}: {reason}")]
    Row {
        /// The clip's id.
        clip: String,
        /// Description of the mismatch, as a sentence fragment.
        reason: String,
    },
    /// Columns of a table differ in length, or two have one name.
    #[error("column {0:?} has another length than the first, or a name that is taken")]
    Columns(String),
    /// A file that is not a shard, with the reason.
    #[error("not a shard: {0}")]
    NotAShard(String),
    /// An error of Parquet.
    #[error("parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// An error of Arrow.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// An error of the file system.
    #[error("cannot read the shard: {0}")]
    Io(#[from] std::io::Error),
}

impl From<ParquetInError> for ShardError {
    fn from(error: ParquetInError) -> ShardError {
        match error {
            ParquetInError::Io(error) => ShardError::Io(error),
            ParquetInError::Parquet(error) => ShardError::Parquet(error),
            ParquetInError::Refused(why) => ShardError::NotAShard(why),
        }
    }
}

/// Lower-case hexadecimal, the form of digests in columns and metadata.
fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from(*digest).to_hex().to_string()
}
