//! Marks of rows: digests of their names and of the parts that somebody reads, by which two runs are compared.

use crate::rows::Row;
use datasets::{
    Digest,
    row::{self, TrackView},
};
use xxhash_rust::xxh3::xxh3_64;

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

/// Short digest of a row's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    track: [u8; 6],
    span: [u8; 4],
}

impl Name {
    /// Length in bytes.
    pub const BYTES: usize = 10;

    /// Digests an id.
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

    /// Encodes as bytes, which sort in the same order.
    pub fn bytes(self) -> [u8; Name::BYTES] {
        let mut bytes = [0; Name::BYTES];
        bytes[..6].copy_from_slice(&self.track);
        bytes[6..].copy_from_slice(&self.span);
        bytes
    }

    /// Common prefix of the names of a track and all its parts.
    pub fn track_bytes(&self) -> &[u8] {
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
pub struct Fingerprint {
    /// Short digest of the row's id.
    pub name: Name,
    /// Content digest: what heavy work reads (sound, codes, weights), and no label.
    pub content: [u8; 6],
    /// Digest of the split's name.
    pub split: [u8; 2],
    /// Digest of the whole row.
    pub whole: [u8; 6],
}

impl Fingerprint {
    /// Length in bytes.
    pub const BYTES: usize = Name::BYTES + 14;

    /// Fingerprints a row, given its packed bytes and the digest of its split.
    pub(crate) fn of(row: &impl Row, packed: &[u8], split: [u8; 2]) -> Fingerprint {
        // It tells rows of one store apart and nothing else, so it need not withstand those who look for another row like it.
        let mut whole = [0; 6];
        whole.copy_from_slice(&xxh3_64(packed).to_be_bytes()[..6]);
        let content = row.content_digest().map_or(whole, |digest| cut(&digest));
        Fingerprint { name: Name::of(&row.row_id()), content, split, whole }
    }

    /// The digest of a split's name.
    pub fn split(name: &str) -> [u8; 2] {
        first(name.as_bytes())
    }

    /// Encodes as bytes, which sort in the same order.
    pub fn bytes(self) -> [u8; Fingerprint::BYTES] {
        let mut bytes = [0; Fingerprint::BYTES];
        bytes[..10].copy_from_slice(&self.name.bytes());
        bytes[10..16].copy_from_slice(&self.content);
        bytes[16..18].copy_from_slice(&self.split);
        bytes[18..].copy_from_slice(&self.whole);
        bytes
    }

    /// Decodes the bytes of [`Fingerprint::bytes`].
    pub fn read(bytes: &[u8; Fingerprint::BYTES]) -> Fingerprint {
        let mut fingerprint = Fingerprint { name: Name::read(bytes), ..Fingerprint::default() };
        fingerprint.content.copy_from_slice(&bytes[10..16]);
        fingerprint.split.copy_from_slice(&bytes[16..18]);
        fingerprint.whole.copy_from_slice(&bytes[18..]);
        fingerprint
    }
}

/// Number of facts that are stated about a track: its license, its labels, and the corpus's own columns.
const SAID: usize = row::Labels::NAMES.len() + 2;

/// Names of the facts that may be stated about a track, in the order of [`Labels`].
fn said() -> impl Iterator<Item = &'static str> {
    ["license"].into_iter().chain(row::Labels::NAMES).chain(["other labels"])
}

/// Two bytes of texts, by FNV-1a: enough to see which of a few differs, and cheap for millions.
fn short<'t>(texts: impl IntoIterator<Item = &'t str>) -> [u8; 2] {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for text in texts {
        // No text holds this byte, so that one text never looks like two.
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let [a, b, c, d, e, f, g, h] = hash.to_le_bytes();
    [a ^ c ^ e ^ g, b ^ d ^ f ^ h]
}

/// Digests of what is said about a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels {
    name: Name,
    each: [[u8; 2]; SAID],
}

impl Labels {
    /// Length in bytes.
    pub const BYTES: usize = Name::BYTES + 2 * SAID;

    /// Digests the labels of a track.
    pub fn of(track: &TrackView<'_>) -> Labels {
        let labels = &track.labels;
        let mut each = [[0; 2]; SAID];
        for (slot, text) in each.iter_mut().zip([track.license].into_iter().chain(labels.each())) {
            *slot = text.map_or([0; 2], |text| short([text]));
        }
        each[SAID - 1] = short(labels.extra.iter().flat_map(|(column, text)| [*column, *text]));
        Labels { name: Name::of(track.id), each }
    }

    /// Names of the labels that differ.
    pub fn differences(&self, other: &Labels) -> Vec<&'static str> {
        let pairs = self.each.iter().zip(&other.each).zip(said());
        pairs.filter(|((a, b), _)| a != b).map(|(_, what)| what).collect()
    }

    /// Encodes as bytes, which sort in the same order.
    pub fn bytes(self) -> [u8; Labels::BYTES] {
        let mut bytes = [0; Labels::BYTES];
        bytes[..10].copy_from_slice(&self.name.bytes());
        bytes[10..].copy_from_slice(self.each.as_flattened());
        bytes
    }

    /// Decodes the bytes of [`Labels::bytes`].
    pub fn read(bytes: &[u8; Labels::BYTES]) -> Labels {
        let mut labels = Labels { name: Name::read(bytes), each: [[0; 2]; SAID] };
        labels.each.as_flattened_mut().copy_from_slice(&bytes[10..]);
        labels
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
}
