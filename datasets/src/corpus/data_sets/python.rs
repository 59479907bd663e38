//! Literals of Python, as tables that pandas wrote hold them: `['idm', "rock'n'roll"]`, `{1, 76}`, `[{'genre_id': '21'}]`.

use serde_json::{Map, Number, Value};

/// Deepest nesting that is read.
const DEPTH: usize = 32;

/// Reads a literal: text, number, `True`, `False`, `None`, list, tuple, set or dictionary. Tuples and sets become arrays, in
/// the order written; keys of a dictionary become text.
///
/// ```
/// use datasets::corpus::data_sets::python::literal;
///
/// assert_eq!(literal("['a', 2, None]").unwrap().to_string(), "[\"a\",2,null]");
/// assert_eq!(literal("{7: {1, 2}}").unwrap().to_string(), "{\"7\":[1,2]}");
/// assert_eq!(literal("['a'").unwrap_err(), "the literal ends early");
/// ```
///
/// # Errors
/// What is wrong with the text, as a fragment.
pub fn literal(text: &str) -> Result<Value, String> {
    let mut reader = Reader { rest: text };
    let value = reader.value(DEPTH)?;
    reader.space();
    if reader.rest.is_empty() { Ok(value) } else { Err(reader.strange()) }
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes a sign, behind spaces, if it is the next one.
    fn takes(&mut self, sign: char) -> bool {
        self.space();
        let Some(rest) = self.rest.strip_prefix(sign) else { return false };
        self.rest = rest;
        true
    }

    fn strange(&self) -> String {
        match self.rest.chars().next() {
            Some(sign) => format!("{sign:?} has no place in a literal"),
            None => "the literal ends early".to_owned(),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        let depth = depth.checked_sub(1).ok_or("the literal is nested too deep")?;
        self.space();
        for (open, close) in [('[', ']'), ('(', ')')] {
            if self.takes(open) {
                return self.items(close, depth).map(Value::Array);
            }
        }
        if self.takes('{') {
            return self.braces(depth);
        }
        match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => self.text(quote).map(Value::String),
            _ => self.word(),
        }
    }

    /// The items up to the closing sign.
    fn items(&mut self, close: char, depth: usize) -> Result<Vec<Value>, String> {
        let mut items = Vec::new();
        while !self.takes(close) {
            items.push(self.value(depth)?);
            if !self.takes(',') && !self.rest.starts_with(close) {
                return Err(self.strange());
            }
        }
        Ok(items)
    }

    /// A set or a dictionary: the first `:` tells.
    fn braces(&mut self, depth: usize) -> Result<Value, String> {
        if self.takes('}') {
            return Ok(Value::Object(Map::new()));
        }
        let first = self.value(depth)?;
        if !self.takes(':') {
            let more = if self.takes(',') {
                self.items('}', depth)?
            } else if self.takes('}') {
                Vec::new()
            } else {
                return Err(self.strange());
            };
            return Ok(Value::Array([vec![first], more].concat()));
        }
        let mut fields = Map::new();
        let mut key = first;
        loop {
            let name = match key {
                Value::String(text) => text,
                other => other.to_string(),
            };
            fields.insert(name, self.value(depth)?);
            let more = self.takes(',');
            if self.takes('}') {
                return Ok(Value::Object(fields));
            }
            if !more {
                return Err(self.strange());
            }
            key = self.value(depth)?;
            if !self.takes(':') {
                return Err(self.strange());
            }
        }
    }

    /// A text in quotes.
    fn text(&mut self, quote: char) -> Result<String, String> {
        let mut signs = self.rest[1..].chars();
        let mut text = String::new();
        loop {
            match signs.next().ok_or("the literal ends early")? {
                sign if sign == quote => break,
                '\\' => match signs.next().ok_or("the literal ends early")? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'a' => text.push('\u{7}'),
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'v' => text.push('\u{b}'),
                    '\n' => {}
                    sign @ ('\\' | '\'' | '"') => text.push(sign),
                    kind @ ('x' | 'u' | 'U') => {
                        let length = match kind {
                            'x' => 2,
                            'u' => 4,
                            _ => 8,
                        };
                        let digits: String = signs.by_ref().take(length).collect();
                        let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == length);
                        let sign = code.and_then(char::from_u32);
                        text.push(sign.ok_or_else(|| format!("\"\\{kind}{digits}\" is no character"))?);
                    }
                    // Python leaves what is no escape as it is.
                    other => text.extend(['\\', other]),
                },
                sign => text.push(sign),
            }
        }
        self.rest = signs.as_str();
        Ok(text)
    }

    /// A number, `True`, `False`, `None`, or an empty set.
    fn word(&mut self) -> Result<Value, String> {
        let is_word = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '+' | '-' | '.' | '_');
        let end = self.rest.find(|sign| !is_word(sign)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(self.strange());
        }
        self.rest = rest;
        match word {
            "None" | "nan" => Ok(Value::Null),
            "True" => Ok(Value::Bool(true)),
            "False" => Ok(Value::Bool(false)),
            "set" if self.takes('(') && self.takes(')') => Ok(Value::Array(Vec::new())),
            word => {
                let whole = word.parse::<i64>().ok().map(Number::from);
                let number = whole.or_else(|| Number::from_f64(word.parse().ok()?));
                number.map(Value::Number).ok_or_else(|| format!("{word:?} is no literal"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals_are_read_as_python_reads_them() {
        let cases = [
            ("[]", "[]"),
            ("{}", "{}"),
            ("set()", "[]"),
            (" ( 1 , ) ", "[1]"),
            ("{1, 76, 236}", "[1,76,236]"),
            ("{3,}", "[3]"),
            ("{'a'}", "[\"a\"]"),
            ("[-1, 2.5, 1e3, True, False, None]", "[-1,2.5,1000.0,true,false,null]"),
            (r#"['it\'s', "rock'n'roll", '\u00e9\x41\U0001F3B5\q']"#, r#"["it's","rock'n'roll","éA🎵\\q"]"#),
            (
                "[{'genre_id': '21', 'genre_title': 'Hip-Hop', 'n': {'x': (1, 2)}}]",
                r#"[{"genre_id":"21","genre_title":"Hip-Hop","n":{"x":[1,2]}}]"#,
            ),
        ];
        for (text, json) in cases {
            assert_eq!(literal(text).map(|value| value.to_string()), Ok(json.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_literal_is_said() {
        let deep = "[".repeat(100_000);
        let cases = [
            ("", "the literal ends early"),
            ("['a', ", "the literal ends early"),
            ("['a' 'b']", "'\\'' has no place in a literal"),
            ("[1] x", "'x' has no place in a literal"),
            ("{1: 2, 3}", "'}' has no place in a literal"),
            ("open('f')", "\"open\" is no literal"),
            (r"'\ud800'", "\"\\ud800\" is no character"),
            (&deep, "the literal is nested too deep"),
        ];
        for (text, why) in cases {
            assert_eq!(literal(text), Err(why.to_owned()), "{text:.40}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"[\[\]{}()'"\\a1,:. é]{0,24}"#) {
            let _ = literal(&text);
        }
    }
}
