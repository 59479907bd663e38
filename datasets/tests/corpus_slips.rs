//! Tables as other programs write them, and the slips of people: what is readable is read, and what is not stops with its place.

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, StructArray};
use datasets::corpus::{ScanError, Table, TableOptions};
use datasets::license::{License, Standing};
use parquet::basic::{BrotliLevel, Compression, GzipLevel};
use parquet::file::properties::WriterProperties;
use std::fs;
use std::path::Path;
use std::sync::Arc;

fn write(name: &str, text: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    fs::write(&file, text).expect("written");
    (folder, file)
}

fn read(file: &Path) -> Result<Table, ScanError> {
    Table::read(file, &TableOptions::default())
}

/// The keys and licenses that a table states.
fn stated(file: &Path, path: &str) -> Vec<(String, String)> {
    let table = Table::read(file, &TableOptions { path: path.to_owned(), ..TableOptions::default() }).expect("a table");
    assert_eq!(table.errors, []);
    table.entries.into_iter().map(|entry| (entry.key, entry.license.unwrap_or_default())).collect()
}

fn parquet(columns: Vec<(&str, ArrayRef)>, compression: Compression) -> (tempfile::TempDir, std::path::PathBuf) {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut out = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut out, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    write("t.parquet", &out)
}

fn texts(texts: &[&str]) -> ArrayRef {
    let mut builder = StringBuilder::new();
    texts.iter().for_each(|text| builder.append_value(text));
    Arc::new(builder.finish())
}

fn both() -> Vec<(String, String)> {
    ["0.wav", "1.wav"].map(|key| (key.to_owned(), "CC0-1.0".to_owned())).into()
}

#[test]
fn a_quoted_field_that_is_never_closed_stops_with_its_line() {
    for (name, text) in [
        ("t.csv", "path,title,license\n0.wav,\"open,CC0-1.0\n1.wav,x,CC0-1.0\n"),
        ("t.tsv", "path\ttitle\tlicense\n0.wav\t\"Quoted\tCC0-1.0\n1.wav\tb\tCC0-1.0\n"),
    ] {
        let (_folder, file) = write(name, text.as_bytes());
        let error = read(&file).expect_err("an open quote").to_string();
        assert!(error.contains("never closed") && error.contains('2'), "{error}");
    }
    // Quotes that are closed, doubled or within a plain field are no slip.
    let text = "path,title,license\n0.wav,\"a \"\"b\"\"\",CC0-1.0\n1.wav,5\" disc,\"CC0-1.0\"";
    let (_folder, file) = write("t.csv", text.as_bytes());
    assert_eq!(stated(&file, "path"), both());
}

#[test]
fn parquet_of_any_codec_of_bytes_and_of_structs() {
    let (paths, licenses) = (texts(&["0.wav", "1.wav"]), texts(&["CC0-1.0", "CC0-1.0"]));
    let level = (GzipLevel::default(), BrotliLevel::default());
    for compression in [
        Compression::GZIP(level.0),
        Compression::BROTLI(level.1),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::SNAPPY,
    ] {
        let columns = vec![("path", paths.clone()), ("license", licenses.clone())];
        let (_folder, file) = parquet(columns, compression);
        assert_eq!(stated(&file, "path"), both(), "{compression}");
    }
    let mut bytes = BinaryBuilder::new();
    ["0.wav", "1.wav"].iter().for_each(|text| bytes.append_value(text));
    let columns: Vec<(&str, ArrayRef)> = vec![("path", Arc::new(bytes.finish())), ("license", licenses.clone())];
    let (_folder, file) = parquet(columns, Compression::UNCOMPRESSED);
    assert_eq!(stated(&file, "path"), both());
    let audio = StructArray::try_from(vec![("bytes", texts(&["x", "y"])), ("path", paths)]).expect("a struct");
    let columns: Vec<(&str, ArrayRef)> = vec![("audio", Arc::new(audio)), ("license", licenses)];
    let (_folder, file) = parquet(columns, Compression::UNCOMPRESSED);
    assert_eq!(stated(&file, "audio.path"), both());
    let whole = TableOptions { path: "audio".to_owned(), ..TableOptions::default() };
    let error = Table::read(&file, &whole).expect_err("a struct").to_string();
    assert!(error.contains("`audio.path`"), "{error}");
}

#[test]
fn two_licenses_for_one_file_are_none() {
    let text = "path,license,Licence\n0.wav,CC0-1.0,CC-BY-NC-4.0\n1.wav,CC BY 4.0,CC-BY-4.0\n";
    let (_folder, file) = write("t.csv", text.as_bytes());
    let both = stated(&file, "path");
    let License { standing, .. } = License::read(&both[0].1);
    assert!(matches!(standing, Standing::Unreadable(_)), "{both:?}");
    assert!(both[0].1.contains("CC0-1.0") && both[0].1.contains("CC-BY-NC-4.0"), "{both:?}");
    assert_eq!(both[1].1, "CC BY 4.0");
}

#[test]
fn slips_of_json_are_named_with_their_place() {
    let text = "{\"path\":\"0.wav\"}\n{\"path\":\"1.wav\",\"x\":NaN}\n";
    let (_folder, file) = write("t.jsonl", text.as_bytes());
    let table = read(&file).expect("a table");
    assert_eq!((table.entries.len(), table.errors[0].line), (1, Some(2)));
    assert!(table.errors[0].reason.ends_with("in column 21"), "{}", table.errors[0].reason);
    let (_folder, file) = write("t.json", b"{\"path\":\"0.wav\"}\n{\"path\":\"1.wav\"}\n");
    let error = read(&file).expect_err("two documents").to_string();
    assert!(error.contains(".jsonl"), "{error}");
}
