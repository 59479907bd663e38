//! Creative Commons deeds by URL and by title, including those that SPDX does not list.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The id given to "Public Domain" where nobody says by which instrument.
pub(super) const PUBLIC_DOMAIN: &str = "LicenseRef-PublicDomain";

/// A Creative Commons license as code, version and jurisdiction: what policies match when the
/// SPDX list has no id for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Deed {
    /// The elements in upper case and in Creative Commons' order: `BY-NC-SA`.
    pub code: String,
    /// `3.0`; absent where nobody stated it.
    pub version: Option<String>,
    /// The jurisdiction it was ported to, in upper case (`US`); absent for the generic deed.
    pub port: Option<String>,
}

/// Codes in the order in which Creative Commons writes them.
const CODES: [&str; 10] = ["BY", "BY-SA", "BY-ND", "BY-NC", "BY-NC-SA", "BY-NC-ND", "SA", "ND", "NC", "NC-SA"];

/// Every version that Creative Commons has published.
const VERSIONS: [&str; 6] = ["1.0", "2.0", "2.1", "2.5", "3.0", "4.0"];

/// Jurisdictions: the code in URLs and SPDX ids, and the names that titles use.
const PORTS: &[(&str, &[&str])] = &[
    ("AM", &["armenia"]),
    ("AR", &["argentina"]),
    ("AT", &["austria"]),
    ("AU", &["australia"]),
    ("AZ", &["azerbaijan"]),
    ("BE", &["belgium"]),
    ("BG", &["bulgaria"]),
    ("BR", &["brazil"]),
    ("CA", &["canada"]),
    ("CH", &["switzerland"]),
    ("CL", &["chile"]),
    ("CN", &["china mainland", "china"]),
    ("CO", &["colombia"]),
    ("CR", &["costa rica"]),
    ("CZ", &["czech republic"]),
    ("DE", &["germany"]),
    ("DK", &["denmark"]),
    ("EC", &["ecuador"]),
    ("EE", &["estonia"]),
    ("EG", &["egypt"]),
    ("ES", &["spain"]),
    ("FI", &["finland"]),
    ("FR", &["france"]),
    ("GE", &["georgia"]),
    ("GR", &["greece"]),
    ("GT", &["guatemala"]),
    ("HK", &["hong kong"]),
    ("HR", &["croatia"]),
    ("HU", &["hungary"]),
    ("IE", &["ireland"]),
    ("IGO", &["intergovernmental organization"]),
    ("IL", &["israel"]),
    ("IN", &["india"]),
    ("IT", &["italy"]),
    ("JP", &["japan"]),
    ("KR", &["korea", "south korea"]),
    ("LU", &["luxembourg"]),
    ("MK", &["macedonia"]),
    ("MT", &["malta"]),
    ("MX", &["mexico"]),
    ("MY", &["malaysia"]),
    ("NL", &["netherlands"]),
    ("NO", &["norway"]),
    ("NZ", &["new zealand"]),
    ("PE", &["peru"]),
    ("PH", &["philippines"]),
    ("PL", &["poland"]),
    ("PR", &["puerto rico"]),
    ("PT", &["portugal"]),
    ("RO", &["romania"]),
    ("RS", &["serbia"]),
    ("SCOTLAND", &["uk scotland", "scotland"]),
    ("SE", &["sweden"]),
    ("SG", &["singapore"]),
    ("SI", &["slovenia"]),
    ("TH", &["thailand"]),
    ("TW", &["taiwan"]),
    ("UG", &["uganda"]),
    ("UK", &["uk england and wales", "uk england wales", "uk england", "england and wales", "united kingdom"]),
    ("US", &["united states", "united states of america", "usa"]),
    ("VE", &["venezuela"]),
    ("VN", &["vietnam"]),
    ("ZA", &["south africa"]),
];

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CC-{}", self.code)?;
        match &self.version {
            Some(version) => write!(f, "-{version}")?,
            None => f.write_str("-unversioned")?,
        }
        match &self.port {
            Some(port) => write!(f, "-{port}"),
            None => Ok(()),
        }
    }
}

impl Deed {
    /// The SPDX id, or `LicenseRef-` and the id that it would have.
    pub fn id(&self) -> String {
        let name = self.to_string();
        match spdx::license_id(&name) {
            Some(id) => id.name.to_owned(),
            None => format!("LicenseRef-{name}"),
        }
    }

    /// The deed that an id names: `CC-BY-4.0`, `LicenseRef-CC-BY-NC-SA-3.0-US`,
    /// `LicenseRef-CC-BY-SA-unversioned`. CC0 and the public-domain marks are no deeds.
    pub fn from_id(id: &str) -> Option<Deed> {
        let name = id.strip_prefix("LicenseRef-").unwrap_or(id);
        let parts: Vec<&str> = name.strip_prefix("CC-")?.split('-').collect();
        let known = |len: usize| CODES.contains(&parts[..len].join("-").as_str());
        let elements = (1..=parts.len()).rev().find(|&len| known(len))?;
        let version = match parts.get(elements) {
            None | Some(&"unversioned") => None,
            Some(version) if VERSIONS.contains(version) => Some((*version).to_owned()),
            Some(_) => return None,
        };
        let port = match parts.get(elements + 1..).unwrap_or_default() {
            [] => None,
            [port] => Some((*port).to_owned()),
            _ => return None,
        };
        Some(Deed { code: parts[..elements].join("-"), version, port })
    }
}

/// `3.0`, `4`: digits with dots between.
pub(super) fn is_version(word: &str) -> bool {
    word.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// Puts elements (`BY`, `SA`, ..) in Creative Commons' order; `None` if they are no license.
fn code_of(elements: &[&str]) -> Option<String> {
    let mut sorted: Vec<&str> = Vec::new();
    for element in ["BY", "NC", "SA", "ND"] {
        match elements.iter().filter(|e| **e == element).count() {
            0 => {}
            1 => sorted.push(element),
            _ => return None,
        }
    }
    let code = sorted.join("-");
    CODES.contains(&code.as_str()).then_some(code)
}

fn urls(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "\"'<>()[],;|".contains(c))
        .map(|word| word.trim_end_matches(['.', ':', '!', '?']))
        .filter(|word| host_and_path(word).is_some())
}

/// Host in lower case without `www.`, and the path's segments in lower case.
fn host_and_path(word: &str) -> Option<(String, Vec<String>)> {
    let folded = word.to_ascii_lowercase();
    let bare = folded
        .strip_prefix("https://")
        .or_else(|| folded.strip_prefix("http://"))
        .or_else(|| folded.strip_prefix("//"))
        .or_else(|| folded.contains("creativecommons.org/").then_some(&*folded))?;
    let bare = bare.split(['?', '#']).next().unwrap_or(bare);
    let mut segments = bare.split('/').filter(|segment| !segment.is_empty());
    let host = segments.next()?.trim_start_matches("www.").to_owned();
    Some((host, segments.map(str::to_owned).collect()))
}

/// The one license that the URLs in a text name.
///
/// # Errors
/// Why the URLs name no one license: two of them differ, or the sentence negates them.
pub(super) fn in_urls(text: &str) -> Result<Option<String>, String> {
    let mut found: Option<String> = None;
    for url in urls(text) {
        let Some(id) = by_url(url) else { continue };
        match &found {
            Some(first) if *first != id => {
                return Err(format!("its URLs name two licenses, {first} and {id}"));
            }
            _ => found = Some(id),
        }
    }
    let negated = |word: &str| ["not", "no", "except", "without", "unless"].contains(&word);
    if found.is_some() && words(&without_urls(text)).iter().any(|w| negated(w)) {
        return Err("it names a license by URL and restricts it in words".to_owned());
    }
    Ok(found)
}

/// The license that the words around the URLs name, if they are a title.
pub(super) fn around_urls(text: &str) -> Option<String> {
    title(&without_tags(&without_urls(text)))
}

/// What the words around the URLs reserve of what the license at the URL gives: "all rights reserved", or a term in full that
/// this license does not have.
pub(super) fn reserved(text: &str, id: &str) -> Option<&'static str> {
    let words = words(&without_tags(&without_urls(text)));
    let joined = format!(" {} ", words.join(" "));
    // "Some rights reserved" is what Creative Commons says of its licenses.
    if joined.replace(" some rights reserved ", " ").contains(" reserved ") {
        return Some("that rights are reserved");
    }
    let code = Deed::from_id(id).map(|deed| deed.code).unwrap_or_default();
    let lacks = |element: &str| !code.split('-').any(|own| own == element);
    let terms = [
        ("NC", "non-commercial", &[" noncommercial ", " non commercial "][..]),
        (
            "ND",
            "no derivatives",
            &[" noderivatives ", " noderivs ", " no derivatives ", " no derivs ", " no derivative works "][..],
        ),
        ("SA", "share alike", &[" sharealike ", " share alike "][..]),
    ];
    let found =
        terms.iter().find(|(element, _, names)| lacks(element) && names.iter().any(|name| joined.contains(name)));
    found.map(|(_, name, _)| *name)
}

/// The text without what stands in angle brackets.
fn without_tags(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        let Some((_, behind)) = tag.split_once('>') else { break };
        kept.extend([before, " "]);
        rest = behind;
    }
    kept + rest
}

fn without_urls(text: &str) -> String {
    let mut rest = text.to_owned();
    for url in urls(text) {
        rest = rest.replace(url, " ");
    }
    rest
}

/// Whether a segment of a URL is a jurisdiction, rather than a page such as `deed.de`, `legalcode` or `rdf`.
fn is_port(segment: &str) -> bool {
    matches!(segment, "igo" | "scotland")
        || segment.len() == 2 && segment.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn by_url(url: &str) -> Option<String> {
    let (host, path) = host_and_path(url)?;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (host.as_str(), path.as_slice()) {
        ("creativecommons.org" | "i.creativecommons.org" | "licensebuttons.net", ["licenses" | "l", rest @ ..]) => {
            match rest {
                ["publicdomain", ..] => Some("CC-PDDC".to_owned()),
                [code @ ("sampling" | "sampling+" | "nc-sampling+"), rest @ ..] => {
                    let version = rest.first().filter(|v| is_version(v))?;
                    let name = match *code {
                        "sampling" => "Sampling",
                        "sampling+" => "Sampling-Plus",
                        _ => "NC-Sampling-Plus",
                    };
                    Some(format!("LicenseRef-CC-{name}-{version}"))
                }
                [code, rest @ ..] => {
                    let code = code.to_ascii_uppercase();
                    let code = code_of(&code.split('-').collect::<Vec<_>>())?;
                    // A version or a port that does not exist is no license.
                    let version = rest.first().filter(|segment| is_version(segment));
                    let port = rest.get(1).filter(|segment| version.is_some() && is_port(segment));
                    let port = match port {
                        Some(port) => Some(PORTS.iter().find(|(code, _)| code.eq_ignore_ascii_case(port))?.0),
                        None => None,
                    };
                    let version = match version {
                        Some(version) => Some(*VERSIONS.iter().find(|own| **own == *version)?),
                        None => None,
                    };
                    Some(Deed { code, version: version.map(str::to_owned), port: port.map(str::to_owned) }.id())
                }
                [] => None,
            }
        }
        ("creativecommons.org" | "i.creativecommons.org" | "licensebuttons.net", ["publicdomain" | "p", kind, ..]) => {
            match *kind {
                "zero" => Some("CC0-1.0".to_owned()),
                "mark" => Some("CC-PDM-1.0".to_owned()),
                "certification" => Some("CC-PDDC".to_owned()),
                _ => None,
            }
        }
        ("spdx.org", ["licenses", id]) | ("opensource.org", ["license" | "licenses", id]) => {
            let id = id.trim_end_matches(".html").trim_end_matches(".json");
            super::expression::by_folded_id(id).map(str::to_owned)
        }
        ("apache.org", ["licenses", page]) if page.starts_with("license-2.0") => Some("Apache-2.0".to_owned()),
        ("artlibre.org", ["licence" | "license", "lal", ..]) => Some("LAL-1.3".to_owned()),
        _ => None,
    }
}

/// Lower-case words; everything but letters, digits and dots inside numbers separates them.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '+'))
        .map(|word| word.trim_matches('.').to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

/// The text without what stands in parentheses, which titles use for remarks ("(aka Music
/// Sharing)") and for abbreviations of themselves ("(CC BY 4.0)").
fn without_remarks(text: &str) -> String {
    let mut depth = 0usize;
    text.chars()
        .filter(|c| {
            match c {
                '(' => depth += 1,
                ')' if depth > 0 => {
                    depth -= 1;
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

/// The license that a title names: the elements in words or letters, then a version, then a
/// jurisdiction. Every word must be understood; a title with one strange word is no title.
pub(super) fn title(text: &str) -> Option<String> {
    let words = words(&without_remarks(text));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(id) = fixed(&words) {
        return Some(id.to_owned());
    }
    let (named, mut rest) = match words.as_slice() {
        ["creative", "commons", rest @ ..] | ["creativecommons" | "cc", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if let ["license" | "licence", tail @ ..] = rest {
        rest = tail;
    }
    let mut elements: Vec<&str> = Vec::new();
    let mut spelled_out = false;
    loop {
        let (element, used) = match rest {
            ["attribution", ..] => ("BY", 1),
            ["by", ..] => ("BY", 1),
            ["noncommercial", ..] => ("NC", 1),
            ["non", "commercial", ..] => ("NC", 2),
            ["nc", ..] => ("NC", 1),
            ["sharealike", ..] => ("SA", 1),
            ["share", "alike", ..] => ("SA", 2),
            ["sa", ..] => ("SA", 1),
            ["no", "derivative", "works", ..] => ("ND", 3),
            ["no", "derivatives" | "derivs", ..] => ("ND", 2),
            ["noderivatives" | "noderivs" | "nd", ..] => ("ND", 1),
            _ => break,
        };
        spelled_out |= rest[0].len() > 3;
        elements.push(element);
        rest = &rest[used..];
    }
    let code = code_of(&elements)?;
    if let ["license" | "licence", tail @ ..] = rest {
        rest = tail;
    }
    if let ["version", tail @ ..] = rest {
        rest = tail;
    }
    let version = rest.first().map(|word| word.trim_start_matches('v'));
    let version = version.map(|v| match v.len() {
        1 => format!("{v}.0"),
        _ => v.to_owned(),
    });
    let version = version.filter(|v| VERSIONS.contains(&v.as_str()));
    if version.is_some() {
        rest = &rest[1..];
    }
    // Letters alone ("by", "nd 3") are too little to be sure that a license is meant.
    if !named && !spelled_out && (version.is_none() || elements.len() < 2) {
        return None;
    }
    let place: Vec<&str> =
        rest.iter().copied().filter(|word| !["license", "licence", "public", "unversioned"].contains(word)).collect();
    let place = place.join(" ");
    let port =
        match place.as_str() {
            "" | "international" | "unported" | "generic" => None,
            place => Some(PORTS.iter().find(|(code, names)| {
                names.contains(&place) || (version.is_some() && code.eq_ignore_ascii_case(place))
            })?),
        };
    let port = port.map(|(code, _)| (*code).to_owned());
    Some(Deed { code, version, port }.id())
}

/// Titles that consist of fixed words.
fn fixed(words: &[&str]) -> Option<&'static str> {
    let words = match words {
        // Of these there is one version each.
        ["creative", "commons", "zero" | "0"] | ["creativecommons" | "cc", "zero" | "0"] => return Some("CC0-1.0"),
        ["cc", "pdm"] | ["cc", "pdm", "1.0"] => return Some("CC-PDM-1.0"),
        ["creative", "commons", rest @ ..] => rest,
        rest => rest,
    };
    match words {
        ["cc0"]
        | ["cc0", "public", "domain"]
        | ["cc0" | "zero", "1.0" | "v1.0"]
        | ["cc", "zero" | "0", "1.0"]
        | ["cc0" | "zero", "1.0" | "v1.0", "universal"]
        | ["cc0", "1.0", "universal", "public", "domain", "dedication"]
        | ["cc0", "public", "domain", "dedication"] => Some("CC0-1.0"),
        // These two exist in one version only.
        ["sampling", "plus"] | ["sampling", "plus", "1.0"] => Some("LicenseRef-CC-Sampling-Plus-1.0"),
        ["noncommercial", "sampling", "plus"] | ["noncommercial", "sampling", "plus", "1.0"] => {
            Some("LicenseRef-CC-NC-Sampling-Plus-1.0")
        }
        ["public", "domain", "mark"] | ["public", "domain", "mark", "1.0"] => Some("CC-PDM-1.0"),
        ["public", "domain"] | ["publicdomain"] => Some(PUBLIC_DOMAIN),
        _ => None,
    }
}
