//! The store kept in order: cleaning up and verifying.

pub mod gc;
pub mod verify;
