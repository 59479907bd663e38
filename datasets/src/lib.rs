//! Crate.

pub mod corpus;
pub mod license;
