//! Named data sets, from a manifest to their tracks: the manifests in `manifests/` on small data sets that are laid out as the real
//! ones are.

mod support;

use datasets::tables::tracks;
use std::{collections::BTreeMap, fs, path::Path};
use support::{Said, refrain, repository, tone};
use tempfile::TempDir;

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(path, text).expect("written");
}

/// Recordings with numbers of their own.
fn sounds(root: &Path, paths: &[&str]) {
    for (number, path) in paths.iter().enumerate() {
        put(root, path, "");
        tone(&root.join(path), number as u32, 1.0);
    }
}

/// A command on the manifest of a data set that lies in a folder.
fn on(verb: &str, name: &str, place: &TempDir, more: &[&str]) -> Said {
    let root = format!("stage.tracks.root={}", place.path().join("data").display());
    let mut command = refrain(&[verb]);
    command.arg(repository().join(format!("manifests/{name}.toml"))).args(["--set", &root]);
    command.arg("--json").arg("--store").arg(place.path().join("store")).args(more);
    Said::of(&command.output().expect("the binary starts"))
}

/// Plans the whole manifest, and runs it as far as the splits.
fn run(name: &str, place: &TempDir, more: &[&str]) -> Said {
    let planned = on("plan", name, place, more);
    assert_eq!(planned.code, Some(0), "{}", planned.err);
    let said = on("run", name, place, &[&["--to", "parts", "-w", "2"], more].concat());
    assert_eq!(said.code, Some(0), "{}{}", said.err, said.out);
    said
}

/// Tracks and dropped rows of a run: `id` with split, license and some columns, and `id` with the code.
fn found(said: &Said, columns: &[&str]) -> Vec<String> {
    let listed = tracks::read(&fs::read(said.folder().join("tracks.parquet")).expect("a list")).expect("tracks");
    let mut rows: Vec<String> = listed
        .into_iter()
        .map(|row| {
            let own = columns.iter().map(|column| row.labels.extra.get(*column).map_or("-", String::as_str));
            [row.track.as_str(), &row.split, &row.license].into_iter().chain(own).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let record = said.record();
    let dropped = record["dropped"].as_array().expect("dropped rows").iter();
    rows.extend(dropped.map(|row| format!("{} {}", support::text(&row["id"]), support::text(&row["code"]))));
    rows.sort();
    rows
}

/// What a run warned of, by the stage that it named.
fn warnings(said: &Said) -> Vec<String> {
    said.all("warning").map(|event| support::text(&event["message"])).collect()
}

#[test]
fn maestro_goes_by_its_own_splits() {
    let place = tempfile::tempdir().expect("a folder");
    let root = place.path().join("data");
    let mut list = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n".to_owned();
    for (name, split) in [("a", "train"), ("b", "validation"), ("c", "test"), ("d", "")] {
        list += &format!("Franz Liszt,\"{name}, Op. 1\",{split},2009,2009/{name}.midi,2009/{name}.wav,1.0\n");
        put(&root, &format!("2009/{name}.midi"), "MThd");
    }
    put(&root, "maestro-v9.csv", &list);
    sounds(&root, &["2009/a.wav", "2009/b.wav", "2009/c.wav", "2009/d.wav"]);
    let said = run("maestro", &place, &["--set", "stage.tracks.max_dropped=1.0"]);
    assert_eq!(
        found(&said, &["midi_filename"]),
        [
            "maestro/2009/a.wav train CC-BY-NC-SA-4.0 2009/a.midi",
            "maestro/2009/b.wav valid CC-BY-NC-SA-4.0 2009/b.midi",
            "maestro/2009/c.wav test CC-BY-NC-SA-4.0 2009/c.midi",
            "maestro/2009/d.wav no-official-split",
        ]
    );
    let rest = run("maestro", &place, &["--set", "stage.parts.unassigned=\"train\""]);
    assert!(found(&rest, &[]).contains(&"maestro/2009/d.wav train CC-BY-NC-SA-4.0".to_owned()));
    let why = Said::of(
        &refrain(&["why", "latest", "maestro/2009/a.wav", "--store"])
            .arg(place.path().join("store"))
            .output()
            .expect("it starts"),
    );
    assert!(why.out.contains("the terms of the data set MAESTRO"), "{}{}", why.out, why.err);

    // A tenth and more is missing: the manifest's own guard stops the run.
    fs::remove_file(root.join("2009/a.wav")).expect("removed");
    let said = on("run", "maestro", &place, &["--to", "parts", "--allow-shrink"]);
    let missing = "1 of the 4 recordings that maestro-v9.csv lists are not there, such as 2009/a.wav";
    assert!(warnings(&said).contains(&missing.to_owned()), "{:?} {}", warnings(&said), said.err);
    fs::remove_dir_all(place.path().join("store")).expect("removed");
    let said = on("run", "maestro", &place, &["--to", "parts"]);
    assert_eq!(said.code, Some(5), "{}", said.err);
    assert!(said.err.contains("stage `tracks` dropped 1 of 4 rows, more than its max_dropped = 0.1"), "{}", said.err);
    // Nothing is there: neither a plan nor a run comes of it.
    ["b", "c", "d"].iter().for_each(|name| fs::remove_file(root.join(format!("2009/{name}.wav"))).expect("removed"));
    for verb in ["plan", "run"] {
        let said = on(verb, "maestro", &place, &[]);
        assert_eq!(said.code, Some(5), "{verb}: {}", said.err);
        assert!(said.err.contains("none of the 4 recordings that maestro-v9.csv lists is under"), "{}", said.err);
    }
}

#[test]
fn notes_that_sound_the_same_stay_apart() {
    let place = tempfile::tempdir().expect("a folder");
    let root = place.path().join("data");
    let mut notes: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    for (pitch, velocity) in [(60, 25), (60, 50), (61, 25)] {
        let key = format!("bass_synthetic_000-{pitch:03}-{velocity:03}");
        let note = serde_json::json!({ "pitch": pitch, "velocity": velocity, "instrument_family_str": "bass" });
        let path = format!("nsynth-test/audio/{key}.wav");
        put(&root, &path, "");
        tone(&root.join(&path), pitch, 1.0);
        notes.insert(key, note);
    }
    put(&root, "nsynth-test/examples.json", &serde_json::to_string(&notes).expect("JSON"));
    let said = run("nsynth", &place, &[]);
    let note = |note: &str| format!("nsynth/nsynth-test/audio/bass_synthetic_000-{note}");
    assert_eq!(
        found(&said, &["pitch", "velocity"]),
        [
            note("060-025.wav test CC-BY-4.0 60 25"),
            note("060-050.wav test CC-BY-4.0 60 50"),
            note("061-025.wav test CC-BY-4.0 61 25"),
        ]
    );
    let merged = run("nsynth", &place, &["--set", "stage.unique.apart=[]"]);
    assert_eq!(found(&merged, &[])[1], note("060-050.wav duplicate"));
}

#[test]
fn fma_goes_by_the_license_of_each_track() {
    let place = tempfile::tempdir().expect("a folder");
    let root = place.path().join("data");
    let tracks = ",set,set,track,track,artist\n,split,subset,title,license,name\ntrack_id,,,,,\n\
        2,training,small,Food,Attribution,AWOL\n5,validation,small,This World,Attribution,AWOL\n\
        10,test,small,Freeway,Attribution,Kurt Vile\n140,test,medium,More,Attribution,Kurt Vile\n\
        99134,test,small,Silent,Attribution,Nobody\n";
    let raw = "track_id,license_title,license_url\n2,Attribution,http://creativecommons.org/licenses/by/4.0/\n\
        5,Attribution,http://creativecommons.org/licenses/by-nc/4.0/\n10,CC0 1.0 Universal,\n";
    put(&root, "fma_metadata/tracks.csv", tracks);
    put(&root, "fma_metadata/raw_tracks.csv", raw);
    sounds(
        &root,
        &[
            "fma_small/000/000002.mp3",
            "fma_small/000/000005.mp3",
            "fma_small/000/000010.mp3",
            "fma_small/099/099134.mp3",
        ],
    );
    let said = run("fma", &place, &["--set", "stage.tracks.max_dropped=1.0"]);
    assert_eq!(
        found(&said, &["license_method", "license_conflict"]),
        [
            "fma/000/000002.mp3 train CC-BY-4.0 url -",
            "fma/000/000005.mp3 license-not-allowed",
            "fma/000/000010.mp3 test CC0-1.0 title -",
            "fma/099/099134.mp3 known-bad-file",
        ]
    );
}

#[test]
fn lakh_is_listed_in_clusters_and_holds_no_sound() {
    let place = tempfile::tempdir().expect("a folder");
    let root = place.path().join("data");
    put(
        &root,
        "match_scores.json",
        r#"{"TRAAAGR": {"aa": 0.5, "bb": 0.7}, "TRBCDEF": {"bb": 0.9}, "TRZZZZZ": {"cc": 1}}"#,
    );
    for (path, text) in
        [("A/A/A/TRAAAGR/aa", "1"), ("A/A/A/TRAAAGR/bb", "2"), ("B/C/D/TRBCDEF/bb", "2"), ("Z/Z/Z/TRZZZZZ/cc", "3")]
    {
        put(&root, &format!("lmd_matched/{path}.mid"), &format!("MThd{text}"));
    }
    let said = run("lakh", &place, &[]);
    let rows = found(&said, &["cluster", "match_score"]);
    let split = |row: &str| row.split(' ').nth(1).expect("a split").to_owned();
    assert_eq!(split(&rows[0]), split(&rows[1]), "one cluster, one split");
    let license = "CC-BY-4.0 AND LicenseRef-Lakh-underlying-works";
    let expected = [
        format!("lakh/lmd_matched/A/A/A/TRAAAGR/aa.mid {} {license} TRAAAGR 0.5", split(&rows[0])),
        format!("lakh/lmd_matched/A/A/A/TRAAAGR/bb.mid {} {license} TRAAAGR 0.7", split(&rows[1])),
        "lakh/lmd_matched/B/C/D/TRBCDEF/bb.mid duplicate".to_owned(),
        format!("lakh/lmd_matched/Z/Z/Z/TRZZZZZ/cc.mid {} {license} TRZZZZZ 1", split(&rows[3])),
    ];
    assert_eq!(rows, expected);
    // The data set's own license is not enough.
    let said = on("run", "lakh", &place, &["--to", "free", "--allow-empty", "--set", "stage.free.allow=[\"CC-BY-*\"]"]);
    assert_eq!(said.count("free", "dropped"), 4, "{}", said.err);
}
