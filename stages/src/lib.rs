//! What can be done: one verb per file, the Stage contract, the list [`STAGES`], the networks and the metrics.

pub mod flow;
pub mod media;
pub mod metric;
pub mod model;
pub mod rows;
pub mod settings;
pub mod stage;
pub mod verbs;

use stage::Entry;

/// Every stage there is, in the order of a pipeline.
pub static STAGES: &[Entry] = &[
    Entry::of::<verbs::ingest::Ingest>(),
    Entry::of::<verbs::license::License>(),
    Entry::of::<verbs::decode::Decode>(),
    Entry::of::<verbs::resample::Resample>(),
    Entry::of::<verbs::dedup::Dedup>(),
    Entry::of::<verbs::split::Split>(),
    Entry::of::<verbs::segment::Segment>(),
    Entry::of::<verbs::weights::Weights>(),
    Entry::of::<verbs::fit::Fit>(),
    Entry::of::<verbs::encode::Encode>(),
    Entry::of::<verbs::shard::Shard>(),
    Entry::of::<verbs::train::Train>(),
    Entry::of::<verbs::sample::Sample>(),
    Entry::of::<verbs::evaluate::Evaluate>(),
];
