//! What can be done: one verb per file, the Stage contract, the list [`STAGES`], the networks and the metrics.

pub mod flow;
pub mod settings;
pub mod stage;
