//! Commands on plain files, without a manifest.
//!
//! Knows no manifest and no run: files in, files out. Uses nothing of `cli`.

pub mod codec;
pub mod evaluate;
pub mod init;
mod left_out;
pub mod listen;
pub mod published;
pub mod sample;
pub mod sound;
mod targets;
