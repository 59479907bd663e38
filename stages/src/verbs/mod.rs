//! One verb per file or folder: settings, the stage and its effect.
//!
//! Each verb knows the rooms below and no other verb.

pub(crate) mod decode;
pub(crate) mod dedup;
pub(crate) mod encode;
pub(crate) mod evaluate;
pub(crate) mod fit;
pub(crate) mod import;
pub mod ingest;
pub(crate) mod license;
pub(crate) mod resample;
pub(crate) mod sample;
pub(crate) mod segment;
pub(crate) mod shard;
pub(crate) mod split;
pub(crate) mod train;
pub(crate) mod weights;

pub use sample::seed_of;

use crate::stage::StageSpec;

/// The stage of a verb.
pub fn spec(verb: &str) -> Option<&'static StageSpec> {
    STAGES.iter().find(|spec| spec.verb == verb)
}

/// Every stage there is, in the order of a pipeline.
pub static STAGES: &[StageSpec] = &[
    StageSpec::of::<ingest::Ingest>(),
    StageSpec::of::<license::License>(),
    StageSpec::of::<decode::Decode>(),
    StageSpec::of::<resample::Resample>(),
    StageSpec::of::<dedup::Dedup>(),
    StageSpec::of::<split::Split>(),
    StageSpec::of::<segment::Segment>(),
    StageSpec::of::<weights::Weights>(),
    StageSpec::of::<import::Import>(),
    StageSpec::of::<fit::Fit>(),
    StageSpec::of::<encode::Encode>(),
    StageSpec::of::<shard::Shard>(),
    StageSpec::of::<train::Train>(),
    StageSpec::of::<sample::Sample>(),
    StageSpec::of::<evaluate::Evaluate>(),
];
