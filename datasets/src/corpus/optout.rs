//! Opt-out lists: who has withdrawn which tracks, when, and what shows it.

use super::rows::{self, At, Columns, Format, Sink, Values};
use super::{Member, Name, ScanError};
use crate::Digest;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Withdrawal {
    /// The day, as `YYYY-MM-DD`; empty where the command line asks what a withdrawal would cost.
    pub date: String,
    /// Evidence of the withdrawal: a letter, a ticket, an address.
    pub evidence: String,
    /// Line number in the list, or row number if the format has no lines.
    pub line: u64,
    /// The track's id, where the line names it.
    pub id: Option<String>,
}

impl fmt::Display for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date.is_empty() {
            true => write!(f, "withdrawn by {}", self.evidence),
            false => write!(f, "withdrawn on {}: {}", self.date, self.evidence),
        }
    }
}

/// A list of withdrawn tracks. The order of its lines decides nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptOut {
    lines: Vec<Withdrawal>,
    /// Index into `lines` by name: the earliest line if several withdraw one name.
    index: HashMap<Name, usize>,
}

impl OptOut {
    /// Reads a table whose columns are some of `id`, `digest`, `artist` and `url`, with `date` and `evidence`; its
    /// format is told by the ending of its name. Each line names one thing; other columns are passed over.
    ///
    /// # Errors
    /// A file that cannot be read, a missing column, or all lines that do not say what they must.
    pub fn read(file: &Path) -> Result<OptOut, ScanError> {
        let format = Format::of(file).ok_or_else(|| ScanError::Format(file.to_owned()))?;
        let mut gather = Gather { file, fields: Vec::new(), list: OptOut::default(), wrong: Vec::new() };
        rows::read(file, format, "id", &mut gather)?;
        match gather.wrong.is_empty() {
            true => Ok(gather.list),
            false => Err(ScanError::Lines { path: file.to_owned(), wrong: gather.wrong }),
        }
    }

    /// The line that withdraws a track: of several, the earliest.
    pub fn find(&self, track: &Member) -> Option<&Withdrawal> {
        let lines = track.names().filter_map(|name| self.index.get(&name)).map(|&line| &self.lines[line]);
        // What nobody has withdrawn yet comes last.
        lines.min_by_key(|line| (line.date.is_empty(), *line))
    }

    /// The list with one more track, which nobody has withdrawn yet. A line that names it already stays.
    #[must_use]
    pub fn also(mut self, id: &str, evidence: &str) -> OptOut {
        let name = Name::id(id);
        if !self.index.contains_key(&name) {
            let (date, id) = (String::new(), Some(id.nfc().collect()));
            self.add(name, Withdrawal { date, evidence: evidence.to_owned(), line: 0, id });
        }
        self
    }

    /// All lines.
    pub fn lines(&self) -> &[Withdrawal] {
        &self.lines
    }

    fn add(&mut self, name: Name, line: Withdrawal) {
        let place = self.index.entry(name).or_insert(self.lines.len());
        if self.lines.get(*place).is_some_and(|known| line < *known) {
            *place = self.lines.len();
        }
        self.lines.push(line);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Id,
    Digest,
    Artist,
    Url,
    Date,
    Evidence,
}

const FIELDS: [(&str, Field); 6] = [
    ("id", Field::Id),
    ("digest", Field::Digest),
    ("artist", Field::Artist),
    ("url", Field::Url),
    ("date", Field::Date),
    ("evidence", Field::Evidence),
];

struct Gather<'a> {
    file: &'a Path,
    fields: Vec<Field>,
    list: OptOut,
    wrong: Vec<(u64, String)>,
}

impl Sink for Gather<'_> {
    fn choose(&mut self, Columns { names: columns, .. }: Columns<'_>) -> Result<Vec<usize>, ScanError> {
        let mut chosen = Vec::new();
        for (name, field) in FIELDS {
            match columns.iter().position(|column| column.eq_ignore_ascii_case(name)) {
                Some(at) => {
                    chosen.push(at);
                    self.fields.push(field);
                }
                None if matches!(field, Field::Date | Field::Evidence) => {
                    return Err(rows::lacks(self.file, name, columns));
                }
                None => {}
            }
        }
        Ok(chosen)
    }

    fn row(&mut self, at: At, values: Values<'_>) -> Result<(), ScanError> {
        let line = at.line.unwrap_or(at.row);
        let read = values.and_then(|values| {
            let text = |value: &Option<Cow<'_, str>>| {
                value.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
            };
            let said: Vec<(Field, String)> =
                self.fields.iter().zip(values).filter_map(|(field, value)| Some((*field, text(value)?))).collect();
            withdrawal(&said, line)
        });
        match read {
            Ok((name, read)) => self.list.add(name, read),
            Err(why) => self.wrong.push((line, why)),
        }
        Ok(())
    }
}

/// Parses the fields of one line: the name that it withdraws, and the withdrawal.
fn withdrawal(said: &[(Field, String)], line: u64) -> Result<(Name, Withdrawal), String> {
    let of = |wanted: Field| said.iter().find(|(field, _)| *field == wanted).map(|(_, text)| text.as_str());
    let (mut names, mut given) = (Vec::new(), Vec::new());
    for (word, field) in FIELDS {
        let Some(text) = of(field) else { continue };
        names.push(match field {
            Field::Id => Name::id(text),
            Field::Digest => Name::digest(&text.parse::<Digest>()?),
            Field::Artist => Name::artist(text),
            Field::Url => Name::url(text),
            Field::Date | Field::Evidence => continue,
        });
        given.push(word);
    }
    let [name] = names[..] else {
        return Err(match given[..] {
            [] => "the line names no id, digest, artist or url".to_owned(),
            _ => format!("the line names {}: write a line for each", given.join(" and ")),
        });
    };
    let date = of(Field::Date).ok_or("the line has no date")?;
    if !is_day(date) {
        return Err(format!("the date {date:?} is no day written as YYYY-MM-DD"));
    }
    let evidence = of(Field::Evidence).ok_or("the line has no evidence: say where the withdrawal can be found")?;
    let id = of(Field::Id).map(|id| id.nfc().collect());
    Ok((name, Withdrawal { date: date.to_owned(), evidence: evidence.to_owned(), line, id }))
}

/// Whether a text is a day of the Gregorian calendar as `YYYY-MM-DD`.
fn is_day(text: &str) -> bool {
    let digits = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    let [year, month, day] = text.split('-').collect::<Vec<_>>()[..] else { return false };
    if !(digits(year, 4) && digits(month, 2) && digits(day, 2)) {
        return false;
    }
    let number = |part: &str| part.parse::<u32>().unwrap_or(0);
    let (year, month) = (number(year), number(month));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&number(day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(name: &str, text: &str) -> Result<OptOut, ScanError> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(name);
        fs::write(&file, text).expect("written");
        OptOut::read(&file)
    }

    fn track(id: &str, artist: &str) -> Member {
        Member {
            id: Name::id(id),
            content: Some(Name::digest(&Digest::of(id.as_bytes()))),
            artist: Some(Name::artist(artist)),
            ..Member::default()
        }
    }

    #[test]
    fn a_line_names_an_id_a_digest_an_artist_or_an_address() {
        let digest = Digest::of(b"folder/b.wav");
        let list = format!(
            "id\tdigest\tartist\turl\tdate\tevidence\tticket\n\
             folder/a.wav\t\t\t\t2026-03-01\tletter\t7\n\
             \t{digest}\t\t\t2026-03-02\tmail\t8\n\
             \t\tAnn Example\t\t2026-02-28\tcall\t9\n\
             \t\t\thttps://example.org/d\t2024-02-29\tform\t10\n"
        );
        let list = read("optout.tsv", &list).expect("a list");
        let date = |track: Member| list.find(&track).map(|line| (line.date.clone(), line.line));
        assert_eq!(date(track("folder/a.wav", "x")), Some(("2026-03-01".into(), 2)));
        assert_eq!(date(track("folder/b.wav", "x")), Some(("2026-03-02".into(), 3)));
        // Two lines: the earlier one.
        assert_eq!(date(track("folder/a.wav", "ann example")), Some(("2026-02-28".into(), 4)));
        let from = Member { source: Some(Name::url("http://example.org/d/")), ..track("folder/d.wav", "x") };
        assert_eq!(date(from), Some(("2024-02-29".into(), 5)));
        assert_eq!(date(track("folder/c.wav", "x")), None);
        let json = read("optout.jsonl", "{\"artist\":\"x\",\"date\":\"2026-01-01\",\"evidence\":\"e\"}\n");
        assert!(json.expect("a list").find(&track("y", "X")).is_some());
    }

    #[test]
    fn a_track_that_nobody_has_withdrawn_yet_comes_last() {
        let list = read("optout.csv", "id,artist,date,evidence\na,,2026-01-01,letter\n,Ann,2026-01-02,mail\n");
        let list = list.expect("a list").also("a", "--without").also("b", "--without").also("c", "--without");
        let said = |track: Member| list.find(&track).map(ToString::to_string);
        assert_eq!(said(track("a", "x")).as_deref(), Some("withdrawn on 2026-01-01: letter"));
        assert_eq!(said(track("b", "ann")).as_deref(), Some("withdrawn on 2026-01-02: mail"));
        assert_eq!(said(track("c", "x")).as_deref(), Some("withdrawn by --without"));
        assert_eq!(said(track("d", "x")), None);
    }

    #[test]
    fn every_wrong_line_is_told() {
        let list = "id,artist,date,evidence\na,b,2026-01-01,e\n,,2026-01-01,e\na,,2026-02-30,e\na,,,e\na,,2026-01-01,\na,,2026-01-01\na,,2026-01-01,e\n";
        let said = read("optout.csv", list).expect_err("wrong").to_string();
        let lines: Vec<&str> = said.lines().map(|line| line.split_once("optout.csv:").expect("a place").1).collect();
        assert_eq!(
            lines,
            [
                "2: the line names id and artist: write a line for each",
                "3: the line names no id, digest, artist or url",
                "4: the date \"2026-02-30\" is no day written as YYYY-MM-DD",
                "5: the line has no date",
                "6: the line has no evidence: say where the withdrawal can be found",
                "7: the row has 3 fields, the header 4",
            ]
        );
        let digest = read("optout.csv", "digest,date,evidence\nabc,2026-01-01,e\n").expect_err("wrong").to_string();
        assert!(digest.ends_with(":2: `abc` is not a digest of 64 hexadecimal digits"), "{digest}");
        let column = read("optout.csv", "id,dat,evidence\n").expect_err("wrong").to_string();
        assert!(column.ends_with("has no column `date`, did you mean `dat`?; it has id, dat, evidence"), "{column}");
    }
}
