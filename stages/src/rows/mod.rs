//! Rows on the edges of the dataflow and after it: kinds, packing, fingerprints, what stages kept.

pub mod fingerprint;
mod flow;
pub mod kept;
mod kind;
pub(crate) mod pack;
pub mod scan;
pub(crate) mod sort;

pub use flow::{Input, Rows, Time, end_of_build};
pub use kind::{AnyRow, Flow, Kind, Row};
