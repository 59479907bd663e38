//! The codec: independent levels of vector-quantised autoencoders on raw audio.
//!
//! Layer for layer the VQ-VAE of Jukebox (Dhariwal et al. 2020): every level has its own encoder from samples, its own
//! codebook and its own decoder to samples. Level 0 is the bottom, with the smallest hop. A level may work on the amplitudes
//! of oscillators in place of samples: see [`LevelConfig::oscillators`].

mod config;
mod file;

pub use config::{CodecConfig, LevelConfig};
pub(crate) use config::{LEAST_RATE, MOST_OSCILLATORS, OSCILLATED};
pub(super) use config::{MOST_LEVELS, MOST_RATE};
pub use file::Codec;
