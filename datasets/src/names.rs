//! File names made from labels: genres, ids of clips, points of a sweep. The one place where a label becomes a name.
//!
//! A label may be of any length and hold any character. A name of it holds those that its owner calls plain, is at most so
//! many bytes long, is never hidden, and where something was cut off carries a digest of the whole label.

use crate::Digest;
use std::collections::BTreeMap;
use unicode_normalization::UnicodeNormalization;

/// Bytes of a name at most, for names to which a number, a digest and an ending may be added: file systems take 255.
pub const LONGEST: usize = 120;

/// Bytes that a name which is cut has in reserve for `~` and six digits.
const MARK: usize = 20;

/// A label as a file name of at most [`LONGEST`] bytes. Characters that are not `plain` become `_`.
///
/// ```
/// let plain = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
/// assert_eq!(datasets::names::stem("Rock/Pop", plain), "Rock_Pop");
/// assert!(datasets::names::stem(&"rock; ".repeat(60), plain).len() <= datasets::names::LONGEST);
/// ```
pub fn stem(label: &str, plain: impl Fn(char) -> bool) -> String {
    within(label, plain, LONGEST)
}

/// [`stem`] of at most `longest` bytes, which are more than 20.
pub fn within(label: &str, plain: impl Fn(char) -> bool, longest: usize) -> String {
    let text = clean(label, plain);
    match text.is_empty() || text.len() > longest || text.starts_with('.') {
        true => cut(&text, label, longest),
        false => text,
    }
}

/// [`stem`] with the digest of the label, for labels whose names would meet.
pub fn marked(label: &str, plain: impl Fn(char) -> bool) -> String {
    cut(&clean(label, plain), label, LONGEST)
}

fn clean(label: &str, plain: impl Fn(char) -> bool) -> String {
    label.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

fn cut(text: &str, label: &str, longest: usize) -> String {
    let text = text.trim_start_matches('.');
    let start = &text[..text.floor_char_boundary(longest.saturating_sub(MARK))];
    format!("{start}~{}", Digest::of(label.as_bytes()).short(6))
}

/// What two names have in common that a file system may take for one: it may tell neither capitals nor the two ways to
/// write an accent apart.
pub fn folded(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// Whether a file system may take two names for one.
pub fn meet(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || !(one.is_ascii() && other.is_ascii()) && folded(one) == folded(other)
}

/// Names that were given out: each is another one, for file systems that do not tell capitals apart too.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The last number that each name was given with, by its folded form.
    numbers: BTreeMap<String, usize>,
}

impl Taken {
    /// The name `STEM.ENDING`, or where that was given out already, `STEM-2.ENDING` and so on.
    pub fn give(&mut self, stem: &str, ending: &str) -> String {
        let first = folded(&format!("{stem}.{ending}"));
        let mut number = self.numbers.get(&first).copied().unwrap_or(0);
        loop {
            number += 1;
            let name = if number == 1 { format!("{stem}.{ending}") } else { format!("{stem}-{number}.{ending}") };
            let free = number == 1 || !self.numbers.contains_key(&folded(&name));
            if free {
                self.numbers.insert(folded(&name), 1);
                self.numbers.insert(first, number);
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(c: char) -> bool {
        c.is_alphanumeric() || "-_. ".contains(c)
    }

    #[test]
    fn a_name_is_short_visible_and_still_tells_labels_apart() {
        assert_eq!(stem("Jig & Reel/1", plain), "Jig _ Reel_1");
        assert_eq!(stem(&"n".repeat(LONGEST), plain), "n".repeat(LONGEST));
        for label in [&"n".repeat(LONGEST + 1), &"ä".repeat(300), &"日本".repeat(100), "", ".", "../..", ".hidden"] {
            let name = stem(label, plain);
            assert!(
                !name.is_empty() && name.len() <= LONGEST && !name.starts_with('.') && !name.contains('/'),
                "{name}"
            );
        }
        let (one, two) = (format!("{}1", "g; ".repeat(90)), format!("{}2", "g; ".repeat(90)));
        assert_ne!(stem(&one, plain), stem(&two, plain));
        assert_eq!(marked("a/b", plain), format!("a_b~{}", Digest::of(b"a/b").short(6)));
    }

    #[test]
    fn no_two_names_are_one_file() {
        let mut taken = Taken::default();
        let given: Vec<String> =
            ["a", "a", "A", "a-2", "\u{e9}", "e\u{301}", "a"].iter().map(|stem| taken.give(stem, "wav")).collect();
        assert_eq!(given[..4], ["a.wav", "a-2.wav", "A-3.wav", "a-2-2.wav"]);
        let folds: std::collections::BTreeSet<String> = given.iter().map(|name| folded(name)).collect();
        assert_eq!(folds.len(), given.len(), "{given:?}");
    }
}
