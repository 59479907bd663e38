//! Audio files: decoding, tags, resampling, PCM blobs and WAV output.
//!
//! Knows samples and files. No corpus, no row, no store.
//!
//! Samples are `f32` at a nominal full scale of ±1. "Frame" means one sample of every channel; interleaved
//! buffers hold frame after frame.

mod container;
pub mod decode;
mod names;
mod pass;
pub mod pcm;
mod refusal;
pub mod resample;
mod source;
pub mod tags;
mod total;
mod trim;
mod view;
mod vorbis;
pub mod wav;
