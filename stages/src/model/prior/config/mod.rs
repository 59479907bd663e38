//! The shape of a prior and the file that holds one.

mod file;
mod shape;

pub use file::Prior;
pub use shape::{PriorConfig, Upper};
