//! Commands on plain files, without a manifest.

pub mod codec;
pub mod evaluate;
pub mod init;
pub mod sample;
pub mod sound;
