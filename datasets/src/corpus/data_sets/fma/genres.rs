//! The genres of FMA: a tree in `genres.csv`, and what tracks say of it.

use crate::corpus::ScanError;
use crate::corpus::data_sets::columns::{self, Header, Wanted};
use crate::row::Labels;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const WANTED: Wanted = Wanted { header: Header::Plain, needed: &["genre_id", "parent", "title"], further: &[] };

/// The tree of genres, by number.
pub(super) struct Genres(BTreeMap<u64, Genre>);

struct Genre {
    title: String,
    /// The genre above; `None` at the top.
    parent: Option<u64>,
}

impl Genres {
    /// Reads `genres.csv`; `None` if it is not there.
    ///
    /// # Errors
    /// A file that cannot be read, or a row without numbers.
    pub(super) fn read(file: &Path) -> Result<Option<Genres>, ScanError> {
        if !file.is_file() {
            return Ok(None);
        }
        let (mut genres, mut wrong) = (BTreeMap::new(), None);
        columns::read(file, "genre_id", WANTED, &mut |at, row| {
            let read = row.and_then(|row| {
                let number = |name: &str| row.get(name).and_then(|text| text.parse().ok());
                let id: u64 = number("genre_id").ok_or("the row has no number of a genre")?;
                let parent = number("parent").filter(|parent| *parent != 0);
                let title = row.get("title").ok_or("the genre has no title")?.to_owned();
                Ok((id, Genre { title, parent }))
            });
            match read {
                Ok((id, genre)) => drop(genres.insert(id, genre)),
                Err(reason) => wrong = Some(ScanError::Syntax { path: file.to_owned(), line: at.line, reason }),
            }
        })?;
        wrong.map_or(Ok(Some(Genres(genres))), Err)
    }

    /// The genre and those above it, the top first.
    fn line(&self, id: u64) -> Vec<u64> {
        let mut line = vec![id];
        let mut at = id;
        while let Some(above) = self.0.get(&at).and_then(|genre| genre.parent) {
            // A tree that bites its tail has no top.
            if line.contains(&above) {
                break;
            }
            line.push(above);
            at = above;
        }
        line.reverse();
        line
    }

    fn title(&self, id: u64) -> Option<&str> {
        self.0.get(&id).map(|genre| genre.title.as_str())
    }
}

/// A genre as a track names it: its number, and its title where the track has it as well.
pub(super) type Named = (u64, Option<String>);

/// The genres in a track's list: numbers, or dictionaries with `genre_id` and `genre_title`.
pub(super) fn named(list: &Value) -> Vec<Named> {
    let Value::Array(items) = list else { return Vec::new() };
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    let one = |item: &Value| match item {
        Value::Object(fields) => {
            let title = fields.get("genre_title").and_then(Value::as_str).map(str::to_owned);
            Some((number(fields.get("genre_id")?)?, title))
        }
        other => Some((number(other)?, None)),
    };
    items.iter().filter_map(one).collect()
}

/// Labels a track with its genre at the top of the tree, if all of its genres have the same one, and with columns of titles:
/// `genres`, and `genres_all` with those above.
pub(super) fn label(named: &[Named], top: Option<&str>, tree: Option<&Genres>, labels: &mut Labels) {
    let known: BTreeMap<u64, &str> = named.iter().filter_map(|(id, title)| Some((*id, title.as_deref()?))).collect();
    let title = |id: u64| {
        let title = tree.and_then(|tree| tree.title(id)).or(known.get(&id).copied());
        title.map_or_else(|| id.to_string(), str::to_owned)
    };
    let ids: BTreeSet<u64> = named.iter().map(|(id, _)| *id).collect();
    let list = |ids: &BTreeSet<u64>| {
        let titles: Vec<Value> = ids.iter().map(|id| Value::String(title(*id))).collect();
        Value::Array(titles).to_string()
    };
    if !ids.is_empty() {
        labels.set("genres", &list(&ids));
    }
    if let Some(tree) = tree {
        let lines: Vec<Vec<u64>> = ids.iter().map(|id| tree.line(*id)).collect();
        let all: BTreeSet<u64> = lines.iter().flatten().copied().collect();
        if !all.is_empty() {
            labels.set("genres_all", &list(&all));
        }
        let tops: BTreeSet<u64> = lines.iter().filter_map(|line| line.first().copied()).collect();
        if let (None, [only]) = (top, tops.into_iter().collect::<Vec<_>>().as_slice()) {
            labels.genre = tree.title(*only).map(str::to_owned);
        }
    }
    if let Some(top) = top {
        labels.genre = Some(top.to_owned());
    }
}
