//! What can be done: one verb per file, the networks and the metrics.
pub mod metric;
pub mod model;
