//! An open file of tensors.

use super::place::{Element, Found, Place, bytes_at, row_major, wrong};
use super::{checkpoint, safetensors};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// A tensor that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The type of its elements.
    pub element: Element,
    /// Lengths of the axes, outermost first.
    pub shape: Vec<usize>,
    /// The elements in row-major order, little-endian.
    pub bytes: Vec<u8>,
}

/// A file's tensors by name.
pub struct TensorFile<R> {
    file: R,
    size: u64,
    found: Found,
}

impl TensorFile<File> {
    /// Opens a file and reads what it tells of its tensors.
    ///
    /// # Errors
    /// Those of [`open`](crate::untrusted::open), and those of [`TensorFile::new`].
    pub fn open(path: &Path) -> io::Result<TensorFile<File>> {
        let file = crate::untrusted::open(path)?;
        let size = file.metadata()?.len();
        TensorFile::new(file, size)
    }
}

impl<R: Read + Seek> TensorFile<R> {
    /// Reads what a file of `size` bytes tells of its tensors.
    ///
    /// # Errors
    /// Those of the reader, and `InvalidData` for what is neither safetensors nor of `torch.save`, for two tensors of one name,
    /// and for a pickle that names anything but tensors.
    pub fn new(mut file: R, size: u64) -> io::Result<TensorFile<R>> {
        let mut head = [0; 4];
        let there = size.min(4) as usize;
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut head[..there])?;
        let found = match head {
            [b'P', b'K', 3, 4] => checkpoint::archived(&mut file, size),
            // As the length of a header, both would be larger than any that is read.
            [0x80, 2, 0x8a, 10] => checkpoint::streamed(&mut file, size),
            _ => safetensors::read(&mut file, size),
        };
        Ok(TensorFile { file, size, found: found? })
    }

    /// The shape of each tensor, by name.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.found.places.iter().map(|(name, place)| (name.as_str(), &place.shape[..]))
    }

    /// A text in the metadata of a safetensors file.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.found.metadata.get(name).map(String::as_str)
    }

    /// A whole number that a checkpoint holds beside its tensors.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.found.numbers.get(name).copied()
    }

    /// Reads tensors, in the order of their names here.
    ///
    /// # Errors
    /// Those of the reader, `NotFound` for a name that the file does not have, and `InvalidData` where all of them together are
    /// larger than the file.
    pub fn read(&mut self, names: &[&str]) -> io::Result<Vec<Tensor>> {
        let place = |name: &&str| {
            let place = self.found.places.get(*name).cloned();
            place.ok_or_else(|| io::Error::new(ErrorKind::NotFound, format!("no tensor is named `{name}`")))
        };
        let places = names.iter().map(place).collect::<io::Result<Vec<Place>>>()?;
        // Tensors may share a storage.
        let all = places.iter().try_fold(0u64, |all, place| all.checked_add(place.count() * place.element.bytes()));
        if all.is_none_or(|all| all > self.size) {
            return Err(wrong("its tensors together are larger than the file"));
        }
        places.into_iter().map(|place| self.one(place)).collect()
    }

    fn one(&mut self, place: Place) -> io::Result<Tensor> {
        let size = place.element.bytes();
        let stored = bytes_at(&mut self.file, place.start, place.reach() * size)?;
        let signed: Vec<i64> = place.shape.iter().map(|n| *n as i64).collect();
        let rows = row_major(&signed);
        let mut axes = rows.iter().zip(&place.strides).zip(&place.shape);
        let dense = axes.all(|((dense, stride), n)| *n <= 1 || *dense as u64 == *stride);
        let bytes = if dense { stored } else { gathered(&stored, &place, size as usize) };
        Ok(Tensor { element: place.element, shape: place.shape, bytes })
    }
}

/// The elements of a tensor in row-major order, from those between its first and its last one.
fn gathered(stored: &[u8], place: &Place, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(place.count() as usize * size);
    let mut index = vec![0usize; place.shape.len()];
    for _ in 0..place.count() {
        let at = index.iter().zip(&place.strides).map(|(i, stride)| i * *stride as usize).sum::<usize>();
        bytes.extend_from_slice(&stored[at * size..][..size]);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < place.shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    bytes
}
