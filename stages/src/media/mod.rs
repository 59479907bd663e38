//! The bytes that rows point to: samples, codes, models, checkpoints, songs.

pub(crate) mod checkpoint;
pub(crate) mod codes;
pub mod generate;
pub mod lineage;
pub(crate) mod models;
pub mod pcm;
