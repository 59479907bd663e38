//! Networks and their training. No dataflow here: samples in, codes and weights out.
//!
//! Knows samples and codes. No row and no dataflow.
mod checkpoint;
mod codebook;
pub mod codec;
pub mod cost;
pub mod device;
mod excerpts;
pub mod fit;
pub mod infer;
mod layer;
mod leaves;
mod level;
mod loss;
mod oscillators;
pub mod prior;
pub mod probe;
mod quantise;
pub(crate) mod random;
pub mod scale;
pub mod training;
pub mod weights;
