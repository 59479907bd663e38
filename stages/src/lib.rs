//! The stages: one verb per file, the Stage contract, the list [`STAGES`], the networks and the metrics.

pub mod flow;
pub mod media;
pub mod metric;
pub mod model;
pub mod rows;
pub mod settings;
pub mod stage;
pub mod verbs;

pub use verbs::{STAGES, spec};
