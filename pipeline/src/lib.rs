//! Crate.

pub mod report;
