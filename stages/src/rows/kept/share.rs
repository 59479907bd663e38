//! Layout of the bytes of kept rows: in their order, and once for all stages that keep a row as it is.

use super::{CHUNK, Kept, Place, order};
use rayon::prelude::*;
use std::{cmp::Ordering, sync::Arc};

/// Places are looked at and copied so many at a time.
const PART: usize = 1 << 15;

impl Kept {
    /// Lays out the bytes anew: those of rows that follow each other follow each other, too. Rows that `beside` also
    /// has share its bytes, unless that would hold more bytes of other rows than of these.
    #[must_use]
    pub fn laid(self, beside: Option<&Kept>) -> Kept {
        let beside =
            beside.filter(|other| !self.is_empty() && !other.is_empty() && self.bytes(0)[0] == other.bytes(0)[0]);
        let found = beside.map(|other| (other, self.found(other))).filter(|(other, found)| {
            let shared = found.iter().flatten().map(|index| other.places[*index as usize].len as usize);
            2 * shared.sum::<usize>() >= other.held()
        });
        let Some((other, found)) = found else { return self.copied(&[], &[]) };
        let shared: Vec<Option<Place>> =
            found.into_iter().map(|index| index.map(|index| other.places[index as usize])).collect();
        self.copied(&shared, &other.chunks)
    }

    /// Bytes held in memory.
    pub(super) fn held(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// Index of each row in `other`; `None` where it is not there.
    fn found(&self, other: &Kept) -> Vec<Option<u32>> {
        let parts = self.places.par_chunks(PART).map(|places| {
            let first = places[0].key(&self.chunks);
            let mut at = other.places.partition_point(|place| order(place.key(&other.chunks), first).is_lt());
            let find = |place: &Place| {
                let key = place.key(&self.chunks);
                while let Some(theirs) = other.places.get(at).map(|place| place.key(&other.chunks)) {
                    // Most rows are the same, and for these this is faster than their order.
                    match if theirs == key { Ordering::Equal } else { order(theirs, key) } {
                        Ordering::Less => at += 1,
                        Ordering::Equal => return Some(at as u32),
                        Ordering::Greater => return None,
                    }
                }
                None
            };
            places.iter().map(find).collect::<Vec<_>>()
        });
        parts.flatten_iter().collect()
    }

    /// Copies the bytes of the rows, except those that `shared` has a place for.
    fn copied(self, shared: &[Option<Place>], chunks: &[Arc<Vec<u8>>]) -> Kept {
        let parts: Vec<(Vec<Place>, Vec<Vec<u8>>)> = self
            .places
            .par_chunks(PART)
            .enumerate()
            .map(|(part, places)| {
                let mut left: usize = places.iter().map(|place| place.len as usize).sum();
                let mut bytes: Vec<Vec<u8>> = Vec::new();
                let lay = |(index, place): (usize, &Place)| {
                    left -= place.len as usize;
                    if let Some(Some(there)) = shared.get(part * PART + index) {
                        return Place { count: place.count, ..*there };
                    }
                    let row = place.bytes(&self.chunks);
                    if bytes.last().is_none_or(|chunk| chunk.len() + row.len() > CHUNK) {
                        bytes.push(Vec::with_capacity((left + row.len()).min(CHUNK).max(row.len())));
                    }
                    let chunk = bytes.len() - 1;
                    let start = bytes[chunk].len() as u32;
                    bytes[chunk].extend_from_slice(row);
                    Place { chunk: (chunks.len() + chunk) as u32, start, ..*place }
                };
                let places = places.iter().enumerate().map(lay).collect();
                bytes.iter_mut().for_each(Vec::shrink_to_fit);
                (places, bytes)
            })
            .collect();
        let mut places = Vec::with_capacity(self.places.len());
        let mut own: Vec<Arc<Vec<u8>>> = Vec::new();
        for (part, bytes) in parts {
            let before = own.len() as u32;
            let own_chunk = |place: &Place| place.chunk as usize >= chunks.len();
            places.extend(part.into_iter().map(|place| match own_chunk(&place) {
                true => Place { chunk: place.chunk + before, ..place },
                false => place,
            }));
            own.extend(bytes.into_iter().map(Arc::new));
        }
        Kept { places: Arc::new(places), chunks: chunks.iter().cloned().chain(own).collect() }
    }
}
