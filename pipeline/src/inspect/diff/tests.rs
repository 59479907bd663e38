//! Comparisons of runs that are written here.

use super::*;
use crate::record;
use datasets::row::Labels;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

fn listed(track: &str, license: &str, title: &str) -> Listed {
    let labels = Labels { title: Some(title.to_owned()).filter(|title| !title.is_empty()), ..Labels::default() };
    Listed { track: track.into(), license: license.into(), labels, ..Listed::default() }
}

/// Writes a run's record and list of tracks.
fn run(folder: &Path, name: &str, stages: Value, scores: Value, tracks: &[Listed]) -> PathBuf {
    let run = folder.join(name);
    fs::create_dir_all(&run).expect("a folder");
    let record = json!({
        "dropped": [], "files": {}, "format": record::FORMAT, "made": [], "name": "songs", "numerics": "cpu",
        "refrain": "0", "run": name, "scores": scores, "seed": 17, "stages": stages, "sweep": null, "tainted": [],
        "views": {},
    });
    fs::write(run.join(record::FILE), record.to_string()).expect("a record");
    fs::write(
        run.join("tracks.parquet"),
        datasets::tables::tracks::write(|| [tracks.iter().collect()]).expect("a table"),
    )
    .expect("written");
    run
}

fn stage(name: &str, settings: Value) -> Value {
    json!({
        "dropped": 0, "from": ["codec"], "kept": 1, "name": name, "notes": [], "reasons": {}, "revision": 1, "salt": "",
        "settings": settings, "verb": "sample",
    })
}

fn score(name: &str, value: f64, codec: &str) -> Value {
    json!({ "stage": "top", "name": name, "value": value, "basis": { "codec": codec, "level": "2" } })
}

#[test]
fn what_differs_is_told_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let a = run(
        folder.path(),
        "songs-a",
        json!([stage("songs", json!({ "top_p": "0.9", "seconds": "8.0" })), stage("old", json!({ "top_p": "1.0" }))]),
        json!([score("train_bits", 3.0, "c"), score("held_out_bits", 4.0, "c"), score("gone", 1.0, "c")]),
        &[listed("x/1", "CC0-1.0", "One"), listed("x/2", "CC0-1.0", "Two"), listed("x/3", "CC-BY-4.0", "Three")],
    );
    let b = run(
        folder.path(),
        "songs-b",
        json!([stage("songs", json!({ "top_p": "0.95", "seconds": "8.0" }))]),
        json!([score("train_bits", 2.5, "c"), score("held_out_bits", 3.5, "d")]),
        &[listed("x/1", "CC-BY-4.0", "Uno"), listed("x/3", "CC-BY-4.0", "Three"), listed("x/4", "", "Four")],
    );
    let diff = diff(&a, &b).expect("compared");
    let setting = |stage: &str, setting: &str, a: Option<&str>, b: Option<&str>| Setting {
        stage: Some(stage.into()),
        setting: setting.into(),
        a: a.map(str::to_owned),
        b: b.map(str::to_owned),
    };
    assert_eq!(
        diff.settings,
        [setting("songs", "top_p", Some("0.9"), Some("0.95")), setting("old", "do", Some("sample"), None)]
    );
    assert_eq!(diff.data.licenses["CC0-1.0"], Counts { a: 2, b: 0, added: 0, removed: 2 });
    assert_eq!(diff.data.licenses["CC-BY-4.0"], Counts { a: 1, b: 2, added: 1, removed: 0 });
    assert_eq!(diff.data.licenses[""], Counts { a: 0, b: 1, added: 1, removed: 0 });
    assert_eq!(diff.data.changed, [Changed { track: "x/1".into(), what: vec!["license", "title"] }]);
    let of = |name: &str| diff.scores.iter().find(|score| score.name == name).expect("a score");
    assert_eq!((of("train_bits").difference, of("train_bits").mismatch.clone()), (Some(-0.5), None));
    assert_eq!((of("gone").a, of("gone").b, of("gone").difference), (Some(1.0), None, None));
    let codec = |name: &str| Basis::from([("codec".to_owned(), name.to_owned())]);
    assert_eq!(of("held_out_bits").difference, None);
    assert_eq!(of("held_out_bits").mismatch, Some((codec("c"), codec("d"))));

    let expected = "A  songs-a
B  songs-b

settings
                    A     B
  songs.top_p     0.9  0.95
  old.do       sample     -

data
  license      A  B  added  removed
  none stated  0  1      1        0
  CC-BY-4.0    1  2      1        0
  CC0-1.0      2  0      0        2
  added    x/4
  removed  x/2 (CC0-1.0)
  changed  x/1: license, title

scores
                          A       B           B - A
  top train_bits     3.0000  2.5000         -0.5000
  top held_out_bits  4.0000  3.5000  do not compare
  top gone           1.0000       -               -
  top held_out_bits was measured on other things: A codec c; B codec d
";
    assert_eq!(text(&diff), expected);
    let json = serde_json::to_value(&diff).expect("JSON");
    assert_eq!(json["scores"][1]["mismatch"], json!([{ "codec": "c" }, { "codec": "d" }]));
}

#[test]
fn a_run_with_itself_differs_in_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let a = run(folder.path(), "songs-a", json!([stage("songs", json!({}))]), json!([]), &[listed("x/1", "", "One")]);
    let same = diff(&a, &a).expect("compared");
    assert_eq!((same.settings.len(), same.data.changed.len(), same.scores.len()), (0, 0, 0));
    assert!(text(&same).contains("settings\n  no difference\n"));
    fs::remove_file(a.join("tracks.parquet")).expect("removed");
    let error = diff(&a, &a).expect_err("no list of tracks");
    assert_eq!(error.code(), 2);
    assert!(error.to_string().contains("tracks.parquet is missing: run its manifest again"), "{error}");
}
