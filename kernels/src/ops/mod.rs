//! The operations: a folder each, with its shape rule, its way forward and back, its plain twin and its kernels.
//!
//! | file of an operation | holds |
//! |---|---|
//! | `mod` | the operation on a [`Tape`](crate::tape::Tape): shapes, kernels, the way back |
//! | `cpu` | the kernels on slices of the host |
//! | `plain` | the twin: loops that follow the definition and can be checked by eye |
//! | `NAME.cu`, `cuda` | the kernels in CUDA C++, and their launch |

pub mod adam;
pub mod add;
pub mod attention;
pub mod cast;
pub mod columns;
pub mod convolution;
pub mod cross_entropy;
pub mod embedding;
pub mod finite;
pub mod gelu;
pub mod layer_norm;
pub mod linear;
pub mod loss;
pub mod nearest;
pub mod norm;
pub mod residual;
pub mod stft;
