//! What can be done: one verb per file, the Stage contract, the list [`STAGES`], the networks and the metrics.

mod checkpoint;
mod decode;
mod dedup;
mod encode;
mod evaluate;
mod fit;
pub mod flow;
mod ingest;
pub mod kept;
mod license;
pub mod lineage;
pub mod mark;
pub mod memory;
pub mod metric;
pub mod model;
mod packed;
pub mod pcm;
mod resample;
mod sample;
pub mod scan;
mod segment;
pub mod settings;
mod shard;
pub mod songs;
mod split;
pub mod stage;
mod start;
mod tokens;
mod train;
mod weights;

use stage::Entry;

/// Every stage there is, in the order of a pipeline.
pub static STAGES: &[Entry] = &[
    Entry::of::<ingest::Ingest>(),
    Entry::of::<license::License>(),
    Entry::of::<decode::Decode>(),
    Entry::of::<resample::Resample>(),
    Entry::of::<dedup::Dedup>(),
    Entry::of::<split::Split>(),
    Entry::of::<segment::Segment>(),
    Entry::of::<weights::Weights>(),
    Entry::of::<fit::Fit>(),
    Entry::of::<encode::Encode>(),
    Entry::of::<shard::Shard>(),
    Entry::of::<train::Train>(),
    Entry::of::<sample::Sample>(),
    Entry::of::<evaluate::Evaluate>(),
];
