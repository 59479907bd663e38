//! Launches of what surrounds the networks in a step: casts, losses, the optimiser.

pub mod cast;
pub mod loss;
pub mod optimiser;
