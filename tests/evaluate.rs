//! Evaluation, as a stage and on plain files: what is measured, what is remembered, what is refused and how.

mod support;

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::OnceLock,
};
use support::{Place, Said, say, tone, wav};

/// Priors and songs so small that they are made in seconds, and what is said of them.
const STAGES: &str = r#"
[stage.top]
do = "train"
from = ["shards"]
level = 2
width = 16
depth = 1
heads = 2
context = 16
distances = 8
steps = 2
batch = 2
warmup = 1

[stage.middle]
do = "train"
from = ["shards"]
level = 1
width = 16
depth = 1
heads = 2
context = 32
distances = 8
conditioner_depth = 1
steps = 2
batch = 2
warmup = 1

[stage.bottom]
do = "train"
from = ["shards"]
level = 0
width = 16
depth = 1
heads = 2
context = 64
distances = 8
conditioner_depth = 1
steps = 2
batch = 2
warmup = 1

[stage.songs]
do = "sample"
from = ["codec", "top", "middle", "bottom"]
seconds = 12.1

[stage.scores]
do = "evaluate"
from = { reference = "clips", candidate = "songs", codes = "codes", priors = ["top", "middle", "bottom"] }
"#;

/// Recordings of twenty seconds, of two artists each.
fn corpus() -> Place {
    let place = Place::empty();
    let manifest = place.path().join("tiny.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, text + STAGES).expect("a manifest");
    let mut rows = String::new();
    for n in 0..6 {
        tone(&place.music().join(format!("t{n}.wav")), n, 20.0);
        rows += &format!("t{n}.wav,CC0-1.0,artist {n},Title {n},genre {}\n", n % 2);
    }
    place.table(&rows);
    // Under this salt three artists lie on either side.
    let settings = [
        "clips.seconds=4.0",
        "parts.train=0.5",
        "parts.valid=0.0",
        "parts.test=0.5",
        "parts.salt=b",
        "codec.steps=[4,4,4]",
    ];
    let args: Vec<String> = settings.iter().flat_map(|s| ["--set".to_owned(), format!("stage.{s}")]).collect();
    place.with(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn base() -> &'static (Place, Said) {
    static BASE: OnceLock<(Place, Said)> = OnceLock::new();
    BASE.get_or_init(|| {
        let place = corpus();
        let first = place.run(&[]);
        assert_eq!(first.code, Some(0), "{}", first.err);
        (place, first)
    })
}

/// The distance of each subject at each level, and all that they were measured on.
fn distances(said: &Said) -> (BTreeMap<(String, Option<u64>), f64>, BTreeSet<String>) {
    let record = said.record();
    let all = record["scores"].as_array().expect("scores").iter().map(|score| &score["metric"]);
    let all = all.filter(|metric| metric["metric"] == "fad");
    let (mut found, mut on) = (BTreeMap::new(), BTreeSet::new());
    for score in all {
        assert_eq!(score["embedding"]["name"], "log-mel-statistics");
        let key = (support::text(&score["subject"]), score["level"].as_u64());
        found.insert(key, score["value"].as_f64().expect("a number"));
        on.insert(format!("{} {} {}", score["candidate"]["clips"], score["candidate"]["frames"], score["reference"]));
    }
    (found, on)
}

fn heard(said: &Said) -> Option<u64> {
    said.all("progress").filter(|event| event["unit"] == "sounds").last().and_then(|event| event["total"].as_u64())
}

#[test]
fn songs_and_controls_are_measured_alike() {
    let (_, first) = base();
    let (found, on) = distances(first);
    assert_eq!(on.len(), 1, "equally many clips, equally long, against one reference: {on:?}");
    let (clips, rest) = on.first().and_then(|text| text.split_once(' ')).expect("counts");
    assert_eq!(clips, "6", "two songs give three pieces of four seconds each; {rest}");
    let subjects: BTreeSet<&str> = found.keys().map(|(subject, _)| subject.as_str()).collect();
    let expected = ["held out", "reconstruction", "songs", "unigram codes", "white noise"];
    assert_eq!(subjects, expected.into_iter().collect());
    assert_eq!(found.len(), 9, "three levels of two subjects, and three others");
    let of = |subject: &str, level| found[&(subject.to_owned(), level)];
    for level in 0..3 {
        assert!(of("held out", None) < of("reconstruction", Some(level)), "{found:?}");
    }
    assert!(of("held out", None) < of("white noise", None) && of("held out", None) < of("songs", None), "{found:?}");
    let record = first.record();
    // Priors tell of themselves too.
    let scores = record["scores"].as_array().expect("scores").iter().filter(|score| score["stage"] == "scores");
    let scores: Vec<&Value> = scores.collect();
    let count = |metric: &str| scores.iter().filter(|score| score["metric"]["metric"] == metric).count();
    assert_eq!(["spectral-mse", "log-mel", "stft", "snr", "bits-per-code"].map(count), [3, 3, 3, 3, 12]);
    // As many candidates have each distance of vectors; so few vectors are extrapolated to nothing.
    assert_eq!(["fad", "kad", "mad", "precision", "recall"].map(count), [9; 5]);
    assert_eq!(count("fad-infinity"), 0);
    // Three recordings, or two songs, tell no interval; as many draws of noise as clips do.
    let interval = |subject: &str| {
        let of = |score: &&&Value| score["name"] == format!("fad/{subject}");
        scores.iter().find(of).map(|score| score["metric"]["interval"].clone()).expect("a figure")
    };
    assert!(interval("songs").is_null() && interval("white noise").is_array(), "{}", interval("white noise"));
    // What notes there are, of every candidate and of the reference: tones have no attacks, noise has no pitches.
    assert_eq!(["sounding", "onsets", "pulse", "salience"].map(count), [10; 4]);
    let salience = |subject: &str| {
        let of = |score: &&&Value| score["name"] == format!("salience/{subject}");
        scores.iter().find(of).and_then(|score| score["value"].as_f64()).expect("a figure")
    };
    assert!(salience("held out") > 0.8 && salience("white noise") < 0.4);
    assert!(scores.iter().all(|score| score["value"].as_f64().is_some_and(f64::is_finite)));
    let page = fs::read_to_string(first.folder().join("report.html")).expect("a report");
    assert!(page.contains("Over log-mel-statistics (version 1) at 16000 Hz, against"), "what it was measured on");
    assert!(page.contains("Notes: scores"), "what the notes are like");
    assert!(page.contains(">KAD</th>") && page.contains(">recall</th>"), "all distances");
}

#[test]
fn new_songs_cost_the_measurement_of_these_songs() {
    let (place, first) = base();
    let place = place.copy();
    let again = place.run(&[]);
    assert_eq!((again.executed(), heard(&again)), (BTreeMap::new(), None));
    let setting = ["--set", "stage.songs.top_p=0.5"];
    let planned = place.plan(&setting);
    let ran = place.run(&setting);
    planned.holds(&ran.executed());
    assert_eq!(ran.executed().into_keys().collect::<Vec<_>>(), ["scores", "songs"]);
    assert_eq!(heard(&ran), Some(6), "the pieces of the songs and nothing else");
    let ((before, on), (now, on_now)) = (distances(first), distances(&ran));
    assert_eq!(on, on_now);
    let changed: Vec<_> = before.iter().filter(|(key, value)| now[*key] != **value).map(|(key, _)| &key.0).collect();
    assert_eq!(changed, ["songs"]);

    // A corrected title is no other sound.
    place.table(&place.rows().replace("Title 1", "Another title"));
    let ran = place.run(&[]);
    assert_eq!(ran.executed().into_keys().collect::<Vec<_>>(), ["shards"]);
}

#[test]
fn one_worker_measures_the_same_as_three() {
    let (place, first) = base();
    let place = place.copy();
    // What is remembered is made anew.
    fs::remove_dir_all(place.store()).expect("removed");
    let one = Said::of(&place.command("run", &["-w", "1"]).output().expect("the binary starts"));
    assert_eq!(one.record()["scores"], first.record()["scores"]);
}

#[test]
fn too_few_clips_end_the_run_with_what_is_needed() {
    let (place, _) = base();
    let place = place.copy();
    let few = place.run(&["--set", "stage.scores.clips=2"]);
    assert_eq!(few.code, Some(6), "{}", few.err);
    let expected = "stage `scores` failed: too few clips: log-mel-statistics (version 1) needs 33 vectors on either side, \
                    that is 6 clips of 4.00 s; there are";
    assert!(few.err.contains(expected), "{}", few.err);
    let none = place.run(&["--set", "stage.scores.split=practice"]);
    assert_eq!(none.code, Some(2), "{}", none.err);
    assert!(none.err.contains("`split` is the split \"practice\", into which no row falls"), "{}", none.err);
}

/// A folder with tones of ten seconds each.
fn folder(root: &Path, name: &str, numbers: impl IntoIterator<Item = u32>) -> String {
    let folder = root.join(name);
    fs::create_dir_all(folder.join("deeper")).expect("a folder");
    for n in numbers {
        let place = if n % 2 == 0 { folder.clone() } else { folder.join("deeper") };
        tone(&place.join(format!("{n}.wav")), n, 10.0);
    }
    folder.display().to_string()
}

fn evaluate(reference: &str, candidate: &str, more: &[&str]) -> Said {
    say(&[&["evaluate", "--reference", reference, "--candidate", candidate], more].concat())
}

#[test]
fn two_folders() {
    let place = tempfile::tempdir().expect("a folder");
    let (own, near) = (folder(place.path(), "own", 0..6), folder(place.path(), "near", 3..9));
    let far = place.path().join("far");
    fs::create_dir(&far).expect("a folder");
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 50) as i16 - 8192
    };
    for n in 0..6 {
        let samples: Vec<i16> = (0..220_500).map(|_| noise()).collect();
        fs::write(far.join(format!("{n}.wav")), wav(22_050, 1, &samples)).expect("a WAV");
    }
    fs::write(far.join("notes.txt"), "no sound").expect("a file");
    let result = |candidate: &str| {
        let said = evaluate(&own, candidate, &["--json"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.events.into_iter().next().expect("a line of JSON")
    };
    let value = |result: &Value| result["value"].as_f64().expect("a number");
    let (same, near, far) = (result(&own), result(&near), result(&far.display().to_string()));
    assert!(value(&same) < 1e-9 && value(&same) < value(&near) && value(&near) < value(&far), "{same} {near} {far}");
    assert_eq!(near["embedding"], serde_json::json!({ "name": "log-mel-statistics", "version": 1 }));
    assert_eq!((&near["rate"], &near["reference"]["clips"]), (&16_000.into(), &6.into()));
    // 1 + (160000 - 17152) / 8192 vectors each.
    assert_eq!(near["candidate"]["frames"], 108);
    assert_eq!(near["reference"], far["reference"]);
    let figures = |candidate: &str, more: &[&str]| {
        let said = evaluate(&own, candidate, &[&["--json"], more].concat());
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.events
    };
    let names = |all: &[Value]| all.iter().map(|line| support::text(&line["metric"])).collect::<Vec<_>>();
    let all = figures(&own, &[]);
    assert_eq!(names(&all), ["fad", "fad-infinity", "kad", "mad", "precision", "recall"]);
    for figure in &all {
        let equal = if figure["metric"] == "precision" || figure["metric"] == "recall" { 1.0 } else { 0.0 };
        // Extrapolated and unbiased figures of equal sets lie around 0.
        assert!((value(figure) - equal).abs() < 1.5, "{figure}");
    }
    let [low, high] = [0, 1].map(|at| all[0]["interval"][at].as_f64().expect("a bound"));
    assert!(low <= value(&all[0]) && value(&all[0]) <= high, "{}", all[0]);
    assert_eq!(names(&figures(&own, &["kad", "fad"])), ["kad", "fad"], "as asked");
    assert_eq!(figures(&own, &["kad"])[0]["value"], all[2]["value"], "whatever else is asked");
    assert_eq!(
        far["left_out"]["candidate"][0]["file"], "notes.txt",
        "named, and no failure: it is meant to be no sound"
    );

    // Names are not what is measured.
    fs::rename(place.path().join("own/0.wav"), place.path().join("own/z.wav")).expect("renamed");
    let text = evaluate(&own, &own, &[]);
    assert_eq!(text.code, Some(0));
    let digest = support::text(&same["reference"]["digest"]);
    assert!(text.out.contains(&format!("6 files, 108 vectors, digest {}", &digest[..12])), "{}", text.out);
    assert!(text.out.contains("log-mel-statistics version 1, 16000 Hz"), "{}", text.out);
}

#[test]
fn an_unreadable_file_is_named_and_counted() {
    let place = tempfile::tempdir().expect("a folder");
    let (own, other) = (folder(place.path(), "own", 0..6), folder(place.path(), "other", 2..6));
    let before = evaluate(&own, &other, &["--json"]);
    fs::write(place.path().join("own/broken.flac"), b"fLaC and no more").expect("a file");
    let said = evaluate(&own, &other, &["--json"]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("own/broken.flac: left out: "), "{}", said.err);
    let expected = "error: the result is without 1 file of the reference (broken.flac), which could not be read";
    assert!(said.err.contains(expected), "{}", said.err);
    let (result, whole) = (&said.events[0], &before.events[0]);
    assert_eq!(
        (&result["value"], &result["reference"]),
        (&whole["value"], &whole["reference"]),
        "nothing stands in for it"
    );
    assert_eq!(result["left_out"]["reference"][0]["file"], "broken.flac");
    assert!(evaluate(&own, &other, &[]).out.contains("6 files, 108 vectors"), "{}", said.out);
    assert!(evaluate(&own, &other, &[]).out.contains(", 1 left out"));
}

#[test]
fn too_little_says_what_is_needed() {
    let place = tempfile::tempdir().expect("a folder");
    let (own, few) = (folder(place.path(), "own", 0..6), folder(place.path(), "few", 0..1));
    let said = evaluate(&own, &few, &[]);
    assert_eq!(said.code, Some(6), "{}", said.err);
    assert!(said.err.contains("needs 33 vectors, about 17 s of sound, and 1 file gives 18"), "{}", said.err);
    let some = folder(place.path(), "some", 0..4);
    let said = evaluate(&own, &some, &["fad-infinity"]);
    assert_eq!(said.code, Some(6), "{}", said.err);
    assert!(said.err.contains("`fad-infinity` needs at least 96 vectors"), "{}", said.err);
    let said = evaluate(&own, &some, &["fda"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("there are fad, fad-infinity, kad, mad, precision, recall"), "{}", said.err);
    let empty = folder(place.path(), "empty", 0..0);
    let said = evaluate(&own, &empty, &[]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("holds no sound file"), "{}", said.err);
    let said = evaluate(&place.path().join("nowhere").display().to_string(), &own, &[]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("nowhere"), "{}", said.err);
}
