//! Crate.

pub mod license;
