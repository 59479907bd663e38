//! What people see on a terminal: color and verbosity, progress, tables.
//!
//! Knows events and text. No other room.

pub mod output;
pub mod progress;
pub mod table;
pub(crate) mod warnings;
