//! Folders with sidecars, and tables, as they lie on disk.

use datasets::corpus::{Carry, Entry, Oddity, Scan, ScanError, Table, TableOptions, key_of, resolve, scan};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn keys(scan: &Scan) -> Vec<&str> {
    scan.entries.iter().map(|entry| entry.key.as_str()).collect()
}

fn odd(scan: &Scan) -> Vec<(&str, &'static str)> {
    let complaints = scan.complaints.iter();
    complaints.map(|c| (c.key.as_str(), c.oddity.code())).collect()
}

fn stated<'a>(scan: &'a Scan, key: &str) -> &'a Entry {
    scan.entries.iter().find(|entry| entry.key == key).unwrap()
}

#[test]
fn every_regular_file_but_sidecars_and_dot_files() {
    let root = folder(&[
        ("b/x.wav", ""),
        ("a.txt", ""),
        ("b/.hidden.wav", ""),
        (".git/x.wav", ""),
        ("b/tracks.csv", "path\nx.wav\n"),
        ("tracks.jsonl", ""),
        ("B/tracks.csv.bak", ""),
    ]);
    let found = scan(root.path()).unwrap();
    assert_eq!(keys(&found), ["B/tracks.csv.bak", "a.txt", "b/x.wav"]);
    assert_eq!(found.complaints, []);
    assert_eq!(found.entries[2].path, root.path().join("b/x.wav"));
    assert!(matches!(scan(&root.path().join("none")), Err(ScanError::Read { .. })));
    assert!(matches!(scan(&root.path().join("a.txt")), Err(ScanError::NotAFolder(_))));
}

#[test]
fn nearer_sidecars_win_field_by_field() {
    let root = folder(&[
        ("a/b/x.wav", ""),
        ("a/y.wav", ""),
        ("tracks.csv", "path,license,artist,bpm\na/b/x.wav,MIT,Far,90\na/y.wav,MIT,Far,\n"),
        ("a/tracks.json", r#"[{"path": "./b/x.wav", "artist": "Near", "bpm": 120, "key": null}]"#),
        ("a/tracks.csv", "Path,Licence,title\nb/x.wav, CC0-1.0 ,\"A, b\"\n"),
        ("a/b/tracks.jsonl", "\n{\"path\": \"../y.wav\", \"genre\": \"jazz\", \"tags\": [1]}\n"),
    ]);
    let found = scan(root.path()).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let x = stated(&found, "a/b/x.wav");
    assert_eq!(x.license, text("CC0-1.0"));
    assert_eq!((&x.labels.artist, &x.labels.title), (&text("Near"), &text("A, b")));
    assert_eq!(x.labels.extra, BTreeMap::from([("bpm".to_owned(), "120".to_owned())]));
    let y = stated(&found, "a/y.wav");
    assert_eq!((&y.license, &y.labels.genre, &y.labels.source), (&text("MIT"), &text("jazz"), &None));
    assert_eq!(y.labels.extra["tags"], "[1]");
}

#[test]
fn json_sidecars_have_three_shapes() {
    let shapes = [
        r#"[{"path": "a", "title": "T"}, {"path": "b", "title": "U"}]"#,
        r#"{"a": {"title": "T"}, "b": {"title": "U"}}"#,
        r#"{"path": {"0": "a", "10": "b"}, "title": {"10": "U", "0": "T"}}"#,
        r#"{"path": ["a", "b"], "title": ["T", "U"]}"#,
    ];
    for shape in shapes {
        let root = folder(&[("a", ""), ("b", ""), ("tracks.json", shape)]);
        let found = scan(root.path()).unwrap();
        assert_eq!(stated(&found, "a").labels.title.as_deref(), Some("T"), "{shape}");
        assert_eq!(stated(&found, "b").labels.title.as_deref(), Some("U"), "{shape}");
        assert_eq!(found.complaints, []);
    }
}

#[test]
fn odd_rows_are_complaints() {
    let root = folder(&[
        ("a/x.wav", ""),
        ("a/tracks.csv", "path,title\nx.wav,T\nx.wav,U\ngone.wav,\n../../up,\n/abs,\n"),
        ("tracks.csv", "path,artist\na\\x.wav,Windows\n"),
    ]);
    let found = scan(root.path()).unwrap();
    assert_eq!(
        odd(&found),
        [
            ("../../up", "outside-root"),
            ("/abs", "outside-root"),
            ("a/gone.wav", "missing-file"),
            ("a/x.wav", "duplicate-row"),
        ]
    );
    assert_eq!(found.complaints[2].to_string(), "a/gone.wav: a/tracks.csv:4 describes this file, which is not there");
    let x = stated(&found, "a/x.wav");
    assert_eq!((x.labels.title.as_deref(), x.labels.artist.as_deref()), (Some("T"), Some("Windows")));
}

#[test]
fn a_broken_sidecar_is_an_error_with_file_and_line() {
    for (name, text, want) in [
        ("tracks.csv", "path,title\nx,T\nx,T,more\n", "csv:3: the row has 3 fields, the header 2"),
        ("tracks.csv", "path,title\n,T\n", "csv:2: the row names no path"),
        ("tracks.csv", "pth,title\nx,T\n", "no column `path`, did you mean `pth`?; it has pth, title"),
        ("tracks.jsonl", "{\"path\": \"x\"}\n{\"path\n", "jsonl:2: the line is no JSON: "),
        ("tracks.jsonl", "3\n", "jsonl:1: the line is no JSON object"),
        ("tracks.json", "[{\"path\": \"x\"},\n {]", "json:2: "),
        ("tracks.json", "[1]", "element 1 is no object"),
        ("tracks.json", "{\"path\": [\"x\"], \"title\": []}", "differs in length"),
    ] {
        let root = folder(&[("x", ""), (name, text)]);
        let error = scan(root.path()).unwrap_err().to_string();
        assert!(error.contains(want), "{error} lacks {want}");
    }
}

#[test]
fn names_are_normalised_and_escaped() {
    assert_eq!(key_of(Path::new("e\u{301}/100% %FF.wav")), "é/100% %FF.wav");
    assert_eq!(resolve("a/b", "./..//c/é"), Some("a/c/é".to_owned()));
    for outside in ["../x", "/x", "", ".", "a/.."] {
        assert_eq!(resolve("", outside), None, "{outside}");
    }
    let root = folder(&[("e\u{301}.wav", ""), ("é.wav", "")]);
    let found = scan(root.path()).unwrap();
    assert_eq!(keys(&found), ["é.wav", "é.wav"]);
    assert_ne!(found.entries[0].path, found.entries[1].path);
    assert_eq!(found.complaints[0].oddity, Oddity::DuplicateKey);
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_and_links() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    assert_eq!(key_of(Path::new(OsStr::from_bytes(b"a%\xff\xe9.wav"))), "a%25%FF%E9.wav");
    let outside = folder(&[("o.wav", ""), ("deep/p.wav", "")]);
    let root = folder(&[("real/x.wav", "")]);
    let at = |name: &str| root.path().join(name);
    symlink(outside.path().join("o.wav"), at("file.wav")).unwrap();
    symlink(outside.path(), at("far")).unwrap();
    symlink(outside.path(), at("far2")).unwrap();
    symlink(at("real"), at("again")).unwrap();
    symlink(root.path(), at("real/loop")).unwrap();
    symlink(at("self"), at("self")).unwrap();
    symlink("nowhere", at("gone")).unwrap();
    let found = scan(root.path()).unwrap();
    assert_eq!(keys(&found), ["far/deep/p.wav", "far/o.wav", "file.wav", "real/x.wav"]);
    assert_eq!(
        odd(&found),
        [
            ("again", "repeated-folder"),
            ("far2", "repeated-folder"),
            ("gone", "broken-link"),
            ("real/loop", "repeated-folder"),
            ("self", "broken-link"),
        ]
    );
}

fn options(path: &str) -> TableOptions {
    TableOptions { path: path.to_owned(), ..TableOptions::default() }
}

#[test]
fn one_table_in_every_format() {
    let digest = blake3::hash(b"x").to_hex().to_string();
    let csv = format!("file_name,canonical_title,bpm,sum,license\nb.wav,\"T, u\",120,,MIT\na.wav,,,{digest},\n");
    let rows = format!(
        "{{\"file_name\": \"b.wav\", \"canonical_title\": \"T, u\", \"bpm\": 120, \"license\": \"MIT\"}}\n\
         {{\"file_name\": \"a.wav\", \"canonical_title\": null, \"sum\": \"{digest}\"}}\n"
    );
    let array = format!("[{}]", rows.trim().replace('\n', ","));
    let root = folder(&[
        ("t.csv", &csv),
        ("t.tsv", &csv.replace("\"T, u\"", "T; u").replace(',', "\t").replace("; ", ", ")),
        ("t.jsonl", &rows),
        ("t.json", &array),
    ]);
    use datasets::tables::{Column, table};
    let text = |a: &str, b: &str| Column::Text(vec![a.to_owned(), b.to_owned()]);
    let columns = [
        ("license", text("MIT", "")),
        ("bpm", Column::U64(vec![120, 0])),
        ("file_name", text("b.wav", "a.wav")),
        ("canonical_title", text("T, u", "")),
        ("sum", text("", &digest)),
    ];
    table(&columns, &mut fs::File::create(root.path().join("t.parquet")).unwrap()).unwrap();
    let map = [("title", "canonical_title"), ("tempo", "bpm")];
    let options = TableOptions {
        columns: map.map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        digest: Some("sum".to_owned()),
        ..options("file_name")
    };
    for name in ["t.csv", "t.tsv", "t.jsonl", "t.json", "t.parquet"] {
        let table = Table::read(&root.path().join(name), &options).unwrap();
        assert_eq!(table.errors, [], "{name}");
        let [a, b] = table.entries.as_slice() else {
            panic!("{name}: {table:?}");
        };
        assert_eq!((a.key.as_str(), b.key.as_str()), ("a.wav", "b.wav"), "{name}");
        assert_eq!(a.digest, Some(*blake3::hash(b"x").as_bytes()), "{name}");
        assert_eq!((&a.labels.title, &a.license), (&None, &None), "{name}");
        assert_eq!(b.path, root.path().join("b.wav"));
        assert_eq!(b.labels.title.as_deref(), Some("T, u"), "{name}");
        assert_eq!(b.license.as_deref(), Some("MIT"), "{name}");
        assert_eq!(b.labels.extra, BTreeMap::from([("tempo".to_owned(), "120".to_owned())]), "{name}");
    }
}

#[test]
fn columns_that_nothing_else_reads_are_carried_but_bytes() {
    use arrow_array::{ArrayRef, BinaryArray, Int32Array, RecordBatch, StringArray};
    use std::sync::Arc;
    let text = |values: [Option<&str>; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let columns: [(&str, ArrayRef); 6] = [
        ("path", text([Some("a.wav"), Some("b.wav")])),
        ("title", text([Some("not read: another column is"), None])),
        ("song", text([Some("T"), None])),
        ("year", Arc::new(Int32Array::from(vec![Some(1999), None]))),
        ("picture", Arc::new(BinaryArray::from_vec(vec![b"png", b"png"]))),
        ("tags", text([Some(" x "), Some(" ")])),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let root = folder(&[]);
    let file = root.path().join("t.parquet");
    let out = fs::File::create(&file).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(out, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let read = |carry| {
        let columns = [("title".to_owned(), "song".to_owned())].into();
        let table = Table::read(&file, &TableOptions { columns, carry, ..options("path") }).unwrap();
        assert_eq!(table.entries[0].labels.title.as_deref(), Some("T"));
        table.entries.into_iter().map(|entry| entry.labels.extra).collect::<Vec<_>>()
    };
    let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(column, text)| ((*column).to_owned(), (*text).to_owned())).collect()
    };
    assert_eq!(read(Carry::All), [own(&[("tags", "x"), ("year", "1999")]), own(&[])]);
    assert_eq!(read(Carry::These(vec!["year".to_owned()])), [own(&[("year", "1999")]), own(&[])]);
    assert_eq!(read(Carry::These(Vec::new())), [own(&[]), own(&[])]);

    // An index that pandas writes has no name.
    fs::write(root.path().join("t.csv"), ",path,year\n0,a.wav,1999\n").unwrap();
    let table = Table::read(&root.path().join("t.csv"), &options("path")).unwrap();
    assert_eq!(table.entries[0].labels.extra, own(&[("year", "1999")]));
}

#[test]
fn broken_rows_do_not_stop_the_rest() {
    let root = folder(&[("t.csv", "path,sum\na,\nb\n,\n../c,\nd,xyz\ne,\n")]);
    let file = root.path().join("t.csv");
    let digest = Some("sum".to_owned());
    let table = Table::read(&file, &TableOptions { digest, ..options("path") }).unwrap();
    let keys: Vec<&str> = table.entries.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["a", "e"]);
    let errors: Vec<_> = table.errors.iter().map(|e| (e.row, e.line, e.reason.as_str())).collect();
    assert_eq!(
        errors,
        [
            (2, Some(3), "the row has 1 fields, the header 2"),
            (3, Some(4), "the row names no path"),
            (4, Some(5), "its path is not under the root"),
            (5, Some(6), "\"xyz\" is no digest of 64 hexadecimal digits"),
        ]
    );
    let error = Table::read(&file, &options("paht")).unwrap_err().to_string();
    assert!(error.ends_with("has no column `paht`, did you mean `path`?; it has path, sum"), "{error}");
    let error = Table::read(Path::new("t.xls"), &options("path")).unwrap_err();
    assert!(matches!(error, ScanError::Format(_)));
}

#[test]
fn paths_are_relative_to_the_root_that_is_given() {
    let root = folder(&[("meta/t.csv", "path\n/data/x/a.wav\n/other/b.wav\nc.wav\n")]);
    let set = TableOptions { root: Some("/data".into()), ..options("path") };
    let table = Table::read(&root.path().join("meta/t.csv"), &set).unwrap();
    let keys: Vec<&str> = table.entries.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["c.wav", "x/a.wav"]);
    assert_eq!(table.entries[1].path, Path::new("/data/x/a.wav"));
    assert_eq!(table.errors[0].row, 2);
}

#[test]
fn a_million_rows() {
    let mut text = String::from("id,path,artist,title,genre,license\n");
    for i in 0..1_000_000 {
        text += &format!("{i},a/{:03}/{i:07}.wav,\"Artist {}\",Title {i},jazz,CC-BY-4.0\n", i / 1000, i % 99);
    }
    let root = folder(&[("t.csv", &text)]);
    let began = std::time::Instant::now();
    let table = Table::read(&root.path().join("t.csv"), &options("path")).unwrap();
    println!("1,000,000 rows in {:?}", began.elapsed());
    assert_eq!((table.entries.len(), table.errors.len()), (1_000_000, 0));
}

#[test]
#[ignore = "needs REFRAIN_SHARED"]
fn the_shared_data_is_listed() {
    let shared = std::env::var_os("REFRAIN_SHARED").expect("REFRAIN_SHARED");
    let data = Path::new(&shared).join("data");
    for (name, files) in [("music", 201), ("tricky", 194), ("midi", 179)] {
        let found = scan(&data.join(name)).unwrap();
        let licensed = found.entries.iter().filter(|e| e.license.is_some());
        println!("{name}: {} entries, {:?}", found.entries.len(), odd(&found));
        assert_eq!(licensed.count(), files, "{name}");
    }
    let maestro = data.join("metadata/maestro/maestro-v3.0.0.csv");
    let table = Table::read(&maestro, &options("audio_filename")).unwrap();
    assert_eq!((table.entries.len(), table.errors.len()), (1276, 0));
}

proptest! {
    #[test]
    fn any_names_resolve_or_are_refused(folder in "[a-zé/.]{0,8}", path in "[a-zé/.]{0,12}") {
        if let Some(key) = resolve(&folder, &path) {
            prop_assert_eq!(resolve("", &key), Some(key.clone()));
            prop_assert!(!key.starts_with('/'));
        }
    }
}
