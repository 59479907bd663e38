//! What people see on a terminal: color and verbosity, progress, tables; and the numbers that they type.
//!
//! Knows events and text. No other room.

mod bars;
mod channel;
pub mod escape;
pub mod numbers;
pub mod output;
pub mod progress;
pub mod table;
pub(crate) mod warnings;
