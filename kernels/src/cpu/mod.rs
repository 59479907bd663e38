//! What the CPU's kernels are made of: lanes, tiles, and the few products that all of them share.
//!
//! | file | holds |
//! |---|---|
//! | `dispatch` | which instruction set runs |
//! | `simd` | sixteen lanes of `f32` on AVX-512, AVX2 or neither, with the same bits |
//! | `exp` | the exponential function |
//! | `fft` | plans of Fourier transforms |
//! | `tile` | tiles of frames, their scratch rows, and sums over them in a fixed order |
//! | `product`, `correlate` | the two products that every convolution is made of, forward and for its weights |
//! | `panel` | products of small strided matrices, for attention and for layers of few rows |

pub(crate) mod correlate;
pub mod dispatch;
pub mod exp;
pub mod fft;
pub(crate) mod panel;
pub(crate) mod product;
pub(crate) mod simd;
pub(crate) mod tile;
