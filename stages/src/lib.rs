//! The stages: one verb per file, the Stage contract, the list [`STAGES`], the networks and the metrics.

pub mod flow;
pub mod media;
pub mod metric;
pub mod model;
pub mod rows;
pub mod settings;
pub mod stage;
pub mod verbs;

use stage::StageSpec;

/// The stage of a verb.
pub fn spec(verb: &str) -> Option<&'static StageSpec> {
    STAGES.iter().find(|spec| spec.verb == verb)
}

/// Every stage there is, in the order of a pipeline.
pub static STAGES: &[StageSpec] = &[
    StageSpec::of::<verbs::ingest::Ingest>(),
    StageSpec::of::<verbs::license::License>(),
    StageSpec::of::<verbs::decode::Decode>(),
    StageSpec::of::<verbs::resample::Resample>(),
    StageSpec::of::<verbs::dedup::Dedup>(),
    StageSpec::of::<verbs::split::Split>(),
    StageSpec::of::<verbs::segment::Segment>(),
    StageSpec::of::<verbs::weights::Weights>(),
    StageSpec::of::<verbs::fit::Fit>(),
    StageSpec::of::<verbs::encode::Encode>(),
    StageSpec::of::<verbs::shard::Shard>(),
    StageSpec::of::<verbs::train::Train>(),
    StageSpec::of::<verbs::sample::Sample>(),
    StageSpec::of::<verbs::evaluate::Evaluate>(),
];
