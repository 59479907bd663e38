//! Measures of what models reconstruct and compose, as plain functions on samples.
//!
//! Knows samples and numbers. No row, no stage, no dataflow.
pub mod channels;
pub mod embedding;
pub mod gaussian;
mod linear;
pub mod log_mel;
pub(crate) mod mel;
pub mod notes;
pub mod si_sdr;
pub mod spectral;
mod stft;
