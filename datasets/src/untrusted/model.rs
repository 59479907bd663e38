//! Files of models: safetensors whose header is read before their data.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// The largest file of a model that is read, in bytes.
pub const LARGEST: u64 = 16 << 30;
/// The largest header, in bytes.
pub(super) const LARGEST_HEADER: u64 = 64 << 20;

/// What a header says of a tensor; the metadata have no place in the data.
#[derive(Deserialize)]
struct Entry {
    data_offsets: Option<(u64, u64)>,
}

/// Reads a safetensors file as a whole, once its header says that its data are as long as what is behind it: a file of
/// holes takes no memory.
///
/// # Errors
/// Those of [`open`](super::open), `FileTooLarge`, and `InvalidData` for what is no safetensors file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let wrong = |why: String| io::Error::new(ErrorKind::InvalidData, format!("it is no safetensors file: {why}"));
    let mut file = super::open(path)?;
    let size = file.metadata()?.len();
    if size > LARGEST {
        return Err(super::too_large(size, LARGEST));
    }
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => wrong(format!("it has {size} bytes")),
        _ => error,
    })?;
    let length = u64::from_le_bytes(length);
    if length > LARGEST_HEADER || length > size - 8 {
        return Err(wrong(format!("a header of {length} bytes in a file of {size}")));
    }
    let mut header = Vec::new();
    file.by_ref().take(length).read_to_end(&mut header)?;
    let entries: BTreeMap<String, Entry> =
        serde_json::from_slice(&header).map_err(|error| wrong(format!("its header is broken: {error}")))?;
    let ends = entries.values().filter_map(|entry| entry.data_offsets).map(|(_, end)| end);
    let (stated, there) = (ends.max().unwrap_or(0), size - 8 - length);
    if stated != there {
        return Err(wrong(format!("its header tells of {stated} bytes of data, {there} are there")));
    }
    file.seek(SeekFrom::Start(0))?;
    super::whole(file, size, LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn data_are_read_once_the_header_tells_of_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model");
        let file = |header: &str, data: usize| {
            let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![7; data]].concat();
            fs::write(&path, &bytes).expect("written");
            bytes
        };
        let said = || read(&path).expect_err("refused").to_string();
        let tensor = r#"{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let whole = file(tensor, 8);
        assert_eq!(read(&path).expect("a model"), whole);
        file(tensor, 9);
        assert!(said().ends_with("its header tells of 8 bytes of data, 9 are there"), "{}", said());
        file("[1]", 0);
        assert!(said().contains("its header is broken"), "{}", said());
        fs::write(&path, b"abc").expect("written");
        assert!(said().ends_with("it has 3 bytes"), "{}", said());
        File::create(&path).and_then(|file| file.set_len(8 << 30)).expect("a file of holes");
        assert!(said().contains("its header is broken"), "{}", said());
        fs::write(&path, [255; 100]).expect("written");
        assert!(said().ends_with("a header of 18446744073709551615 bytes in a file of 100"), "{}", said());
    }
}
