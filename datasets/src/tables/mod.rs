//! Tables in Parquet beside the shards: the tracks of a run, and training curves.

mod columns;
pub mod curves;
pub mod groups;
pub mod tracks;

pub use columns::{Column, table};
