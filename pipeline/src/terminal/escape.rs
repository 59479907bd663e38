//! Escapes: the text of others as it may stand on a terminal.
//!
//! File names, tags, titles, manifests and the words of libraries may hold characters that move the cursor, change colors,
//! turn the direction of a line or cannot be seen. Whatever is written for people goes through [`escaped`]; nothing else
//! decides. A character becomes `\u` and the four hexadecimal digits of each of its UTF-16 units, which is what JSON
//! writes: an event on a terminal stays JSON.

use std::borrow::Cow;

/// Whether a terminal would act on a character, or not show it: control characters (C0, DEL and C1) other than line breaks
/// and tabs, separators of lines and paragraphs, and what Unicode calls default ignorable: bidirectional marks, zero-width
/// characters, fillers and tags. The selectors of emoji presentation stay.
fn acts(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{fe0e}' | '\u{fe0f}' => false,
        _ => {
            c.is_control()
                || matches!(c,
                    '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                    | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}'
                    | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{1bca0}'..='\u{1bca3}'
                    | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        }
    }
}

/// Escapes the characters of a text that `acts` chooses, given each with the one behind it.
fn with(text: &str, acts: impl Fn(char, Option<char>) -> bool) -> Cow<'_, str> {
    let each = || text.chars().zip(text.chars().skip(1).map(Some).chain([None]));
    if !each().any(|(c, next)| acts(c, next)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for (c, next) in each() {
        match acts(c, next) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Text as it may stand on a terminal; line breaks (LF and CRLF) and tabs stay.
///
/// ```
/// use pipeline::terminal::escape::escaped;
/// assert_eq!(escaped("caf\u{e9}\n"), "caf\u{e9}\n");
/// assert_eq!(escaped("a\u{1b}[2J\u{202e}b"), "a\\u001b[2J\\u202eb");
/// ```
pub fn escaped(text: &str) -> Cow<'_, str> {
    with(text, |c, next| acts(c) && (c, next) != ('\r', Some('\n')))
}

/// A name or a cell of a table as it may stand in a line: line breaks and tabs are escaped too.
pub fn in_line(text: &str) -> Cow<'_, str> {
    with(text, |c, _| acts(c) || c == '\n' || c == '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_stays_and_all_that_it_shows_does() {
        for shown in [
            "Für Elise",
            "日本語 (ライブ)",
            "عربي",
            "e\u{301}",
            "♥\u{fe0f}",
            "a\tb\n",
            "a\r\nb\r\n",
            "\u{fffd}",
            "\\u001b",
        ] {
            assert!(matches!(escaped(shown), Cow::Borrowed(_)), "{shown:?}");
        }
        for (text, shown) in [
            ("\u{1b}]0;x\u{7}", "\\u001b]0;x\\u0007"),
            ("\u{9b}31m", "\\u009b31m"),
            ("\r\u{8}\u{7f}", "\\u000d\\u0008\\u007f"),
            ("\u{202e}gpj.\u{2066}", "\\u202egpj.\\u2066"),
            ("a\u{200b}b\u{feff}\u{ad}", "a\\u200bb\\ufeff\\u00ad"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(escaped(text), shown);
        }
        assert_eq!(in_line("a\nb\tc\r\n"), "a\\u000ab\\u0009c\\u000d\\u000a");
    }

    #[test]
    fn json_stays_json_of_the_same_meaning() {
        let value = serde_json::json!({ "name": "a\u{1b}\u{9b}\u{202e}\u{e0041}\u{200b}b" });
        let text = value.to_string();
        let shown = escaped(&text);
        assert!(shown.is_ascii());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }
}
