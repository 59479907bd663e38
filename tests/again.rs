//! A second run does what has changed and nothing else, and does what the plan said.

mod support;

use parquet::{file::reader::SerializedFileReader, record::RowAccessor};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::Path,
    sync::OnceLock,
    time::{Duration, SystemTime},
};
use support::{Place, Said, assert_same, files, tone, tree};

/// A place whose manifest has run once, with its codec pinned or not.
fn base(refresh: &str) -> &'static (Place, Said) {
    static PINNED: OnceLock<(Place, Said)> = OnceLock::new();
    static AUTO: OnceLock<(Place, Said)> = OnceLock::new();
    let slot = if refresh == "pinned" { &PINNED } else { &AUTO };
    slot.get_or_init(|| {
        let place = Place::new().with(&["--set", &format!("stage.codec.refresh={refresh}")]);
        let first = place.run(&[]);
        assert_eq!(first.code, Some(0), "{}", first.err);
        assert_eq!(first.count("codec", "executed"), 1);
        assert_eq!(first.count("decoded", "executed"), 8);
        (place, first)
    })
}

/// No stage executes; the same run, with the same bytes.
fn nothing_runs(place: &Place, first: &Said) {
    let planned = place.plan(&[]);
    assert!(planned.is_empty(), "{planned:?}");
    let again = place.run(&[]);
    assert_eq!(again.executed(), BTreeMap::new());
    for (stage, counts) in again.done()["stages"].as_object().expect("stages") {
        assert_eq!(counts["executed"], 0, "{stage}");
    }
    assert_eq!(again.done()["run"], first.done()["run"]);
    assert_same("a second run", &tree(&again.folder()), &tree(&first.folder()));
}

/// The split of every clip, by track and clip, from the published codes.
fn clips(folder: &Path) -> BTreeMap<(String, String), String> {
    let mut clips = BTreeMap::new();
    for (path, _) in files(&folder.join("codes")) {
        let file = File::open(folder.join("codes").join(&path)).expect("a shard");
        let reader = SerializedFileReader::new(file).expect("Parquet");
        for row in reader {
            let row = row.expect("a row");
            let column = |name: &str| {
                let at = row.get_column_iter().position(|(column, _)| column == name).expect("a column");
                row.get_string(at).expect("text").clone()
            };
            clips.insert((column("track"), column("clip")), column("split"));
        }
    }
    clips
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// An artist whose recordings are trained on.
fn trained(first: &Said) -> String {
    let clips = clips(&first.folder());
    let ((track, _), _) = clips.iter().find(|(_, split)| *split == "train").expect("a track to train on");
    format!("artist {}", track.trim_start_matches("folder/t").trim_end_matches(".wav"))
}

#[test]
fn again_executes_nothing() {
    for refresh in ["pinned", "auto"] {
        let (place, first) = base(refresh);
        let place = place.copy();
        nothing_runs(&place, first);
        for entry in fs::read_dir(place.music()).expect("a folder") {
            let file = File::options().write(true).open(entry.expect("an entry").path()).expect("a file");
            file.set_modified(SystemTime::now() + Duration::from_secs(60)).expect("another time");
        }
        nothing_runs(&place, first);
        assert_eq!(place.run(&["--rehash"]).executed(), BTreeMap::new());
    }
}

#[test]
fn one_more_recording_with_the_codec_pinned() {
    let (place, first) = base("pinned");
    let place = place.copy();
    let id = "folder/new.wav".to_owned();
    tone(&place.music().join("new.wav"), 99, 2.5);
    place.table(&format!("{}new.wav,CC0-1.0,{},New,genre 0\n", place.rows(), trained(first)));
    let planned = place.plan(&[]);
    assert_eq!(planned.will, BTreeMap::from([("decoded".to_owned(), set(&[&id]))]));
    assert_eq!(planned.may["codes"], set(&[&id]));
    assert_eq!(planned.may["shards"], set(&["train/all"]));
    assert_eq!(planned.may.len(), 2, "{planned:?}");

    let ran = place.run(&[]);
    planned.holds(&ran.executed());
    let clips = clips(&ran.folder());
    let own: BTreeSet<String> = clips.keys().filter(|(track, _)| *track == id).map(|(_, clip)| clip.clone()).collect();
    assert_eq!(own.len(), 3, "2.5 s are three clips: {own:?}");
    let expected = [("decoded", set(&[&id])), ("codes", own), ("shards", set(&["train/all"]))];
    assert_eq!(ran.executed(), expected.map(|(stage, ids)| (stage.to_owned(), ids)).into());
    assert_eq!(ran.weights(), first.weights());
    assert_ne!(ran.done()["run"], first.done()["run"]);
    let added = ["tracks", "codes", "shards"].map(|s| (ran.count(s, "added"), ran.count(s, "retracted")));
    assert_eq!(added, [(1, 0), (3, 0), (1, 1)]);
    let notes = ran.record()["stages"].to_string();
    assert!(notes.contains("codec pinned, 1 tracks newer than it"), "{notes}");

    // Without it again: all that is known.
    fs::remove_file(place.music().join("new.wav")).expect("removed");
    let rows = place.rows();
    place.table(rows.trim_end().rsplit_once('\n').map(|(before, _)| format!("{before}\n")).expect("rows").as_str());
    nothing_runs(&place, first);
}

#[test]
fn a_recording_without_an_artist_may_fall_into_any_shard() {
    let (place, _) = base("pinned");
    let place = place.copy();
    tone(&place.music().join("new.wav"), 98, 1.0);
    place.table(&format!("{}new.wav,CC0-1.0,,New,genre 0\n", place.rows()));
    let planned = place.plan(&[]);
    let ran = place.run(&[]);
    planned.holds(&ran.executed());
    assert_eq!(["decoded", "codes", "shards", "codec"].map(|s| ran.count(s, "executed")), [1, 1, 1, 0]);
}

#[test]
fn one_more_recording_to_train_on() {
    let (place, first) = base("auto");
    let place = place.copy();
    tone(&place.music().join("new.wav"), 97, 2.5);
    place.table(&format!("{}new.wav,CC0-1.0,{},New,genre 0\n", place.rows(), trained(first)));
    let planned = place.plan(&[]);
    assert_eq!(planned.may["codec"], set(&["all"]));
    let ran = place.run(&[]);
    planned.holds(&ran.executed());
    let clips = clips(&ran.folder()).len() as u64;
    assert_eq!(["decoded", "codec", "codes"].map(|s| ran.count(s, "executed")), [1, 1, clips]);
    assert_eq!(ran.count("shards", "executed"), ran.count("shards", "kept"));
    assert_ne!(ran.weights(), first.weights());
}

#[test]
fn a_new_name_or_title_rewrites_shards_only() {
    let (place, first) = base("auto");
    let place = place.copy();
    let artist = trained(first);
    let file = format!("t{}.wav", artist.trim_start_matches("artist "));
    let before = place.rows();

    place.table(&before.replace(&format!("Title {}", artist.trim_start_matches("artist ")), "A better title"));
    let planned = place.plan(&[]);
    let ran = place.run(&[]);
    planned.holds(&ran.executed());
    assert_eq!(ran.executed(), BTreeMap::from([("shards".to_owned(), set(&["train/all"]))]));
    assert_eq!(ran.record()["views"], first.record()["views"]);
    assert_ne!(ran.record()["files"], first.record()["files"]);

    // It comes first now, so that every order of ids changes.
    fs::rename(place.music().join(&file), place.music().join("a new name.wav")).expect("renamed");
    place.table(&before.replace(&file, "a new name.wav"));
    let planned = place.plan(&[]);
    let ran = place.run(&[]);
    planned.holds(&ran.executed());
    assert_eq!(ran.executed(), BTreeMap::from([("shards".to_owned(), set(&["train/all"]))]));
    assert_eq!(ran.weights(), first.weights());

    fs::rename(place.music().join("a new name.wav"), place.music().join(&file)).expect("renamed");
    place.table(&before);
    nothing_runs(&place, first);
}

#[test]
fn a_recording_withdrawn() {
    let (place, first) = base("auto");
    let place = place.copy();
    let held = clips(&first.folder());
    let (gone, _) = held.iter().find(|((_, _), split)| *split != "train").expect("a held-out track");
    let (track, split) = (gone.0.clone(), held[gone].clone());
    fs::remove_file(place.music().join(track.trim_start_matches("folder/"))).expect("removed");
    let planned = place.plan(&[]);
    let ran = place.run(&[]);
    planned.holds(&ran.executed());
    // What is left of its shard, and no training: it was not trained on.
    let left = held.iter().any(|((t, _), s)| *t != track && *s == split);
    let expected =
        if left { BTreeMap::from([("shards".to_owned(), set(&[&format!("{split}/all")]))]) } else { BTreeMap::new() };
    assert_eq!(ran.executed(), expected);
    assert!(clips(&ran.folder()).keys().all(|(t, _)| *t != track));

    // One that was trained on: everything that rests on the codec.
    let artist = trained(first);
    fs::remove_file(place.music().join(format!("t{}.wav", artist.trim_start_matches("artist ")))).expect("removed");
    let planned = place.plan(&["--set", "name=other"]);
    let ran = place.run(&["--set", "name=other"]);
    planned.holds(&ran.executed());
    assert_eq!((ran.count("decoded", "executed"), ran.count("codec", "executed")), (0, 1));
}

#[test]
fn settings_changed_and_changed_back() {
    let (place, first) = base("auto");
    let place = place.copy();
    let changed = place.run(&["--set", "stage.clips.seconds=0.5"]);
    assert_eq!(changed.count("decoded", "executed"), 0);
    assert_eq!(changed.count("codec", "executed"), 1);
    nothing_runs(&place, first);
    let denied = place.run(&["--set", "stage.free.allow=[\"CC-BY-4.0\"]", "--to", "unique", "--allow-empty"]);
    assert_eq!((denied.code, denied.count("free", "dropped")), (Some(0), 8));
    nothing_runs(&place, first);
}

#[test]
fn a_pinned_codec_is_trained_anew_on_request() {
    let (place, first) = base("pinned");
    let place = place.copy();
    let lock = fs::read_to_string(place.path().join("tiny.lock")).expect("a lock");
    assert!(lock.contains(&format!(" {}\n", first.weights())), "{lock}");
    tone(&place.music().join("new.wav"), 96, 2.0);
    place.table(&format!("{}new.wav,CC0-1.0,{},New,genre 0\n", place.rows(), trained(first)));
    let ran = place.run(&["--refresh", "codec"]);
    assert_eq!(ran.count("codec", "executed"), 1);
    assert_ne!(ran.weights(), first.weights());
    let lock = fs::read_to_string(place.path().join("tiny.lock")).expect("a lock");
    assert!(lock.contains(&format!(" {}\n", ran.weights())) && !lock.contains(&first.weights()), "{lock}");
    let again = place.run(&[]);
    assert_eq!((again.executed(), again.weights()), (BTreeMap::new(), ran.weights()));
}

/// What `timing.json` says of the stages.
fn costs(said: &Said) -> serde_json::Value {
    let text = fs::read_to_string(said.folder().join("timing.json")).expect("times");
    serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["stages"].clone()
}

#[test]
fn where_nothing_changed_the_short_way_says_what_the_long_way_says() {
    let place = Place::new();
    fs::write(place.music().join("notes.txt"), "no sound").expect("a file");
    let first = place.run(&[]);
    let short = |said: &Said| said.all("unchanged").next().is_some();
    assert!(!short(&first));
    let whole = tree(&first.folder());
    let again = place.run(&[]);
    assert!(short(&again), "{}", again.out);
    assert_eq!(again.executed(), BTreeMap::new());
    let costs_short = costs(&again);

    // Whatever is missing in store or tree, the long way finds it, and ends with the same.
    fs::remove_file(again.folder().join("report.html")).expect("removed");
    let long = place.run(&[]);
    assert!(!short(&long));
    assert_eq!((long.done(), costs(&long)), (again.done(), costs_short));
    assert_same("published anew", &tree(&long.folder()), &whole);
    assert!(short(&place.run(&[])));

    let objects = support::files(&place.store().join("objects"));
    let shard = tree(&long.folder()).into_iter().find(|(path, _)| path.starts_with("codes")).expect("a shard").1;
    let lost = objects.iter().find(|(_, bytes)| **bytes == shard).expect("its object").0;
    fs::remove_file(place.store().join("objects").join(lost)).expect("removed");
    let mended = place.run(&[]);
    assert_eq!(mended.count("shards", "executed"), 1);
    assert!(short(&place.run(&[])));

    // Another manifest, a weaker guard, other times of a file, a lost receipt: each is looked at.
    assert!(!short(&place.run(&["--set", "stage.free.max_dropped=0.5"])));
    assert_eq!(place.run(&["--set", "stage.free.max_dropped=0.01"]).code, Some(5));
    assert!(!short(&place.run(&[])) && short(&place.run(&["--rehash"])));
    fs::remove_dir_all(place.store().join("receipts")).expect("removed");
    assert!(!short(&place.run(&[])));
}

/// Runs `tiny.toml` of a place as it stands, with no root from the command line.
fn run_file(place: &Place, args: &[&str]) -> Said {
    let mut command = support::refrain(&["run", "--json", "-w", "2", "--store"]);
    command.arg(place.store()).arg(place.path().join("tiny.toml")).args(args);
    let said = Said::of(&command.output().expect("the binary starts"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    said
}

#[test]
fn nothing_that_is_published_tells_where_files_lie_or_how_the_manifest_is_written() {
    let write = |place: &Place, text: &str| fs::write(place.path().join("tiny.toml"), text).expect("written");
    let here = Place::new();
    let tiny = fs::read_to_string(here.path().join("tiny.toml")).expect("a manifest");
    write(&here, &tiny.replace("do = \"ingest\"", "do = \"ingest\"\nroot = \"music\""));
    let there = here.copy();
    let moved = there.path().join("somewhere else");
    fs::rename(there.music(), &moved).expect("moved");
    let root =
        format!("# My own.\ncorpus = \"folder\" # as ever\nroot = {moved:?}\nmax_dropped = 0.9\ndo = \"ingest\"");
    write(&there, &tiny.replace("do = \"ingest\"", &root).replace("seed    = 17", "seed = 17"));
    let (own, other) = (run_file(&here, &[]), run_file(&there, &[]));
    assert_eq!(own.done()["run"], other.done()["run"]);
    assert_same("written otherwise, elsewhere", &tree(&other.folder()), &tree(&own.folder()));
    let page = fs::read_to_string(other.folder().join("report.html")).expect("a report");
    assert!(page.contains("steps = [20, 20, 20]") && !page.contains("My own") && !page.contains("somewhere"));

    // Nor does a file that is not there.
    for (place, folder) in [(&here, here.music()), (&there, moved)] {
        fs::write(folder.join("all.csv"), "path,license\nt0.wav,CC0-1.0\ngone.wav,CC0-1.0\n").expect("a table");
        let table = format!("corpus = \"table\"\nfile = {:?}\ndo = \"ingest\"", folder.join("all.csv"));
        write(place, &tiny.replace("do = \"ingest\"", &table));
    }
    let [own, other] = [&here, &there].map(|place| run_file(place, &["--to", "free", "--allow-shrink"]));
    assert_eq!((own.count("tracks", "dropped"), own.count("tracks", "kept")), (1, 1));
    assert_eq!(own.done()["run"], other.done()["run"]);
    assert_same("a file that is not there", &tree(&other.folder()), &tree(&own.folder()));
}
