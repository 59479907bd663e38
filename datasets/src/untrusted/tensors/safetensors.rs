//! The header of a safetensors file: tensors by name with type, shape, and the bytes that hold them.

use super::place::{Element, Found, Place, bytes_at, row_major, wrong};
use crate::untrusted::model::LARGEST_HEADER;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Seek};

/// What a header says of a tensor.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<i64>,
    data_offsets: (u64, u64),
}

/// A header; two tensors of one name are an error, as readers would take different ones.
struct Header {
    tensors: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(header: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header { tensors: BTreeMap::new(), metadata: BTreeMap::new() };
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        header.metadata = map.next_value()?;
                    } else if header.tensors.insert(name.clone(), map.next_value()?).is_some() {
                        return Err(A::Error::custom(format!("two tensors are named `{name}`")));
                    }
                }
                Ok(header)
            }
        }
        header.deserialize_map(Entries)
    }
}

/// The element of a type's name; `None` for a name that the format does not have.
fn element(dtype: &str) -> Option<Element> {
    let bytes = match dtype {
        "F32" => return Some(Element::F32),
        "F16" => return Some(Element::F16),
        "BF16" => return Some(Element::Bf16),
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" => 1,
        "U16" | "I16" => 2,
        "U32" | "I32" => 4,
        "U64" | "I64" | "F64" => 8,
        _ => return None,
    };
    Some(Element::Other(dtype.to_owned(), bytes))
}

/// Reads the header of a file of `size` bytes.
pub(super) fn read<R: Read + Seek>(file: &mut R, size: u64) -> io::Result<Found> {
    let broken = |why: String| wrong(format!("it is neither of `torch.save` nor safetensors: {why}"));
    if size < 8 {
        return Err(broken(format!("it has {size} bytes")));
    }
    let head = bytes_at(file, 0, 8)?;
    let length = u64::from_le_bytes(head.try_into().unwrap_or_default());
    if length > LARGEST_HEADER || length > size - 8 {
        return Err(broken(format!("a header of {length} bytes in a file of {size}")));
    }
    let text = bytes_at(file, 8, length)?;
    let header: Header =
        serde_json::from_slice(&text).map_err(|error| broken(format!("its header is broken: {error}")))?;
    let (base, room) = (8 + length, size - 8 - length);
    let mut found = Found { metadata: header.metadata, ..Found::default() };
    for (name, entry) in header.tensors {
        let misplaced = |why: &str| wrong(format!("tensor `{name}`: {why}"));
        let element = element(&entry.dtype).ok_or_else(|| misplaced(&format!("no type is named {}", entry.dtype)))?;
        let (start, end) = entry.data_offsets;
        if start > end || end > room {
            return Err(misplaced("it ends behind the file"));
        }
        let strides = row_major(&entry.shape);
        let place = Place::new(element, (&entry.shape, &strides), (base + start, end - start), 0).map_err(misplaced)?;
        if place.count() * place.element.bytes() != end - start {
            return Err(misplaced("its shape is not that of its bytes"));
        }
        found.places.insert(name, place);
    }
    Ok(found)
}
