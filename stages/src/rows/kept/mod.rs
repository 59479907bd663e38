//! Kept rows as a run holds them: packed, in the order of the tracks' ids.
//!
//! A run holds every row that every stage kept, for the record, the report and the next run. As structs of strings a
//! million tracks would take gigabytes and seconds, so workers pack rows while these pass by, with a [`Fingerprint`] each: what is
//! counted and compared with other runs is the fingerprints, and a row is unpacked where somebody reads it.

mod share;
#[cfg(test)]
mod tests;
mod tracks;

pub use tracks::Corpus;

use crate::rows::{
    AnyRow, Kind, Row, Time, Visitor,
    fingerprint::Fingerprint,
    pack::{append, unpack},
    sort::Start,
};
use datasets::row::{Track, TrackView};
use rayon::prelude::*;
use std::{
    cmp::Ordering,
    collections::HashSet,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of rows lie together in chunks: the first has this size,
const FIRST: usize = 1 << 16;
/// and further ones as much as all before them, up to this; a larger row has one for itself. What is freed of large ones goes
/// back to the system.
const CHUNK: usize = 1 << 22;

/// Position, length, fingerprint and multiplicity of a packed row.
#[derive(Clone, Copy, Debug)]
struct Place {
    fingerprint: Fingerprint,
    chunk: u32,
    start: u32,
    len: u32,
    count: i32,
}

impl Place {
    fn bytes<'c>(&self, chunks: &'c [Arc<Vec<u8>>]) -> &'c [u8] {
        &chunks[self.chunk as usize][self.start as usize..][..self.len as usize]
    }

    /// Sort key: fingerprint, then packed bytes.
    fn key<'c>(&'c self, chunks: &'c [Arc<Vec<u8>>]) -> (&'c Fingerprint, &'c [u8]) {
        (&self.fingerprint, self.bytes(chunks))
    }
}

/// The id of the track that a packed row is or is a part of, as bytes, which are in the order of texts; empty where it is
/// neither.
fn track_id(row: &[u8]) -> &[u8] {
    // Clips begin with their track, codes with their clip, and a track with its id.
    match row.split_first() {
        Some((kind, rest)) if OF_TRACKS.iter().any(|own| *own as u8 == *kind) => unpack(rest),
        _ => &[],
    }
}

/// Kinds of rows that are tracks or parts of one.
const OF_TRACKS: [Kind; 3] = [Kind::Track, Kind::Clip, Kind::Codes];

/// The order of rows: that of their tracks' ids, then that of their fingerprints. Rows whose fingerprints are equal by chance are told
/// apart by their bytes.
fn order((a, left): (&Fingerprint, &[u8]), (b, right): (&Fingerprint, &[u8])) -> Ordering {
    track_id(left).cmp(track_id(right)).then_with(|| a.cmp(b)).then_with(|| left.cmp(right))
}

/// Rows that come and go, in any order.
#[derive(Debug)]
pub struct Packing {
    places: Vec<Place>,
    chunks: Vec<Arc<Vec<u8>>>,
    open: Vec<u8>,
    /// Bytes of the chunks that are full.
    sealed: usize,
    scratch: Vec<u8>,
    /// The split of the last row, and its digest.
    split: (String, [u8; 2]),
}

impl Default for Packing {
    fn default() -> Packing {
        let split = (String::new(), Fingerprint::split(""));
        Packing { places: Vec::new(), chunks: Vec::new(), open: Vec::new(), sealed: 0, scratch: Vec::new(), split }
    }
}

impl Packing {
    /// Adds a row that came so often; that went, where the number is negative.
    pub fn push<R: Row>(&mut self, row: &R, count: isize) {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        // What `AnyRow` would begin with, so that both read the same.
        bytes.push(R::KIND as u8);
        let bytes = append(row, bytes);
        let split = row.split();
        if split != self.split.0 {
            self.split = (split.to_owned(), Fingerprint::split(split));
        }
        let fingerprint = Fingerprint::of(row, &bytes, self.split.1);
        if self.open.len() + bytes.len() > self.open.capacity() {
            self.seal();
            self.open = Vec::with_capacity(bytes.len().max(self.sealed.clamp(FIRST, CHUNK)));
        }
        self.places.push(Place {
            fingerprint,
            chunk: self.chunks.len() as u32,
            start: self.open.len() as u32,
            len: bytes.len() as u32,
            count: count as i32,
        });
        self.open.extend_from_slice(&bytes);
        self.scratch = bytes;
    }

    /// Closes the chunk that is being filled.
    fn seal(&mut self) {
        if !self.open.is_empty() {
            let mut chunk = std::mem::take(&mut self.open);
            self.sealed += chunk.len();
            // One row that changed holds no more than it needs.
            if chunk.len() < chunk.capacity() / 2 {
                chunk.shrink_to_fit();
            }
            self.chunks.push(Arc::new(chunk));
        }
    }

    /// Joins several packings into one.
    fn joined(parts: impl IntoIterator<Item = Packing>) -> Packing {
        parts.into_iter().fold(Packing::default(), |mut all, mut part| {
            part.seal();
            let before = all.chunks.len() as u32;
            all.chunks.append(&mut part.chunks);
            part.places.iter_mut().for_each(|place| place.chunk += before);
            match all.places.is_empty() {
                true => all.places = part.places,
                false => all.places.append(&mut part.places),
            }
            all
        })
    }
}

/// Adds a row of any type to others.
struct Counted<'p> {
    packing: &'p mut Packing,
    count: isize,
}

impl Visitor for Counted<'_> {
    fn visit<R: Row>(self, row: &R) {
        self.packing.push(row, self.count);
    }
}

/// Collector for the rows that one stage keeps on one worker.
#[derive(Clone, Debug, Default)]
pub struct Keeper(Arc<Mutex<Packing>>);

impl Keeper {
    /// Adds rows with their differences.
    pub fn keep<R: Row>(&self, rows: &[(R, Time, isize)]) {
        let mut packing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().for_each(|(row, _, count)| packing.push(row, *count));
    }

    /// Adds a row that came from another process.
    pub fn add(&self, row: &AnyRow, count: isize) {
        row.visit(Counted { packing: &mut self.0.lock().unwrap_or_else(PoisonError::into_inner), count });
    }

    /// Takes the rows collected since the last call.
    fn take(&self) -> Packing {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Rows of one stage with how often each is there: a row that came and went is not.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Places of the rows, sorted. Equal rows are one entry with their multiplicity until [`Kept::repeated`]; changes
    /// may be negative.
    places: Arc<Vec<Place>>,
    chunks: Vec<Arc<Vec<u8>>>,
}

impl Kept {
    /// Adds up the rows, or changes of rows, that workers collected since the last call. Bytes stay in order of arrival.
    pub fn gathered<'k>(keepers: impl IntoIterator<Item = &'k Keeper>) -> Kept {
        Kept::sorted(Packing::joined(keepers.into_iter().map(Keeper::take)))
    }

    fn sorted(Packing { places, chunks, .. }: Packing) -> Kept {
        let id = |place: &Place| track_id(place.bytes(&chunks));
        let start = Start::of(places.iter().map(id));
        let mut keyed: Vec<(u128, Place)> =
            places.into_par_iter().map(|place| (start.key(id(&place)), place)).collect();
        keyed.par_sort_unstable_by(|(a, left), (b, right)| {
            a.cmp(b).then_with(|| order(left.key(&chunks), right.key(&chunks)))
        });
        let places = summed(keyed.into_iter().map(|(_, place)| place).collect(), &chunks);
        Kept { places: Arc::new(places), chunks }
    }

    /// Applies changes; shares bytes with `beside` ([`Kept::laid`]) if there were no rows before or many went.
    #[must_use]
    pub fn changed(&self, changes: Kept, beside: Option<&Kept>) -> Kept {
        if changes.places.is_empty() {
            return self.clone();
        }
        if self.places.is_empty() {
            return changes.laid(beside);
        }
        let before = self.chunks.len() as u32;
        let chunks: Vec<Arc<Vec<u8>>> = self.chunks.iter().chain(&changes.chunks).cloned().collect();
        let mut places = Vec::with_capacity(self.places.len() + changes.places.len());
        let mut rest = self.places.as_slice();
        for change in changes.places.iter().map(|place| Place { chunk: place.chunk + before, ..*place }) {
            let at = rest.partition_point(|place| order(place.key(&chunks), change.key(&chunks)).is_lt());
            places.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let same = rest.first().filter(|place| order(place.key(&chunks), change.key(&chunks)).is_eq());
            let count = same.map_or(0, |place| place.count) + change.count;
            // The bytes of a row that stays are where they were.
            places.extend((count != 0).then(|| Place { count, ..*same.unwrap_or(&change) }));
            rest = &rest[usize::from(same.is_some())..];
        }
        places.extend_from_slice(rest);
        let kept = Kept { places: Arc::new(places), chunks };
        if kept.sparse() { kept.laid(beside) } else { kept }
    }

    /// Whether less than half of the bytes is of rows that are still there.
    fn sparse(&self) -> bool {
        let live: usize = self.places.iter().map(|place| place.len as usize).sum();
        self.held() > 2 * live + FIRST
    }

    /// Repeats each row by its multiplicity, so that every place counts once.
    #[must_use]
    pub fn repeated(self) -> Kept {
        if self.places.iter().all(|place| place.count == 1) {
            return self;
        }
        let once = |place: &Place| std::iter::repeat_n(Place { count: 1, ..*place }, place.count.max(0) as usize);
        Kept { places: Arc::new(self.places.iter().flat_map(once).collect()), ..self }
    }

    /// Number of rows; before [`Kept::repeated`], number of different rows.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn bytes(&self, index: usize) -> &[u8] {
        self.places[index].bytes(&self.chunks)
    }

    /// Whether they are of a kind; those of one stage are all of one.
    pub fn are(&self, kind: Kind) -> bool {
        !self.is_empty() && self.bytes(0).first() == Some(&(kind as u8))
    }

    /// The row at a place in the order.
    pub fn get(&self, index: usize) -> AnyRow {
        unpack(self.bytes(index))
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = AnyRow> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Some rows in order, each with its multiplicity: negative where it is a removal.
    pub fn changes(&self, range: Range<usize>) -> impl Iterator<Item = (AnyRow, isize)> + '_ {
        self.places[range].iter().map(|place| (unpack(place.bytes(&self.chunks)), place.count as isize))
    }

    /// The fingerprints of all rows, in order.
    pub fn fingerprints(&self) -> impl ExactSizeIterator<Item = Fingerprint> + '_ {
        self.places.iter().map(|place| place.fingerprint)
    }

    /// Rows of a type in its own order; none where these are others.
    pub fn rows<R: Row>(&self) -> Vec<R> {
        let mut rows: Vec<R> = match self.are(R::KIND) {
            true => (0..self.len()).map(|index| unpack(&self.bytes(index)[1..])).collect(),
            false => Vec::new(),
        };
        rows.sort_unstable();
        rows
    }

    /// Whatever is made of a corpus, in its own order: shards, models, songs and figures. None where these are rows of the
    /// corpus itself, of which there may be many.
    pub fn made(&self) -> Vec<AnyRow> {
        if self.of_tracks() || self.are(Kind::Found) {
            return Vec::new();
        }
        let mut rows: Vec<AnyRow> = self.iter().collect();
        rows.sort_unstable();
        rows
    }

    /// The track that each row is or is a part of, in order.
    pub fn tracks(&self) -> impl IndexedParallelIterator<Item = Track> + '_ {
        self.of_tracks_indices().into_par_iter().map(|index| unpack(self.track_bytes(index)))
    }

    /// [`Kept::tracks`] without a copy of their texts.
    pub fn views(&self) -> impl IndexedParallelIterator<Item = TrackView<'_>> {
        self.of_tracks_indices().into_par_iter().map(|index| self.view(index))
    }

    fn of_tracks_indices(&self) -> Range<usize> {
        0..if self.of_tracks() { self.len() } else { 0 }
    }

    /// Whether each row is a track or a part of one.
    fn of_tracks(&self) -> bool {
        OF_TRACKS.into_iter().any(|kind| self.are(kind))
    }

    /// The bytes of the track that a row is or is a part of, at their start.
    fn track_bytes(&self, index: usize) -> &[u8] {
        &self.bytes(index)[1..]
    }

    /// The track that a row is or is a part of, without a copy of its texts.
    pub fn view(&self, index: usize) -> TrackView<'_> {
        unpack(self.track_bytes(index))
    }

    /// The id of the track that a row is or is a part of, without the rest of it.
    pub fn track_id(&self, index: usize) -> &str {
        if self.of_tracks() { unpack(self.track_bytes(index)) } else { "" }
    }

    /// [`Kept::track_id`] as bytes, which are in the order of texts.
    fn track_id_bytes(&self, index: usize) -> &[u8] {
        track_id(self.bytes(index))
    }

    /// The tracks of some ids.
    pub fn of_ids(&self, ids: &HashSet<&str>) -> Vec<Track> {
        let chosen = self.of_tracks_indices().into_par_iter().filter(|index| ids.contains(self.track_id(*index)));
        chosen.map(|index| unpack(self.track_bytes(index))).collect()
    }
}

/// Equal rows as one, and without those that went as often as they came.
fn summed(mut places: Vec<Place>, chunks: &[Arc<Vec<u8>>]) -> Vec<Place> {
    places.dedup_by(|next, first| {
        let same = order(first.key(chunks), next.key(chunks)).is_eq();
        if same {
            first.count += next.count;
        }
        same
    });
    places.retain(|place| place.count != 0);
    places
}
