//! The time of a build, and the rows that come into a stage.

use super::collection::{Rows, Time};
use datasets::row::Waiting;

/// The last tick of the build that a time belongs to: corpus-level stages wait for it.
pub fn end_of_build(time: &Time) -> Time {
    time | 0xffff_ffff
}

/// Rows that come in: known ones, and ones that wait for an effect.
#[derive(Clone)]
pub struct Input<'s, R: 'static> {
    /// Known rows.
    pub kept: Rows<'s, R>,
    /// Rows not known yet; only in a dry run.
    pub pending: Rows<'s, Waiting>,
}
