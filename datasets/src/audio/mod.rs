//! Audio files: decoding, tags, resampling, PCM blobs and WAV output.
//!
//! Knows samples and files. No corpus, no row, no store.
//!
//! Samples are `f32` at a nominal full scale of ±1. "Frame" means one sample of every channel; interleaved
//! buffers hold frame after frame.

pub mod decode;
mod names;
pub mod pcm;
mod refusal;
pub mod resample;
mod source;
pub mod tags;
mod trim;
mod view;
pub mod wav;
