//! The codec: independent levels of vector-quantised autoencoders on raw audio.
//!
//! Layer for layer the VQ-VAE of Jukebox (Dhariwal et al. 2020): every level has its own encoder from samples, its own
//! codebook and its own decoder to samples. Level 0 is the bottom, with the smallest hop.

mod config;
mod file;

pub use config::{CodecConfig, LevelConfig};
pub(super) use config::{MOST_LEVELS, MOST_RATE};
pub use file::Codec;
