//! A manifest's text, or why there is none.

use super::Source;
use datasets::untrusted;
use stages::settings::{At, Complaint, suggest};
use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

/// No manifest is larger, in bytes.
const LARGEST: u64 = 1 << 20;

/// Why a file gives no text.
pub(super) enum Unreadable {
    /// There is nothing to read: what is wrong with the path, and what to do.
    Path(String, Option<String>),
    /// Not UTF-8: the text that could be read, the position, and what is wrong there.
    Text(String, At, String),
}

impl Unreadable {
    /// The complaint, where `named` is the place that names the path; a text that is shown becomes a source.
    pub(super) fn complaint(self, path: &Path, named: At, sources: &mut Vec<Source>) -> Complaint {
        match self {
            Unreadable::Path(message, help) => Complaint { at: named, message, help },
            Unreadable::Text(text, at, message) => {
                let source = u16::try_from(sources.len()).unwrap_or(u16::MAX);
                sources.push(Source { label: path.display().to_string(), text });
                Complaint::new(At { source, ..at }, message).help("save the file as UTF-8")
            }
        }
    }
}

/// The text of the manifest at `path`.
pub(super) fn text(path: &Path) -> Result<String, Unreadable> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let help = near(path).map(|near| format!("did you mean `{near}`?"));
            Unreadable::Path(format!("there is no manifest `{shown}`"), help)
        }
        // What the system says has a short name; what was seen of the file is a sentence.
        kind if error.raw_os_error().is_some() => {
            Unreadable::Path(format!("cannot read the manifest `{shown}`: {kind}"), None)
        }
        _ => Unreadable::Path(format!("cannot read the manifest `{shown}`: {error}"), None),
    };
    if path.is_dir() {
        let held = manifests(path);
        let help = match held.as_slice() {
            [] => "name a manifest, a file that ends in `.toml`".to_owned(),
            [one] => format!("did you mean `{}`?", path.join(one).display()),
            many => format!("name one of those in it: `{}`", many.join("`, `")),
        };
        return Err(Unreadable::Path(format!("`{shown}` is a folder, not a manifest"), Some(help)));
    }
    let mut bytes = Vec::new();
    let opened = untrusted::open(path).map_err(unreadable)?;
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        let message = format!("`{shown}` is larger than {LARGEST} bytes: that is no manifest");
        return Err(Unreadable::Path(message, None));
    }
    String::from_utf8(bytes).map_err(|error| {
        let start = error.utf8_error().valid_up_to();
        let place = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        let at = At { source: 0, start: place(start), end: place(start + char::REPLACEMENT_CHARACTER.len_utf8()) };
        let byte = error.as_bytes()[start];
        let message = format!("the manifest is not UTF-8: byte 0x{byte:02x} begins no character");
        Unreadable::Text(String::from_utf8_lossy(error.as_bytes()).into_owned(), at, message)
    })
}

/// The names of the TOML files in a folder, sorted.
fn manifests(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.path().is_file()).filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".toml")).collect();
    names.sort();
    names
}

/// A TOML file beside `path` whose name is nearly the same.
fn near(path: &Path) -> Option<String> {
    let folder = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_path_buf(),
        None => return None,
    };
    let names = manifests(&folder);
    let name = suggest(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(path.with_file_name(name).display().to_string())
}
