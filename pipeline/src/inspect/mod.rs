//! Reads what runs published: no plan, no dataflow.
//!
//! Knows no plan and no dataflow: it reads what runs published, through `record`.

pub mod diff;
pub mod list;
pub mod runs;
pub mod why;
