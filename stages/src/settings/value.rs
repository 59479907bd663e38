//! The manifest's values with their places, and what is wrong with them.

/// A place in a source: the manifest, or a `--set` on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Number of the source; 0 is the manifest itself.
    pub source: u16,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset one past the last byte.
    pub end: u32,
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The value.
    pub data: Data,
    /// Position of the value in its source.
    pub at: At,
}

/// Data of a TOML value; dates are left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A list.
    Array(Vec<Value>),
    /// A table, in the order of the file.
    Table(Table),
}

impl Data {
    /// Name of the type in a complaint.
    pub fn kind(&self) -> &'static str {
        match self {
            Data::String(_) => "a string",
            Data::Integer(_) => "a whole number",
            Data::Float(_) => "a number",
            Data::Boolean(_) => "true or false",
            Data::Array(_) => "a list",
            Data::Table(_) => "a table",
        }
    }
}

/// Data without places, as a test or an example writes it; a date becomes its text.
impl From<toml::Value> for Data {
    fn from(value: toml::Value) -> Data {
        let at = At::default();
        let spanned = |value: toml::Value| Value { data: value.into(), at };
        match value {
            toml::Value::String(text) => Data::String(text),
            toml::Value::Integer(n) => Data::Integer(n),
            toml::Value::Float(x) => Data::Float(x),
            toml::Value::Boolean(b) => Data::Boolean(b),
            toml::Value::Array(items) => Data::Array(items.into_iter().map(spanned).collect()),
            toml::Value::Table(table) => {
                Data::Table(Table(table.into_iter().map(|(text, v)| (Word { text, at }, spanned(v))).collect()))
            }
            toml::Value::Datetime(date) => Data::String(date.to_string()),
        }
    }
}

/// A name with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The name.
    pub text: String,
    /// Position of the name in its source.
    pub at: At,
}

/// Names and values in the order of the file; names are unique.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(pub Vec<(Word, Value)>);

impl Table {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(word, _)| word.text == name).map(|(_, value)| value)
    }

    /// Removes a name, and gives its value.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(word, _)| word.text == name)?;
        Some(self.0.remove(index).1)
    }
}

/// A complaint about a setting: its position, what is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// Position of the value or name.
    pub at: At,
    /// Description of the error: a lower-case fragment.
    pub message: String,
    /// Suggestion of what to do about it.
    pub help: Option<String>,
}

impl Complaint {
    /// Makes a complaint without a suggestion.
    pub fn new(at: At, message: impl Into<String>) -> Complaint {
        Complaint { at, message: message.into(), help: None }
    }

    /// Adds a suggestion.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Complaint {
        Complaint { help: Some(help.into()), ..self }
    }
}

/// The nearest of the known words, if it is near enough to be a slip of the keys.
pub fn suggest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let near = |k: &str| strsim::osa_distance(&word.to_lowercase(), &k.to_lowercase());
    let best = known.into_iter().min_by_key(|k| (near(k), k.len()))?;
    let allowed = (word.chars().count().max(best.chars().count()) / 3).max(1);
    (near(best) <= allowed).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn suggests_only_what_is_near() {
        assert_eq!(suggest("alow", ["allow", "deny"]), Some("allow"));
        assert_eq!(suggest("clps", ["clips", "codec"]), Some("clips"));
        assert_eq!(suggest("root", ["allow", "deny"]), None);
        assert_eq!(suggest("x", []), None);
    }
}
