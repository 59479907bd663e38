//! Which licenses a corpus may hold: allow and deny lists over license expressions.

use super::deed::{Deed, is_version};
use super::expression::by_folded_id;
use super::{Expression, Leaf, License, Standing, quoted};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Treatment of tracks without a stated or readable license.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unstated {
    /// Refused, whatever the lists say.
    #[default]
    Refuse,
    /// Kept, as `NOASSERTION`.
    Allow,
}

/// The list in which a pattern stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// `allow`
    Allow,
    /// `deny`
    Deny,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            List::Allow => "allow",
            List::Deny => "deny",
        })
    }
}

/// A pattern that names no license.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{list}` names {pattern:?}, {reason}{}", suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
pub struct PatternError {
    /// List that holds the entry.
    pub list: List,
    /// Index in that list, from 0.
    pub index: usize,
    /// The pattern as written.
    pub pattern: String,
    /// Complaint, as a fragment.
    pub reason: String,
    /// The nearest pattern that is right.
    pub suggestion: Option<String>,
}

/// One entry of an allow or deny list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Pattern {
    /// `*`: every license that is stated and readable.
    Every,
    /// One license: an SPDX id or a `LicenseRef-`, perhaps `WITH` an exception.
    One(Leaf),
    /// `STEM-*`: every version and port of one license. `CC-BY-*` holds CC-BY-4.0, CC-BY-3.0-US
    /// and CC-BY of unstated version, but not CC-BY-NC-4.0.
    Family(String),
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Every => f.write_str("*"),
            Pattern::One(leaf) => leaf.fmt(f),
            Pattern::Family(stem) => write!(f, "{stem}-*"),
        }
    }
}

impl Pattern {
    /// Reads a pattern; case does not matter.
    ///
    /// # Errors
    /// The reason as a fragment, and the nearest pattern that is right.
    pub fn parse(text: &str) -> Result<Pattern, (String, Option<String>)> {
        let text = text.trim();
        if text == "*" {
            return Ok(Pattern::Every);
        }
        if let Some(stem) = text.strip_suffix("-*") {
            return family(stem).ok_or_else(|| {
                let reason = "which is no family of SPDX licenses".to_owned();
                (reason, nearest(text))
            });
        }
        if text.contains('*') {
            let reason = "but `*` stands alone or in the place of a version, as in `CC-BY-*`";
            return Err((reason.to_owned(), nearest(text)));
        }
        match Expression::parse(text) {
            Ok(Expression::Leaf(leaf)) => Ok(Pattern::One(leaf)),
            Ok(_) => Err(("which joins several licenses; list each by itself".to_owned(), None)),
            Err(_) => {
                let read = License::read(text);
                let suggestion = match read.standing {
                    Standing::Known(expression) => Some(expression.to_string()),
                    _ => nearest(text),
                };
                Err(("which is not an SPDX id".to_owned(), suggestion))
            }
        }
    }

    /// Whether a license falls under this pattern when the pattern permits. What may be used
    /// "or later" falls under a later version too. An exception must be named by the pattern.
    fn permits(&self, leaf: &Leaf) -> bool {
        match self {
            Pattern::Every => true,
            Pattern::One(own) => own.exception == leaf.exception && (own.id == leaf.id || is_later(&own.id, leaf)),
            Pattern::Family(stem) => leaf.exception.is_none() && in_family(stem, &leaf.id),
        }
    }

    /// Whether a license falls under this pattern when the pattern forbids. A license with an
    /// exception is still that license.
    fn forbids(&self, leaf: &Leaf) -> bool {
        match self {
            Pattern::Every => true,
            Pattern::One(own) => own.id == leaf.id && (own.exception.is_none() || own.exception == leaf.exception),
            Pattern::Family(stem) => in_family(stem, &leaf.id),
        }
    }
}

/// The id up to its version, the version, and what follows; `GPL-2.0-or-later` is `GPL`, `2.0`,
/// `or-later`.
fn split_version(id: &str) -> Option<(&str, &str, &str)> {
    let (bare, plus) = match id.strip_suffix('+') {
        Some(bare) => (bare, "or-later"),
        None => (id, ""),
    };
    let mut start = 0;
    for part in bare.split('-') {
        let end = start + part.len();
        if start > 0 && is_version(part) {
            let tail = bare[end..].trim_start_matches('-');
            let tail = if tail.is_empty() { plus } else { tail };
            return Some((&bare[..start - 1], part, tail));
        }
        start = end + 1;
    }
    None
}

/// Whether `id` is a later version of what `leaf` allows "or later".
fn is_later(id: &str, leaf: &Leaf) -> bool {
    let (Some((base, version, tail)), Some((own_base, own_version, own_tail))) =
        (split_version(&leaf.id), split_version(id))
    else {
        return false;
    };
    let numbers = |v: &str| -> Vec<u64> { v.split('.').flat_map(str::parse).collect() };
    tail == "or-later"
        && own_base == base
        && matches!(own_tail, "" | "only" | "or-later")
        && numbers(own_version) >= numbers(version)
}

fn in_family(stem: &str, id: &str) -> bool {
    // Ports and unversioned deeds that SPDX lacks belong to their Creative Commons family.
    let id = match Deed::from_id(id) {
        Some(_) if !stem.starts_with("LicenseRef") => id.trim_start_matches("LicenseRef-"),
        _ => id,
    };
    let Some(rest) = id.strip_prefix(stem).and_then(|r| r.strip_prefix('-')) else {
        return false;
    };
    let next = rest.split('-').next().unwrap_or(rest);
    let next = next.trim_end_matches('+');
    stem.starts_with("LicenseRef")
        || is_version(next)
        || next == "unversioned"
        || stem.split('-').skip(1).any(is_version)
}

/// The family of a stem, in the list's spelling.
fn family(stem: &str) -> Option<Pattern> {
    const REFERENCE: &str = "licenseref";
    let folded = stem.to_ascii_lowercase();
    if folded == REFERENCE || folded.starts_with("licenseref-") {
        let own = &stem[REFERENCE.len()..];
        return Some(Pattern::Family(format!("LicenseRef{own}")));
    }
    let deed = stem.to_ascii_uppercase();
    if Deed::from_id(&deed).is_some_and(|deed| deed.port.is_none()) {
        return Some(Pattern::Family(deed));
    }
    spdx::identifiers::LICENSES.iter().find_map(|license| {
        let own = license.name.get(..stem.len())?;
        (own.eq_ignore_ascii_case(stem) && in_family(own, license.name)).then(|| Pattern::Family(own.to_owned()))
    })
}

/// The pattern with the smallest edit distance, ignoring case, if it is near at all. Of equally
/// near ones the first in the list.
fn nearest(text: &str) -> Option<String> {
    let folded = text.to_ascii_lowercase();
    if let Some(id) = by_folded_id(folded.trim_end_matches("-*")) {
        return Some(id.to_owned());
    }
    let licenses = || spdx::identifiers::LICENSES.iter().map(|l| l.name.to_owned());
    let families = licenses()
        .filter_map(|id| split_version(&id).map(|(base, ..)| format!("{base}-*")))
        .filter(|_| text.contains('*'));
    licenses()
        .chain(families)
        .map(|name| {
            let distance = strsim::osa_distance(&folded, &name.to_ascii_lowercase());
            (distance, name)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .map(|(_, name)| name)
}

/// Reasons to refuse a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PolicyRefusal {
    /// No license is stated.
    Unknown,
    /// The stated text names no license.
    Unreadable,
    /// No pattern of `allow` matches the license.
    NotAllowed,
    /// A pattern of `deny` matches the license.
    Denied,
}

impl PolicyRefusal {
    /// The reason code of the dropped row.
    pub fn code(self) -> &'static str {
        match self {
            PolicyRefusal::Unknown => "license-unknown",
            PolicyRefusal::Unreadable => "license-unreadable",
            PolicyRefusal::NotAllowed => "license-not-allowed",
            PolicyRefusal::Denied => "license-denied",
        }
    }
}

/// The answer of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// The track may be used.
    Allowed {
        /// The part of the expression that is relied upon: of `MIT OR GPL-2.0-only` the side
        /// that is allowed. `NOASSERTION` where unknown licenses are allowed.
        under: String,
    },
    /// The track is refused.
    Refused {
        /// Reason of the refusal.
        code: PolicyRefusal,
        /// The reason in words for people, as one fragment.
        sentence: String,
    },
}

impl Verdict {
    /// Whether the track may be used.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Verdict::Allowed { .. })
    }
}

/// Allow and deny lists, checked when they are made.
///
/// ```
/// use datasets::license::{License, Policy, Unstated, Verdict};
///
/// let policy = Policy::new(&["CC0-1.0", "CC-BY-*"], &["CC-BY-2.0"], Unstated::Refuse).unwrap();
/// let under = |text: &str| match policy.judge(&License::read(text)) {
///     Verdict::Allowed { under } => under,
///     Verdict::Refused { code, sentence } => format!("{}: {sentence}", code.code()),
/// };
/// // Texts as corpora state them; of `OR` the side that is allowed is relied upon.
/// assert_eq!(under("https://creativecommons.org/licenses/by/4.0/"), "CC-BY-4.0");
/// assert_eq!(under("GPL-3.0-only OR CC-BY-3.0"), "CC-BY-3.0");
/// // A family holds its versions and no other licence; `deny` goes before `allow`.
/// assert_eq!(under("CC-BY-NC-4.0"), "license-not-allowed: CC-BY-NC-4.0 is not in `allow`");
/// assert_eq!(under("CC-BY-2.0"), "license-denied: CC-BY-2.0 is in `deny`");
/// assert_eq!(under(""), "license-unknown: no license is stated");
///
/// // What names no licence is an error with a suggestion.
/// let wrong = Policy::new(&["CC0"], &[] as &[&str], Unstated::Refuse).unwrap_err();
/// assert_eq!(wrong[0].suggestion.as_deref(), Some("CC0-1.0"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Policy {
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
    unknown: Unstated,
}

impl Policy {
    /// Makes a policy. The order and repetition of patterns do not matter; an empty `allow`
    /// allows nothing that is stated.
    ///
    /// # Errors
    /// One error for each pattern that names no license, in the order of the lists.
    pub fn new<A: AsRef<str>, D: AsRef<str>>(
        allow: &[A],
        deny: &[D],
        unknown: Unstated,
    ) -> Result<Policy, Vec<PatternError>> {
        let mut errors = Vec::new();
        let mut read = |list: List, texts: Vec<&str>| {
            let mut patterns = Vec::new();
            for (index, text) in texts.into_iter().enumerate() {
                match Pattern::parse(text) {
                    Ok(pattern) => patterns.push(pattern),
                    Err((reason, suggestion)) => {
                        errors.push(PatternError { list, index, pattern: text.to_owned(), reason, suggestion })
                    }
                }
            }
            patterns.sort();
            patterns.dedup();
            patterns
        };
        let allow = read(List::Allow, allow.iter().map(AsRef::as_ref).collect());
        let deny = read(List::Deny, deny.iter().map(AsRef::as_ref).collect());
        match errors.is_empty() {
            true => Ok(Policy { allow, deny, unknown }),
            false => Err(errors),
        }
    }

    /// Judges one license. Of `OR` one side must be allowed (the first in canonical order is
    /// relied upon), of `AND` every side; a license that is denied is so whatever `allow` says.
    pub fn judge(&self, license: &License) -> Verdict {
        let (code, sentence) = match &license.standing {
            Standing::Known(expression) => match self.evaluate(expression) {
                Ok(under) => {
                    return Verdict::Allowed { under: under.to_string() };
                }
                Err((code, sentence)) => match expression {
                    Expression::Leaf(_) => (code, sentence),
                    _ => (code, format!("{sentence} (the license is {expression})")),
                },
            },
            _ if self.unknown == Unstated::Allow => {
                return Verdict::Allowed { under: license.canonical() };
            }
            Standing::Unknown => (PolicyRefusal::Unknown, "no license is stated".to_owned()),
            Standing::Unreadable(why) => {
                let text = quoted(&license.stated);
                let sentence = format!(
                    "the license text {text} names no license: {why} (an own license can be \
                     written as `LicenseRef-name`)"
                );
                (PolicyRefusal::Unreadable, sentence)
            }
        };
        Verdict::Refused { code, sentence }
    }

    fn evaluate(&self, expression: &Expression) -> Result<Expression, (PolicyRefusal, String)> {
        match expression {
            Expression::Leaf(leaf) => {
                if let Some(pattern) = self.deny.iter().find(|p| p.forbids(leaf)) {
                    let sentence = match pattern {
                        Pattern::One(own) if own == leaf => format!("{leaf} is in `deny`"),
                        _ => format!("{leaf} is denied by `{pattern}`"),
                    };
                    return Err((PolicyRefusal::Denied, sentence));
                }
                match self.allow.iter().any(|p| p.permits(leaf)) {
                    true => Ok(expression.clone()),
                    false => Err((PolicyRefusal::NotAllowed, format!("{leaf} is not in `allow`"))),
                }
            }
            Expression::All(operands) => {
                let mut refused: Option<(PolicyRefusal, String)> = None;
                let mut kept = Vec::new();
                for operand in operands {
                    match self.evaluate(operand) {
                        Ok(under) => kept.push(under),
                        Err(next) => {
                            refused = Some(match refused.take() {
                                Some(first) if first.0 >= next.0 => first,
                                _ => next,
                            });
                        }
                    }
                }
                match refused {
                    Some(refusal) => Err(refusal),
                    None => Ok(Expression::all(kept)),
                }
            }
            Expression::Any(operands) => {
                let mut code = PolicyRefusal::Denied;
                let mut sentences = Vec::new();
                for operand in operands {
                    match self.evaluate(operand) {
                        Ok(under) => return Ok(under),
                        Err((own, sentence)) => {
                            code = code.min(own);
                            sentences.push(sentence);
                        }
                    }
                }
                Err((code, sentences.join(", ")))
            }
        }
    }
}
