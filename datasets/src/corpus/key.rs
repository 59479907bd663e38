//! Keys: the names that a corpus gives its files, the same on every file system.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::{Component, Path};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The key of a path under the root: its components joined by `/`, in Unicode NFC (UAX #15), so
/// that a file named on a Mac and the same file unpacked on Linux have one key.
///
/// A component that is not UTF-8 is escaped without loss: each stray byte becomes `%XX` and each
/// `%` in that component `%25`. A component that is UTF-8 keeps its `%` as it is.
pub fn key_of(relative: &Path) -> String {
    let mut key = String::new();
    for component in relative.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        if !key.is_empty() {
            key.push('/');
        }
        match name.to_str() {
            Some(name) => key.push_str(name),
            None => escape(name.as_encoded_bytes(), &mut key),
        }
    }
    match nfc(&key) {
        Cow::Borrowed(_) => key,
        Cow::Owned(normal) => normal,
    }
}

fn escape(bytes: &[u8], key: &mut String) {
    for chunk in bytes.utf8_chunks() {
        key.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(key, "%{byte:02X}");
        }
    }
}

/// A text in NFC.
pub(super) fn nfc(text: &str) -> Cow<'_, str> {
    match text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.nfc().collect()),
    }
}

/// A path that a table writes as one below the root: it may be absolute, as long as it lies there.
pub(super) fn under<'p>(root: &Path, path: &'p str) -> &'p str {
    let under = if path.starts_with('/') { Path::new(path).strip_prefix(root).ok() } else { None };
    under.and_then(Path::to_str).unwrap_or(path)
}

/// The key of a path that a sidecar or table in the folder `folder` (a key, empty for the root)
/// writes with `/`. `.` and `..` are resolved as written, links are not looked at. `None` where
/// the path is absolute, leaves the root or names no file.
pub fn resolve(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    if folder.is_empty() && path.split('/').all(plain) {
        return Some(nfc(path).into_owned());
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let key = parts.join("/");
    (!key.is_empty()).then(|| nfc(&key).into_owned())
}
