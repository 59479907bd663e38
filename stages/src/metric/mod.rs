//! Measures of what models reconstruct and compose, as plain functions on samples.
pub mod embedding;
pub mod gaussian;
mod linear;
pub mod log_mel;
mod mel;
pub mod si_sdr;
pub mod spectral;
mod stft;
