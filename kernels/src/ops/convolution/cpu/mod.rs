//! Convolutions on the CPU, tile by tile.

pub(crate) mod adjoint;
pub(crate) mod forward;
mod pointwise;
pub(crate) mod sums;
pub(crate) mod weights;
