//! Identity: a BLAKE3 digest, and the one way in which digests of structured things are made.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// A BLAKE3 digest: 32 bytes, written as 64 lower-case hexadecimal digits.
///
/// ```
/// use datasets::Digest;
///
/// let digest = Digest::of(b"refrain");
/// assert_eq!(digest.hex().len(), 64);
/// assert_eq!(digest.hex().parse(), Ok(digest));
/// // A list of digests is their bytes, one after the other.
/// let list = Digest::joined([digest, Digest::of(b"")]);
/// assert_eq!(list.len(), 64);
/// assert_eq!(Digest::list(&list).next(), Some(digest));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of plain bytes; equals `b3sum` of a file with the same bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// All 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// The first `digits` hexadecimal digits, for names and screens.
    pub fn short(&self, digits: usize) -> String {
        let mut hex = self.hex();
        hex.truncate(digits);
        hex
    }

    /// Digests one after the other, as [`Digest::list`] reads them.
    pub fn joined(digests: impl IntoIterator<Item = Digest>) -> Vec<u8> {
        digests.into_iter().flat_map(|digest| digest.0).collect()
    }

    /// The digests of what [`Digest::joined`] made.
    pub fn list(bytes: &[u8]) -> impl Iterator<Item = Digest> + '_ {
        let (digests, _) = bytes.as_chunks::<32>();
        digests.iter().copied().map(Digest)
    }

    /// The first eight bytes as a number, uniform over all of `u64`: for thresholds, shards and routing.
    pub fn prefix(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(first)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", self.short(12))
    }
}

impl FromStr for Digest {
    type Err = String;
    fn from_str(text: &str) -> Result<Digest, String> {
        match blake3::Hash::from_hex(text) {
            Ok(hash) => Ok(Digest(*hash.as_bytes())),
            Err(_) => Err(format!("`{text}` is not a digest of 64 hexadecimal digits")),
        }
    }
}

/// Hexadecimal where people read it (JSON, TOML), bytes where they do not.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.serialize_str(&self.hex()) } else { self.0.serialize(to) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        if from.is_human_readable() {
            String::deserialize(from)?.parse().map_err(de::Error::custom)
        } else {
            Ok(Digest(<[u8; 32]>::deserialize(from)?))
        }
    }
}

/// Builds the digest of a structured thing. Every part goes in with its length, so that no two
/// different sequences of parts hash alike.
///
/// ```
/// use datasets::Key;
///
/// let key = |title: &str, artist: &str| Key::new("song").text(title).text(artist).number(3).finish();
/// assert_eq!(key("ab", "c"), key("ab", "c"));
/// assert_ne!(key("ab", "c"), key("a", "bc"));
/// // The same parts of another kind of thing.
/// assert_ne!(key("ab", "c"), Key::new("sound").text("ab").text("c").number(3).finish());
/// ```
#[derive(Clone)]
pub struct Key(blake3::Hasher);

impl Key {
    /// `what` names the kind of thing, so that digests of different kinds never meet.
    pub fn new(what: &str) -> Key {
        Key(blake3::Hasher::new()).text(what)
    }

    /// [`Key::new`] with no more than some raw bytes, at once: for millions.
    pub fn of(what: &str, bytes: &[u8]) -> Digest {
        let mut all = Vec::with_capacity(2 * size_of::<u64>() + what.len() + bytes.len());
        for part in [what.as_bytes(), bytes] {
            all.extend_from_slice(&(part.len() as u64).to_le_bytes());
            all.extend_from_slice(part);
        }
        Digest::of(&all)
    }

    /// Adds raw bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Key {
        self.add(bytes);
        self
    }

    /// Adds text.
    #[must_use]
    pub fn text(self, text: &str) -> Key {
        self.bytes(text.as_bytes())
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, number: u64) -> Key {
        self.bytes(&number.to_le_bytes())
    }

    /// Adds a digest.
    #[must_use]
    pub fn digest(self, digest: &Digest) -> Key {
        self.bytes(&digest.0)
    }

    /// Adds raw bytes in place, for loops.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    pub fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let ab_c = Key::new("t").text("ab").text("c").finish();
        let a_bc = Key::new("t").text("a").text("bc").finish();
        assert_ne!(ab_c, a_bc);
        assert_ne!(Key::new("t").finish(), Key::new("u").finish());
        assert_eq!(Key::of("t", b"bytes"), Key::new("t").bytes(b"bytes").finish());
    }

    #[test]
    fn hex_goes_both_ways() {
        let digest = Digest::of(b"refrain");
        assert_eq!(digest.hex().parse(), Ok(digest));
        assert!("abc".parse::<Digest>().is_err());
        let json = serde_json::to_string(&digest).expect("a string");
        assert_eq!(json, format!("\"{digest}\""));
        assert_eq!(serde_json::from_str::<Digest>(&json).expect("a digest"), digest);
        let binary = postcard::to_stdvec(&digest).expect("bytes");
        assert_eq!(binary.len(), 32);
        assert_eq!(postcard::from_bytes::<Digest>(&binary).expect("a digest"), digest);
    }
}
