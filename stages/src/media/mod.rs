//! The bytes that rows point to: samples, codes, models and their trainings, songs.
//!
//! Knows rows and models. No verb.

pub(crate) mod codes;
mod curves;
pub mod generate;
pub mod lineage;
pub(crate) mod models;
pub mod pcm;
pub(crate) mod training;
