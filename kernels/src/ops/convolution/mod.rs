//! Convolution over frames and its transpose.
//!
//! | operation | definition |
//! |---|---|
//! | [`conv1d()`] | `y[o][t] = bias[o] + sum over i, k w[o][i][k] * x[i][t * stride + k * dilation - padding]` |
//! | [`conv_transpose1d()`] | `y[o][t * stride + k - padding] += w[i][o][k] * x[i][t]`, and the bias |
//!
//! Both are PyTorch's: a cross-correlation, zeros as padding.

mod conv1d;
mod conv_transpose1d;
mod cpu;
mod kernels;
pub mod plain;
mod shape;

pub use conv_transpose1d::{conv_transpose1d, conv_transpose1d_to};
pub use conv1d::conv1d;
pub use shape::Geometry;
