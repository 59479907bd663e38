//! Named arrays of `f32` and the safetensors files that hold them.
//!
//! Names are sorted and the file has at most one metadata entry, so equal weights give equal bytes and the digest of a
//! file is the identity of what it holds.
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use safetensors::tensor::{Dtype, SafeTensors, View};

/// Why a weights file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// The bytes are not a safetensors file.
    #[error("not a safetensors file: {0}")]
    NotSafetensors(String),
    /// A tensor that the configuration calls for is not there.
    #[error("tensor `{0}` is missing")]
    Missing(String),
    /// A tensor that the configuration has no place for.
    #[error("tensor `{0}` does not belong to this configuration")]
    Unknown(String),
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{name}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape that the configuration calls for.
        expected: Vec<usize>,
    },
    /// A tensor is not stored as floats of the types that are read.
    #[error("tensor `{name}` has type {found}, expected {expected}")]
    Type {
        /// The tensor's name.
        name: String,
        /// The type in the file.
        found: String,
        /// The types that are read.
        expected: &'static str,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor `{0}` holds a value that is not finite")]
    NotFinite(String),
    /// A tensor holds a number beyond [`LARGEST`].
    #[error("tensor `{0}` holds a number beyond 1e15, which no network learns")]
    TooLarge(String),
    /// Two tensors have one name.
    #[error("two tensors are named `{0}`")]
    Twice(String),
    /// The network's numbers leave the range of 32-bit floats.
    #[error("the network overflows: {0}")]
    Overflow(String),
    /// The metadata entry cannot be read.
    #[error("the configuration in the metadata cannot be read: {0}")]
    Metadata(String),
    /// The file is of a later version of this format.
    #[error("the file has format version {found}, this program reads up to {known}")]
    Newer {
        /// The version in the file.
        found: u32,
        /// The latest version that this program reads.
        known: u32,
    },
    /// The configuration makes no network.
    #[error("{0}")]
    Config(String),
    /// The file has neither our metadata nor the names of a published model.
    #[error("no configuration in the metadata and no tensor named `encoders.0...`: not a codec")]
    NotACodec,
}

/// The largest magnitude of a weight, of a latent and of an activation between the blocks of a prior: squares of
/// such numbers can be added up in 32-bit floats.
pub const LARGEST: f32 = 1e15;

/// Whether all numbers are within [`LARGEST`].
pub(crate) fn within(numbers: &[f32]) -> bool {
    numbers.iter().all(|number| number.abs() <= LARGEST)
}

/// One array: its shape and its elements in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Lengths of the axes, outermost first.
    pub shape: Vec<usize>,
    /// `shape.iter().product()` elements.
    pub data: Vec<f32>,
}

impl Array {
    /// An array of zeros.
    pub fn zeros(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
    }
}

impl View for &Array {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.data.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
    fn data_len(&self) -> usize {
        self.data.len() * 4
    }
}

/// Arrays by name.
pub type Arrays = BTreeMap<String, Array>;

/// The bytes of a safetensors file with `arrays` and one metadata entry.
pub fn to_bytes(arrays: &Arrays, entry: (&str, String)) -> Result<Vec<u8>, WeightsError> {
    // One entry only: the crate takes a hash map and writes it in the map's order.
    let metadata = HashMap::from([(entry.0.to_owned(), entry.1)]);
    safetensors::serialize(arrays.iter().map(|(n, a)| (n.as_str(), a)), Some(metadata))
        .map_err(|e| WeightsError::NotSafetensors(e.to_string()))
}

/// What the metadata entry of a model's file holds.
#[derive(Serialize, Deserialize)]
struct Header<C> {
    version: u32,
    config: C,
}

/// Only the version: the rest of a later file may have another form.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The bytes of a model's file: its arrays, and its configuration in the metadata entry `key`.
pub(crate) fn save<C: Serialize>(
    arrays: &Arrays,
    key: &str,
    version: u32,
    config: &C,
) -> Result<Vec<u8>, WeightsError> {
    let text = serde_json::to_string(&Header { version, config }).map_err(|e| WeightsError::Metadata(e.to_string()))?;
    to_bytes(arrays, (key, text))
}

/// The configuration in a metadata entry of at most version `known`.
pub(crate) fn config<C: DeserializeOwned>(entry: &str, known: u32) -> Result<C, WeightsError> {
    let metadata = |e: serde_json::Error| WeightsError::Metadata(e.to_string());
    let Version { version: found } = serde_json::from_str(entry).map_err(metadata)?;
    if found > known {
        return Err(WeightsError::Newer { found, known });
    }
    let header: Header<C> = serde_json::from_str(entry).map_err(metadata)?;
    Ok(header.config)
}

/// Checks that there are these tensors, of these shapes, and no others.
pub(crate) fn check(
    arrays: &Arrays,
    expected: impl IntoIterator<Item = (String, Vec<usize>)>,
) -> Result<(), WeightsError> {
    check_shapes(&arrays.iter().map(|(name, array)| (name.as_str(), &array.shape[..])).collect(), expected)
}

/// [`check`] of shapes alone.
pub(crate) fn check_shapes(
    shapes: &BTreeMap<&str, &[usize]>,
    expected: impl IntoIterator<Item = (String, Vec<usize>)>,
) -> Result<(), WeightsError> {
    let mut known = BTreeSet::new();
    for (name, expected) in expected {
        let found = *shapes.get(name.as_str()).ok_or_else(|| WeightsError::Missing(name.clone()))?;
        if found != expected {
            return Err(WeightsError::Shape { name, found: found.to_vec(), expected });
        }
        known.insert(name);
    }
    match shapes.keys().find(|name| !known.contains(**name)) {
        Some(name) => Err(WeightsError::Unknown((*name).to_owned())),
        None => Ok(()),
    }
}

/// The arrays of a safetensors file, and its metadata entry `key` if it has one.
///
/// Errors: bytes that are no safetensors file, two tensors of one name, a tensor of another type than F32, a value that
/// is not finite or beyond [`LARGEST`].
pub fn from_bytes(bytes: &[u8], key: &str) -> Result<(Arrays, Option<String>), WeightsError> {
    let broken = |e: safetensors::SafeTensorError| WeightsError::NotSafetensors(e.to_string());
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    if let Some(Names(Some(name))) =
        bytes.get(8..8 + length).and_then(|header| serde_json::from_slice::<Names>(header).ok())
    {
        return Err(WeightsError::Twice(name));
    }
    let entry = header.metadata().as_ref().and_then(|m| m.get(key).cloned());
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    let mut arrays = Arrays::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(WeightsError::Type {
                name: name.to_owned(),
                found: format!("{:?}", view.dtype()),
                expected: "F32",
            });
        }
        let (words, _) = view.data().as_chunks::<4>();
        let data: Vec<f32> = words.iter().map(|w| f32::from_le_bytes(*w)).collect();
        let array = Array { shape: view.shape().to_vec(), data };
        arrays.insert(name.to_owned(), array);
    }
    sane(&arrays)?;
    Ok((arrays, entry))
}

/// Checks that every value is finite and within [`LARGEST`].
pub(crate) fn sane(arrays: &Arrays) -> Result<(), WeightsError> {
    // In the order of names, so that the same file always gets the same complaint.
    if let Some((name, _)) = arrays.iter().find(|(_, a)| a.data.iter().any(|v| !v.is_finite())) {
        return Err(WeightsError::NotFinite(name.clone()));
    }
    if let Some((name, _)) = arrays.iter().find(|(_, a)| !within(&a.data)) {
        return Err(WeightsError::TooLarge(name.clone()));
    }
    Ok(())
}

/// The first name that stands twice in the header: of two tensors with one name, readers take different ones.
struct Names(Option<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(header: D) -> Result<Self, D::Error> {
        struct Find;
        impl<'de> Visitor<'de> for Find {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let (mut seen, mut twice) = (BTreeSet::new(), None);
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if seen.contains(&name) {
                        twice = twice.or(Some(name));
                    } else {
                        seen.insert(name);
                    }
                }
                Ok(Names(twice))
            }
        }
        header.deserialize_map(Find)
    }
}

/// Whether a number of a configuration is 0, and then not written: files of before it existed keep their bytes.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it a reference")]
pub(super) fn is_zero(number: &usize) -> bool {
    *number == 0
}
