//! Measures of what a model reconstructs, as plain functions on samples.
pub mod log_mel;
pub mod si_sdr;
