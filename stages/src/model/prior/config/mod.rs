//! The shape of a prior and the file that holds one.

mod file;
mod shape;

pub use file::Prior;
pub(crate) use shape::MOST_POSITIONS;
pub use shape::{PriorConfig, Upper};
