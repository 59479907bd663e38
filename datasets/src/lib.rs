//! Crate.

pub mod corpus;
pub mod license;
pub mod shard;
