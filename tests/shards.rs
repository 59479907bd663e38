//! Shards stay put: an insertion rewrites one, growth splits one, and no other is touched.

mod support;

use datasets::{shard::read, tables::tracks};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};
use support::{Place, Said, assert_same, files, tone};

/// A codec that trains in no time, one split, and files of a few clips: about 9 kB of codes.
const SMALL: [&str; 10] = [
    "--set",
    "stage.codec.steps=[2,2,2]",
    "--set",
    "stage.codec.split=",
    "--set",
    "stage.codec.refresh=pinned",
    "--set",
    "stage.parts.by=track",
    "--set",
    "stage.shards.megabytes=0.03",
];

fn place(tracks: u32) -> Place {
    let whole = ["--set", "stage.parts.train=1.0", "--set", "stage.parts.valid=0.0", "--set", "stage.parts.test=0.0"];
    let place = Place::empty().with(&SMALL).with(&whole);
    place.table("");
    (0..tracks).for_each(|n| add(&place, n));
    place
}

/// One recording more: a second of a tone of its own.
fn add(place: &Place, n: u32) {
    tone(&place.music().join(format!("t{n:03}.wav")), n, 1.0);
    place.table(&format!("{}t{n:03}.wav,CC0-1.0,artist {n},Title {n},genre 0\n", place.rows()));
}

/// The shards of a run: the prefix of each, and its bytes.
fn shards(said: &Said) -> BTreeMap<String, Vec<u8>> {
    let stem = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    files(&said.folder().join("codes/train")).into_iter().map(|(path, bytes)| (stem(path), bytes)).collect()
}

fn grown(place: &Place) -> Said {
    let said = place.run(&[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    said
}

#[test]
fn an_insertion_rewrites_one_and_growth_splits_one() {
    let place = place(24);
    let mut before = shards(&grown(&place));
    assert!(before.len() >= 4, "too few shards to tell: {:?}", before.keys());
    let (mut rewritten, mut split) = (0, 0);
    for n in 24..48 {
        add(&place, n);
        let said = grown(&place);
        let after = shards(&said);
        let gone: Vec<&String> = before.keys().filter(|name| !after.contains_key(*name)).collect();
        let other: Vec<&String> =
            after.iter().filter(|(name, own)| before.get(*name) != Some(own)).map(|(n, _)| n).collect();
        let written = said.executed().remove("shards").expect("shards");
        assert_eq!(written.len(), other.len(), "track {n} wrote {written:?}, and {other:?} differ");
        match (gone.as_slice(), other.as_slice()) {
            ([], [_]) => rewritten += 1,
            // A prefix too large goes; its parts come, of which one may be empty or split again.
            ([parent], parts) if parts.iter().all(|part| part.starts_with(parent.as_str())) => split += 1,
            _ => panic!("track {n}: {gone:?} went, {other:?} were written"),
        }
        before = after;
    }
    assert!(rewritten >= 12 && split >= 2, "{rewritten} insertions, {split} splits");

    // The partition is a function of the rows: from nothing it is the same.
    let last = grown(&place);
    let fresh = self::place(48);
    fs::copy(place.path().join("tiny.lock"), fresh.path().join("tiny.lock")).expect("the codec in use");
    support::copy(&place.store().join("objects"), &fresh.store().join("objects"));
    let fresh = grown(&fresh);
    assert_same("shards that grew", &files(&last.folder().join("codes")), &files(&fresh.folder().join("codes")));
}

#[test]
fn what_does_not_change_is_not_written_again() {
    let place = place(16);
    let first = grown(&place);
    let inode = |said: &Said, name: &str| {
        fs::metadata(said.folder().join(format!("codes/train/{name}.parquet"))).expect("a shard").ino()
    };
    let before: BTreeMap<String, u64> =
        shards(&first).into_keys().map(|name| (name.clone(), inode(&first, &name))).collect();
    place.table(&place.rows().replace(",Title 3,", ",Another title,"));
    let second = grown(&place);
    let after: BTreeMap<String, u64> =
        shards(&second).into_keys().map(|name| (name.clone(), inode(&second, &name))).collect();
    let moved = before.iter().filter(|(name, inode)| after.get(*name) != Some(inode)).count();
    assert_eq!((before.len(), moved), (after.len(), 1), "only the shard with the corrected title is another file");
}

/// What the corpus says in columns of its own: of each track in the shards, which agree with `tracks.parquet`.
fn own(said: &Said) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for path in files(&said.folder().join("codes")).into_keys() {
        let (_, rows) = read(&said.folder().join("codes").join(path)).expect("a shard");
        found.extend(rows.into_iter().map(|row| (row.track, row.labels.extra_json().unwrap_or_default())));
    }
    let bytes = fs::read(said.folder().join("tracks.parquet")).expect("a list");
    let listed = tracks::read(&bytes).expect("the tracks").into_iter();
    let listed = listed.map(|listed| (listed.track, listed.labels.extra_json().unwrap_or_default()));
    assert_eq!(listed.collect::<BTreeMap<_, _>>(), found, "shards and tracks.parquet differ");
    found
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(track, text)| ((*track).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn columns_of_the_corpus_s_own_are_carried_along() {
    let place = place(3);
    let plain = grown(&place);
    let sidecar = |rows: &str| {
        let table = format!("path,license,artist,title,genre,mood,bpm\n{rows}");
        fs::write(place.music().join("tracks.csv"), table).expect("a sidecar");
    };
    let row = |n: u32, own: &str| format!("t00{n}.wav,CC0-1.0,artist {n},Title {n},genre 0,{own}\n");
    assert_eq!(own(&plain), texts(&[("folder/t000.wav", ""), ("folder/t001.wav", ""), ("folder/t002.wav", "")]));

    sidecar(&(row(0, "calm, 90") + &row(1, ",120") + &row(2, ",")));
    let carried = grown(&place);
    let said = [
        ("folder/t000.wav", r#"{"bpm":"90","mood":"calm"}"#),
        ("folder/t001.wav", r#"{"bpm":"120"}"#),
        ("folder/t002.wav", ""),
    ];
    assert_eq!(own(&carried), texts(&said));
    assert_eq!(carried.executed().into_keys().collect::<BTreeSet<_>>(), ["shards".to_owned()].into());
    assert!(shards(&plain).keys().eq(shards(&carried).keys()), "a column moved a track to another shard");

    // Those that are named are carried, and without any the files are those of a corpus that has none.
    let some = place.run(&["--set", "stage.tracks.carry=[\"mood\"]"]);
    assert_eq!(own(&some)["folder/t000.wav"], r#"{"mood":"calm"}"#);
    let none = place.run(&["--set", "stage.tracks.carry=[]"]);
    assert_eq!(none.executed(), BTreeMap::new());
    assert_same("shards without", &files(&none.folder().join("codes")), &files(&plain.folder().join("codes")));
    assert_same_tracks(&none, &plain);
}

fn assert_same_tracks(a: &Said, b: &Said) {
    let list = |said: &Said| fs::read(said.folder().join("tracks.parquet")).expect("a list");
    assert!(list(a) == list(b), "tracks.parquet differs");
}

#[test]
fn a_table_s_own_columns_are_those_that_nothing_else_reads() {
    let place = place(2);
    let table = place.path().join("all.csv");
    let text =
        "file,License,artist,song,year,tags\nt000.wav,CC0-1.0,a,One,1999,\"[\"\"x\"\"]\"\nt001.wav,CC0-1.0,b,Two,,\n";
    fs::write(&table, text).expect("a table");
    let file = format!("stage.tracks.file={}", table.display());
    let mut sets = vec!["--set", "stage.tracks.corpus=table", "--set", &file, "--set", "stage.tracks.path=file"];
    sets.extend(["--set", "stage.tracks.columns={ title = \"song\" }"]);
    let said = place.run(&sets);
    let carried = texts(&[("table/t000.wav", r#"{"tags":"[\"x\"]","year":"1999"}"#), ("table/t001.wav", "")]);
    assert_eq!(own(&said), carried);

    let missing = place.run(&[&sets[..], &["--set", "stage.tracks.carry=[\"yaer\"]"]].concat());
    assert_eq!(missing.code, Some(3), "{}", missing.err);
    assert!(missing.err.contains("no column `yaer`, did you mean `year`?"), "{}", missing.err);
}
