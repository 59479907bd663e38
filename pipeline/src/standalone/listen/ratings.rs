//! Ratings, read from a table.

use crate::error::Error;
use datasets::untrusted::{LARGEST_TEXT, text};
use std::{collections::BTreeSet, path::Path};

/// A kind of listening test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Right or wrong answers.
    Abx,
    /// Ratings from 1 to 5.
    Mos,
    /// Ratings from 0 to 100 beside a hidden reference.
    Mushra,
}

/// One rating.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rating {
    /// Code of who rated.
    pub(super) rater: String,
    /// What was rated; empty in an ABX test without the column.
    pub(super) item: String,
    /// The system or condition; empty in an ABX test.
    pub(super) system: String,
    /// The rating; 1 of a right answer, 0 of a wrong one.
    pub(super) score: f64,
}

/// The ratings of a test.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    pub(super) kind: Kind,
    pub(super) ratings: Vec<Rating>,
    /// Lines that are in no result, with the reason.
    pub(super) left_out: Vec<(u64, String)>,
}

/// Names of the columns.
const RATER: [&str; 4] = ["rater", "assessor", "listener", "subject"];
const ITEM: [&str; 3] = ["item", "clip", "stimulus"];
const SCORE: [&str; 2] = ["score", "rating"];

/// Places of the columns in a row.
struct Columns {
    kind: Kind,
    rater: usize,
    item: Option<usize>,
    system: Option<usize>,
    score: usize,
}

impl Columns {
    fn of(heading: &csv::StringRecord) -> Result<Columns, String> {
        let place = |names: &[&str]| heading.iter().position(|own| names.contains(&own.trim()));
        let need = |names: &[&str]| place(names).ok_or_else(|| format!("it has no column `{}`", names[0]));
        let rater = need(&RATER)?;
        if let Some(score) = place(&["correct"]) {
            return Ok(Columns { kind: Kind::Abx, rater, item: place(&ITEM), system: None, score });
        }
        let (kind, system) = match (place(&["condition"]), place(&["system"])) {
            (Some(condition), _) => (Kind::Mushra, condition),
            (None, Some(system)) => (Kind::Mos, system),
            _ => {
                let why = "its columns are those of no test: ABX has `correct`, MOS `system`, MUSHRA `condition`";
                return Err(why.into());
            }
        };
        Ok(Columns { kind, rater, item: Some(need(&ITEM)?), system: Some(system), score: need(&SCORE)? })
    }

    fn rating(&self, row: &csv::StringRecord) -> Result<Rating, String> {
        let field = |place: usize| row.get(place).map(str::trim).unwrap_or_default();
        let given = |place: Option<usize>, what: &str| match place.map(field) {
            Some("") => Err(format!("it names no {what}")),
            found => Ok(found.unwrap_or_default().to_owned()),
        };
        let text = field(self.score);
        let score = match (self.kind, text.to_lowercase().as_str()) {
            (Kind::Abx, "1" | "true" | "yes") => 1.0,
            (Kind::Abx, "0" | "false" | "no") => 0.0,
            (Kind::Abx, _) => return Err(format!("`correct` is \"{text}\": 1 or 0 is asked")),
            (kind, number) => {
                let range = if kind == Kind::Mos { 1.0..=5.0 } else { 0.0..=100.0 };
                let score = number.parse::<f64>().ok().filter(|score| range.contains(score));
                let asked = || format!("the score is \"{text}\": {} to {} is asked", range.start(), range.end());
                score.ok_or_else(asked)?
            }
        };
        let rater = given(Some(self.rater), "rater")?;
        Ok(Rating { rater, item: given(self.item, "item")?, system: given(self.system, "system")?, score })
    }
}

impl Table {
    /// Reads a table. A row that is no rating, or rates again what was rated, is left out.
    pub(super) fn read(path: &Path) -> Result<Table, Error> {
        let wrong = |why: String| Error::Source(format!("{}: {why}", path.display()));
        let text = text(path, LARGEST_TEXT).map_err(|e| wrong(e.to_string()))?;
        Table::of(&text).map_err(wrong)
    }

    fn of(text: &str) -> Result<Table, String> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let columns = Columns::of(reader.headers().map_err(|e| e.to_string())?)?;
        let (mut ratings, mut left_out, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
        for row in reader.records() {
            let row = row.map_err(|e| e.to_string())?;
            let line = row.position().map_or(0, csv::Position::line);
            let rating = columns.rating(&row).and_then(|rating| {
                let again = columns.kind != Kind::Abx
                    && !known.insert((rating.rater.clone(), rating.item.clone(), rating.system.clone()));
                let Rating { rater, item, system, .. } = &rating;
                if again { Err(format!("{rater} has rated {system} of {item} before")) } else { Ok(rating) }
            });
            match rating {
                Ok(rating) => ratings.push(rating),
                Err(why) => left_out.push((line, why)),
            }
        }
        if ratings.is_empty() {
            return Err("it holds no rating that can be used".into());
        }
        Ok(Table { kind: columns.kind, ratings, left_out })
    }

    /// Distinct values of a field in the order of numbers, where they are, and else of letters.
    pub(super) fn names(&self, of: impl Fn(&Rating) -> &String) -> Vec<String> {
        let mut names: Vec<String> = self.ratings.iter().map(|rating| of(rating).clone()).collect();
        names.sort_by(|a, b| match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            _ => a.cmp(b),
        });
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_known_by_its_columns() {
        let kind = |text: &str| Table::of(text).map(|table| table.kind);
        assert_eq!(kind("listener,correct\na,1\n"), Ok(Kind::Abx));
        assert_eq!(kind("rater,clip,system,score\na,b,c,4\n"), Ok(Kind::Mos));
        assert_eq!(kind("assessor,item,condition,score\na,b,c,80\n"), Ok(Kind::Mushra));
        assert_eq!(
            kind("rater,clip,score\na,b,4\n").expect_err("no test").split(':').next(),
            Some("its columns are those of no test")
        );
        assert_eq!(kind("clip,system,score\nb,c,4\n"), Err("it has no column `rater`".into()));
        assert_eq!(kind("rater,clip,system,score\n"), Err("it holds no rating that can be used".into()));
    }

    #[test]
    fn what_is_no_rating_is_left_out_with_its_line() {
        let text = "rater,clip,system,score\na,1,s,4\na,1,s,5\na,2,s,six\na,3,s,0\n,4,s,3\nb,1,s,2.5\n";
        let table = Table::of(text).expect("ratings");
        assert_eq!(table.ratings.len(), 2);
        let said: Vec<String> = table.left_out.iter().map(|(line, why)| format!("{line}: {why}")).collect();
        let expected = [
            "3: a has rated s of 1 before",
            "4: the score is \"six\": 1 to 5 is asked",
            "5: the score is \"0\": 1 to 5 is asked",
            "6: it names no rater",
        ];
        assert_eq!(said, expected);
        let table = Table::of("rater,correct\n10,yes\n9,no\n9,perhaps\n").expect("answers");
        assert_eq!(table.names(|rating| &rating.rater), ["9", "10"]);
        assert_eq!(table.left_out, [(4, "`correct` is \"perhaps\": 1 or 0 is asked".into())]);
    }
}
