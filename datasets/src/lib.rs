//! Crate.

pub mod synth;
