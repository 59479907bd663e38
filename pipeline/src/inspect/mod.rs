//! Reads what runs published: no plan, no dataflow.

pub mod diff;
pub mod runs;
pub mod why;
