//! The data: rows, digests, SPDX licenses, audio files, corpora, the Parquet schema and the store.
//!
//! Nothing here knows of the dataflow: rows are small descriptions, bytes lie in the [`store`] under
//! their digest, and heavy work is an [`effect::Effect`] whose outcome is remembered.

pub mod audio;
pub mod codes;
pub mod corpus;
mod digest;
pub mod effect;
pub mod environment;
pub mod license;
pub mod mmap;
pub mod names;
pub mod row;
pub mod shard;
pub mod store;
pub mod synth;
pub mod tables;
pub mod untrusted;

pub use digest::{Digest, Key};
