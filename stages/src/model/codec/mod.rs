//! The codec: independent levels of vector-quantised autoencoders on raw audio.
//!
//! Layer for layer the VQ-VAE of Jukebox (Dhariwal et al. 2020): every level has its own encoder from samples, its own
//! codebook and its own decoder to samples. Level 0 is the bottom, with the smallest hop. A level may work on the amplitudes
//! of oscillators in place of samples: see [`LevelConfig::oscillators`].

mod config;
mod file;
mod names;
mod published;

pub use config::{CodecConfig, LevelConfig};
pub(crate) use config::{
    LEAST_RATE, MOST_BLOCKS, MOST_CHANNELS, MOST_HOP, MOST_OSCILLATORS, OSCILLATED, STRIDES, form, hop,
};
pub(super) use config::{MOST_LEVELS, MOST_RATE};
pub use file::Codec;
pub use names::Unstated;
pub use published::{ImportError, export, import, unstated};
