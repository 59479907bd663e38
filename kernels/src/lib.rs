//! Numeric operations of the models, each with forward and backward, beside a plain twin that is easy to read.
//!
//! The operations are extension traits over burn's `Backend` ([`Kernels`]), implemented for the CPU backend and,
//! with gradients, for `Autodiff` over any backend that has them. On the CPU every result is the same bits for any
//! number of threads, for any batch around an item, and for any instruction set. This crate is where `unsafe` lives.

#[cfg(feature = "cuda")]
pub mod cuda;

mod conv1d;
mod conv_transpose1d;
mod convolve;
mod gather;
mod nearest;
mod product;
mod residual;
mod simd;
mod stft;

pub use conv_transpose1d::conv_transpose1d;
pub use conv1d::conv1d;
pub use convolve::{Convolve, Geometry};
pub use nearest::{Nearest, accumulate, nearest, nearest_plain};
pub use residual::{Residual, ResidualGrads, residual_block, residual_block_plain};
pub use stft::{Spectral, Stft, hann_window, stft_magnitude};

/// What a backend needs for every operation of this crate.
pub trait Kernels: Convolve + Residual + Spectral {}
impl<B: Convolve + Residual + Spectral> Kernels for B {}
