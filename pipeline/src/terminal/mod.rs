//! What people see on a terminal: progress and tables.

pub mod progress;
pub mod table;
pub(crate) mod warnings;
