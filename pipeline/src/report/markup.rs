//! Text into HTML: escaping, numbers for people, links that cannot run anything.

use std::fmt;

/// Appends formatted text to a `String`.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => { $out.push_str(&format!($($arg)*)) };
}
pub(super) use put;

/// Text from outside, escaped for element content and for quoted attributes. Control characters other than the
/// line feed and the tab are not allowed in HTML and become U+FFFD; a carriage return vanishes.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in self.0.chars() {
            match c {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&quot;")?,
                '\'' => out.write_str("&#39;")?,
                '\n' | '\t' => out.write_char(c)?,
                '\r' => {}
                c if c.is_control() => out.write_char('\u{FFFD}')?,
                c => out.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A count with thousands separated: `1,234,567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count and its noun: `1 track`, `2,000 tracks`. The noun is given in the plural, ending in `s`.
pub(super) fn counted(n: u64, plural: &str) -> String {
    let noun = if n == 1 { plural.strip_suffix('s').unwrap_or(plural) } else { plural };
    format!("{} {noun}", count(n))
}

/// `part` of `whole` in percent, without pretending that a few are none or that all but a few are all.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0\u{2009}%".to_owned();
    }
    let share = part as f64 / whole as f64 * 100.0;
    match share {
        s if part > 0 && s < 0.1 => "<0.1\u{2009}%".to_owned(),
        s if part < whole && s > 99.9 => ">99.9\u{2009}%".to_owned(),
        s if s < 10.0 && part > 0 => format!("{s:.1}\u{2009}%"),
        s if part < whole && s >= 99.5 => format!("{s:.1}\u{2009}%"),
        s => format!("{s:.0}\u{2009}%"),
    }
}

/// A length of time in the unit a person would choose.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 36_000.0 => format!("{} hours", count((s / 3600.0).round() as u64)),
        s if s >= 5_400.0 => format!("{:.1} hours", s / 3600.0),
        s if s >= 600.0 => format!("{:.0} minutes", s / 60.0),
        s if s >= 90.0 => format!("{:.1} minutes", s / 60.0),
        s => format!("{s:.1} seconds"),
    }
}

/// A figure with a fixed number of decimals and a true minus sign; a dash where there is none.
pub(super) fn figure(value: Option<f64>, decimals: usize) -> String {
    match value {
        Some(v) if v.is_finite() => {
            let text = format!("{v:.decimals$}");
            match text.strip_prefix('-') {
                Some(rest) if rest.bytes().all(|b| matches!(b, b'0' | b'.')) => rest.to_owned(),
                Some(rest) => format!("\u{2212}{rest}"),
                None => text,
            }
        }
        Some(v) if v == f64::INFINITY => "\u{221e}".to_owned(),
        Some(v) if v == f64::NEG_INFINITY => "\u{2212}\u{221e}".to_owned(),
        _ => "\u{2013}".to_owned(),
    }
}

/// The address if a page may link to it: `http` and `https` only, so that no title or source can smuggle in a
/// `javascript:` link.
pub(super) fn web_address(text: &str) -> Option<&str> {
    let text = text.trim();
    let scheme = text.split_once("://")?.0;
    let known = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let clean = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    (known && clean).then_some(text)
}

/// A link for an address of the web, and plain text for anything else.
pub(super) fn linked(text: &str) -> String {
    match web_address(text) {
        Some(address) => {
            format!("<a href=\"{}\" rel=\"noopener noreferrer\">{}</a>", Text(address), Text(&short_address(address)))
        }
        None => Text(text).to_string(),
    }
}

/// An address as a reader needs it: without scheme, cut in the middle where it is long.
fn short_address(address: &str) -> String {
    let bare = address.split_once("://").map_or(address, |(_, rest)| rest).trim_end_matches('/');
    let chars: Vec<char> = bare.chars().collect();
    if chars.len() <= 48 {
        return bare.to_owned();
    }
    let head: String = chars[..28].iter().collect();
    let tail: String = chars[chars.len() - 19..].iter().collect();
    format!("{head}\u{2026}{tail}")
}

/// The page of an SPDX license or exception id; `None` for anything that is not on SPDX's list.
pub(super) fn spdx_page(id: &str) -> Option<String> {
    let id = id.strip_suffix('+').unwrap_or(id);
    let name = spdx::license_id(id).map(|l| l.name).or_else(|| spdx::exception_id(id).map(|e| e.name))?;
    Some(format!("https://spdx.org/licenses/{name}.html"))
}

/// An SPDX expression with every id linked to its page; text that is no expression stays text.
pub(super) fn license_links(expression: &str) -> String {
    let mut out = String::new();
    for part in expression.split_inclusive(|c: char| c.is_whitespace() || c == '(' || c == ')') {
        let id = part.trim_end_matches(|c: char| c.is_whitespace() || c == '(' || c == ')');
        let rest = &part[id.len()..];
        match spdx_page(id) {
            Some(page) => {
                put!(out, "<a href=\"{page}\" rel=\"license noopener noreferrer\">{}</a>{}", Text(id), Text(rest));
            }
            None => put!(out, "{}", Text(part)),
        }
    }
    out
}

/// Text cut to about `columns` columns of the page's font, with an ellipsis; wide scripts count double.
pub(super) fn clipped(text: &str, columns: usize) -> String {
    let width = |c: char| if (c as u32) < 0x1100 { 1 } else { 2 };
    if text.chars().map(width).sum::<usize>() <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut out = String::new();
    for c in text.chars() {
        if width(c) > left {
            break;
        }
        left -= width(c);
        out.push(c);
    }
    out.push('\u{2026}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_in_content_and_attributes() {
        assert_eq!(
            Text("<b a=\"x\" c='y'>&\r\n\u{0}").to_string(),
            "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;\n\u{FFFD}"
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "tracks"), "1 track");
        assert_eq!(counted(2, "tracks"), "2 tracks");
        assert_eq!(figure(Some(-0.04), 1), "0.0");
        assert_eq!(figure(Some(-1.25), 1), "\u{2212}1.2");
        assert_eq!(figure(Some(f64::NAN), 1), "\u{2013}");
        assert_eq!(percent(1, 100_000), "<0.1\u{2009}%");
        assert_eq!(percent(99_999, 100_000), ">99.9\u{2009}%");
        assert_eq!(percent(7, 7), "100\u{2009}%");
    }

    #[test]
    fn only_web_addresses_become_links() {
        assert!(linked("https://example.org/a?b=1&c=2").starts_with("<a href=\"https://example.org/a?b=1&amp;c=2\""));
        assert_eq!(linked("javascript://example.org/%0aalert(1)"), "javascript://example.org/%0aalert(1)");
        assert_eq!(linked("https://a b"), "https://a b");
    }

    #[test]
    fn license_ids_are_linked_and_other_words_are_not() {
        let html = license_links("(CC-BY-4.0 OR GPL-2.0-or-later WITH Classpath-exception-2.0) AND LicenseRef-own");
        assert!(html.contains("<a href=\"https://spdx.org/licenses/CC-BY-4.0.html\""));
        assert!(html.contains("<a href=\"https://spdx.org/licenses/Classpath-exception-2.0.html\""));
        assert_eq!(html.matches("<a ").count(), 3);
        assert_eq!(license_links("all rights <reserved>"), "all rights &lt;reserved&gt;");
    }

    #[test]
    fn long_text_is_clipped_by_width() {
        assert_eq!(clipped("abcdef", 6), "abcdef");
        assert_eq!(clipped("abcdefg", 6), "abcde\u{2026}");
        assert_eq!(clipped("日本語日本語", 6), "日本\u{2026}");
    }
}
