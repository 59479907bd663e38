//! Reads what runs published: no plan, no dataflow.

pub mod diff;
pub mod list;
pub mod runs;
pub mod why;
