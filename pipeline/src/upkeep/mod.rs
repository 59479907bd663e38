//! Upkeep of the store: cleaning up and verifying.
//!
//! Knows what the store and published runs hold. No plan, and nothing of `cli`.

pub mod gc;
pub mod verify;
