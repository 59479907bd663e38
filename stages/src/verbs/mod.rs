//! One verb per file or folder: settings, the stage and its effect.
//!
//! Each verb knows the rooms below and no other verb.

pub(crate) mod decode;
pub(crate) mod dedup;
pub(crate) mod encode;
pub(crate) mod evaluate;
pub(crate) mod fit;
pub mod ingest;
pub(crate) mod license;
pub(crate) mod resample;
pub(crate) mod sample;
pub(crate) mod segment;
pub(crate) mod shard;
pub(crate) mod split;
pub(crate) mod train;
pub(crate) mod weights;

pub use sample::seed_of;
