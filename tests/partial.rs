//! A stage over the whole corpus that fails withholds what rests on it, and nothing else: the rest is published, exit 6.

mod support;

use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, process::Stdio, sync::OnceLock};
use support::{Place, Said, assert_same, hosts, refrain, repository, side_by_side, text, tone, tree};

const SCORES: &str = r#"
[stage.scores]
do    = "evaluate"
clips = 6
from  = { reference = "clips", candidate = "songs", codes = "codes", priors = ["prior"] }
"#;

/// A corpus down to figures of its songs, and nothing of it done yet.
fn corpus() -> Place {
    let place = Place::empty();
    let manifest = fs::read_to_string(repository().join("tests/rebuilds/models-manifest.toml")).expect("a manifest");
    fs::write(place.path().join("tiny.toml"), manifest + SCORES).expect("written");
    fs::write(place.path().join("optout.tsv"), "id\tdate\tevidence\n").expect("a list");
    let row = |n: u32| {
        tone(&place.music().join(format!("t{n}.wav")), n, 13.0);
        format!("t{n}.wav,CC0-1.0,artist {n},Title {n},genre {}\n", n % 2)
    };
    let rows: String = (0..8).map(row).collect();
    place.table(&rows);
    place.with(&["--set", "stage.clips.seconds=4.0", "--set", "stage.songs.seconds=24.1"])
}

/// A place where all went well.
fn base() -> &'static (Place, Said) {
    static BASE: OnceLock<(Place, Said)> = OnceLock::new();
    BASE.get_or_init(|| {
        let place = corpus();
        let whole = place.run(&[]);
        assert_eq!(whole.code, Some(0), "{}", whole.err);
        (place, whole)
    })
}

/// A copy of a place without its store.
fn anew(place: &Place) -> Place {
    let place = place.copy();
    fs::remove_dir_all(place.store()).expect("removed");
    place
}

/// Runs with a stage that fails.
fn failing(place: &Place, stage: &str, more: &[&str]) -> Said {
    let mut command = place.command("run", &[&["-w", "2"], more].concat());
    let said = Said::of(&command.env("REFRAIN_FAULT", format!("stage {stage}:io")).output().expect("it starts"));
    assert_eq!(said.code, Some(6), "{}", said.err);
    let sentence = format!("error: stage `{stage}` failed: Input/output error (os error 5)\n");
    assert!(said.err.contains(&sentence), "{}", said.err);
    said
}

fn on_store(place: &Place, words: &[&str]) -> Said {
    let said = Said::of(&refrain(words).arg("--store").arg(place.store()).output().expect("the binary starts"));
    assert_eq!(said.code, Some(0), "{words:?}: {}", said.err);
    said
}

fn run(said: &Said) -> String {
    text(&said.done()["run"])
}

/// Folders and files of a published tree that hold what stages made.
fn made(said: &Said) -> [bool; 4] {
    let there = |path: &str| said.folder().join(path).exists();
    [there("codes/train/all.parquet"), there("model/bundle.json"), there("model/prior-0.safetensors"), there("audio")]
}

#[test]
fn codes_models_and_songs_are_published_without_their_figures() {
    let (place, whole) = base();
    let place = anew(place);
    let part = failing(&place, "scores", &[]);
    let name = run(&part);
    assert!(part.err.contains(&format!("the rest is published as {name}; the next run tries again")), "{}", part.err);
    assert_ne!(name, run(whole));
    assert_eq!(made(&part), [true; 4]);
    assert_eq!(fs::read_link(place.store().join("runs/latest")).expect("a link"), Path::new(&name));
    let failed = json!([{ "stage": "scores", "why": "Input/output error (os error 5)", "withheld": [] }]);
    let record = part.record();
    assert_eq!((&record["failed"], &part.done()["failed"]), (&failed, &failed));
    let scored = |record: &Value| record["scores"].as_array().expect("scores").iter().any(|s| s["stage"] == "scores");
    assert!(!scored(&record) && scored(&whole.record()));
    let page = fs::read_to_string(part.folder().join("report.html")).expect("a report");
    assert!(page.contains("stage `scores` failed: Input/output error"), "the report says it");
    // What was published is what the whole run publishes.
    let files = record["files"].as_object().expect("files");
    assert!(files.len() >= 8 && files.iter().all(|(path, digest)| whole.record()["files"][path] == *digest));

    // The next run does not take it for a whole one, and fails in the same way under the same name.
    let planned = place.plan(&[]);
    assert_eq!(planned.will.keys().collect::<Vec<_>>(), ["scores"]);
    let said = Said::of(&place.command("plan", &[]).output().expect("the binary starts"));
    assert!(said.out.contains("the last run did not finish `scores`"), "{}", said.out);
    let again = failing(&place, "scores", &[]);
    assert_eq!((run(&again), again.executed()), (name.clone(), BTreeMap::new()));

    // Once it succeeds, the run is the same as if it had never failed.
    let mended = place.run(&[]);
    assert_eq!(mended.code, Some(0), "{}", mended.err);
    planned.holds(&mended.executed());
    assert_eq!(mended.executed().into_keys().collect::<Vec<_>>(), ["scores"]);
    assert_same("mended", &tree(&mended.folder()), &tree(&whole.folder()));
    assert_eq!((mended.record()["failed"].clone(), run(&mended)), (Value::Null, run(whole)));
    assert_eq!(mended.count("scores", "retracted"), 0);
    assert_eq!(place.run(&[]).executed(), BTreeMap::new());

    // Both can be read and compared.
    let diff = on_store(&place, &["diff", &name, "latest"]);
    let head =
        format!("A  {name}, partial\n   stage `scores` failed: Input/output error (os error 5)\nB  {}\n", run(whole));
    assert!(diff.out.starts_with(&head), "{}", diff.out);
    assert_eq!(on_store(&place, &["diff", &name, "latest", "--json"]).events[0]["failed_a"], failed);
    let why = on_store(&place, &["why", &name, "audio/genre 0-1.wav"]);
    assert!(why.out.contains("the run is partial: stage `scores` failed: "), "{}", why.out);
    let runs = on_store(&place, &["runs"]).out;
    let line = |run: &str| runs.lines().find(|line| line.starts_with(run)).expect("a line").to_owned();
    assert!(line(&name).ends_with("  partial") && line(&run(whole)).ends_with("  latest"), "{runs}");
    // A later run is whole.
    let swept = on_store(&place, &["gc", "--keep", "2", "--json"]);
    assert_eq!(swept.all("gc").next().expect("an event")["runs"][0]["run"], json!(name));
    assert!(!part.folder().exists() && mended.folder().exists());
}

#[test]
fn a_whole_run_stays_beside_a_later_partial_one() {
    let (place, whole) = base();
    let place = place.copy();
    let other = ["--set", "stage.songs.top_p=0.5"];
    let part = failing(&place, "scores", &other);
    let swept = on_store(&place, &["gc", "--keep", "1", "--json"]);
    assert_eq!(swept.all("gc").next().expect("an event")["runs"], json!([]));
    // Figures are compared with those of the last run that had some.
    let mended = place.run(&other);
    let changes = |said: &Said| (said.count("scores", "added"), said.count("scores", "retracted"));
    assert_eq!((mended.code, changes(&part)), (Some(0), (0, 0)));
    assert!(changes(&mended).0 > 0 && changes(&mended).0 == changes(&mended).1, "{:?}", changes(&mended));
    let swept = on_store(&place, &["gc", "--keep", "2", "--json"]);
    assert_eq!(swept.all("gc").next().expect("an event")["runs"][0]["run"], json!(run(&part)));
    assert!(place.store().join("runs").join(run(whole)).exists() && mended.folder().exists());
}

#[test]
fn what_rests_on_a_failed_prior_is_withheld() {
    let (place, whole) = base();
    let place = anew(place);
    let part = failing(&place, "prior", &[]);
    assert_eq!(made(&part), [true, true, false, false]);
    assert_eq!(part.record()["failed"][0]["withheld"], json!(["songs", "scores"]));
    let counts = |stage: &str| (part.count(stage, "kept"), part.count(stage, "dropped"));
    assert_eq!([counts("prior"), counts("songs"), counts("scores")], [(0, 0); 3]);
    let why = on_store(&place, &["why", "latest", "folder/t0.wav", "--json"]);
    assert_eq!(why.events[0]["used_by"]["models"], json!(["model/codec.safetensors"]));
    let mended = place.run(&[]);
    let ran: Vec<String> = mended.executed().into_keys().collect();
    assert_eq!((run(&mended), ran), (run(whole), ["prior", "scores", "songs"].map(str::to_owned).to_vec()));
}

#[test]
fn nothing_is_published_where_nothing_is_left() {
    let (place, _) = base();
    let place = anew(place);
    let said = failing(&place, "codec", &[]);
    assert!(said.all("done").next().is_none() && !said.err.contains("is published"), "{}", said.err);
    assert!(!place.store().join("runs/latest").exists());
    assert_eq!(place.run(&[]).code, Some(0));
}

#[test]
fn two_processes_name_a_partial_run_as_one_does() {
    let (place, whole) = base();
    let (place, alone) = (anew(place), anew(place));
    let file = place.path().join("hosts.txt");
    hosts(&file, 2);
    let start = |process: &str| {
        let file = file.display().to_string();
        let mut command = place.command("run", &["-w", "2", "-p", process, "--hosts", &file]);
        command.env("REFRAIN_FAULT", "stage scores:io");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
    };
    let both = side_by_side(["0", "1"].map(start));
    for said in &both {
        assert_eq!(said.code, Some(6), "{}", said.err);
        assert!(said.err.contains("stage `scores` failed: Input/output error (os error 5)"), "{}", said.err);
    }
    let one = failing(&alone, "scores", &[]);
    assert_eq!((run(&both[0]), made(&both[0])), (run(&one), [true; 4]));
    assert_same("by two processes", &tree(&both[0].folder()), &tree(&one.folder()));
    assert_eq!(run(&place.run(&[])), run(whole));
}
