//! Rows of CSV, TSV, JSON, JSON lines and Parquet files under one reading.

use super::{ScanError, lines::Lines};
use crate::untrusted::{
    self,
    lines::{Paced, lines},
    parquet::{Author, ParquetInError, Vetted},
};
use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Schema};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// The largest JSON document that is read, in bytes: it is in memory as a whole, as the other formats never are.
const LARGEST_JSON: u64 = 1 << 30;
/// The most columns of a table.
const MOST_COLUMNS: usize = 4096;
/// Rows of Parquet in memory at a time.
const BATCH_ROWS: usize = 1024;
/// Bytes of words that any Parquet table may unpack to, and how many for each of its own where that is more.
const FREE: u64 = 256 << 20;
const UNPACKED: u64 = 256;

/// A file format that holds rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    Csv,
    Tsv,
    /// An array of objects, an object of objects keyed by path, or an object of columns.
    Json,
    JsonLines,
    Parquet,
}

impl Format {
    /// The format that a file name's ending tells.
    pub(super) fn of(path: &Path) -> Option<Format> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match ending.as_str() {
            "csv" => Format::Csv,
            "tsv" | "tab" => Format::Tsv,
            "json" => Format::Json,
            "jsonl" | "ndjson" => Format::JsonLines,
            "parquet" => Format::Parquet,
            _ => return None,
        })
    }
}

/// Position of a row in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// Number of the row, from 1, headers not counted.
    pub(super) row: u64,
    /// The line it begins in, from 1, where the format tells.
    pub(super) line: Option<u64>,
}

/// The values of the chosen columns, in the order chosen; or why the row cannot be read.
pub(super) type Values<'a> = Result<&'a [Option<Cow<'a, str>>], String>;

/// The columns of a file.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) names: &'a [String],
    /// Indices of the columns that hold bytes rather than text.
    pub(super) bytes: &'a BTreeSet<usize>,
}

/// Receiver of a file's rows: chooses columns, then takes one row after another.
pub(super) trait Sink {
    /// Chooses columns, by index, from those there are.
    fn choose(&mut self, columns: Columns<'_>) -> Result<Vec<usize>, ScanError>;
    /// Takes one row.
    fn row(&mut self, at: At, values: Values<'_>) -> Result<(), ScanError>;
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> ScanError {
    |source| ScanError::Read { path: path.to_owned(), source }
}

fn syntax(path: &Path, line: Option<u64>, reason: impl ToString) -> ScanError {
    ScanError::Syntax { path: path.to_owned(), line, reason: reason.to_string() }
}

/// Reads a file's rows into `sink`. `path_column` is the column that the keys of a JSON object
/// keyed by path go to, and by which an object of columns is told from it.
pub(super) fn read(path: &Path, format: Format, path_column: &str, sink: &mut impl Sink) -> Result<(), ScanError> {
    match format {
        Format::Csv => read_csv(path, b',', sink),
        Format::Tsv => read_csv(path, b'\t', sink),
        Format::Json => {
            let text = untrusted::text(path, LARGEST_JSON).map_err(unreadable(path))?;
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let value: Value = serde_json::from_str(text).map_err(|error| {
                let several = text.lines().filter(|line| !line.trim().is_empty()).take(2);
                let lines =
                    several.filter(|line| serde_json::from_str::<serde_json::Map<_, Value>>(line).is_ok()).count();
                match lines {
                    2 => syntax(path, None, "this looks like JSON lines, an object a line: call it .jsonl"),
                    _ => syntax(path, Some(error.line() as u64), said(&error)),
                }
            })?;
            let rows = json_rows(value, path_column).map_err(|why| syntax(path, None, why))?;
            let rows = rows.into_iter().map(|row| (None, Ok(row)));
            objects(path, rows.collect(), sink)
        }
        Format::JsonLines => {
            let mut rows = Vec::new();
            let take = |number, line: Result<&str, _>| {
                let text = line.map(|line| line.trim().trim_start_matches('\u{feff}'));
                let row = match text.map(serde_json::from_str) {
                    _ if text == Ok("") => return Ok(()),
                    Ok(Ok(Value::Object(row))) => Ok(row.into_iter().collect()),
                    Ok(Ok(_)) => Err("the line is no JSON object".to_owned()),
                    Ok(Err(error)) => Err(format!("the line is no JSON: {}", said(&error))),
                    Err(_) => Err("the line is not UTF-8".to_owned()),
                };
                rows.push((Some(number), row));
                Ok(())
            };
            lines(path, take).map_err(unreadable(path))?;
            objects(path, rows, sink)
        }
        Format::Parquet => read_parquet(path, path_column, sink),
    }
}

/// What serde says of a text, with the place within its line alone: which line of the file that is, the complaint says.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    format!("{} in column {}", text.strip_suffix(&place).unwrap_or(&text), error.column())
}

fn not_too_many(path: &Path, columns: usize) -> Result<(), ScanError> {
    match columns {
        0..=MOST_COLUMNS => Ok(()),
        _ => Err(syntax(path, None, format!("the table has {columns} columns; {MOST_COLUMNS} are read at most"))),
    }
}

fn read_csv(path: &Path, delimiter: u8, sink: &mut impl Sink) -> Result<(), ScanError> {
    let broken = |error: csv::Error| {
        let line = error.position().map(csv::Position::line);
        match error.into_kind() {
            csv::ErrorKind::Io(source) => unreadable(path)(source),
            csv::ErrorKind::Utf8 { err, .. } => syntax(path, line, err),
            other => syntax(path, line, format!("{other:?}")),
        }
    };
    let (file, pace) = Paced::open(path).map_err(unreadable(path))?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .buffer_capacity(1 << 18)
        .from_reader(Lines::new(file));
    let header = reader.headers().map_err(broken)?;
    not_too_many(path, header.len())?;
    let columns: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let chosen = sink.choose(Columns { names: &columns, bytes: &BTreeSet::new() })?;
    let mut record = csv::ByteRecord::new();
    let (mut row, mut last) = (0, None);
    while reader.read_byte_record(&mut record).map_err(broken)? {
        row += 1;
        pace.record();
        let offset = record.position().map(csv::Position::byte);
        let at = At { row, line: offset.map(|offset| reader.get_mut().line(offset)) };
        last = offset.map(|offset| (offset, at));
        if record.len() != columns.len() {
            let (is, want) = (record.len(), columns.len());
            let why = format!("the row has {is} fields, the header {want}");
            sink.row(at, Err(why))?;
            continue;
        }
        let values: Result<Vec<_>, _> =
            chosen.iter().map(|&i| std::str::from_utf8(&record[i]).map(|text| Some(Cow::Borrowed(text)))).collect();
        match values {
            Ok(values) => sink.row(at, Ok(&values))?,
            Err(_) => sink.row(at, Err("the row is not UTF-8".to_owned()))?,
        }
    }
    match last {
        Some((offset, at)) if unclosed(path, offset, delimiter).map_err(unreadable(path))? => {
            Err(syntax(path, at.line, "a quoted field that begins in this row is never closed"))
        }
        _ => Ok(()),
    }
}

/// Whether the row at an offset, the last of a file, ends within a quoted field: the parser then takes all the rest of the
/// file for one field, and the rows in it for text.
fn unclosed(path: &Path, offset: u64, delimiter: u8) -> std::io::Result<bool> {
    /// Place of the parser in a field.
    #[derive(PartialEq)]
    enum Within {
        Start,
        Plain,
        Quoted,
        /// Behind a quote in a quoted field, which closes it or is the first of two.
        Closing,
    }
    let mut file = untrusted::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut within = Within::Start;
    for byte in BufReader::new(file).bytes() {
        let byte = byte?;
        within = match (within, byte) {
            (Within::Start | Within::Closing, b'"') => Within::Quoted,
            (Within::Quoted, b'"') => Within::Closing,
            (Within::Quoted, _) => Within::Quoted,
            (_, byte) if byte == delimiter || byte == b'\n' || byte == b'\r' => Within::Start,
            _ => Within::Plain,
        };
    }
    Ok(within == Within::Quoted)
}

type Object = BTreeMap<String, Value>;

/// Rows of a JSON document in any of its three shapes.
fn json_rows(document: Value, path_column: &str) -> Result<Vec<Object>, String> {
    match document {
        Value::Array(rows) => rows
            .into_iter()
            .enumerate()
            .map(|(i, row)| match row {
                Value::Object(row) => Ok(row.into_iter().collect()),
                _ => Err(format!("element {} is no object", i + 1)),
            })
            .collect(),
        Value::Object(top) if top.values().any(Value::is_array) || top.contains_key(path_column) => {
            json_columns(top.into_iter().collect())
        }
        Value::Object(top) => top
            .into_iter()
            .map(|(key, row)| match row {
                Value::Object(row) => {
                    let mut row: Object = row.into_iter().collect();
                    row.entry(path_column.to_owned()).or_insert(Value::String(key));
                    Ok(row)
                }
                _ => Err(format!("the value of {key:?} is no object")),
            })
            .collect(),
        _ => Err("the document is neither an array nor an object".to_owned()),
    }
}

/// `{column: [values]}`, or `{column: {index: value}}` as pandas writes it.
fn json_columns(columns: Object) -> Result<Vec<Object>, String> {
    // Indices in numeric order where they are numbers.
    let mut rows: BTreeMap<(Option<u64>, String), Object> = BTreeMap::new();
    let mut length = None;
    for (name, column) in columns {
        let cells: Vec<((Option<u64>, String), Value)> = match column {
            Value::Array(cells) => {
                if *length.get_or_insert(cells.len()) != cells.len() {
                    return Err(format!("the column {name:?} differs in length"));
                }
                let index = |i: usize| (Some(i as u64), String::new());
                let cells = cells.into_iter().enumerate();
                cells.map(|(i, cell)| (index(i), cell)).collect()
            }
            Value::Object(cells) => {
                cells.into_iter().map(|(index, cell)| ((index.parse().ok(), index), cell)).collect()
            }
            _ => return Err(format!("the column {name:?} is neither an array nor an object")),
        };
        for (index, cell) in cells {
            rows.entry(index).or_default().insert(name.clone(), cell);
        }
    }
    Ok(rows.into_values().collect())
}

/// The text of a JSON value; lists and objects stay JSON.
fn json_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

fn objects(
    path: &Path,
    rows: Vec<(Option<u64>, Result<Object, String>)>,
    sink: &mut impl Sink,
) -> Result<(), ScanError> {
    let names = rows.iter().filter_map(|(_, row)| row.as_ref().ok());
    let columns: BTreeSet<&String> = names.flat_map(BTreeMap::keys).collect();
    let columns: Vec<String> = columns.into_iter().cloned().collect();
    // An empty list states nothing, so it lacks no column either.
    if rows.is_empty() {
        return Ok(());
    }
    not_too_many(path, columns.len())?;
    // Where no row can be read there are no columns to choose from, and only errors to tell.
    let chosen = match columns.is_empty() && rows.iter().all(|(_, row)| row.is_err()) {
        true => Vec::new(),
        false => sink.choose(Columns { names: &columns, bytes: &BTreeSet::new() })?,
    };
    for (i, (line, row)) in rows.into_iter().enumerate() {
        let at = At { row: i as u64 + 1, line };
        match row {
            Ok(row) => {
                let values = chosen.iter().map(|&c| row.get(&columns[c]));
                let values: Vec<_> = values.map(|value| value.and_then(json_text)).collect();
                sink.row(at, Ok(&values))?;
            }
            Err(why) => sink.row(at, Err(why))?,
        }
    }
    Ok(())
}

/// Column of a Parquet table: one of its own, or a field of one that is a struct, under a dotted name.
struct Leaf {
    name: String,
    root: usize,
    field: Option<usize>,
    kind: DataType,
}

fn leaves(schema: &Schema) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for (root, column) in schema.fields().iter().enumerate() {
        let (name, kind) = (column.name().clone(), column.data_type().clone());
        leaves.push(Leaf { name, root, field: None, kind });
    }
    for (root, column) in schema.fields().iter().enumerate() {
        if let DataType::Struct(fields) = column.data_type() {
            for (at, field) in fields.iter().enumerate() {
                let name = format!("{}.{}", column.name(), field.name());
                leaves.push(Leaf { name, root, field: Some(at), kind: field.data_type().clone() });
            }
        }
    }
    leaves
}

/// The text of a value. Bytes are text where a table of old writers (Hive, Impala) holds text without saying so.
fn parquet_text<'a>(column: &'a dyn Array, formatter: &ArrayFormatter<'_>, i: usize) -> Result<Cow<'a, str>, String> {
    let bytes = match column.data_type() {
        DataType::Binary => column.as_binary::<i32>().value(i),
        DataType::LargeBinary => column.as_binary::<i64>().value(i),
        DataType::BinaryView => column.as_binary_view().value(i),
        _ => return formatter.value(i).try_to_string().map(Cow::Owned).map_err(|error| error.to_string()),
    };
    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| "the row is not UTF-8".to_owned())
}

fn read_parquet(path: &Path, path_column: &str, sink: &mut impl Sink) -> Result<(), ScanError> {
    let broken = |error: ParquetInError| match error {
        ParquetInError::Io(error) => unreadable(path)(error),
        other => syntax(path, None, other),
    };
    let file = Vetted::open(path, Author::Stranger).map_err(broken)?;
    let leaves = leaves(file.schema());
    not_too_many(path, leaves.len())?;
    let columns: Vec<String> = leaves.iter().map(|leaf| leaf.name.clone()).collect();
    // Fields of structs are read where they are asked for, and carried along by none.
    let no_text = |leaf: &Leaf| leaf.field.is_some() || holds_bytes(&leaf.kind);
    let bytes = leaves.iter().enumerate().filter(|(_, leaf)| no_text(leaf)).map(|(at, _)| at).collect();
    let chosen = sink.choose(Columns { names: &columns, bytes: &bytes })?;
    if let Some(leaf) = chosen.iter().map(|&at| &leaves[at]).find(|leaf| leaf.name == path_column)
        && let DataType::Struct(fields) = &leaf.kind
    {
        let fields: Vec<String> = fields.iter().map(|field| format!("`{path_column}.{}`", field.name())).collect();
        let why = format!("the column `{path_column}` is a struct; name one of its fields: {}", fields.join(", "));
        return Err(syntax(path, None, why));
    }
    // A projected batch holds the columns in the file's order, each once.
    let present: BTreeSet<usize> = chosen.iter().map(|&at| leaves[at].root).collect();
    let place = |at: &usize| Some((present.iter().position(|have| *have == leaves[*at].root)?, leaves[*at].field));
    let places: Vec<(usize, Option<usize>)> = chosen.iter().filter_map(place).collect();
    // Words of a dictionary may be told again and again.
    let mut room = UNPACKED.saturating_mul(path.metadata().map_or(0, |facts| facts.len())).max(FREE);
    let options = FormatOptions::default();
    let mut row = 0;
    for batch in file.batches(present.iter().copied(), BATCH_ROWS).map_err(broken)? {
        let batch = batch.map_err(broken)?;
        let column = |&(root, field): &(usize, Option<usize>)| {
            let column = batch.column(root);
            // A struct that is null has fields of its own that are not.
            let within = field.and_then(|field| Some((column.as_struct_opt()?.column(field), column)));
            within.map_or((column, None), |(within, whole)| (within, Some(whole)))
        };
        let taken: Vec<(&ArrayRef, Option<&ArrayRef>)> = places.iter().map(column).collect();
        let formatters: Result<Vec<_>, _> =
            taken.iter().map(|(column, _)| ArrayFormatter::try_new(column.as_ref(), &options)).collect();
        let formatters = formatters.map_err(|e| syntax(path, None, e))?;
        for i in 0..batch.num_rows() {
            row += 1;
            let cell = |((column, whole), formatter): (&(&ArrayRef, Option<&ArrayRef>), &ArrayFormatter<'_>)| {
                if column.is_null(i) || whole.is_some_and(|whole| whole.is_null(i)) {
                    return Ok(None);
                }
                parquet_text(column.as_ref(), formatter, i).map(|text| Some(Cow::Owned(text.into_owned())))
            };
            let values: Result<Vec<_>, _> = taken.iter().zip(&formatters).map(cell).collect();
            let cells = values.iter().flatten().flatten();
            let bytes: u64 = cells.map(|cell: &Cow<'_, str>| cell.len() as u64).sum();
            room =
                room.checked_sub(bytes).ok_or_else(|| syntax(path, None, "its words unpack to far more than it is"))?;
            sink.row(At { row, line: None }, values.as_deref().map_err(Clone::clone))?;
        }
    }
    Ok(())
}

/// Whether values of a type are bytes, or hold some.
fn holds_bytes(kind: &DataType) -> bool {
    match kind {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => true,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => holds_bytes(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_bytes(field.data_type())),
        DataType::Dictionary(_, value) => holds_bytes(value),
        _ => false,
    }
}

/// Makes the error for a missing column, with a suggestion from the columns that exist.
pub(super) fn lacks(file: &Path, name: &str, columns: &[String]) -> ScanError {
    ScanError::Column {
        path: file.to_owned(),
        name: name.to_owned(),
        columns: columns.to_vec(),
        suggestion: nearest(name, columns).cloned(),
    }
}

/// The nearest name by edit distance, if it is near at all.
fn nearest<'a>(name: &str, names: &'a [String]) -> Option<&'a String> {
    let folded = name.to_lowercase();
    let distance = |other: &String| strsim::osa_distance(&folded, &other.to_lowercase());
    let near = names.iter().map(|other| (distance(other), other));
    near.min_by_key(|(distance, _)| *distance)
        .filter(|(distance, other)| *distance <= (other.len().max(name.len()) / 2).max(1))
        .map(|(_, other)| other)
}
