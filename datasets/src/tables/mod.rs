//! Tables in Parquet beside the shards: the tracks of a run, and training curves.
//!
//! Knows rows and columns. No store and no corpus.

mod columns;
pub mod curves;
pub mod groups;
pub mod tracks;

pub use columns::{Column, table};
