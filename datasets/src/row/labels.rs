//! Labels: what is said about a recording, in one struct from the corpus to the shard.
//!
//! A scan reads them from tables, sidecars and tags, a row carries them through every stage, and shards and `tracks.parquet`
//! write them down. A further label is one line in the list below; the compiler names the one other place that has to say
//! where its column stands, [`crate::shard::LABELS`].
//!
//! ```
//! use datasets::row::Labels;
//!
//! let mut labels: Labels = Labels::default();
//! labels.set("Title", " Blue ");
//! labels.set("bpm", "120");
//! let tags = Labels { title: Some("a tag".to_owned()), artist: Some("Ann".to_owned()), ..Labels::default() };
//! labels.fill_from(&tags);
//! assert_eq!(labels.attribution(), "Blue by Ann");
//! assert_eq!(labels.extra["bpm"], "120");
//! ```

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! labels { ($($(#[$doc:meta])* $field:ident),* $(,)?) => {
    /// Labels of a recording, as a sidecar, a table, its tags or the manifest state them; `None`: not stated.
    /// `Labels<&str>` borrows its texts, and is read from the same bytes.
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(bound(deserialize = "T: Ord + Deserialize<'de>"))]
    pub struct Labels<T = String> {
        $($(#[$doc])* pub $field: Option<T>,)*
        /// The corpus's own columns: texts by column, of those that nothing else reads.
        pub extra: BTreeMap<T, T>,
    }

    impl<T> Default for Labels<T> {
        fn default() -> Labels<T> {
            Labels { $($field: None,)* extra: BTreeMap::new() }
        }
    }

    impl Labels<String> {
        /// The names of the labels, in the order of the fields.
        pub const NAMES: [&'static str; [$(stringify!($field)),*].len()] = [$(stringify!($field)),*];

        /// Borrows the labels, without a copy of their texts.
        pub fn view(&self) -> Labels<&str> {
            Labels {
                $($field: self.$field.as_deref(),)*
                extra: self.extra.iter().map(|(column, text)| (column.as_str(), text.as_str())).collect(),
            }
        }
    }

    impl<T: AsRef<str>> Labels<T> {
        /// The labels in the order of [`Labels::NAMES`]; `None` where nobody states one.
        pub fn each(&self) -> [Option<&str>; Labels::<String>::NAMES.len()] {
            [$(self.$field.as_ref().map(T::as_ref)),*]
        }
    }

    impl<T> Labels<T> {
        fn each_mut(&mut self) -> [&mut Option<T>; Labels::<String>::NAMES.len()] {
            [$(&mut self.$field),*]
        }
    }
} }

labels! {
    /// The title of the piece.
    title,
    /// The artist; the default key of a split.
    artist,
    /// One genre; a conditioning label.
    genre,
    /// The source of the recording, usually a URL.
    source,
}

impl<T> Labels<T> {
    /// The label of a name, in any case; `None` where this is no label's name.
    pub fn named(&mut self, name: &str) -> Option<&mut Option<T>> {
        let at = Labels::<String>::NAMES.iter().position(|own| own.eq_ignore_ascii_case(name))?;
        self.each_mut().into_iter().nth(at)
    }
}

impl<T: AsRef<str>> Labels<T> {
    /// The text of a label by its name as [`Labels::NAMES`] has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = Labels::<String>::NAMES.iter().position(|own| *own == name)?;
        self.each()[at]
    }

    /// `Title by Artist (source)`, as far as each is known: the line that attribution asks for.
    pub fn attribution(&self) -> String {
        let mut line = self.title.as_ref().map_or("Untitled", T::as_ref).to_owned();
        if let Some(artist) = &self.artist {
            line += &format!(" by {}", artist.as_ref());
        }
        if let Some(source) = &self.source {
            line += &format!(" ({})", source.as_ref());
        }
        line
    }
}

impl<T: AsRef<str> + Ord> Labels<T> {
    /// The corpus's own columns as one JSON object, in the order of their names; `None` where there are none.
    pub fn extra_json(&self) -> Option<String> {
        let own = self.extra.iter().map(|(column, text)| (column.as_ref().to_owned(), text.as_ref().into()));
        (!self.extra.is_empty()).then(|| serde_json::Value::Object(own.collect()).to_string())
    }
}

impl Labels {
    /// Sets a label by its name in any case, or a column of the corpus's own. What is set stays as it is; an empty text states
    /// nothing.
    pub fn set(&mut self, name: &str, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        match self.named(name) {
            Some(label) => drop(label.get_or_insert_with(|| text.to_owned())),
            None => drop(self.extra.entry(name.to_owned()).or_insert_with(|| text.to_owned())),
        }
    }

    /// Fills labels that are missing here with those of `other`.
    pub fn fill_from(&mut self, other: &Labels) {
        for (own, text) in self.each_mut().into_iter().zip(other.each()) {
            if own.is_none() {
                *own = text.map(str::to_owned);
            }
        }
        for (column, text) in &other.extra {
            self.extra.entry(column.clone()).or_insert_with(|| text.clone());
        }
    }

    /// Reads what [`Labels::extra_json`] wrote.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read_extra(json: &str) -> Result<BTreeMap<String, String>, serde_json::Error> {
        serde_json::from_str(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stated_first_holds() {
        let mut labels: Labels = Labels::default();
        for (name, text) in [("GENRE", "waltz"), ("genre", "jazz"), ("mood", " "), ("bpm", "3"), ("bpm", "4")] {
            labels.set(name, text);
        }
        let other = Labels { genre: Some("x".into()), source: Some("s".into()), ..Labels::default() };
        labels.fill_from(&other);
        assert_eq!(labels.each(), [None, None, Some("waltz"), Some("s")]);
        assert_eq!(labels.extra, [("bpm".to_owned(), "3".to_owned())].into());
        assert_eq!(
            (labels.get("genre"), labels.get("bpm"), labels.view().get("source")),
            (Some("waltz"), None, Some("s"))
        );
    }

    #[test]
    fn own_columns_are_one_sorted_object() {
        let mut labels: Labels = Labels::default();
        assert_eq!(labels.extra_json(), None);
        for (name, text) in [("b\"", "2"), ("a", "na\u{ef}ve"), ("B", "1")] {
            labels.set(name, text);
        }
        let json = labels.extra_json().expect("columns");
        assert_eq!(json, "{\"B\":\"1\",\"a\":\"na\u{ef}ve\",\"b\\\"\":\"2\"}");
        assert_eq!(labels.view().extra_json(), Some(json.clone()));
        assert_eq!(Labels::read_extra(&json).expect("read"), labels.extra);
        assert!(Labels::read_extra("{\"a\":1}").is_err());
    }
}
