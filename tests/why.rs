//! `why` explains tracks, clips and files of a run, both ways.

mod support;

use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, sync::OnceLock};
use support::{Place, Said, files, refrain, repository, text, tone};

/// A corpus down to songs, with a track that is dropped and one that is withdrawn.
fn base() -> &'static (Place, Said) {
    static BASE: OnceLock<(Place, Said)> = OnceLock::new();
    BASE.get_or_init(|| {
        let place = Place::empty();
        let manifest = repository().join("tests/rebuilds/models-manifest.toml");
        fs::copy(manifest, place.path().join("tiny.toml")).expect("a manifest");
        let list = "id\tdate\tevidence\nfolder/t7.wav\t2026-03-01\tletter 7\n";
        fs::write(place.path().join("optout.tsv"), list).expect("a list");
        let row = |n: u32| {
            let license = match n {
                1 => "https://creativecommons.org/publicdomain/zero/1.0/",
                6 => "CC-BY-NC-4.0",
                _ => "CC0-1.0",
            };
            tone(&place.music().join(format!("t{n}.wav")), n, 0.5);
            format!("t{n}.wav,{license},artist {n},Title {n},genre {}\n", n % 2)
        };
        place.table(&(0..8).map(row).collect::<String>());
        let said = place.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        (place, said)
    })
}

/// What the command says in JSON, and to people.
fn why(word: &str) -> (Value, String) {
    let ask = |more: &[&str]| {
        let mut command = refrain(&["why", "latest", word]);
        let said = Said::of(&command.args(more).arg("--store").arg(base().0.store()).output().expect("it starts"));
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{word}");
        said
    };
    let said = ask(&["--json"]);
    assert_eq!(said.events.len(), 1, "{}", said.out);
    let text = ask(&[]).out;
    assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    (said.events[0].clone(), text)
}

fn names(value: &Value) -> BTreeSet<String> {
    value.as_array().expect("a list").iter().map(text).collect()
}

/// The line of a label.
fn line<'t>(text: &'t str, label: &str) -> &'t str {
    let found = text.lines().find_map(|line| line.strip_prefix(label).filter(|rest| rest.starts_with(' ')));
    found.unwrap_or_else(|| panic!("no {label}: {text}")).trim()
}

#[test]
fn a_track_that_was_trained_on() {
    let (_, said) = base();
    let (event, text) = why("folder/t1.wav");
    let content = blake3::hash(&fs::read(base().0.music().join("t1.wav")).expect("a file")).to_hex();
    assert_eq!(
        (&event["event"], &event["kept"], &event["subject"]["kind"]),
        (&json!("why"), &json!(true), &json!("track"))
    );
    assert_eq!((&event["track"]["content"], &event["track"]["split"]), (&json!(content.as_str()), &json!("train")));
    let license = json!([
        "CC0-1.0",
        "stated as `https://creativecommons.org/publicdomain/zero/1.0/`",
        "stated by the sidecar `tracks.csv`, line 3",
        "kept by `free` (allow = [\"CC-BY-4.0\", \"CC0-1.0\"])",
    ]);
    assert_eq!(event["license"], license);
    let words = "https://creativecommons.org/publicdomain/zero/1.0/";
    let evidence =
        json!({ "license": words, "place": { "kind": "sidecar", "file": "tracks.csv", "row": 2, "line": 3 } });
    assert_eq!(event["evidence"], evidence);
    assert_eq!(event["clips"].as_array().expect("clips").len(), 2);
    assert_eq!(names(&event["used_by"]["shards"]), BTreeSet::from(["codes/train/all.parquet".to_owned()]));
    let models = ["model/codec.safetensors", "model/prior-0.safetensors"].map(str::to_owned);
    assert_eq!(names(&event["used_by"]["models"]), models.into());
    assert_eq!(names(&event["used_by"]["songs"]), BTreeSet::from(["audio/genre 0-1.wav".to_owned()]));
    let stages: Vec<&str> =
        event["stages"].as_array().expect("stages").iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(stages, ["tracks", "free", "decoded", "mono", "parts", "clips", "codes"]);
    assert_eq!(event["stages"][3]["settings"], json!({ "rate": "8000" }), "only what is not the default");
    assert_eq!(line(&text, "is"), format!("a track that was kept in {}", support::text(&said.done()["run"])));
    assert_eq!((line(&text, "license"), line(&text, "bytes")), ("CC0-1.0", content.as_str()));
    assert!(text.contains("codes/train/all.parquet") && text.contains("audio/genre 0-1.wav"), "{text}");
    // The same by its digest, and its clip by its own id.
    assert_eq!(why(&content[..10]).0["subject"], event["subject"]);
    let clip = support::text(&event["clips"][0]);
    let (of_clip, _) = why(&clip);
    assert_eq!(of_clip["subject"], json!({ "kind": "clip", "id": clip, "track": "folder/t1.wav" }));
    assert_eq!((&of_clip["used_by"], &of_clip["license"]), (&event["used_by"], &event["license"]));
}

#[test]
fn a_track_that_was_held_out() {
    let (event, text) = why("folder/t5.wav");
    assert_eq!(event["track"]["split"], "valid");
    assert_eq!((names(&event["used_by"]["shards"]).len(), names(&event["used_by"]["songs"]).len()), (1, 0));
    assert!(!text.contains("model/"), "{text}");
}

#[test]
fn rows_that_were_dropped() {
    let (event, text) = why("folder/t6.wav");
    assert_eq!((&event["kept"], &event["subject"]["stage"]), (&json!(false), &json!("free")));
    assert_eq!(event["subject"]["code"], "license-not-allowed");
    let why_ = support::text(&event["subject"]["why"]);
    assert!(why_.contains("CC-BY-NC-4.0"), "{why_}");
    assert_eq!(line(&text, "dropped"), format!("{why_} (license-not-allowed)"));
    assert_eq!(event["license"], json!(["CC-BY-NC-4.0", "stated by the sidecar `tracks.csv`, line 8"]));
    let stages: Vec<&str> =
        event["stages"].as_array().expect("stages").iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(stages, ["tracks", "free"]);

    let (event, text) = why("folder/t7.wav");
    assert_eq!((&event["kept"], &event["subject"]["kind"]), (&json!(false), &json!("withdrawn")));
    assert_eq!(line(&text, "withdrawn"), "on 2026-03-01: letter 7");
    assert_eq!((&event["evidence"], &event["license"]), (&Value::Null, &json!([])));
    assert_eq!(line(&text, "used by"), "nothing of this run");
}

#[test]
fn files_of_the_run() {
    let (_, said) = base();
    let (codec, text) = why("model/codec.safetensors");
    assert_eq!(codec["what"], "a codec, from `codec`");
    assert_eq!(codec["subject"]["digest"], json!(said.weights()));
    let trained = names(&codec["tracks"]["ids"]);
    assert_eq!(trained, (0..4).map(|n| format!("folder/t{n}.wav")).collect());
    assert_eq!(codec["tracks"]["licenses"], json!({ "CC0-1.0": 4 }));
    assert_eq!(line(&text, "rests on"), "4 tracks: 4 under CC0-1.0");
    assert_eq!(names(&codec["used_by"]["models"]), BTreeSet::from(["model/prior-0.safetensors".to_owned()]));
    assert_eq!(names(&codec["used_by"]["shards"]).len(), files(&said.folder().join("codes")).len());
    assert_eq!(names(&codec["used_by"]["songs"]).len(), 1);
    // By digest, and by the path that a shell completes.
    assert_eq!(why(&said.weights()[..12]).0["subject"], codec["subject"]);
    let path = said.folder().join("model/codec.safetensors");
    assert_eq!(why(&path.display().to_string()).0["subject"], codec["subject"]);

    let (song, text) = why("audio/genre 0-1.wav");
    assert_eq!(song["what"], "a song that was sampled from 2 models, from `songs`");
    let kinds: Vec<&str> =
        song["models"].as_array().expect("models").iter().filter_map(|m| m["kind"].as_str()).collect();
    assert_eq!((kinds, names(&song["tracks"]["ids"])), (vec!["codec", "prior"], trained.clone()));
    assert!(text.contains("songs"), "{text}");

    let (shard, _) = why("codes/train/all.parquet");
    assert_eq!(names(&shard["tracks"]["ids"]), trained);
    assert_eq!(names(&shard["used_by"]["models"]), BTreeSet::from(["model/prior-0.safetensors".to_owned()]));
    assert_eq!((shard["clips"].as_array().map(Vec::len), names(&shard["used_by"]["songs"]).len()), (Some(8), 1));
    let (record, _) = why("run.json");
    assert_eq!(record["what"], "a file that publishing writes");
}

#[test]
fn what_is_not_there_is_told_with_what_is_near() {
    let (place, said) = base();
    let refused = |run: &str, word: &str| {
        let mut command = refrain(&["why", run, word]);
        let said = Said::of(&command.arg("--store").arg(place.store()).output().expect("it starts"));
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{word}");
        said.err
    };
    let run = support::text(&said.done()["run"]);
    let near = refused("latest", "folder/t1.wva");
    assert_eq!(near, format!("error: nothing in {run} goes by `folder/t1.wva`; did you mean `folder/t1.wav`?\n"));
    assert!(refused("latest", "t1.wva").contains("did you mean `folder/t1.wav`?"));
    assert!(refused("latest", "t3.wav").contains("did you mean `folder/t3.wav`?"));
    assert!(refused("latest", "folder/t1.wav@64+64").contains("did you mean `folder/t1.wav@"));
    assert!(refused("latest", "nothing like it").contains("an id is that of a track or a clip, a file of the run"));
    assert!(refused("latest", "../../format").contains("goes by"));
    assert!(refused("other", "folder/t1.wav").contains("no run goes by `other`"));
    // A run by its path, away from its store.
    let alone = tempfile::tempdir().expect("a folder");
    support::copy(&said.folder(), &alone.path().join("run"));
    let mut command = refrain(&["why"]);
    command.arg(alone.path().join("run")).args(["folder/t1.wav", "--store"]).arg(alone.path().join("none"));
    let said = Said::of(&command.output().expect("it starts"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("the store of the run is not here; name it with --store"), "{}", said.out);
    assert!(!alone.path().join("none").exists());
}

/// What states the license of a track of a run, and the notes.
fn evidence(place: &Place, run: &str, track: &str) -> (Value, Vec<String>) {
    let output = refrain(&["why", run, track, "--json", "--store"]).arg(place.store()).output();
    let said = Said::of(&output.expect("it starts"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    let notes = said.events[0]["notes"].as_array().expect("notes").iter().map(support::text).collect();
    (said.events[0]["evidence"].clone(), notes)
}

/// Gives a WAV a tag with its license.
fn tag(file: &std::path::Path, license: &str) {
    let mut bytes = fs::read(file).expect("read");
    let size = license.len() as u32;
    let info = [&b"LIST"[..], &(12 + size).to_le_bytes(), b"INFOICOP", &size.to_le_bytes(), license.as_bytes()];
    info.iter().for_each(|part| bytes.extend(*part));
    let whole = (bytes.len() as u32 - 8).to_le_bytes();
    bytes[4..8].copy_from_slice(&whole);
    fs::write(file, bytes).expect("written");
}

#[test]
fn what_states_a_license_is_looked_up_in_the_source() {
    let place = Place::new().with(&["--set", "stage.tracks.license=CC-BY-4.0", "--to", "free"]);
    fs::create_dir(place.music().join("album")).expect("a folder");
    for n in [0, 1] {
        fs::rename(place.music().join(format!("t{n}.wav")), place.music().join(format!("album/t{n}.wav")))
            .expect("moved");
    }
    tag(&place.music().join("t2.wav"), "CC0-1.0");
    fs::write(place.music().join("album/tracks.jsonl"), "\n{\"path\": \"t0.wav\", \"license\": \"CC0-1.0\"}\n")
        .expect("a table");
    place.table("album/t0.wav,CC-BY-4.0,,,\nalbum/t1.wav,CC-BY-4.0,,,\nt2.wav,,artist 2,,\n");
    let said = place.run(&[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let run = support::text(&said.done()["run"]);
    let plain = |track: &str| {
        let (found, notes) = evidence(&place, &run, track);
        assert_eq!(notes, Vec::<String>::new());
        found
    };
    let sidecar = |file: &str, row: u32, line: u32, license: &str| json!({ "license": license, "place": { "kind": "sidecar", "file": file, "row": row, "line": line } });
    assert_eq!(plain("folder/album/t0.wav"), sidecar("album/tracks.jsonl", 1, 2, "CC0-1.0"));
    assert_eq!(plain("folder/album/t1.wav"), sidecar("tracks.csv", 2, 3, "CC-BY-4.0"));
    assert_eq!(plain("folder/t2.wav"), json!({ "license": "CC0-1.0", "place": { "kind": "tags" } }));
    assert_eq!(
        plain("folder/t3.wav"),
        json!({ "license": "CC-BY-4.0", "place": { "kind": "setting", "stage": "tracks" } })
    );

    // The source as it is now is not what the run has read.
    place.table("album/t1.wav,CC0-1.0,,,\n");
    let (now, notes) = evidence(&place, &run, "folder/album/t1.wav");
    let changed = "its source has changed since the run: the sidecar `tracks.csv`, line 2 states `CC0-1.0` now";
    assert_eq!((now, notes), (Value::Null, vec![changed.to_owned()]));
    assert_eq!(evidence(&place, &run, "folder/t2.wav").0, json!({ "license": "CC0-1.0", "place": { "kind": "tags" } }));
    fs::rename(place.music(), place.path().join("elsewhere")).expect("moved");
    let (now, notes) = evidence(&place, &run, "folder/t2.wav");
    let gone =
        format!("what states its license cannot be looked up: the source {} is not there", place.music().display());
    assert_eq!((now, notes), (Value::Null, vec![gone]));
    // What is published names no place of this machine.
    for (path, bytes) in support::tree(&said.folder()) {
        let inside = String::from_utf8_lossy(&bytes).contains(&place.path().display().to_string());
        assert!(!inside, "{}", path.display());
    }
}

#[test]
fn a_table_states_licenses_and_so_does_the_built_in_corpus() {
    let place = Place::new();
    let table = place.music().join("all.csv");
    fs::write(&table, "song,terms,license\nt0.wav,CC0-1.0,MIT\nt1.wav,,MIT\nt2.wav,CC-BY-4.0,\n").expect("a table");
    let file = format!("stage.tracks.file={}", table.display());
    let sets = ["corpus=table", "path=song", "columns={ license = \"terms\" }", "license=CC-BY-4.0"];
    let mut args: Vec<String> =
        sets.iter().flat_map(|set| ["--set".to_owned(), format!("stage.tracks.{set}")]).collect();
    args.extend(["--set".into(), file, "--to".into(), "free".into()]);
    let said = place.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let found = |track: &str| evidence(&place, "latest", track).0;
    let row = |row: u32, license: &str| json!({ "license": license, "place": { "kind": "table", "file": "all.csv", "row": row, "line": row + 1 } });
    assert_eq!((found("table/t0.wav"), found("table/t2.wav")), (row(1, "CC0-1.0"), row(3, "CC-BY-4.0")));
    assert_eq!(
        found("table/t1.wav"),
        json!({ "license": "CC-BY-4.0", "place": { "kind": "setting", "stage": "tracks" } })
    );

    // One that states digests is asked alone, and may say where its files lie from the top.
    let table = place.path().join("stated.csv");
    let row = |n: u32, license: &str| {
        let file = place.music().join(format!("t{n}.wav"));
        let digest = blake3::hash(&fs::read(&file).expect("a recording")).to_hex();
        format!("{},{digest},{license}\n", file.display())
    };
    let rows = ["CC0-1.0", "", "CC-BY-4.0"].into_iter().zip(0..).map(|(license, n)| row(n, license));
    fs::write(&table, format!("path,blake3,license\n{}", rows.collect::<String>())).expect("a table");
    let mut args: Vec<String> = ["corpus=table", "digest=blake3", "license=CC-BY-4.0"]
        .iter()
        .flat_map(|set| ["--set".to_owned(), format!("stage.tracks.{set}")])
        .collect();
    args.extend(["--set".into(), format!("stage.tracks.file={}", table.display()), "--to".into(), "free".into()]);
    let said = place.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let found = |track: &str| evidence(&place, "latest", track);
    let row = |row: u32, license: &str| json!({ "license": license, "place": { "kind": "table", "file": "stated.csv", "row": row, "line": row + 1 } });
    assert_eq!(found("table/t0.wav"), (row(1, "CC0-1.0"), Vec::new()));
    assert_eq!(found("table/t2.wav"), (row(3, "CC-BY-4.0"), Vec::new()));
    let setting = json!({ "license": "CC-BY-4.0", "place": { "kind": "setting", "stage": "tracks" } });
    assert_eq!(found("table/t1.wav"), (setting, Vec::new()));

    let place = Place::empty();
    let manifest = fs::read_to_string(place.path().join("tiny.toml")).expect("a manifest");
    let synth = manifest.replace("do = \"ingest\"", "do = \"ingest\"\ncorpus = \"synth\"\npieces = 2\nseconds = 2.0");
    fs::write(place.path().join("synth.toml"), synth).expect("written");
    let mut command = refrain(&["run", "--to", "free", "--json", "--store"]);
    command.arg(place.store()).arg(place.path().join("synth.toml"));
    let said = Said::of(&command.output().expect("it starts"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    let tracks = fs::read(said.folder().join("tracks.parquet")).expect("a list");
    let tracks = datasets::tables::tracks::read(&tracks).expect("a list");
    assert_eq!(
        evidence(&place, "latest", &tracks[0].track).0,
        json!({ "license": "CC0-1.0", "place": { "kind": "built_in" } })
    );
}
