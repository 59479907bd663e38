//! Parquet of others: what is read, and what is refused before anything is allocated for it.

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, LargeListArray, RecordBatch, StringArray, UInt16Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Schema};
use datasets::corpus::{OptOut, Table, TableOptions};
use datasets::untrusted::parquet::{Author, Input, Most, Vetted};
use parquet::arrow::ArrowWriter;
use std::path::PathBuf;
use std::sync::Arc;

fn written(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    bytes
}

/// What is said of bytes, or the number of rows.
fn read(bytes: &[u8], writer: Author) -> Result<usize, String> {
    let file = Vetted::of(Input::Bytes(bytes.to_vec().into()), writer).map_err(|e| e.to_string())?;
    let columns = 0..file.schema().fields().len();
    let mut rows = 0;
    for batch in file.batches(columns, 1000).map_err(|e| e.to_string())? {
        rows += batch.map_err(|e| e.to_string())?.num_rows();
    }
    Ok(rows)
}

fn texts(values: Vec<&str>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

fn list(lengths: &[usize]) -> ArrayRef {
    let values: ArrayRef = Arc::new(UInt16Array::from(vec![7; lengths.iter().sum()]));
    let field = Arc::new(Field::new("item", DataType::UInt16, false));
    Arc::new(LargeListArray::new(field, OffsetBuffer::from_lengths(lengths.iter().copied()), values, None))
}

#[test]
fn what_is_in_proportion_is_read() {
    let bytes = written(vec![("a", texts(vec!["x"; 5000])), ("b", list(&[3; 5000]))]);
    assert_eq!(read(&bytes, Author::Stranger), Ok(5000));
    let file = Vetted::of(Input::Bytes(bytes.into()), Author::Stranger).expect("a table");
    let first = file.batches([0], 1000).expect("batches").next().expect("a batch").expect("rows");
    assert_eq!((first.num_rows(), first.num_columns()), (1000, 1));
    assert_eq!(first.column(0).as_string::<i32>().value(999), "x");
}

#[test]
fn what_unpacks_to_far_more_than_it_is_is_refused() {
    // One list of 20 million codes that are all alike: some kilobytes.
    let bomb = written(vec![("codes", list(&[20_000_000]))]);
    assert!((bomb.len() as u64) * Most::VALUES.each < 3_000_000, "{} bytes", bomb.len());
    let said = read(&bomb, Author::Stranger).expect_err("refused");
    assert!(said.starts_with("column `codes.list.item`: 20000000 values in a file of"), "{said}");
    assert_eq!(read(&bomb, Author::Own), Ok(1));
    // Rows that are all alike.
    let rows = written(vec![("path", texts(vec!["a.wav"; 3_000_000]))]);
    let said = read(&rows, Author::Stranger).expect_err("refused");
    assert!(said.starts_with("3000000 rows in a file of"), "{said}");
}

#[test]
fn a_page_that_holds_more_than_is_stated_is_refused() {
    let good = written(vec![("a", list(&[300, 400]))]);
    // The first data page is of version 1: type 0, then sizes, then its header with the number of its values, 700 as zigzag.
    let at = good.windows(2).position(|pair| pair == [0xf8, 0x0a]).expect("the number of values");
    let mut more = good.clone();
    more[at..at + 2].copy_from_slice(&[0xfa, 0x0a]);
    let said = read(&more, Author::Stranger).expect_err("refused");
    assert!(said.contains("its pages hold more than the 700 values that the footer states"), "{said}");
}

#[test]
fn broken_bytes_are_errors() {
    let good = written(vec![("a", texts(vec!["x", "y", "zz"])), ("b", list(&[1, 2, 3]))]);
    for cut in 0..good.len() {
        assert!(read(&good[..cut], Author::Stranger).is_err(), "cut at {cut}");
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            // Read or refused: it ends.
            let _ = read(&bytes, Author::Stranger);
        }
    }
    let deep = (0..40).fold(DataType::Utf8, |inner, _| DataType::List(Arc::new(Field::new("item", inner, true))));
    let mut bytes = Vec::new();
    let schema = Arc::new(Schema::new(vec![Field::new("a", deep, true)]));
    ArrowWriter::try_new(&mut bytes, schema, None).expect("a writer").close().expect("closed");
    assert_eq!(read(&bytes, Author::Stranger), Err("columns inside of more than 32 others".to_owned()));
}

#[test]
fn tables_without_an_end_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let said = |path: &PathBuf| Table::read(path, &TableOptions::default()).expect_err("refused").to_string();
    let wide = "path".to_owned() + &",c".repeat(5000) + "\n";
    assert!(said(&file("wide.csv", &wide)).contains("the table has 5001 columns; 4096 are read at most"));
    let keys: String = (0..5000).map(|n| format!("{{\"path\":\"a\",\"c{n}\":1}}\n")).collect();
    assert!(said(&file("wide.jsonl", &keys)).contains("the table has 5001 columns"));
    for name in ["holes.csv", "holes.jsonl", "holes.json", "holes.parquet"] {
        let path = folder.path().join(name);
        std::fs::File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a file of holes");
        said(&path);
        OptOut::read(&path).expect_err("refused");
    }
    // One long row among good ones is no end, but many short ones are.
    let long = format!("path,title\na,{}\n", "x".repeat(1 << 20));
    assert_eq!(Table::read(&file("long.csv", &long), &TableOptions::default()).expect("read").entries.len(), 1);
    let many = "path\n".to_owned() + &format!("{}\n", "a".repeat(1000)).repeat(40_000);
    assert_eq!(Table::read(&file("many.csv", &many), &TableOptions::default()).expect("read").entries.len(), 40_000);
}
