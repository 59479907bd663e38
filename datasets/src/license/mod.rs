//! Licenses as data: from the text that a corpus states to one canonical SPDX expression, and from
//! there to a verdict under a [`Policy`].
//!
//! Knows texts and lists. No corpus and no row.
//!
//! Terms follow SPDX 2.3, annex D (license expressions), and its license list in the version that
//! the `spdx` crate carries. Creative Commons deeds that the list lacks (most national ports of
//! 1.0 to 3.0, and deeds whose version nobody stated) become `LicenseRef-CC-...`, which keeps
//! their family readable: see [`Deed`].
//!
//! A license is never guessed. The `spdx` crate's imprecise names (`gpl` read as GPL-2.0) are not
//! used, because which version applies is the licensor's to say.

mod deed;
mod expression;
mod policy;

pub use deed::Deed;
pub use expression::{Expression, Leaf, Unreadable};
pub use policy::{List, Pattern, PatternError, Policy, PolicyRefusal, Unstated, Verdict};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Texts longer than this many bytes are whole licenses or noise, never the name of one.
const LONGEST_NAME: usize = 4096;

/// Method by which a license was recognised in the stated text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Method {
    /// An SPDX expression, after folding case and replacing deprecated GNU names.
    Spdx,
    /// The URL of a deed or of a license text.
    Url,
    /// A title, such as "Attribution-NonCommercial 3.0 International".
    Title,
    /// The license was not recognised.
    None,
}

impl Method {
    /// The word used in columns and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Spdx => "spdx",
            Method::Url => "url",
            Method::Title => "title",
            Method::None => "none",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Result of reading a license: known, unknown or unreadable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// No license: nothing is stated, or what is stated says so (`NOASSERTION`, `NONE`, "unknown").
    Unknown,
    /// A stated text that cannot be read as a license, with the reason as a sentence.
    Unreadable(String),
    /// The canonical expression.
    Known(Expression),
}

/// A license as stated and as read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct License {
    /// The text that was read, trimmed.
    pub stated: String,
    /// Result of reading the stated text.
    pub standing: Standing,
    /// Method of recognition.
    pub method: Method,
    /// A second piece of evidence that says something else, in one sentence.
    pub conflict: Option<String>,
}

/// Statement of a corpus about one license; any part may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LicenseText<'a> {
    /// The license field itself: an expression, a title, a URL, or text around a URL.
    pub text: Option<&'a str>,
    /// A separate column for the URL, where a corpus has one. It is the stronger evidence.
    pub url: Option<&'a str>,
}

impl From<LicenseText<'_>> for License {
    fn from(evidence: LicenseText<'_>) -> License {
        let text = evidence.text.map(License::read).unwrap_or_default();
        let url = evidence.url.map(License::read).unwrap_or_default();
        match (&url.standing, &text.standing) {
            (Standing::Known(by_url), Standing::Known(by_text)) => {
                let conflict = (by_url != by_text && !says_less(by_text, by_url))
                    .then(|| format!("the URL says {by_url}, the text says {by_text}"));
                License { conflict, ..url }
            }
            (Standing::Known(_), Standing::Unreadable(_)) => {
                License { conflict: Some(format!("the text {} cannot be read", quoted(&text.stated))), ..url }
            }
            (Standing::Known(_), _) => url,
            (_, Standing::Known(_)) | (Standing::Unknown, _) => text,
            (Standing::Unreadable(_), _) => url,
        }
    }
}

/// Whether `vague` is a Creative Commons deed that leaves open what `exact` states.
fn says_less(vague: &Expression, exact: &Expression) -> bool {
    let (Expression::Leaf(vague), Expression::Leaf(exact)) = (vague, exact) else {
        return false;
    };
    match (Deed::from_id(&vague.id), Deed::from_id(&exact.id)) {
        (Some(vague), Some(exact)) => {
            vague.code == exact.code
                && (vague.version.is_none() || vague.version == exact.version)
                && vague.port.is_none()
        }
        _ => vague.id == deed::PUBLIC_DOMAIN && exact.id.starts_with("CC-PD"),
    }
}

impl Default for License {
    fn default() -> License {
        License { stated: String::new(), standing: Standing::Unknown, method: Method::None, conflict: None }
    }
}

impl License {
    /// Reads the text of a license field.
    ///
    /// In order: nothing stated; an SPDX expression; a URL (alone or in a sentence, as Creative
    /// Commons recommends for ID3 tags); a title. Text that is none of these is
    /// [`Standing::Unreadable`]. Reading a canonical form gives that form again.
    pub fn read(text: &str) -> License {
        let stated = text.trim();
        let license = |standing, method| License { stated: stated.to_owned(), standing, method, conflict: None };
        if says_nothing(stated) {
            return license(Standing::Unknown, Method::None);
        }
        if stated.len() > LONGEST_NAME {
            let why = format!("it is {} bytes long", stated.len());
            return license(Standing::Unreadable(why), Method::None);
        }
        let spdx = match Expression::parse(stated) {
            Ok(expression) => return license(Standing::Known(expression), Method::Spdx),
            Err(error) => error,
        };
        match deed::in_urls(stated) {
            Ok(Some(id)) => {
                let url = Expression::leaf(&id);
                let says = deed::around_urls(stated).map(|title| Expression::leaf(&title));
                let other =
                    says.filter(|title| *title != url && !says_less(title, &url)).map(|title| title.to_string());
                let words = other.or_else(|| deed::reserved(stated, &id).map(str::to_owned));
                return match words {
                    // Which of the two holds is the licensor's to say.
                    Some(words) => {
                        let why = format!("the words say {words}, the URL says {url}");
                        license(Standing::Unreadable(why), Method::None)
                    }
                    None => license(Standing::Known(url), Method::Url),
                };
            }
            Ok(None) => {}
            Err(why) => return license(Standing::Unreadable(why), Method::None),
        }
        match deed::title(stated).or_else(|| expression::full_name(stated)) {
            Some(id) => license(Standing::Known(Expression::leaf(&id)), Method::Title),
            None => license(Standing::Unreadable(spdx.to_string()), Method::None),
        }
    }

    /// The canonical SPDX expression, or `NOASSERTION` where there is none.
    pub fn canonical(&self) -> String {
        match &self.standing {
            Standing::Known(expression) => expression.to_string(),
            Standing::Unknown | Standing::Unreadable(_) => "NOASSERTION".to_owned(),
        }
    }

    /// The expression, where the license could be read.
    pub fn expression(&self) -> Option<&Expression> {
        match &self.standing {
            Standing::Known(expression) => Some(expression),
            Standing::Unknown | Standing::Unreadable(_) => None,
        }
    }
}

/// Two statements about one file as one: the first where both say the same, else a text that names both and is no license,
/// since which of them holds is nobody's to guess.
pub fn both(first: String, second: &str) -> String {
    let canonical = |text: &str| License::read(text).expression().map(ToString::to_string);
    let same = first == second || canonical(&first).is_some_and(|one| canonical(second) == Some(one));
    if same { first } else { format!("{first} | {second}") }
}

/// Whether a copyright notice says no more than whose work it is, and since when: "2011 Some Label". A notice that can be
/// read as a license, or has a word of what is allowed or reserved, says more.
pub fn is_notice(text: &str) -> bool {
    const WORDS: [&str; 20] = [
        "reserved",
        "licen",
        "creative",
        "commons",
        "cc0",
        "cc-",
        "cc by",
        "attribution",
        "commercial",
        "permi",
        "prohibit",
        "distribut",
        "copying",
        "public domain",
        "free",
        "allowed",
        "http",
        "www.",
        "use",
        "terms",
    ];
    let folded = text.to_lowercase();
    License::read(text).expression().is_none() && !WORDS.iter().any(|word| folded.contains(word))
}

/// The text as it is cited in sentences: quoted, cut after 80 characters.
fn quoted(text: &str) -> String {
    let mut cut: String = text.chars().take(80).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

fn says_nothing(text: &str) -> bool {
    const WORDS: [&str; 10] =
        ["noassertion", "none", "null", "nan", "n/a", "unknown", "unspecified", "not specified", "-", "?"];
    text.is_empty() || WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}
