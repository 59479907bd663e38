//! Launches of what surrounds the networks in a step: casts, losses, what is finite, the norm, the optimiser.

pub mod adam;
pub mod cast;
pub mod finite;
pub mod loss;
pub mod norm;
