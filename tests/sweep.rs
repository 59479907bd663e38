//! Manifests that extend another, sweeps, and two runs side by side: what each executes, and what it publishes.

mod support;

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::OnceLock,
};
use support::{Place, Plan, Said, assert_same, files, refrain, text, tree};

/// Priors so small that they train in a moment, and songs from them.
const SONGS: &str = r#"
extends = "tiny.toml"

[stage.codec]
steps = [4, 4, 4]
"#;

const PRIOR: &str = r#"
do            = "train"
from          = ["shards"]
width         = 16
depth         = 1
heads         = 2
context       = 16
distances     = 8
steps         = 2
batch         = 2
learning_rate = 1e-2
warmup        = 1
"#;

fn songs() -> String {
    let mut text = SONGS.to_owned();
    for (name, level) in [("top", 2), ("middle", 1), ("bottom", 0)] {
        text += &format!("\n[stage.{name}]{PRIOR}level = {level}\n");
    }
    text + "\n[stage.songs]\ndo = \"sample\"\nfrom = [\"codec\", \"top\", \"middle\", \"bottom\"]\ngenres = [\"genre 1\"]\nseconds = 0.1\n"
}

/// A manifest beside the tiny one.
fn write(place: &Place, name: &str, text: &str) {
    fs::write(place.path().join(name), text).expect("a manifest is written");
}

fn of(place: &Place, verb: &str, manifest: &str, more: &[&str]) -> Said {
    let mut command = refrain(&[verb, "--json", "-w", "2"]);
    command.arg("--store").arg(place.store()).arg(place.path().join(manifest));
    command.args(&place.args).args(more);
    Said::of(&command.output().expect("the binary starts"))
}

fn run(place: &Place, manifest: &str) -> Said {
    let said = of(place, "run", manifest, &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    said
}

/// Executed items by stage, those with none left out.
fn executed(said: &Said) -> BTreeMap<String, usize> {
    said.executed().into_iter().map(|(stage, ids)| (stage, ids.len())).collect()
}

fn counts(list: &[(&str, usize)]) -> BTreeMap<String, usize> {
    list.iter().map(|(stage, count)| ((*stage).to_owned(), *count)).collect()
}

/// A place in which `songs.toml` has run.
fn base() -> &'static (Place, Said) {
    static BASE: OnceLock<(Place, Said)> = OnceLock::new();
    BASE.get_or_init(|| {
        let place = Place::new();
        write(&place, "songs.toml", &songs());
        let said = run(&place, "songs.toml");
        assert_eq!(said.count("codec", "executed"), 1);
        assert_eq!(said.count("songs", "executed"), 1);
        (place, said)
    })
}

const SWEEP: &str = "extends = \"songs.toml\"\nname = \"sweep\"\n\n[sweep]\n";

fn audio(folder: &Path) -> BTreeSet<String> {
    files(&folder.join("audio")).keys().map(|path| path.display().to_string()).collect()
}

#[test]
fn a_sweep_runs_what_differs_and_a_point_more_or_less_touches_only_itself() {
    let (place, alone) = base();
    let place = place.copy();
    // 0.9 is what the manifest samples with, so its songs are there.
    let axis = |values: &str| write(&place, "sweep.toml", &format!("{SWEEP}\"stage.songs.top_p\" = [{values}]\n"));
    axis("0.9, 0.5");
    let planned = Plan::of(&of(&place, "plan", "sweep.toml", &[]));
    let first = run(&place, "sweep.toml");
    planned.holds(&first.executed());
    assert_eq!(planned.will.keys().collect::<Vec<_>>(), ["songs[top_p=0.5]"]);
    assert_eq!(executed(&first), counts(&[("songs[top_p=0.5]", 1)]));
    assert_eq!(first.count("songs[top_p=0.9]", "cached"), 1);
    assert_eq!(first.done()["stages"].as_object().expect("stages").len(), 15, "shared stages are there once");
    let songs = audio(&first.folder());
    let expected = ["top_p=0.5", "top_p=0.9"]
        .map(|point| audio(&alone.folder()).into_iter().map(move |song| format!("{point}/{song}")));
    assert_eq!(songs, expected.into_iter().flatten().collect());
    let song = |said: &Said, path: &str| fs::read(said.folder().join("audio").join(path)).expect("a song");
    assert_eq!(song(&first, "top_p=0.9/genre 1-1.wav"), song(alone, "genre 1-1.wav"));
    assert_ne!(song(&first, "top_p=0.5/genre 1-1.wav"), song(alone, "genre 1-1.wav"));

    let again = run(&place, "sweep.toml");
    assert_eq!(executed(&again), counts(&[]));
    assert_eq!(again.done()["run"], first.done()["run"]);
    assert_same("a second run", &tree(&again.folder()), &tree(&first.folder()));

    axis("0.9, 0.7, 0.5");
    let more = run(&place, "sweep.toml");
    assert_eq!(executed(&more), counts(&[("songs[top_p=0.7]", 1)]));
    assert_ne!(more.done()["run"], first.done()["run"]);
    assert_eq!(song(&more, "top_p=0.5/genre 1-1.wav"), song(&first, "top_p=0.5/genre 1-1.wav"));
    assert_eq!(more.count("songs[top_p=0.5]", "added"), 0);

    axis("0.9, 0.5");
    let less = run(&place, "sweep.toml");
    assert_eq!(executed(&less), counts(&[]));
    assert_eq!(less.done()["run"], first.done()["run"]);

    // One stage of one point, and one stage of all.
    let cut = of(&place, "run", "sweep.toml", &["--to", "songs[top_p=0.5]"]);
    let named = |said: &Said| -> Vec<String> {
        let stages = said.done()["stages"].as_object().expect("stages").keys();
        stages.filter(|name| name.contains('[')).cloned().collect()
    };
    assert_eq!(named(&cut), ["songs[top_p=0.5]"]);
    let whole = of(&place, "run", "sweep.toml", &["--to", "songs"]);
    assert_eq!(named(&whole), ["songs[top_p=0.5]", "songs[top_p=0.9]"]);
    let codec = of(&place, "run", "sweep.toml", &["--to", "codec"]);
    assert_eq!(named(&codec), [""; 0], "the codec is the same at all points");
    let mut check = refrain(&["check"]);
    check.arg(place.path().join("sweep.toml")).args(&place.args);
    let checked = Said::of(&check.output().expect("the binary starts"));
    assert!(checked.out.starts_with("sweep: 15 stages at 2 points, nothing to complain about\nmemory: at most "));
}

#[test]
fn seeds_give_means_and_points_their_scores() {
    let (place, _) = base();
    let place = place.copy();
    let text = format!("{SWEEP}\"stage.top.steps\" = [2, 3]\nseed = [17, 18]\n");
    write(&place, "sweep.toml", &text);
    let planned = Plan::of(&of(&place, "plan", "sweep.toml", &[]));
    let said = run(&place, "sweep.toml");
    planned.holds(&said.executed());
    let ran = executed(&said);
    // Seed 17 is the manifest's: its codec, codes and two of its priors are there.
    assert_eq!(ran.get("codec[seed=17]"), None);
    assert_eq!(ran["codec[seed=18]"], 1);
    assert_eq!(ran.get("bottom[seed=17]"), None);
    assert_eq!(ran["bottom[seed=18]"], 2);
    assert_eq!(ran.get("top[steps=2,seed=17]"), None);
    for trained in ["top[steps=3,seed=17]", "top[steps=2,seed=18]", "top[steps=3,seed=18]"] {
        assert_eq!(ran[trained], 2, "{trained}: {ran:?}");
    }
    assert!(ran.keys().all(|stage| !stage.starts_with("decoded") && stage != "clips"), "{ran:?}");

    let folder = said.folder();
    let csv = fs::read_to_string(folder.join("results.csv")).expect("results");
    let lines: Vec<&str> = csv.lines().collect();
    let head: Vec<&str> = lines[0].split(',').collect();
    assert_eq!(head[..3], ["point", "stage.top.steps", "seeds"]);
    assert!(head.contains(&"top.train_bits deviation") && head.contains(&"bottom.held_out_bits"), "{csv}");
    assert_eq!(lines.len(), 3, "{csv}");
    assert!(lines[1].starts_with("steps=2,2,2,") && lines[2].starts_with("steps=3,3,2,"), "{csv}");
    // The mean is that of what the record says of each seed.
    let record = said.record();
    let score = |stage: &str| {
        let scores = record["scores"].as_array().expect("scores").iter();
        let mut own = scores.filter(|score| score["stage"] == stage && score["name"] == "train_bits");
        own.next().expect("a score")["value"].as_f64().expect("a figure")
    };
    let (one, other) = (score("top[steps=3,seed=17]"), score("top[steps=3,seed=18]"));
    let column = head.iter().position(|name| *name == "top.train_bits").expect("a column");
    let told = |line: &str, column: usize| line.split(',').nth(column).and_then(|cell| cell.parse::<f64>().ok());
    let mean = (one + other) / 2.0;
    assert!((told(lines[2], column).expect("a mean") - mean).abs() < 1e-12, "{csv}");
    let deviation = ((one - mean).powi(2) + (other - mean).powi(2)).sqrt();
    assert!((told(lines[2], column + 1).expect("a deviation") - deviation).abs() < 1e-12, "{csv}");
    let report = fs::read_to_string(folder.join("report.html")).expect("a report");
    assert!(report.contains("<section id=\"sweep\"") && report.contains("<th scope=\"row\">steps=3</th>"));

    // What differs lies below a folder of its own, models together.
    let own = |part: &str, point: &str| folder.join(part).join(point);
    for seed in [17, 18] {
        let point = format!("steps=3,seed={seed}");
        for file in ["codec", "prior-0", "prior-1", "prior-2"] {
            assert!(own("model", &point).join(format!("{file}.safetensors")).is_file(), "{file} of {point}");
        }
        assert!(own("codes", &point).join("train/all.parquet").is_file());
        assert!(own("audio", &point).join("genre 1-1.wav").is_file());
    }
    assert_eq!(executed(&run(&place, "sweep.toml")), counts(&[]));
}

#[test]
fn variants_that_need_one_result_make_it_once() {
    let mut place = Place::new();
    // The same recordings under two roots: other rows of `tracks`, the same bytes to decode.
    let other = place.path().join("other");
    support::copy(&place.music(), &other);
    let sweep = "extends = \"tiny.toml\"\n\n[[sweep.point]]\nname = \"here\"\n\"stage.tracks.root\" = \"music\"\n\n\
                 [[sweep.point]]\nname = \"there\"\n\"stage.tracks.root\" = \"other\"\n";
    write(&place, "roots.toml", sweep);
    place.args.clear();
    let planned = Plan::of(&of(&place, "plan", "roots.toml", &["--to", "decoded"]));
    assert!(planned.will.is_empty(), "either may run: {:?}", planned.will);
    let said = of(&place, "run", "roots.toml", &["--to", "decoded"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    planned.holds(&said.executed());
    let of = |what: &str| ["decoded[here]", "decoded[there]"].map(|stage| said.count(stage, what));
    assert_eq!(of("kept"), [8, 8]);
    assert_eq!(of("executed").iter().sum::<u64>(), 8, "each recording is decoded once");
    assert_eq!(of("cached").iter().sum::<u64>(), 8);
}

#[test]
fn what_is_inherited_is_what_is_spelled_out() {
    let mut place = Place::new();
    place.args.clear();
    fs::create_dir(place.path().join("sub")).expect("a folder");
    let tiny = fs::read_to_string(place.path().join("tiny.toml")).expect("the manifest");
    let rooted = tiny.replace("do = \"ingest\"", "do = \"ingest\"\nroot = \"music\"");
    write(&place, "base.toml", &rooted);
    write(&place, "middle.toml", "extends = \"base.toml\"\n\n[stage.clips]\nseconds = 0.5\n");
    write(
        &place,
        "sub/heir.toml",
        "extends = \"../middle.toml\"\nseed = 18\n\n[stage.parts]\ntrain = 0.5\nvalid = 0.3\n",
    );
    let spelled = rooted
        .replace("seconds = 1.0", "seconds = 0.5")
        .replace("seed    = 17", "seed = 18")
        .replace("train = 0.6\nvalid = 0.2", "train = 0.5\nvalid = 0.3");
    write(&place, "spelled.toml", &spelled);
    let heir = of(&place, "run", "sub/heir.toml", &["--to", "clips"]);
    assert_eq!((heir.code, heir.count("clips", "kept") > 0), (Some(0), true), "{}", heir.err);
    let plain = of(&place, "run", "spelled.toml", &["--to", "clips"]);
    assert_eq!(plain.done()["run"], heir.done()["run"]);
    assert_eq!(executed(&plain), counts(&[]));
}

#[test]
fn two_runs_stand_side_by_side() {
    let (place, _) = base();
    let place = place.copy();
    let first = run(&place, "songs.toml");
    let rows = place.rows().replace("t3.wav,CC0-1.0", "t3.wav,CC-BY-4.0");
    let (kept, _) = rows.trim_end().rsplit_once('\n').expect("rows");
    fs::remove_file(place.music().join("t7.wav")).expect("removed");
    place.table(&format!("{kept}\n"));
    let second = of(&place, "run", "songs.toml", &["--set", "stage.songs.top_p=0.5", "--to", "clips"]);
    assert_eq!(second.code, Some(0), "{}", second.err);
    let id = text(&first.done()["run"]);
    let prefix = id.rsplit_once('-').expect("an id").1[..6].to_owned();
    let mut command = refrain(&["diff", "--json", &prefix, "latest", "--store"]);
    let diff: Value = serde_json::from_slice(&command.arg(place.store()).output().expect("the binary starts").stdout)
        .expect("one JSON object");
    assert_eq!(diff["a"], first.done()["run"]);
    assert_eq!(diff["b"], second.done()["run"]);
    assert_eq!(diff["data"]["removed"], serde_json::json!([{ "track": "folder/t7.wav", "license": "CC0-1.0" }]));
    assert_eq!(diff["data"]["changed"][0]["track"], "folder/t3.wav");
    assert_eq!(diff["data"]["licenses"]["CC-BY-4.0"], serde_json::json!({ "a": 0, "b": 1, "added": 1, "removed": 0 }));
    let gone: Vec<&Value> = diff["settings"].as_array().expect("settings").iter().map(|s| &s["stage"]).collect();
    assert!(gone.iter().any(|stage| **stage == "songs"), "{gone:?}");
    let bits = diff["scores"].as_array().expect("scores").iter().find(|s| s["name"] == "train_bits").expect("bits");
    assert!(bits["a"].is_number() && bits["b"].is_null());
    let words = refrain(&["diff", &first.folder().display().to_string(), "nothing", "--store"])
        .arg(place.store())
        .output()
        .expect("the binary starts");
    assert_eq!(words.status.code(), Some(2));
}
