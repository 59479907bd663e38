//! Collections of rows, and the time of a build.

use datasets::row::Waiting;
use differential_dataflow::VecCollection;

/// build << 32 | chunk.
pub type Time = u64;

/// A collection of rows.
pub type Rows<'s, R> = VecCollection<'s, Time, R, isize>;

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
