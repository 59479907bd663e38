//! A track that is withdrawn: what rests on it is done again, what cannot be undone is named, and after `gc` the store
//! knows of it no more than its tombstone says.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use support::{Place, Said, assert_same, files, refrain, tone, tree};

/// The tiny manifest, whose license stage heeds a list.
fn listed(place: Place, refresh: &str) -> Place {
    let manifest = place.path().join("tiny.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    let text = text
        .replace("allow = [", "exclude = \"optout.tsv\"\nallow = [")
        .replace("do            = \"fit\"", &format!("do = \"fit\"\nrefresh = \"{refresh}\""));
    fs::write(manifest, text).expect("written");
    list(&place, "");
    place.with(&["--set", "stage.codec.steps=[2,2,2]"])
}

const HEAD: &str = "id\tdigest\tartist\turl\tdate\tevidence\n";

/// Writes the list.
fn list(place: &Place, lines: &str) {
    fs::write(place.path().join("optout.tsv"), format!("{HEAD}{lines}")).expect("a list");
}

/// A place that has run once with an empty list.
fn base(refresh: &str) -> &'static (Place, Said) {
    static AUTO: OnceLock<(Place, Said)> = OnceLock::new();
    static PINNED: OnceLock<(Place, Said)> = OnceLock::new();
    let slot = if refresh == "pinned" { &PINNED } else { &AUTO };
    slot.get_or_init(|| {
        let place = listed(Place::new(), refresh);
        let said = place.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        (place, said)
    })
}

/// Numbers of the tracks that were trained on, and of the others.
fn parts(said: &Said) -> (Vec<u32>, Vec<u32>) {
    let train = fs::read(said.folder().join("codes/train/all.parquet")).expect("a shard");
    (0..8).partition(|n| holds(&train, format!("folder/t{n}.wav").as_bytes()))
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// A copy of a place that knows of no lock file but its own.
fn copy(place: &Place) -> Place {
    let place = place.copy();
    let locks = place.store().join("roots/locks");
    if locks.exists() {
        fs::remove_dir_all(locks).expect("removed");
    }
    place
}

fn gc(place: &Place) {
    let output = refrain(&["gc", "--keep", "1", "--store"]).arg(place.store()).output().expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Files of the store that name a track: by id, title, artist, or the digests of its bytes and samples, as text or raw.
fn mentions(place: &Place, n: u32, samples: [u8; 32]) -> BTreeSet<PathBuf> {
    let content = blake3::hash(&fs::read(place.music().join(format!("t{n}.wav"))).expect("a file"));
    let names = [
        format!("folder/t{n}.wav").into_bytes(),
        format!("t{n}.wav").into_bytes(),
        format!("Title {n}").into_bytes(),
        format!("artist {n}").into_bytes(),
        content.to_hex().as_bytes().to_vec(),
        content.as_bytes().to_vec(),
        blake3::Hash::from_bytes(samples).to_hex().as_bytes().to_vec(),
        samples.to_vec(),
    ];
    let all = files(&place.store()).into_iter().filter(|(path, _)| !path.starts_with("runs/latest"));
    let named = all.filter(|(path, bytes)| {
        names.iter().any(|name| holds(bytes, name) || holds(path.to_string_lossy().as_bytes(), name))
    });
    named.map(|(path, _)| path).collect()
}

/// The digest of a track's samples, from the shards of a run.
fn samples(said: &Said, n: u32) -> [u8; 32] {
    use parquet::{file::reader::SerializedFileReader, record::RowAccessor};
    for path in files(&said.folder().join("codes")).into_keys() {
        let file = fs::File::open(said.folder().join("codes").join(path)).expect("a shard");
        for row in SerializedFileReader::new(file).expect("Parquet") {
            let row = row.expect("a row");
            let at = |name: &str| row.get_column_iter().position(|(column, _)| column == name).expect("a column");
            if *row.get_string(at("track")).expect("text") == format!("folder/t{n}.wav") {
                let samples = row.get_string(at("samples")).expect("a digest");
                return *blake3::Hash::from_hex(samples).expect("a digest").as_bytes();
            }
        }
    }
    panic!("no track {n}")
}

/// Paths of these files, as they lie in the store.
fn under(place: &Place, said: &Said, names: &[&str]) -> BTreeSet<PathBuf> {
    let run = said.folder();
    let run = run.strip_prefix(place.store()).expect("a path in the store");
    names.iter().map(|name| run.join(name)).collect()
}

#[test]
fn a_model_that_is_not_pinned_is_trained_without_it_and_nothing_is_left() {
    let (place, first) = base("auto");
    let place = copy(place);
    let n = parts(first).0[0];
    let samples = samples(first, n);
    assert!(mentions(&place, n, samples).len() >= 4, "what is looked for can be found");
    list(&place, &format!("folder/t{n}.wav\t\t\t\t2026-03-01\tletter 7\n"));
    let said = Said::of(&place.command("plan", &[]).output().expect("the binary starts"));
    let event = said.all("plan").next().expect("a plan");
    assert_eq!(event["stages"]["free"]["withdrawn"], serde_json::json!([format!("folder/t{n}.wav")]));
    assert_eq!(event["stages"]["codec"]["will"], serde_json::json!(["all"]));
    let planned = place.plan(&[]);

    let ran = place.run(&[]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    planned.holds(&ran.executed());
    assert_eq!(
        (ran.count("free", "dropped"), ran.count("decoded", "executed"), ran.count("codec", "executed")),
        (1, 0, 1)
    );
    assert_ne!(ran.weights(), first.weights());
    let table = fs::read_to_string(ran.folder().join("quarantine.tsv")).expect("a table");
    assert_eq!(table, format!("id\tdate\tevidence\nfolder/t{n}.wav\t2026-03-01\tletter 7\n"));
    let record = ran.record();
    assert_eq!((record["dropped"].clone(), record["tainted"].clone()), (serde_json::json!([]), serde_json::json!([])));
    assert!(record["stages"].to_string().contains("\"reasons\":{\"withdrawn\":1}"), "{}", record["stages"]);

    gc(&place);
    assert_eq!(mentions(&place, n, samples), under(&place, &ran, &["quarantine.tsv"]));
    // The file is still there, and comes back into no receipt.
    let again = place.run(&["--rehash"]);
    assert_eq!((again.executed(), &again.done()["run"]), (BTreeMap::new(), &ran.done()["run"]));
    assert_eq!(mentions(&place, n, samples), under(&place, &ran, &["quarantine.tsv"]));
    gc(&place);
    assert_same("after gc", &tree(&place.run(&[]).folder()), &tree(&ran.folder()));
    // The same from nothing.
    let fresh = place.copy();
    fs::remove_dir_all(fresh.store()).expect("removed");
    assert_same("from nothing", &tree(&fresh.run(&[]).folder()), &tree(&ran.folder()));
    // Taken back.
    list(&place, "");
    let back = place.run(&[]);
    assert_eq!((back.count("decoded", "executed"), &back.done()["run"]), (1, &first.done()["run"]));
    assert_same("taken back", &tree(&back.folder()), &tree(&first.folder()));
}

#[test]
fn a_pinned_model_is_named() {
    // No copy: in the end nothing is to know of the track, and the root of a run knows the lock of the place that it was in.
    let place = listed(Place::new(), "pinned");
    let first = &place.run(&[]);
    let (n, weights) = (parts(first).0[0], first.weights());
    let samples = samples(first, n);
    list(&place, &format!("\t\tARTIST {n} \t\t2026-03-01\tletter 7\n"));
    let ran = place.run(&[]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.executed().keys().collect::<Vec<_>>(), ["shards"]);
    let note = format!(
        "codec is tainted: its weights {} were trained on 1 track that is withdrawn now; `--refresh codec` trains without them",
        &weights[..12]
    );
    let check = |said: &Said| {
        let record = said.record();
        let tombstone =
            serde_json::json!({ "id": format!("folder/t{n}.wav"), "date": "2026-03-01", "evidence": "letter 7" });
        let tainted =
            serde_json::json!([{ "stage": "codec", "model": weights, "withdrawn": [tombstone], "songs": [] }]);
        assert_eq!(record["tainted"], tainted);
        assert!(record["stages"].to_string().contains(&note), "{}", record["stages"]);
        let report = fs::read_to_string(said.folder().join("report.html")).expect("a report");
        assert!(report.contains(&note.replace('\'', "&#39;")), "no note");
        assert!(!report.contains(&format!("t{n}.wav")) && report.contains("<code>withdrawn</code>"));
    };
    check(&ran);
    gc(&place);
    // Once nothing else knows of it, the model's lineage still does.
    let again = place.run(&[]);
    assert_eq!((again.executed(), &again.done()["run"]), (BTreeMap::new(), &ran.done()["run"]));
    check(&again);
    let left = mentions(&place, n, samples);
    let named = under(&place, &ran, &["quarantine.tsv", "run.json"]);
    assert!(left.is_superset(&named), "{left:?}");
    for path in left.difference(&named) {
        // The lineage: what the model was trained on, and why that is a taint.
        let bytes = fs::read(place.store().join(path)).expect("a file");
        let lineage = path.starts_with("objects") && bytes.len().is_multiple_of(32) && holds(&bytes, &samples);
        let receipts = path.starts_with("receipts");
        assert!(lineage || receipts, "{path:?} holds it");
        assert!(!holds(&bytes, format!("Title {n}").as_bytes()) && !holds(&bytes, format!("artist {n}").as_bytes()));
    }
    // Trained anew, it is clean.
    let clean = place.run(&["--refresh", "codec"]);
    assert_eq!((clean.count("codec", "executed"), clean.record()["tainted"].clone()), (1, serde_json::json!([])));
    gc(&place);
    assert_eq!(mentions(&place, n, samples), under(&place, &clean, &["quarantine.tsv"]));
}

#[test]
fn a_file_that_is_gone_taints_too() {
    let (place, first) = base("pinned");
    let place = copy(place);
    let n = parts(first).0[0];
    let content = blake3::hash(&fs::read(place.music().join(format!("t{n}.wav"))).expect("a file")).to_hex();
    fs::remove_file(place.music().join(format!("t{n}.wav"))).expect("removed");
    list(&place, &format!("\t{content}\t\t\t2026-03-01\tletter 7\n"));
    let ran = place.run(&[]);
    assert_eq!(ran.record()["tainted"][0]["withdrawn"][0]["evidence"], "letter 7", "{}", ran.record());
    gc(&place);
    let runs = fs::read_dir(place.store().join("runs")).expect("runs").count();
    assert_eq!(runs, 2, "the run and `latest`: the run that held it is gone");
    assert_eq!(place.run(&[]).record()["tainted"], ran.record()["tainted"]);
}

#[test]
fn a_list_counts_as_far_as_it_names_tracks() {
    let (place, first) = base("auto");
    let place = place.copy();
    list(&place, "folder/other.wav\t\t\t\t2026-03-01\tletter\n\t\t\thttps://example.org\t2026-03-01\tmail\n");
    let said = place.run(&[]);
    assert_eq!((said.executed(), &said.done()["run"]), (BTreeMap::new(), &first.done()["run"]));
    assert_same("a list about others", &tree(&said.folder()), &tree(&first.folder()));
    let warned = said.all("warning").next().expect("a warning").to_string();
    assert!(warned.contains("2 of the 2 lines of `exclude` name no track here, the first in line 2"), "{warned}");
    // One that is held out: its shard, and no training.
    let (_, others) = parts(first);
    list(&place, &format!("folder/t{}.wav\t\t\t\t2026-03-01\tletter\n", others[0]));
    let said = place.run(&["--set", "stage.free.max_dropped=0.0"]);
    assert_eq!((said.code, said.count("codec", "executed"), said.count("free", "dropped")), (Some(0), 0, 1));
    // A sidecar may still name what is gone.
    fs::remove_file(place.music().join(format!("t{}.wav", others[0]))).expect("removed");
    let said = place.run(&[]);
    assert_eq!((said.code, said.record()["dropped"].clone()), (Some(0), serde_json::json!([])));
    assert!(said.folder().join("quarantine.tsv").exists());
}

#[test]
fn a_list_that_cannot_be_read_stops_the_run() {
    let (place, _) = base("auto");
    let place = place.copy();
    let ends = |words: &[&str]| {
        for verb in ["run", "plan"] {
            let said = Said::of(&place.command(verb, &[]).output().expect("the binary starts"));
            assert_eq!(said.code, Some(3), "{}", said.err);
            assert!(words.iter().all(|word| said.err.contains(word)), "{}", said.err);
        }
    };
    list(&place, "a\t\tb\t\t2026-03-01\tx\n\t\t\t\t2026-03-01\tx\na\t\t\t\t1 March\tx\na\t\t\t\t2026-03-01\t\n");
    ends(&[
        "optout.tsv:2: the line names id and artist: write a line for each",
        "optout.tsv:3: the line names no id, digest, artist or url",
        "optout.tsv:4: the date \"1 March\" is no day written as YYYY-MM-DD",
        "optout.tsv:5: the line has no evidence",
    ]);
    fs::write(place.path().join("optout.tsv"), "id\tday\tevidence\n").expect("a list");
    ends(&["has no column `date`"]);
    fs::remove_file(place.path().join("optout.tsv")).expect("removed");
    ends(&["stage `free`", "optout.tsv"]);
}

/// A manifest down to songs, with everything pinned.
const SONGS: &str = r#"
edition = 1
name    = "songs"
[stage.tracks]
do = "ingest"
root = "music"
[stage.free]
do = "license"
from = ["tracks"]
allow = ["CC0-1.0"]
exclude = "optout.tsv"
[stage.decoded]
do = "decode"
from = ["free"]
[stage.mono]
do = "resample"
from = ["decoded"]
rate = 16_000
[stage.clips]
do = "segment"
from = ["mono"]
seconds = 1.0
minimum = 0.25
[stage.codec]
do = "fit"
from = ["clips"]
split = ""
refresh = "pinned"
rate = 16_000
downs = [[3]]
width = [8]
depth = [1]
codewords = [32]
dim = 8
steps = [2]
batch = [2]
crop = [2048]
spectral = [0.0]
[stage.codes]
do = "encode"
from = ["clips", "codec"]
[stage.shards]
do = "shard"
from = ["codes"]
[stage.prior]
do = "train"
from = ["shards"]
level = 0
refresh = "pinned"
width = 16
depth = 1
heads = 2
mlp_ratio = 2.0
context = 16
distances = 8
conditioner_depth = 1
steps = 2
batch = 2
warmup = 1
[stage.songs]
do = "sample"
from = ["codec", "prior"]
genres = ["genre 0"]
seconds = 0.05
"#;

#[test]
fn songs_of_tainted_models_are_named() {
    let place = Place::empty();
    fs::write(place.path().join("tiny.toml"), SONGS).expect("a manifest");
    for n in 0..3 {
        tone(&place.music().join(format!("t{n}.wav")), n, 1.0);
    }
    place.table("t0.wav,CC0-1.0,a,A,genre 0\nt1.wav,CC0-1.0,b,B,genre 0\nt2.wav,CC0-1.0,c,C,genre 0\n");
    list(&place, "");
    let first = place.run(&[]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    list(&place, "folder/t1.wav\t\t\t\t2026-03-01\tletter\n");
    let ran = place.run(&["--allow-shrink"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let record = ran.record();
    let tainted = record["tainted"].as_array().expect("a list");
    let stages: Vec<&str> = tainted.iter().filter_map(|model| model["stage"].as_str()).collect();
    assert_eq!(stages, ["codec", "prior"]);
    for model in tainted {
        assert_eq!(model["songs"], serde_json::json!(["songs/genre 0-1"]));
        assert_eq!(model["withdrawn"][0]["id"], "folder/t1.wav");
    }
    let report = fs::read_to_string(ran.folder().join("report.html")).expect("a report");
    assert_eq!(report.matches("made from them: songs/genre 0-1").count(), 2);
    let untouched: &Path = &ran.folder().join("audio/genre 0-1.wav");
    assert!(untouched.exists());
}
