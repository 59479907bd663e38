//! Numeric operations of the models, each with forward and backward, beside a plain twin that is easy to read.
//!
//! The operations are extension traits over burn's `Backend` ([`Kernels`]), implemented for the CPU backend and,
//! with gradients, for `Autodiff` over any backend that has them. On the CPU every result is the same bits for any
//! number of threads, for any batch around an item, and for any instruction set. This crate is where `unsafe` lives.

#[cfg(feature = "cuda")]
pub mod cuda;

mod attention;
mod cached;
mod conv1d;
mod conv_transpose1d;
mod convolve;
mod correlate;
mod dense;
mod exp;
mod gather;
mod gelu;
mod layer_norm;
mod linear;
mod nearest;
mod panel;
mod product;
mod residual;
mod simd;
mod steer;
mod stft;
mod surprise;

pub use attention::{Attention, AttentionGrads, relative_attention, relative_attention_plain};
pub use cached::{CachedAttention, KeyValues};
pub use conv_transpose1d::conv_transpose1d;
pub use conv1d::conv1d;
pub use convolve::{Convolve, Geometry};
pub use dense::Dense;
pub use exp::exp;
pub use gelu::{Gelu, quick_gelu, quick_gelu_in_place};
pub use layer_norm::{LayerNorm, LayerNormGrads, layer_norm};
pub use nearest::{Nearest, accumulate, nearest, nearest_plain};
pub use residual::{Residual, ResidualGrads, residual_block, residual_block_plain};
pub use steer::steer;
pub use stft::{Spectral, Stft, hann_window, stft_magnitude};
pub use surprise::cross_entropy;

/// What a backend needs for every operation of this crate.
pub trait Kernels: Attention + Convolve + Gelu + LayerNorm + Residual + Spectral {}
impl<B: Attention + Convolve + Gelu + LayerNorm + Residual + Spectral> Kernels for B {}
