//! Rows that wait until no more come of their time.

use crate::rows::Time;
use std::collections::BTreeMap;
use timely::dataflow::operators::Capability;

/// Rows that came and went, by time, each time with the right to pass on what comes of them.
pub(crate) struct Held<R>(BTreeMap<Time, (Capability<Time>, Vec<(R, isize)>)>);

impl<R> Default for Held<R> {
    fn default() -> Held<R> {
        Held(BTreeMap::new())
    }
}

impl<R> Held<R> {
    /// Keeps rows; `capability` is asked for at the first of a time.
    pub(crate) fn extend(
        &mut self,
        rows: impl IntoIterator<Item = (R, Time, isize)>,
        capability: impl Fn(&Time) -> Capability<Time>,
    ) {
        for (row, time, diff) in rows {
            self.0.entry(time).or_insert_with(|| (capability(&time), Vec::new())).1.push((row, diff));
        }
    }

    /// The rows of the first time, unless that is still open.
    pub(crate) fn over(&mut self, open: impl Fn(&Time) -> bool) -> Option<(Time, Capability<Time>, Vec<(R, isize)>)> {
        let first = self.0.first_entry().filter(|entry| !open(entry.key()))?;
        let (time, (capability, rows)) = first.remove_entry();
        Some((time, capability, rows))
    }
}
