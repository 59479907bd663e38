//! Launches of convolutions and of what is made of them.

pub mod convolution;
pub mod convolution_half;
pub mod layer;
pub mod linear;
pub mod residual;
