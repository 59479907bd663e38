//! The license of a track of FMA, which has a title and a URL.

use crate::license::{License, LicenseText, Standing};

/// A license as it was found.
pub(super) struct Terms {
    /// The text that states it, to be read by the stage `license`; `None` if nothing is stated.
    pub(super) license: Option<String>,
    /// The method: `url`, `title`, `reference` where the terms got a name of their own, `none`.
    pub(super) method: &'static str,
    /// A contradiction between title and URL, as a sentence.
    pub(super) conflict: Option<String>,
}

/// Words by which a title grants nothing: it keeps its own text, which no policy can read.
const RESERVED: [&str; 4] = ["reserved", "copyright", "\u{a9}", "unknown"];

/// Longest name that is made of a title.
const LONGEST: usize = 60;

/// Reads a license from its URL, then from its title. Terms that are neither a license of SPDX nor a deed of Creative Commons
/// are named by their title, `LicenseRef-FMA-..`, so that a policy may name them; what is named so is never taken for another.
pub(super) fn read(title: Option<&str>, url: Option<&str>) -> Terms {
    let License { stated, standing, method, mut conflict } = License::from(LicenseText { text: title, url });
    let by_url = url.map(License::read).unwrap_or_default();
    match standing {
        Standing::Known(_) => {
            if let (Some(url), Standing::Unreadable(why), true) = (url, by_url.standing, conflict.is_none()) {
                conflict = Some(format!("the URL {url} cannot be read: {why}"));
            }
            let method = if url == Some(stated.as_str()) { "url" } else { method.as_str() };
            Terms { license: Some(stated), method, conflict }
        }
        Standing::Unknown => Terms { license: None, method: "none", conflict },
        Standing::Unreadable(_) => {
            let text = title.or(url).unwrap_or_default();
            let folded = text.to_lowercase();
            let name = reference(text).filter(|_| !RESERVED.iter().any(|word| folded.contains(word)));
            match name {
                Some(name) => Terms { license: Some(name), method: "reference", conflict },
                None => Terms { license: Some(text.to_owned()), method: "none", conflict },
            }
        }
    }
}

/// `LicenseRef-FMA-` and the title with its words joined; `None` if it has none that a name can hold.
fn reference(title: &str) -> Option<String> {
    let words = title.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '.').filter(|word| !word.is_empty());
    let mut name = words.collect::<Vec<_>>().join("-");
    name.truncate(LONGEST);
    let name = name.trim_matches(['-', '.']);
    let name = name.strip_prefix("FMA-").unwrap_or(name);
    (!name.is_empty() && title.is_ascii()).then(|| format!("LicenseRef-FMA-{name}"))
}
