//! How stages are wired and run: manifest, plan, dataflow, run record.

pub mod manifest;
pub mod plan;
