//! Real recordings: `manifests/folder.toml` on the shared corpora, against what ffmpeg 5.1 makes of every file.
//!
//! Frames are counted at 8 kHz, where a codec of one small level encodes three quarters of an hour in seconds: the
//! clips of a track add up to `ceil(frames * 8000 / rate)` of ffmpeg's frames.

mod support;

use parquet::{file::reader::SerializedFileReader, record::RowAccessor};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
};
use support::{Said, files, refrain, repository, text};

/// Where the shared data lies.
fn data() -> PathBuf {
    Path::new(&std::env::var_os("REFRAIN_SHARED").expect("REFRAIN_SHARED")).join("data")
}

/// Files of another length than ffmpeg 5.1 gives, and their frames at 44.1 kHz here: of Ogg Vorbis whose last granule position
/// says so, it loses the first 128; of MP4 it leaves what the last packet holds beyond the edit.
const OTHERWISE: &[(&str, u64)] = &[
    ("tensorflow-io/ZASFX_ADSR_no_sustain.ogg", 14_336),
    ("tonejs-audio/loop/snare.ogg", 196_000),
    ("madmom/stereo_sample.m4a", 182_919),
    ("rodio/RL.m4a", 1_208_256),
    ("rodio/music.m4a", 449_320),
];

/// Runs the folder's manifest on a corpus, in a place of its own: its lock is written beside it.
fn run(corpus: &Path, settings: &[&str]) -> (tempfile::TempDir, Said) {
    let place = tempfile::tempdir().expect("a folder");
    let manifest = place.path().join("folder.toml");
    fs::copy(repository().join("manifests/folder.toml"), &manifest).expect("the manifest");
    let mut command = refrain(&["run", "--json", "-w", "2", "--store"]);
    command.arg(place.path().join("store")).arg(manifest).args(settings);
    command.arg("--set").arg(format!("stage.tracks.root={}", corpus.display()));
    let said = Said::of(&command.output().expect("the binary starts"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    (place, said)
}

/// Dropped rows: track and code, by stage.
fn dropped(said: &Said) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for row in said.record()["dropped"].as_array().expect("rows") {
        let id = text(&row["id"]).trim_start_matches("folder/").to_owned();
        all.entry(text(&row["stage"])).or_default().insert(id, text(&row["code"]));
    }
    all
}

/// A table's rows below a folder, as (path there, field of a column by its name).
fn table<'a>(text: &'a str, folder: &str) -> Vec<(String, BTreeMap<&'a str, &'a str>)> {
    let head: Vec<&str> = text.lines().next().expect("a header").split('\t').collect();
    let rows = text.lines().skip(1).map(|line| head.iter().copied().zip(line.split('\t')).collect::<BTreeMap<_, _>>());
    rows.filter_map(|row| Some((row["path"].strip_prefix(folder)?.to_owned(), row))).collect()
}

#[test]
#[ignore = "needs REFRAIN_SHARED"]
fn music_is_kept_at_its_length_and_once() {
    let data = data();
    let level = ["downs=[[3,2,2]]", "width=[8]", "depth=[1]", "codewords=[16]", "dim=8", "steps=[4]", "batch=[2]"];
    let level = level.iter().chain(&["crop=[2048]", "spectral=[0.1]", "rate=8000"]).map(|s| format!("stage.codec.{s}"));
    let others = ["mono.rate=8000", "clips.align=1", "clips.minimum=0.0"].map(|setting| format!("stage.{setting}"));
    let settings: Vec<String> = level.chain(others).flat_map(|setting| ["--set".to_owned(), setting]).collect();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let (_place, said) = run(&data.join("music"), &settings);
    let codes = said.folder().join("codes");
    let mut frames: BTreeMap<String, u64> = BTreeMap::new();
    for path in files(&codes).into_keys() {
        let reader = SerializedFileReader::new(File::open(codes.join(path)).expect("a shard")).expect("Parquet");
        for row in reader {
            let row = row.expect("a row");
            let at = |name: &str| row.get_column_iter().position(|(column, _)| column == name).expect("a column");
            let track = row.get_string(at("track")).expect("a track").trim_start_matches("folder/").to_owned();
            *frames.entry(track).or_default() += row.get_ulong(at("frames")).expect("frames");
        }
    }
    let dropped = dropped(&said);
    let none = BTreeMap::new();
    let of = |stage: &str| dropped.get(stage).unwrap_or(&none);

    // Groups of equal samples by the checksums of ffmpeg: all but the least id are duplicates.
    let sources = fs::read_to_string(data.join("SOURCES.tsv")).expect("SOURCES.tsv");
    let mut groups: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (path, row) in table(&sources, "music/") {
        if !row["pcm_md5"].is_empty() {
            groups.entry(row["pcm_md5"]).or_default().insert(path);
        }
    }
    let expected: BTreeMap<String, String> = groups
        .into_values()
        .flat_map(|group| group.into_iter().skip(1))
        .map(|path| (path, "duplicate".to_owned()))
        .collect();
    assert!(expected.len() >= 9, "{expected:?}");
    assert_eq!(of("unique"), &expected);

    let decoded = fs::read_to_string(data.join("DECODE.tsv")).expect("DECODE.tsv");
    let (mut wrong, mut kept, mut otherwise) = (Vec::new(), 0, 0);
    for (path, row) in table(&decoded, "music/").into_iter().filter(|(path, _)| !path.ends_with("tracks.csv")) {
        let here = frames.get(&path).copied();
        let fine = match (row["ffmpeg_5_1"], row["codec"]) {
            // No sound: text, which states no license; nothing of it is kept.
            ("no audio stream", _) => here.is_none() && of("free").contains_key(&path),
            (_, "opus") => of("decoded").get(&path).is_some_and(|code| code == "unsupported-codec"),
            ("clean", _) if of("unique").contains_key(&path) => here.is_none(),
            ("clean", _) => {
                let exception = OTHERWISE.iter().find(|(name, _)| *name == path);
                otherwise += usize::from(exception.is_some());
                let stated: u64 =
                    exception.map_or_else(|| row["frames"].parse().expect("frames"), |(_, frames)| *frames);
                let rate: u64 = row["sample_rate"].parse().expect("a rate");
                kept += 1;
                here == Some((stated * 8000).div_ceil(rate))
            }
            _ => true,
        };
        if !fine {
            wrong.push(format!("{path}: {here:?} frames at 8 kHz, ffmpeg: {row:?}"));
        }
    }
    println!("{kept} recordings kept at ffmpeg's length but {otherwise}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((kept, otherwise), (frames.len(), OTHERWISE.len()));
    let all = of("free").len() + of("decoded").len() + of("unique").len() + kept;
    assert_eq!(said.count("tracks", "kept"), all as u64);
}

#[test]
#[ignore = "needs REFRAIN_SHARED"]
fn tricky_files_are_kept_or_dropped_with_a_reason() {
    let data = data();
    let corpus = data.join("tricky");
    let settings = ["--set", "stage.free.unknown=allow", "--to", "clips"];
    let (_place, said) = run(&corpus, &settings);
    let there = files(&corpus).into_keys().filter(|path| path != Path::new("tracks.csv")).count() as u64;
    let (kept, odd) = (said.count("tracks", "kept"), said.count("tracks", "dropped"));
    assert_eq!(kept + odd, there, "a file is neither kept nor dropped");
    assert_eq!(said.count("free", "kept"), kept, "every license is allowed");
    let count = |stage: &str| (said.count(stage, "kept"), said.count(stage, "dropped"));
    for (before, stage) in [("free", "decoded"), ("decoded", "unique"), ("unique", "mono"), ("mono", "parts")] {
        let (kept, dropped) = count(stage);
        assert_eq!(kept + dropped, count(before).0, "{stage}");
    }
    let rows = dropped(&said);
    println!("{:?}: {rows:?}", ["tracks", "decoded", "unique", "mono", "clips"].map(count));
    let panics = ["panic", "decoder-panicked"];
    let panicked: Vec<_> = rows.values().flatten().filter(|(_, code)| panics.contains(&code.as_str())).collect();
    assert!(panicked.is_empty(), "{panicked:?}");
    assert!(count("decoded").0 > 80, "{:?}", count("decoded"));
}
