//! Networks and their training. No dataflow here: samples in, codes and weights out.
//!
//! Knows samples and codes. No row and no dataflow.
mod batch;
mod checkpoint;
pub mod codec;
pub mod cost;
mod ema;
pub mod fit;
pub mod infer;
mod layer;
mod level;
mod loss;
pub mod prior;
mod quantise;
pub(crate) mod random;
pub mod training;
pub mod weights;
