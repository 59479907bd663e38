//! Data sets that are read as they are published, by their names.
//!
//! Each has a file or folder; what they share: `inventory` (files that are there and missing, counts that the data set
//! states), `columns` (tables by the names of their columns), `python` (literals of Python in cells).

mod columns;
mod fma;
mod inventory;
mod lakh;
mod maestro;
mod nsynth;
pub mod python;

pub use fma::{Fma, Subset};
pub use inventory::OFFICIAL_SPLIT;
pub use lakh::{Lakh, LakhPart};
pub use maestro::Maestro;
pub use nsynth::Nsynth;
