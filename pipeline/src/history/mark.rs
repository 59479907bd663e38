//! Rows as a history holds them: digests of their names and of the parts that somebody reads.

use datasets::{
    Digest, Key,
    row::{Clip, Track},
};
use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use stages::stage::AnyRow;
use std::fmt;

fn first<const N: usize>(text: &[u8]) -> [u8; N] {
    cut(&Digest::of(text))
}

fn cut<const N: usize>(digest: &Digest) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&digest.0[..N]);
    bytes
}

/// A row's id as its track's and the span within it: `dataset/key` and `start+frames`.
pub fn parts(id: &str) -> (&str, Option<&str>) {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let span = |span: &str| span.split_once('+').is_some_and(|(start, frames)| digits(start) && digits(frames));
    match id.rsplit_once('@') {
        Some((track, rest)) if span(rest) => (track, Some(rest)),
        _ => (id, None),
    }
}

/// What a row is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    track: [u8; 6],
    span: [u8; 4],
}

impl Name {
    pub(super) const BYTES: usize = 10;

    /// Of an id.
    pub fn of(id: &str) -> Name {
        let (track, span) = parts(id);
        Name { track: first(track.as_bytes()), span: span.map_or([0; 4], |span| first(span.as_bytes())) }
    }

    /// The name of the track that the row is a part of; its own where it is no part of one.
    #[must_use]
    pub fn track(self) -> Name {
        Name { span: [0; 4], ..self }
    }

    /// Whether the digest of the track's id starts with these bits, zeros and ones.
    pub fn starts_with(self, bits: &str) -> bool {
        bits.bytes().enumerate().all(|(i, bit)| {
            let own = self.track.get(i / 8).map_or(0, |byte| byte >> (7 - i % 8) & 1);
            own == bit - b'0'
        })
    }

    pub(super) fn bytes(self) -> [u8; Name::BYTES] {
        let mut bytes = [0; Name::BYTES];
        bytes[..6].copy_from_slice(&self.track);
        bytes[6..].copy_from_slice(&self.span);
        bytes
    }

    /// How the bytes of all begin that are parts of its track.
    pub(super) fn track_bytes(&self) -> &[u8] {
        &self.track
    }

    fn read(bytes: &[u8]) -> Name {
        let mut name = Name::default();
        name.track.copy_from_slice(&bytes[..6]);
        name.span.copy_from_slice(&bytes[6..Name::BYTES]);
        name
    }
}

/// A row: its name, and digests of what others read of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// What it is called.
    pub name: Name,
    /// What heavy work reads of it: the sound, the codes, the weights, and no label.
    pub substance: [u8; 6],
    /// Its split.
    pub split: [u8; 2],
    /// All of it.
    pub whole: [u8; 6],
}

impl Mark {
    pub(super) const BYTES: usize = Name::BYTES + 14;

    /// Of a row.
    pub fn of(row: &AnyRow) -> Mark {
        // Rows are plain structs of strings and numbers: there is nothing that could fail.
        let whole = first(&postcard::to_stdvec(row).unwrap_or_default());
        let substance = substance(row).map_or(whole, |digest| cut(&digest));
        Mark { name: Name::of(&row.id()), substance, split: Mark::split(split(row)), whole }
    }

    /// The digest of a split's name.
    pub fn split(name: &str) -> [u8; 2] {
        first(name.as_bytes())
    }

    pub(super) fn bytes(self) -> [u8; Mark::BYTES] {
        let mut bytes = [0; Mark::BYTES];
        bytes[..10].copy_from_slice(&self.name.bytes());
        bytes[10..16].copy_from_slice(&self.substance);
        bytes[16..18].copy_from_slice(&self.split);
        bytes[18..].copy_from_slice(&self.whole);
        bytes
    }

    pub(super) fn read(bytes: &[u8; Mark::BYTES]) -> Mark {
        let mut mark = Mark { name: Name::read(bytes), ..Mark::default() };
        mark.substance.copy_from_slice(&bytes[10..16]);
        mark.split.copy_from_slice(&bytes[16..18]);
        mark.whole.copy_from_slice(&bytes[18..]);
        mark
    }
}

fn of_track(track: &Track) -> Digest {
    let Some(recording) = &track.recording else { return track.content };
    let key = Key::new("substance").digest(&recording.samples);
    track.chain.iter().fold(key, |key, chain| key.number(chain.rate.into()).number(chain.channels.into())).finish()
}

fn of_clip(clip: &Clip) -> Digest {
    Key::new("substance").digest(&of_track(&clip.track)).number(clip.start).number(clip.frames).finish()
}

/// Of a row what heavy work reads; none: all of it.
fn substance(row: &AnyRow) -> Option<Digest> {
    Some(match row {
        AnyRow::Track(track) => of_track(track),
        AnyRow::Clip(clip) => of_clip(clip),
        AnyRow::Codes(codes) => Key::new("substance").digest(&codes.codec).digest(&codes.blob).finish(),
        AnyRow::Shard(shard) => shard.view,
        AnyRow::Weights(weights) => weights.digest,
        AnyRow::Prior(prior) => prior.digest,
        AnyRow::Audio(song) => song.file,
        AnyRow::Found(_) | AnyRow::Metric(_) => return None,
    })
}

/// The split of a row; empty where it has none.
fn split(row: &AnyRow) -> &str {
    match row {
        AnyRow::Track(track) => track.split.as_deref().unwrap_or_default(),
        AnyRow::Clip(clip) => clip.track.split.as_deref().unwrap_or_default(),
        AnyRow::Codes(codes) => codes.clip.track.split.as_deref().unwrap_or_default(),
        AnyRow::Shard(shard) => &shard.split,
        _ => "",
    }
}

/// What may be said about a track, in the order of [`Labels`].
pub const LABELS: [&str; 6] = ["license", "title", "artist", "genre", "source", "other labels"];

/// Digests of what is said about a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels {
    name: Name,
    each: [[u8; 2]; 6],
}

impl Labels {
    pub(super) const BYTES: usize = Name::BYTES + 12;

    /// Of a track.
    pub fn of(track: &Track) -> Labels {
        let labels = &track.labels;
        let texts = [&track.license, &labels.title, &labels.artist, &labels.genre, &labels.source];
        let mut each = [[0; 2]; 6];
        for (slot, text) in each.iter_mut().zip(texts) {
            *slot = text.as_ref().map_or([0; 2], |text| first(text.as_bytes()));
        }
        let mut extra = Key::new("extra");
        labels.extra.iter().flat_map(|(column, text)| [column, text]).for_each(|text| extra.add(text.as_bytes()));
        each[5] = cut(&extra.finish());
        Labels { name: Name::of(&track.id), each }
    }

    /// What of it is otherwise there, by [`LABELS`].
    pub fn differences(&self, other: &Labels) -> Vec<&'static str> {
        let pairs = self.each.iter().zip(&other.each).zip(LABELS);
        pairs.filter(|((a, b), _)| a != b).map(|(_, what)| what).collect()
    }

    pub(super) fn bytes(self) -> [u8; Labels::BYTES] {
        let mut bytes = [0; Labels::BYTES];
        bytes[..10].copy_from_slice(&self.name.bytes());
        bytes[10..].copy_from_slice(self.each.as_flattened());
        bytes
    }

    pub(super) fn read(bytes: &[u8; Labels::BYTES]) -> Labels {
        let mut labels = Labels { name: Name::read(bytes), each: [[0; 2]; 6] };
        labels.each.as_flattened_mut().copy_from_slice(&bytes[10..]);
        labels
    }
}

/// Sorted records of one length, packed as one string of bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Packed<const N: usize>(Vec<[u8; N]>);

impl<const N: usize> Packed<N> {
    pub(super) fn sorted(mut records: Vec<[u8; N]>) -> Packed<N> {
        records.par_sort_unstable();
        records.dedup();
        Packed(records)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, [u8; N]> {
        self.0.iter()
    }

    /// The first record that starts so.
    pub(super) fn starts_with(&self, start: &[u8]) -> Option<&[u8; N]> {
        let at = self.0.partition_point(|record| record[..start.len()] < *start);
        self.0.get(at).filter(|record| record.starts_with(start))
    }

    /// How many records are not in another list.
    pub(super) fn without(&self, other: &Packed<N>) -> u64 {
        let mut others = other.0.iter().peekable();
        let lacks = self.0.iter().filter(|record| {
            while others.next_if(|other| other < record).is_some() {}
            others.peek() != Some(record)
        });
        lacks.count() as u64
    }
}

impl<const N: usize> Serialize for Packed<N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0.as_flattened())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Packed<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Packed<N>, D::Error> {
        struct Bytes<const N: usize>;
        impl<const N: usize> de::Visitor<'_> for Bytes<N> {
            type Value = Packed<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "records of {N} bytes")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Packed<N>, E> {
                match bytes.as_chunks::<N>() {
                    (records, []) => Ok(Packed(records.to_vec())),
                    _ => Err(E::invalid_length(bytes.len(), &self)),
                }
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tracks_and_spans() {
        assert_eq!(parts("folder/a@b.wav@128+640"), ("folder/a@b.wav", Some("128+640")));
        for id in ["folder/a@b.wav", "folder/a@1+", "train/all", "@"] {
            assert_eq!(parts(id), (id, None));
        }
        let (track, clip) = (Name::of("folder/t1.wav"), Name::of("folder/t1.wav@0+640"));
        assert_ne!(track, clip);
        assert_eq!(clip.track(), track);
        let bits = format!("{:08b}{:08b}", track.track[0], track.track[1]);
        assert!(clip.starts_with(&bits[..12]) && clip.starts_with("") && !clip.starts_with(&flip(&bits)));
    }

    fn flip(bits: &str) -> String {
        bits.chars().map(|bit| if bit == '0' { '1' } else { '0' }).collect()
    }

    #[test]
    fn records_are_packed_found_and_compared() {
        let list = |names: &[&str]| Packed::sorted(names.iter().map(|name| Name::of(name).bytes()).collect());
        let (a, b) = (list(&["x", "y", "z", "z"]), list(&["y", "v"]));
        assert_eq!((a.len(), a.without(&b), b.without(&a), a.without(&a)), (3, 2, 1, 0));
        assert!(a.starts_with(&Name::of("y").bytes()).is_some() && b.starts_with(&Name::of("z").bytes()).is_none());
        let bytes = postcard::to_stdvec(&a).expect("packed");
        assert_eq!(bytes.len(), 1 + 3 * Name::BYTES);
        assert_eq!(postcard::from_bytes::<Packed<{ Name::BYTES }>>(&bytes).expect("read"), a);
        assert!(postcard::from_bytes::<Packed<7>>(&bytes).is_err());
    }
}
