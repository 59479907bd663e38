//! The tracks of a run, as the last stages that have them know them.

use super::Kept;
use datasets::{Digest, row::TrackView};
use rayon::prelude::*;

/// Every track that rows of several stages are of or are parts of, each as the last of these stages knows it.
#[derive(Clone, Debug, Default)]
pub struct Corpus<'k> {
    stages: Vec<&'k Kept>,
    /// Stage and index of a row.
    rows: Vec<(usize, usize)>,
}

impl<'k> Corpus<'k> {
    /// Of the rows of some stages, in the order of the tracks' marks.
    pub fn of(stages: Vec<&'k Kept>) -> Corpus<'k> {
        let id = |(stage, index): (usize, usize)| stages[stage].track_id(index);
        let name = |(stage, index): (usize, usize)| stages[stage].places[index].mark.name.track();
        let mut seen: Vec<(usize, usize)> = Vec::new();
        for (stage, kept) in stages.iter().enumerate() {
            let older = std::mem::take(&mut seen);
            let mut older = older.into_iter().peekable();
            for row in kept.of_tracks_indices().map(|index| (stage, index)) {
                let own = name(row);
                while let Some(earlier) = older.next_if(|other| name(*other) <= own) {
                    seen.push(earlier);
                }
                // Rows of a track lie together; names are equal by chance once in a long time.
                let same = seen.iter().rposition(|other| name(*other) != own).map_or(0, |last| last + 1);
                match seen[same..].iter_mut().find(|other| id(**other) == id(row)) {
                    Some(known) => *known = row,
                    None => seen.push(row),
                }
            }
            seen.extend(older);
        }
        Corpus { stages, rows: seen }
    }

    /// The same in the order of ids.
    #[must_use]
    pub fn by_id(mut self) -> Corpus<'k> {
        let id = |(stage, index): &(usize, usize)| self.stages[*stage].track_id(*index);
        // Ids of a corpus begin alike, so that comparing them as a whole is slow: first by what comes after that.
        let common = common_prefix(self.rows.iter().map(id));
        let keyed = self.rows.par_iter().map(|row| (key(id(row), common), *row));
        let mut keyed: Vec<(u128, (usize, usize))> = keyed.collect();
        keyed.par_sort_unstable_by(|(a, row), (b, other)| a.cmp(b).then_with(|| id(row).cmp(id(other))));
        self.rows = keyed.into_iter().map(|(_, row)| row).collect();
        self
    }

    /// How many tracks there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A track.
    pub fn view(&self, at: usize) -> TrackView<'k> {
        let (stage, index) = self.rows[at];
        self.stages[stage].view(index)
    }

    /// All tracks.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = TrackView<'k>> {
        (0..self.len()).map(|at| self.view(at))
    }

    /// All tracks, on several threads.
    pub fn par_iter(&self) -> impl IndexedParallelIterator<Item = TrackView<'k>> {
        (0..self.len()).into_par_iter().map(|at| self.view(at))
    }

    /// Digest of the rows that are read here.
    pub fn digest(&self) -> Digest {
        let mut all = blake3::Hasher::new();
        for (stage, index) in &self.rows {
            let bytes = self.stages[*stage].bytes(*index);
            all.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        }
        Digest(*all.finalize().as_bytes())
    }
}

/// How many bytes all texts begin with alike.
pub(super) fn common_prefix<'t>(mut texts: impl Iterator<Item = &'t str>) -> usize {
    let Some(first) = texts.next() else { return 0 };
    texts.fold(first.len(), |common, text| {
        let same = first.as_bytes()[..common] == text.as_bytes()[..common.min(text.len())];
        if same { common } else { first.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count() }
    })
}

/// The sixteen bytes after so many, as a number that sorts as they do.
pub(super) fn key(text: &str, after: usize) -> u128 {
    let mut bytes = [0; 16];
    let rest = text.as_bytes().get(after..).unwrap_or_default();
    let len = rest.len().min(16);
    bytes[..len].copy_from_slice(&rest[..len]);
    u128::from_be_bytes(bytes)
}
