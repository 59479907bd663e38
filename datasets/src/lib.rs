//! Crate.

pub mod audio;
pub mod mmap;
