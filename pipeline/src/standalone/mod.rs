//! Commands on plain files, without a manifest.

pub mod codec;
pub mod evaluate;
pub mod sample;
pub mod sound;
