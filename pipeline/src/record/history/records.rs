//! Packed lists of fingerprints, as a history holds them.

use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Sorted records of one length, packed as one string of bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Packed<const N: usize>(Vec<[u8; N]>);

impl<const N: usize> Packed<N> {
    pub(super) fn sorted(mut records: Vec<[u8; N]>) -> Packed<N> {
        // Digests differ in their first bytes, which are compared as a number; the rest of them decides where those are equal.
        let start = |record: &[u8; N]| record.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        records.par_sort_unstable_by(|a, b| start(a).cmp(&start(b)).then_with(|| a.cmp(b)));
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

    /// Number of records that `other` does not hold.
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
    use stages::rows::fingerprint::Name;

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
