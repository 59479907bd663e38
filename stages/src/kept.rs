//! Kept rows as a run holds them: packed, in the order of their marks.
//!
//! A run holds every row that every stage kept, for the record, the report and the next run. As structs of strings a
//! million tracks would take gigabytes and seconds, so workers pack rows while these pass by, with a [`Mark`] each: what is
//! compared, counted and sorted is the marks, and a row is unpacked where somebody reads it.

use crate::{
    mark::{Mark, Name},
    stage::{AnyRow, Kind, Row, Time},
};
use datasets::row::Track;
use rayon::prelude::*;
use std::{
    cmp::Ordering,
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of rows lie together in chunks of this size; a larger row has one for itself.
const CHUNK: usize = 1 << 16;

/// Where a row lies, and how often it is there.
#[derive(Clone, Copy, Debug)]
struct Place {
    mark: Mark,
    chunk: u32,
    start: u32,
    len: u32,
    count: i32,
}

impl Place {
    fn bytes<'c>(&self, chunks: &'c [Arc<Vec<u8>>]) -> &'c [u8] {
        &chunks[self.chunk as usize][self.start as usize..][..self.len as usize]
    }
}

/// The order of rows: that of their marks. Rows whose marks are equal by chance are told apart by their bytes.
fn order(a: &Place, b: &Place, chunks: &[Arc<Vec<u8>>]) -> Ordering {
    a.mark.cmp(&b.mark).then_with(|| a.bytes(chunks).cmp(b.bytes(chunks)))
}

/// Rows that come and go, in any order.
#[derive(Debug, Default)]
pub struct Packing {
    places: Vec<Place>,
    chunks: Vec<Arc<Vec<u8>>>,
    open: Vec<u8>,
    scratch: Vec<u8>,
}

impl Packing {
    /// Adds a row that came so often; that went, where the number is negative.
    pub fn push<R: Row>(&mut self, row: &R, count: isize) {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        // What `AnyRow` would begin with, so that both read the same.
        bytes.push(R::KIND as u8);
        // Rows are plain structs of strings and numbers: there is nothing that could fail.
        let bytes = postcard::to_extend(row, bytes).unwrap_or_else(|e| unreachable!("a row cannot be packed: {e}"));
        let mark = Mark::of(row, &bytes);
        if self.open.len() + bytes.len() > self.open.capacity() {
            self.seal();
            self.open = Vec::with_capacity(bytes.len().max(CHUNK));
        }
        self.places.push(Place {
            mark,
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
            self.chunks.push(Arc::new(std::mem::take(&mut self.open)));
        }
    }

    /// Several as one.
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

/// Where a worker leaves the rows that one stage keeps.
#[derive(Clone, Debug, Default)]
pub struct Keeper(Arc<Mutex<Packing>>);

impl Keeper {
    /// Takes note of rows that came and went.
    pub fn keep<R: Row>(&self, rows: &[(R, Time, isize)]) {
        let mut packing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().for_each(|(row, _, count)| packing.push(row, *count));
    }

    /// Takes note of a row of another process.
    pub fn add(&self, row: &AnyRow, count: isize) {
        row.pack(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), count);
    }

    /// What was left since this was asked last.
    fn take(&self) -> Packing {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Rows of one stage with how often each is there: a row that came and went is not.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// In order; of equal rows one, with a number over 0 unless these are changes.
    places: Arc<Vec<Place>>,
    chunks: Vec<Arc<Vec<u8>>>,
}

impl Kept {
    /// What workers left since this was asked last, added up: rows, or changes of rows.
    pub fn gathered<'k>(keepers: impl IntoIterator<Item = &'k Keeper>) -> Kept {
        let Packing { mut places, chunks, .. } = Packing::joined(keepers.into_iter().map(Keeper::take));
        places.par_sort_unstable_by(|a, b| order(a, b, &chunks));
        Kept { places: Arc::new(summed(places, &chunks)), chunks }
    }

    /// These rows with changes.
    #[must_use]
    pub fn changed(&self, changes: &Kept) -> Kept {
        if changes.places.is_empty() {
            return self.clone();
        }
        let before = self.chunks.len() as u32;
        let chunks: Vec<Arc<Vec<u8>>> = self.chunks.iter().chain(&changes.chunks).cloned().collect();
        let mut places = Vec::with_capacity(self.places.len() + changes.places.len());
        let mut rest = self.places.as_slice();
        for change in changes.places.iter().map(|place| Place { chunk: place.chunk + before, ..*place }) {
            let at = rest.partition_point(|place| order(place, &change, &chunks).is_lt());
            places.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let same = rest.first().filter(|place| order(place, &change, &chunks).is_eq());
            let count = same.map_or(0, |place| place.count) + change.count;
            // The bytes of a row that stays are where they were.
            places.extend((count != 0).then(|| Place { count, ..*same.unwrap_or(&change) }));
            rest = &rest[usize::from(same.is_some())..];
        }
        places.extend_from_slice(rest);
        Kept { places: Arc::new(places), chunks }.dense()
    }

    /// The same rows, copied together where less than half of the bytes is of rows that are still there.
    fn dense(self) -> Kept {
        let live: usize = self.places.iter().map(|place| place.len as usize).sum();
        let held: usize = self.chunks.iter().map(|chunk| chunk.len()).sum();
        if held <= 2 * live + CHUNK {
            return self;
        }
        let mut bytes: Vec<Vec<u8>> = Vec::new();
        let mut places = Vec::with_capacity(self.places.len());
        for place in self.places.iter() {
            let row = place.bytes(&self.chunks);
            if bytes.last().is_none_or(|chunk| chunk.len() + row.len() > CHUNK) {
                bytes.push(Vec::with_capacity(row.len()));
            }
            let Some(chunk) = bytes.last_mut() else { continue };
            let start = chunk.len() as u32;
            chunk.extend_from_slice(row);
            places.push(Place { chunk: bytes.len() as u32 - 1, start, ..*place });
        }
        Kept { places: Arc::new(places), chunks: bytes.into_iter().map(Arc::new).collect() }
    }

    /// The same rows where each stands as often as it is there.
    #[must_use]
    pub fn repeated(self) -> Kept {
        if self.places.iter().all(|place| place.count == 1) {
            return self;
        }
        let once = |place: &Place| std::iter::repeat_n(Place { count: 1, ..*place }, place.count.max(0) as usize);
        Kept { places: Arc::new(self.places.iter().flat_map(once).collect()), ..self }
    }

    /// How many there are.
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

    /// All rows with how often each came, or went where the number is negative.
    pub fn changes(&self) -> impl Iterator<Item = (AnyRow, isize)> + '_ {
        self.places.iter().map(|place| (unpack(place.bytes(&self.chunks)), place.count as isize))
    }

    /// The marks of all rows, in order.
    pub fn marks(&self) -> impl ExactSizeIterator<Item = Mark> + '_ {
        self.places.iter().map(|place| place.mark)
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
        (0..if self.of_tracks() { self.len() } else { 0 }).into_par_iter().map(|index| self.track(index))
    }

    /// Whether each row is a track or a part of one.
    fn of_tracks(&self) -> bool {
        [Kind::Track, Kind::Clip, Kind::Codes].into_iter().any(|kind| self.are(kind))
    }

    fn track(&self, index: usize) -> Track {
        // All three begin with the track.
        unpack(&self.bytes(index)[1..])
    }

    /// The id of the track that a row is or is a part of, without the rest of it.
    pub fn track_id(&self, index: usize) -> &str {
        // A track begins with its id.
        postcard::take_from_bytes(&self.bytes(index)[1..]).map_or("", |(id, _)| id)
    }

    /// The tracks of some ids.
    pub fn of_ids(&self, ids: &HashSet<&str>) -> Vec<Track> {
        let all = 0..if self.of_tracks() { self.len() } else { 0 };
        all.into_par_iter().filter(|index| ids.contains(self.track_id(*index))).map(|index| self.track(index)).collect()
    }

    /// The first row of a track, or of a part of it, that has this id.
    pub fn find(&self, id: &str) -> Option<usize> {
        let name = Name::of(id).track();
        let first = self.places.partition_point(|place| place.mark.name < name);
        let mut same = (first..self.len()).take_while(|index| self.places[*index].mark.name.track() == name);
        same.find(|index| self.track_id(*index) == id)
    }
}

fn unpack<'b, T: serde::Deserialize<'b>>(bytes: &'b [u8]) -> T {
    let row = postcard::take_from_bytes(bytes);
    row.unwrap_or_else(|error| unreachable!("a row packed here cannot be unpacked: {error}")).0
}

/// Equal rows as one, and without those that went as often as they came.
fn summed(mut places: Vec<Place>, chunks: &[Arc<Vec<u8>>]) -> Vec<Place> {
    places.dedup_by(|next, first| {
        let same = order(first, next, chunks).is_eq();
        if same {
            first.count += next.count;
        }
        same
    });
    places.retain(|place| place.count != 0);
    places
}

/// Every track that rows of several stages are of or are parts of, each as the last of these stages knows it: the stage
/// and the row's index, in the order of the tracks' names.
pub fn newest(stages: &[&Kept]) -> Vec<(usize, usize)> {
    let id = |(stage, index): (usize, usize)| stages[stage].track_id(index);
    let name = |(stage, index): (usize, usize)| stages[stage].places[index].mark.name.track();
    let mut seen: Vec<(usize, usize)> = Vec::new();
    for (stage, kept) in stages.iter().enumerate().filter(|(_, kept)| kept.of_tracks()) {
        let mut newer: Vec<(usize, usize)> = Vec::with_capacity(kept.len());
        for index in 0..kept.len() {
            // Clips of a track lie together; of its rows the last is what the stage says of it.
            let row = (stage, index);
            match newer.iter_mut().rev().take_while(|last| name(**last) == name(row)).find(|last| id(**last) == id(row))
            {
                Some(last) => *last = row,
                None => newer.push(row),
            }
        }
        let known = |row: (usize, usize)| {
            let first = newer.partition_point(|own| name(*own) < name(row));
            newer[first..].iter().take_while(|own| name(**own) == name(row)).any(|own| id(*own) == id(row))
        };
        let mut both: Vec<(usize, usize)> = match seen.is_empty() {
            true => newer,
            false => seen.into_par_iter().filter(|row| !known(*row)).chain(newer.par_iter().copied()).collect(),
        };
        both.par_sort_unstable_by_key(|row| (name(*row), *row));
        seen = both;
    }
    seen
}

/// [`newest`], unpacked and in the order of the tracks' ids.
pub fn newest_tracks(stages: &[&Kept]) -> Vec<Track> {
    let mut rows = newest(stages);
    let id = |(stage, index): &(usize, usize)| stages[*stage].track_id(*index);
    // Ids of a corpus begin alike, so that comparing them as a whole is slow: first by what comes after that.
    let common = common_prefix(rows.iter().map(id));
    let mut keyed: Vec<(u128, (usize, usize))> = rows.par_drain(..).map(|row| (key(id(&row), common), row)).collect();
    keyed.par_sort_unstable_by(|(a, row), (b, other)| a.cmp(b).then_with(|| id(row).cmp(id(other))));
    keyed.into_par_iter().map(|(_, (stage, index))| stages[stage].track(index)).collect()
}

/// How many bytes all texts begin with alike.
fn common_prefix<'t>(mut texts: impl Iterator<Item = &'t str>) -> usize {
    let Some(first) = texts.next() else { return 0 };
    texts.fold(first.len(), |common, text| {
        let same = first.as_bytes()[..common] == text.as_bytes()[..common.min(text.len())];
        if same { common } else { first.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count() }
    })
}

/// The sixteen bytes after so many, as a number that sorts as they do.
fn key(text: &str, after: usize) -> u128 {
    let mut bytes = [0; 16];
    let rest = text.as_bytes().get(after..).unwrap_or_default();
    let len = rest.len().min(16);
    bytes[..len].copy_from_slice(&rest[..len]);
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datasets::{
        Digest,
        row::{Clip, Labels, Metric, Weights},
    };
    use std::collections::BTreeMap;

    fn track(id: &str, title: &str) -> Track {
        let labels = Labels { title: Some(title.into()), ..Labels::default() };
        let content = Digest::of(id.as_bytes());
        Track { id: id.into(), content, bytes: 1, license: None, labels, recording: None, chain: None, split: None }
    }

    fn clip(track: &Track, start: u64) -> Clip {
        Clip { track: Arc::new(track.clone()), start, frames: 640 }
    }

    fn kept<R: Row>(parts: &[&[(R, isize)]]) -> Kept {
        let keepers: Vec<Keeper> = parts.iter().map(|_| Keeper::default()).collect();
        for (keeper, rows) in keepers.iter().zip(parts) {
            let rows: Vec<(R, Time, isize)> = rows.iter().map(|(row, count)| (row.clone(), 0, *count)).collect();
            keeper.keep(&rows);
        }
        Kept::gathered(&keepers)
    }

    #[test]
    fn rows_come_back_whatever_part_they_came_in() {
        let tracks: Vec<(Track, isize)> = (0..2000).map(|n| (track(&format!("t/{n}"), "a"), 1)).collect();
        let (one, two) = (kept(&[&tracks]), kept(&[&tracks[700..], &tracks[..700]]));
        assert!(one.chunks.len() > 1, "one chunk holds all");
        assert_eq!(one.iter().collect::<Vec<_>>(), two.iter().collect::<Vec<_>>());
        assert!(one.marks().is_sorted() && one.are(Kind::Track) && !one.are(Kind::Clip));
        let mut sorted: Vec<Track> = tracks.into_iter().map(|(track, _)| track).collect();
        sorted.sort();
        assert_eq!(one.rows::<Track>(), sorted);
        assert_eq!((one.rows::<Weights>(), one.made()), (Vec::new(), Vec::new()));
        assert_eq!(
            one.tracks().map(|t| t.id).collect::<Vec<_>>(),
            one.iter().map(|r| r.id().into_owned()).collect::<Vec<_>>()
        );
        assert_eq!(one.find("t/77").map(|at| one.track_id(at)), Some("t/77"));
        assert_eq!(one.find("t/none"), None);
    }

    #[test]
    fn what_went_is_gone_and_what_is_there_twice_counts_twice() {
        let (a, b, c) = (track("a", "a"), track("b", "b"), track("c", "c"));
        let both = kept(&[&[(a.clone(), 1), (b.clone(), 1), (c.clone(), 1)], &[(b.clone(), -1), (c.clone(), 1)]]);
        assert_eq!((both.len(), both.clone().repeated().len()), (2, 3));
        assert_eq!(both.repeated().rows::<Track>(), [a, c.clone(), c]);
    }

    #[test]
    fn changes_give_what_all_at_once_gives() {
        let mut rows: BTreeMap<Track, isize> = BTreeMap::new();
        let mut now = Kept::default();
        for round in 0..40_usize {
            let mut changes = Vec::new();
            for n in 0..60 {
                let row = track(&format!("t/{}", (round * 7 + n * 13) % 90), &"title ".repeat(40 + round % 3));
                let count = rows.entry(row.clone()).or_default();
                let change = if *count > 0 { -*count } else { 1 + (n % 2) as isize };
                *count += change;
                changes.push((row, change));
            }
            now = now.changed(&kept(&[&changes]));
            rows.retain(|_, count| *count != 0);
            let all: Vec<(Track, isize)> = rows.clone().into_iter().collect();
            let whole = kept(&[&all]);
            assert_eq!(now.changes().collect::<Vec<_>>(), whole.changes().collect::<Vec<_>>(), "round {round}");
        }
        let (held, live) =
            (now.chunks.iter().map(|c| c.len()).sum::<usize>(), now.places.iter().map(|p| p.len as usize));
        assert!(held <= 2 * live.sum::<usize>() + CHUNK, "{held} bytes are held");
    }

    #[test]
    fn any_row_reads_what_a_type_packed() {
        let weights = Weights {
            digest: Digest::of(b"w"),
            rate: 44_100,
            hops: vec![8],
            codewords: vec![16],
            curves: None,
            lineage: None,
        };
        let clip = clip(&track("t", "a"), 128);
        assert_eq!(kept(&[&[(clip.clone(), 1)]]).get(0), AnyRow::Clip(clip));
        let one = kept(&[&[(weights.clone(), 1)]]);
        assert_eq!((one.made(), one.rows::<Metric>().len()), (vec![AnyRow::Weights(weights)], 0));
    }

    #[test]
    fn the_last_stage_that_has_a_track_speaks_of_it() {
        let rows =
            |title: &str, ids: &[&str]| -> Vec<(Track, isize)> { ids.iter().map(|id| (track(id, title), 1)).collect() };
        let (first, second) =
            (kept(&[&rows("1", &["a/1", "a/2", "b", "a/10"])]), kept(&[&rows("2", &["a/2", "b", "c"])]));
        let clips = kept(&[&[(clip(&track("b", "3"), 0), 1), (clip(&track("b", "3"), 640), 1)]]);
        let none = kept::<Weights>(&[]);
        let all = newest_tracks(&[&first, &none, &second, &clips]);
        let told: Vec<(&str, &str)> =
            all.iter().map(|t| (t.id.as_str(), t.labels.title.as_deref().unwrap_or(""))).collect();
        assert_eq!(told, [("a/1", "1"), ("a/10", "1"), ("a/2", "2"), ("b", "3"), ("c", "2")]);
        assert!(newest_tracks(&[]).is_empty());
    }

    #[test]
    fn keys_sort_as_texts_do() {
        let ids = ["t/", "t/a", "t/aa\u{e9}", "t/b/0123456789abcdef", "t/b/0123456789abcdefg", "t/c"];
        let common = common_prefix(ids.iter().copied());
        assert_eq!((common, common_prefix(["same", "same"].into_iter()), common_prefix(std::iter::empty())), (2, 4, 0));
        assert!(ids.windows(2).all(|pair| key(pair[0], common) <= key(pair[1], common)));
    }
}
