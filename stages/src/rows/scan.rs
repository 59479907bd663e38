//! Result of scanning a source: packed rows, in the order of their keys.
//!
//! A scan of a million tracks is fed row by row, and where a dataflow stays up it is there until the next one, to be compared
//! with it. As structs of strings it would take five times the memory.

use crate::rows::{
    pack::{append, pack, unpack},
    sort::Start,
};
use datasets::{
    Digest,
    row::{Found, Labels, Origin},
};
use rayon::prelude::*;
use std::{cmp::Ordering, ops::Range, sync::Arc};

/// A row but for whether its key is shared, which is the last byte.
type Packed<'r> = (&'r str, Option<&'r Origin>, &'r Option<String>, &'r Labels);
type Unpacked = (String, Option<Origin>, Option<String>, Labels);

/// A part of a scan: packed rows.
#[derive(Default)]
pub struct Part {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    there: u64,
    unreadable: bool,
}

impl Part {
    /// Adds a row. Whether its key is shared is found out when all rows are there.
    pub fn push(&mut self, found: &Found) {
        let Found { key, origin, license, labels, .. } = found;
        let packed: Packed<'_> = (key, Some(origin), license, labels);
        self.bytes = append(&packed, std::mem::take(&mut self.bytes));
        self.bytes.push(0);
        self.ends.push(self.bytes.len() as u32);
        self.there += u64::from(matches!(origin, Origin::File { .. } | Origin::Piece { .. }));
        self.unreadable |= matches!(origin, Origin::Unreadable(_));
    }
}

/// Number of rows in a part: offsets within a part are 32 bits.
const ROWS: usize = 1 << 15;

impl Part {
    /// Packs rows into parts.
    pub fn several(rows: impl Iterator<Item = Found>) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for row in rows {
            if parts.last().is_none_or(|part| part.ends.len() == ROWS) {
                parts.push(Part::default());
            }
            parts.iter_mut().last().into_iter().for_each(|part| part.push(&row));
        }
        parts
    }
}

/// Position of a row: part, offset, length.
#[derive(Clone, Copy)]
struct Place {
    part: u32,
    start: u32,
    len: u32,
}

/// All rows of a source.
#[derive(Default)]
pub struct Scan {
    places: Vec<Place>,
    parts: Vec<Vec<u8>>,
    there: u64,
    unreadable: bool,
}

fn key(row: &[u8]) -> &str {
    unpack(row)
}

/// Order of packed rows: by key, then by the remaining bytes.
fn order(one: &[u8], other: &[u8]) -> Ordering {
    key(one).cmp(key(other)).then_with(|| one.cmp(other))
}

impl Scan {
    /// Merges parts, given in any order.
    pub fn of(parts: Vec<Part>) -> Scan {
        let mut scan = Scan::default();
        scan.places.reserve(parts.iter().map(|part| part.ends.len()).sum());
        for (number, mut part) in parts.into_iter().enumerate() {
            let mut start = 0;
            scan.places.extend(part.ends.into_iter().map(|end| {
                let start = std::mem::replace(&mut start, end);
                Place { part: number as u32, start, len: end - start }
            }));
            scan.there += part.there;
            scan.unreadable |= part.unreadable;
            part.bytes.shrink_to_fit();
            scan.parts.push(part.bytes);
        }
        let start = Start::of(scan.places.iter().map(|place| key(scan.at(*place)).as_bytes()));
        let keyed = |place: Place| (start.key(key(scan.at(place)).as_bytes()), place);
        let mut places: Vec<(u128, Place)> = scan.places.par_iter().copied().map(keyed).collect();
        places
            .par_sort_unstable_by(|(a, one), (b, other)| a.cmp(b).then_with(|| order(scan.at(*one), scan.at(*other))));
        scan.places = places.into_iter().map(|(_, place)| place).collect();
        scan.share();
        scan
    }

    /// Marks files whose key another file has.
    fn share(&mut self) {
        let same: Vec<usize> =
            (1..self.len()).into_par_iter().filter(|i| key(self.row(i - 1)) == key(self.row(*i))).collect();
        let file = |index: &usize| matches!(self.get(*index).origin, Origin::File { .. });
        let files: Vec<usize> = same.iter().copied().flat_map(|i| [i - 1, i]).filter(file).collect();
        let groups = files.chunk_by(|a, b| key(self.row(*a)) == key(self.row(*b)));
        let several = groups.filter(|group| group.first() < group.last());
        for index in several.flatten().copied().collect::<Vec<usize>>() {
            let Place { part, start, len } = self.places[index];
            self.parts[part as usize][(start + len - 1) as usize] = 1;
        }
    }

    fn at(&self, Place { part, start, len }: Place) -> &[u8] {
        &self.parts[part as usize][start as usize..][..len as usize]
    }

    fn row(&self, index: usize) -> &[u8] {
        self.at(self.places[index])
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Number of rows that are readable recordings.
    pub fn there(&self) -> u64 {
        self.there
    }

    /// Whether some could not be read.
    pub fn unreadable(&self) -> bool {
        self.unreadable
    }

    /// The row at a place in the order.
    pub fn get(&self, index: usize) -> Found {
        unpacked(self.row(index))
    }

    /// Some rows, in order.
    pub fn rows(self: &Arc<Scan>, range: Range<usize>) -> impl Iterator<Item = Found> + Send + use<> {
        let scan = self.clone();
        range.map(move |index| scan.get(index))
    }

    /// A digest of each row, in order, without the sentence that says why it could not be read: that names a path.
    pub fn digests(&self) -> Vec<Digest> {
        let digest = |index: usize| {
            let row = self.row(index);
            let (key, origin, license, labels): Unpacked = match self.unreadable {
                true => unpack(row),
                false => return Digest::of(&row[..row.len() - 1]),
            };
            let origin = origin.filter(|origin| !matches!(origin, Origin::Unreadable(_)));
            let packed: Packed<'_> = (&key, origin.as_ref(), &license, &labels);
            Digest::of(&pack(&packed))
        };
        (0..self.len()).into_par_iter().map(digest).collect()
    }

    /// Rows added (+1) and removed (-1) between this scan and a later one.
    pub fn until(&self, now: &Scan) -> Vec<(Found, isize)> {
        let mut changes = Vec::new();
        let (mut old, mut new) = (0, 0);
        loop {
            let order = match (old < self.len(), new < now.len()) {
                (true, true) if self.row(old) == now.row(new) => Ordering::Equal,
                (true, true) => order(self.row(old), now.row(new)),
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => return changes,
            };
            if order.is_lt() {
                changes.push((self.get(old), -1));
            }
            if order.is_gt() {
                changes.push((now.get(new), 1));
            }
            old += usize::from(order.is_le());
            new += usize::from(order.is_ge());
        }
    }
}

impl FromIterator<Found> for Scan {
    fn from_iter<I: IntoIterator<Item = Found>>(rows: I) -> Scan {
        Scan::of(Part::several(rows.into_iter()))
    }
}

fn unpacked(row: &[u8]) -> Found {
    let (key, origin, license, labels): Unpacked = unpack(row);
    let Some(origin) = origin else { unreachable!("a row is packed with its origin") };
    Found { key, origin, shared: row.last() == Some(&1), license, labels }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, code: &str) -> Found {
        let origin = Origin::Unusable(code.into(), String::new());
        Found { key: key.into(), origin, shared: false, license: None, labels: Labels::default() }
    }

    fn file(key: &str, bytes: u64) -> Found {
        Found {
            origin: Origin::File { content: Digest::of(b"bytes"), bytes },
            license: Some("x".into()),
            ..row(key, "")
        }
    }

    #[test]
    fn differences_are_what_came_and_went() {
        let before: Scan = [row("b", "x"), row("a", "x"), row("a", "x"), row("c", "x")].into_iter().collect();
        let now: Scan = [row("a", "x"), row("b", "y"), row("d", "x"), row("c", "x")].into_iter().collect();
        let mut rows = before.until(&now);
        rows.sort();
        assert_eq!(rows, [(row("a", "x"), -1), (row("b", "x"), -1), (row("b", "y"), 1), (row("d", "x"), 1)]);
        assert!(now.until(&now).is_empty() && Scan::default().until(&Scan::default()).is_empty());
    }

    #[test]
    fn rows_come_back_in_order_and_files_of_one_key_know_it() {
        let rows =
            [file("b", 2), file("a", 1), row("b", "odd"), file("b", 1), row("c", "odd"), file("c", 1), file("d", 1)];
        let mut parts: Vec<Part> = rows.iter().map(|_| Part::default()).collect();
        parts.iter_mut().zip(&rows).for_each(|(part, row)| part.push(row));
        let scan = Arc::new(Scan::of(parts));
        let all: Vec<Found> = scan.rows(0..scan.len()).collect();
        assert!(all.is_sorted_by_key(|row| row.key.clone()));
        let shared: Vec<&Found> = all.iter().filter(|row| row.shared).collect();
        assert!(shared.len() == 2 && shared.iter().all(|row| row.key == "b" && row.license.is_some()));
        assert_eq!((scan.len(), scan.there(), scan.unreadable()), (7, 5, false));
        let whole: Scan = rows.into_iter().rev().collect();
        assert!(scan.until(&whole).is_empty());
        assert_eq!((scan.digests(), scan.rows(2..3).collect::<Vec<_>>()), (whole.digests(), vec![all[2].clone()]));
    }

    #[test]
    fn why_a_file_could_not_be_read_is_in_no_digest() {
        let wrong = |why: &str| -> Scan {
            [file("a", 1), Found { origin: Origin::Unreadable(why.into()), ..row("b", "") }].into_iter().collect()
        };
        let (one, other) = (wrong("cannot read /one"), wrong("cannot read /other"));
        let readable: Scan = [file("a", 1)].into_iter().collect();
        assert!(one.unreadable() && one.digests() == other.digests() && one.digests()[0] == readable.digests()[0]);
        assert_eq!(one.until(&other).len(), 2);
    }
}
