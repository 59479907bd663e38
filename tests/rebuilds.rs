//! The table of minimal rebuilds: for every change, what has to be done again, and that no more is.
//!
//! `tests/rebuilds/corpus.toml` and `models.toml` each name a manifest (`NAME-manifest.toml`) and rows. A row says what
//! changes after a build, and what the next build executes: by stage, the tracks whose items run, where a clip belongs
//! to its track and a shard is the one that holds the track (`"was t0.wav"`: held it before; `"moved"`: all that hold
//! other clips than before; `"new"`: clips that were not there). Other names are ids of items; of a stage that a sweep
//! varies, `songs[top_p=0.5]`, they mean what they mean of `songs`. Then the bytes must be those of a build from nothing, no
//! executed item may have an outcome that was known before but for those under `held`, which `because` excuses, and once
//! the change is taken back nothing runs.

#[path = "rebuilds/place.rs"]
mod place;
mod support;

use datasets::{Digest, store::Store};
use parquet::{file::reader::SerializedFileReader, record::RowAccessor};
use place::Place;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use support::{Said, assert_same, copy, files, refrain, repository, text, tone, tree};

type Items = BTreeMap<String, BTreeSet<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Recordings of the build before the change.
    tracks: u32,
    /// Seconds of each.
    seconds: f64,
    row: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    /// Done and built before the change.
    #[serde(default)]
    first: Vec<Vec<String>>,
    change: Vec<Vec<String>>,
    #[serde(default)]
    executes: Items,
    /// Items that are executed although their outcome was known.
    #[serde(default)]
    held: Items,
    /// Why that is necessary.
    #[serde(default)]
    because: String,
    /// Why taking it back is not tried.
    #[serde(default)]
    stays: String,
    /// What is executed is what lost an object.
    #[serde(default)]
    lost: bool,
}

/// Tracks, clips and shards of a run.
#[derive(Default)]
struct Published {
    /// Clips of each track.
    clips: BTreeMap<String, BTreeSet<String>>,
    /// The shard of each track.
    shard: BTreeMap<String, String>,
    /// The id of a codec that is loaded.
    codec: String,
}

impl Published {
    fn of(said: &Said) -> Published {
        let (mut published, codes) = (Published::default(), said.folder().join("codes"));
        // Where a sweep varies the codec, it lies elsewhere.
        let codec = &said.record()["files"]["model/codec.safetensors"];
        published.codec = codec.as_str().map(|digest| digest[..12].to_owned()).unwrap_or_default();
        for path in if codes.exists() { files(&codes) } else { BTreeMap::new() }.into_keys() {
            // Below a point's folder, the shard of that point.
            let shard = path.with_extension("");
            let shard = shard.iter().skip(shard.iter().count() - 2).collect::<PathBuf>().display().to_string();
            let reader = SerializedFileReader::new(File::open(codes.join(&path)).expect("a shard")).expect("Parquet");
            for row in reader {
                let row = row.expect("a row");
                let at = |name: &str| row.get_column_iter().position(|(column, _)| column == name).expect("a column");
                let text = |name: &str| row.get_string(at(name)).expect("text").clone();
                let file = text("track").split_once('/').expect("a dataset").1.to_owned();
                published.clips.entry(file.clone()).or_default().insert(text("clip"));
                published.shard.insert(file, shard.clone());
            }
        }
        published
    }

    fn all_clips(&self) -> BTreeSet<String> {
        self.clips.values().flatten().cloned().collect()
    }

    /// The clips of each shard.
    fn shards(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut shards: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (track, shard) in &self.shard {
            shards.entry(shard).or_default().extend(self.clips[track].iter().map(String::as_str));
        }
        shards
    }
}

/// The items that a row of the table means.
fn meant(items: &Items, before: &Published, after: &Published) -> Items {
    let mut all = Items::new();
    for (stage, names) in items {
        let mut ids = BTreeSet::new();
        for name in names {
            match (stage.split('[').next().unwrap_or(stage), name.as_str()) {
                ("codes", "all") => ids.extend(after.all_clips()),
                ("codes", "new") => ids.extend(after.all_clips().difference(&before.all_clips()).cloned()),
                ("codes", clip) if clip.contains('@') => drop(ids.insert(clip.to_owned())),
                ("codes", track) => ids.extend(after.clips.get(track).cloned().unwrap_or_default()),
                ("shards", "all") => ids.extend(after.shards().into_keys().map(str::to_owned)),
                ("shards", "moved") => {
                    let (was, is) = (before.shards(), after.shards());
                    let moved = is.iter().filter(|(shard, clips)| was.get(*shard) != Some(*clips));
                    ids.extend(moved.map(|(id, _)| (*id).to_owned()));
                }
                ("shards", name) => {
                    let shard = match name.strip_prefix("was ") {
                        Some(track) => before.shard.get(track),
                        None => after.shard.get(name),
                    };
                    ids.insert(shard.unwrap_or_else(|| panic!("no shard of {name}")).clone());
                }
                ("decoded", "all") => ids.extend(after.clips.keys().map(|track| format!("folder/{track}"))),
                ("decoded", track) => drop(ids.insert(format!("folder/{track}"))),
                ("codec", "loaded") => drop(ids.insert(after.codec.clone())),
                (_, id) => drop(ids.insert(id.to_owned())),
            }
        }
        if !ids.is_empty() {
            all.insert(stage.clone(), ids);
        }
    }
    all
}

fn count(items: &Items) -> usize {
    items.values().map(BTreeSet::len).sum()
}

/// Outcomes of what a run executed: by stage and id.
fn outcomes(said: &Said) -> impl Iterator<Item = (String, String, String)> + '_ {
    said.all("executed").map(|event| (text(&event["stage"]), text(&event["id"]), text(&event["output"])))
}

/// The items of a run whose outcome names an object that is no longer there.
fn lost(place: &Place, said: &Said) -> Items {
    let store = Store::open(&place.at(&place.store)).expect("a store");
    let receipts = store.segments().expect("segments").into_iter().flat_map(|segment| segment.receipts.into_values());
    let lacks = receipts.filter(|receipt| receipt.objects.iter().any(|object| !store.has(object)));
    let lacks: HashSet<String> = lacks.map(|receipt| Digest::of(&receipt.value).hex()).collect();
    let mut items = Items::new();
    for (stage, id, _) in outcomes(said).filter(|(.., output)| lacks.contains(output)) {
        items.entry(stage).or_default().insert(id);
    }
    items
}

/// Does a row; executed, necessary, and executed with a known outcome.
fn judge(row: &Row, base: &Place, first: &Said) -> Result<(usize, usize, usize), String> {
    let (mut place, mut known) = (base.copy(), HashSet::new());
    known.extend(outcomes(first).map(|(.., output)| output));
    let mut before = Published::of(first);
    if !row.first.is_empty() {
        row.first.iter().for_each(|change| place.change(change));
        let said = place.run();
        known.extend(outcomes(&said).map(|(.., output)| output));
        before = Published::of(&said);
    }
    row.change.iter().for_each(|change| place.change(change));
    let lost = if row.lost { lost(&place, first) } else { Items::new() };
    let planned = Said::of(&place.command("plan").output().expect("the binary starts"));
    let said = place.run();
    let after = Published::of(&said);
    let mut wrong = Vec::new();
    let expected = |items: &Items| if row.lost { lost.clone() } else { meant(items, &before, &after) };
    let (ran, necessary) = (said.executed(), expected(&row.executes));
    if ran != necessary {
        wrong.push(format!("executed {ran:?}\n  necessary {necessary:?}"));
    }
    let event = planned.all("plan").next().cloned().unwrap_or_default();
    for (stage, own) in event["stages"].as_object().into_iter().flatten() {
        let will: BTreeSet<String> = own["will"].as_array().into_iter().flatten().map(text).collect();
        if !will.is_subset(ran.get(stage).unwrap_or(&BTreeSet::new())) {
            wrong.push(format!("{stage}: {will:?} would run and did not"));
        }
    }
    let mut held = Items::new();
    for (stage, id, output) in outcomes(&said) {
        if known.contains(&output) {
            held.entry(stage).or_default().insert(id);
        }
    }
    if held != expected(&row.held) || held.is_empty() != row.because.is_empty() {
        wrong.push(format!("executed with a known outcome: {held:?}"));
    }
    let fresh = Place { store: "fresh".into(), options: vec!["-w".into(), "2".into()], ..place };
    // What was pinned is an input.
    let fresh = match fresh.at("manifest.lock").exists() {
        true => {
            copy(&fresh.at("store"), &fresh.at("fresh"));
            fs::remove_dir_all(fresh.at("fresh/runs")).expect("removed");
            fs::create_dir(fresh.at("fresh/runs")).expect("a folder");
            let mut gc = refrain(&["gc", "--store"]);
            assert!(gc.arg(fresh.at("fresh")).output().expect("the binary starts").status.success());
            fresh
        }
        false => fresh,
    };
    assert_same(&row.name, &tree(&fresh.run().folder()), &tree(&said.folder()));
    if row.stays.is_empty() {
        let mut back = Place {
            store: row.change.iter().find(|c| c[0] == "move store").map_or("store", |c| &c[1]).into(),
            ..fresh
        };
        back.take_back(base);
        let said = back.run();
        if !said.executed().is_empty() || said.done()["run"] != first.done()["run"] {
            wrong.push(format!("taken back, it executed {:?}", said.executed()));
        }
    }
    if wrong.is_empty() { Ok((count(&ran), count(&necessary), count(&held))) } else { Err(wrong.join("\n  ")) }
}

/// A codec for the manifests that load one; another seed gives another.
fn codec(seed: u32) -> Vec<u8> {
    let mut place = Place::new("models");
    compose(&place, 4, 0.6);
    place.sets.push(format!("seed={seed}"));
    let said = place.run();
    fs::read(said.folder().join("model/codec.safetensors")).expect("a codec")
}

fn compose(place: &Place, tracks: u32, seconds: f64) {
    let mut rows = BTreeMap::new();
    for n in 0..tracks {
        let name = format!("t{n}.wav");
        tone(&place.file(&name), n, seconds + f64::from(n % 3) * 0.1);
        let cells = [&name, "CC0-1.0", &format!("artist {n}"), &format!("Title {n}"), &format!("genre {}", n % 2), ""];
        rows.insert(name.clone(), cells.map(str::to_owned).into());
    }
    place.rows(&rows);
}

fn all_rows(manifest: &str) {
    let at = repository().join("tests/rebuilds").join(format!("{manifest}.toml"));
    let table: Table = toml::from_str(&fs::read_to_string(at).expect("a table")).expect("a table");
    let base = Place::new(manifest);
    if manifest == "corpus" {
        for (name, seed) in [("codec", 17), ("other", 18)] {
            fs::write(base.at(&format!("{name}.safetensors")), codec(seed)).expect("a codec");
        }
    }
    compose(&base, table.tracks, table.seconds);
    let first = base.run();
    assert!(!base.at("manifest.lock").exists());
    let (next, said) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, |n| n.get().max(2)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(row) = table.row.get(index) else { return };
                    let judged = std::panic::catch_unwind(|| judge(row, &base, &first));
                    let judged = judged.unwrap_or_else(|_| Err("it panicked".into()));
                    said.lock().unwrap_or_else(PoisonError::into_inner).insert(index, judged);
                }
            });
        }
    });
    let (mut failed, mut sums) = (Vec::new(), [0; 3]);
    println!("{manifest}: {:<52} {:>8} {:>9} {:>6}", "change", "executed", "necessary", "held");
    for (index, judged) in said.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let row = &table.row[index];
        match judged {
            Ok((ran, necessary, held)) => {
                let excuse = if held > 0 { format!("  {}", row.because) } else { String::new() };
                println!("{manifest}: {:<52} {ran:>8} {necessary:>9} {held:>6}{excuse}", row.name);
                sums = [sums[0] + ran, sums[1] + necessary, sums[2] + held];
            }
            Err(why) => failed.push(format!("{}: {why}", row.name)),
        }
    }
    assert!(failed.is_empty(), "{} of {} rows:\n{}", failed.len(), table.row.len(), failed.join("\n"));
    let [ran, necessary, held] = sums;
    println!(
        "{manifest}: work redone / work necessary = {ran} / {necessary} = {:.2}; known outcomes {held}, all excused",
        ran as f64 / necessary as f64
    );
    assert_eq!(ran, necessary);
}

#[test]
fn a_corpus() {
    all_rows("corpus");
}

#[test]
fn models() {
    all_rows("models");
}

/// The folder of the table has nothing that is not read.
#[test]
fn every_file_is_used() {
    let names: BTreeSet<PathBuf> = files(&repository().join("tests/rebuilds")).into_keys().collect();
    let used = ["corpus.toml", "corpus-manifest.toml", "models.toml", "models-manifest.toml", "place.rs"];
    assert_eq!(names, used.map(|name| Path::new(name).to_owned()).into());
}
