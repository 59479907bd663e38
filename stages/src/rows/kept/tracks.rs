//! The tracks of a run, as the last stages that have them know them.

use super::{FIRST, Kept};
use datasets::{Digest, row::TrackView};
use rayon::prelude::*;
use std::{cmp::Ordering, ops::Range};

/// Stage and index of a row.
type At = (u32, u32);

/// The tracks of a run: every track that some stages' rows are or belong to, as the last of these stages knows it.
#[derive(Clone, Debug, Default)]
pub struct Corpus<'k> {
    stages: Vec<&'k Kept>,
    rows: Vec<At>,
}

impl<'k> Corpus<'k> {
    /// Merges the tracks of some stages, in the order of ids.
    pub fn of(stages: Vec<&'k Kept>) -> Corpus<'k> {
        let id = |(stage, index): At| stages[stage as usize].track_id_bytes(index as usize);
        let rows = stages.iter().enumerate().fold(Vec::new(), |older, (stage, kept)| {
            let mut newer: Vec<At> = Vec::with_capacity(kept.len());
            for row in kept.of_tracks_indices().map(|index| (stage as u32, index as u32)) {
                // Clips of a track lie together; of its rows the last is what the stage says of it.
                match newer.last_mut().filter(|last| id(**last) == id(row)) {
                    Some(last) => *last = row,
                    None => newer.push(row),
                }
            }
            merged(older, newer, id)
        });
        Corpus { stages, rows }
    }

    /// Number of tracks.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The track at an index.
    pub fn view(&self, at: usize) -> TrackView<'k> {
        let (stage, index) = self.rows[at];
        self.stages[stage as usize].view(index as usize)
    }

    /// All tracks.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = TrackView<'k>> {
        (0..self.len()).map(|at| self.view(at))
    }

    /// All tracks, on several threads.
    pub fn par_iter(&self) -> impl IndexedParallelIterator<Item = TrackView<'k>> {
        (0..self.len()).into_par_iter().map(|at| self.view(at))
    }

    /// Pairs consecutive tracks with the same tracks in another corpus; `None` where it lacks one.
    pub fn beside<'o>(
        &self,
        range: Range<usize>,
        other: &'o Corpus<'_>,
    ) -> impl Iterator<Item = (TrackView<'k>, Option<TrackView<'o>>)> {
        self.pairs(range, other).map(|(own, theirs)| (self.view(own), theirs.map(|at| other.view(at))))
    }

    /// Places of tracks that follow each other, and of each the place of the same track in another corpus.
    fn pairs(&self, range: Range<usize>, other: &Corpus<'_>) -> impl Iterator<Item = (usize, Option<usize>)> {
        let first = range.clone().next().map_or(&[][..], |at| self.id(at));
        let mut theirs =
            other.rows.partition_point(|row| other.stages[row.0 as usize].track_id_bytes(row.1 as usize) < first);
        range.map(move |at| {
            let id = self.id(at);
            while theirs < other.len() && other.id(theirs) < id {
                theirs += 1;
            }
            (at, (theirs < other.len() && other.id(theirs) == id).then_some(theirs))
        })
    }

    fn id(&self, at: usize) -> &'k [u8] {
        let (stage, index) = self.rows[at];
        self.stages[stage as usize].track_id_bytes(index as usize)
    }

    /// Digest of some tracks that follow each other, each with the license that another corpus states of it.
    pub fn digest(&self, range: Range<usize>, stated: &Corpus<'_>) -> Digest {
        let (mut all, mut some) = (blake3::Hasher::new(), Vec::with_capacity(2 * FIRST));
        for (own, theirs) in self.pairs(range, stated) {
            let (stage, index) = self.rows[own];
            let license = theirs.and_then(|at| stated.view(at).license);
            // Lengths first, so that no two lists look alike; none is told from empty.
            let parts = [Some(self.stages[stage as usize].bytes(index as usize)), license.map(str::as_bytes)];
            for bytes in parts {
                some.extend_from_slice(&bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
                some.extend_from_slice(bytes.unwrap_or_default());
            }
            // Much at once is several times as fast.
            if some.len() > FIRST {
                all.update(&some);
                some.clear();
            }
        }
        Digest(*all.update(&some).finalize().as_bytes())
    }
}

/// Merges two lists in order of ids; of two rows of one id, the newer stays.
fn merged<'k>(older: Vec<At>, newer: Vec<At>, id: impl Fn(At) -> &'k [u8]) -> Vec<At> {
    if older.is_empty() || newer.is_empty() {
        return if newer.is_empty() { older } else { newer };
    }
    let mut merged = Vec::with_capacity(older.len().max(newer.len()));
    let (mut older, mut newer) = (older.into_iter().peekable(), newer.into_iter().peekable());
    while let (Some(a), Some(b)) = (older.peek(), newer.peek()) {
        match id(*a).cmp(id(*b)) {
            Ordering::Less => merged.extend(older.next()),
            Ordering::Greater => merged.extend(newer.next()),
            Ordering::Equal => {
                older.next();
                merged.extend(newer.next());
            }
        }
    }
    merged.extend(older);
    merged.extend(newer);
    merged
}
