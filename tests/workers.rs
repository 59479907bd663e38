//! The same bytes, and the same plan, whatever the number of workers, the order in which files lie in their folder, and the
//! place.

mod support;

use std::{fs, path::Path};
use support::{Place, Said, assert_same, text, tone, tree};

fn ran(place: &Place, workers: &str) -> Said {
    let mut command = place.command("run", &["-w", workers]);
    let said = Said::of(&command.output().expect("the binary starts"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    said
}

#[test]
fn one_worker_or_two_in_any_order() {
    let one = Place::empty();
    one.compose(0..8);
    let two = Place::empty();
    two.compose((0..8).rev());
    // Many removed names make a folder list what is left in yet another order.
    for n in 100..160 {
        tone(&two.music().join(format!("x{n}.wav")), n, 0.01);
    }
    for n in 100..160 {
        fs::remove_file(two.music().join(format!("x{n}.wav"))).expect("removed");
    }
    let (first, second) = (ran(&one, "1"), ran(&two, "2"));
    assert_eq!(first.done()["run"], second.done()["run"]);
    assert_eq!(first.executed(), second.executed());
    let (a, b) = (tree(&first.folder()), tree(&second.folder()));
    for part in ["codes/train/all.parquet", "model/codec.safetensors", "model/codec-curves.parquet"] {
        assert!(a.contains_key(Path::new(part)), "no {part} among {:?}", a.keys());
    }
    assert_same("one worker and two", &a, &b);
    assert_eq!(fs::read_link(one.store().join("runs/latest")).ok(), first.folder().file_name().map(Into::into));
}

#[test]
fn the_built_in_corpus_too() {
    let run = |workers| {
        let mut place = Place::empty();
        place.args = ["corpus=synth", "pieces=6", "seconds=2"]
            .iter()
            .flat_map(|setting| ["--set".to_owned(), format!("stage.tracks.{setting}")])
            .collect();
        let said = ran(&place, workers);
        (tree(&said.folder()), said.done()["run"].clone())
    };
    let (one, two) = (run("1"), run("2"));
    assert_eq!(one.1, two.1);
    assert_same("one worker and two", &one.0, &two.0);
}

#[test]
fn what_is_not_decoded_waits_once_for_what_it_shares() {
    let place = Place::new();
    fs::copy(place.music().join("t1.wav"), place.music().join("t9.wav")).expect("a copy");
    place.table(&format!("{}t9.wav,CC0-1.0,artist 1,Title 9,genre 0\n", place.rows()));
    let looked = |workers| {
        let said = Said::of(&place.command("plan", &["-w", workers]).output().expect("the binary starts"));
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.events.last().expect("a plan").clone()
    };
    let (one, three) = (looked("1"), looked("3"));
    assert_eq!(one, three, "the plan does not depend on who looks");
    let may = |stage: &str| -> Vec<[String; 3]> {
        let rows = one["stages"][stage]["may"].as_array().expect("rows");
        rows.iter().map(|row| ["id", "behind", "cause"].map(|key| text(&row[key]))).collect()
    };
    // The files with the same bytes are decoded once, by the name of the first.
    let will: Vec<String> = (0..8).map(|n| format!("folder/t{n}.wav")).collect();
    assert_eq!(one["stages"]["decoded"]["will"], serde_json::json!(will));
    let item = |id: &str, cause: &str| [id, "decoded", cause].map(str::to_owned);
    let mut codes: Vec<[String; 3]> = will.iter().map(|id| item(id, id)).collect();
    codes.push(item("folder/t9.wav", "folder/t1.wav"));
    assert_eq!((may("codes"), may("codec")), (codes, vec![item("all", "folder/t0.wav")]));
    // Both are by one artist and go to one split, whose file waits for them as for one.
    let mut shards = may("shards");
    assert!(shards.is_sorted() && shards.iter().all(|[id, ..]| id.ends_with("/new")), "{shards:?}");
    shards.sort_by(|[.., a], [.., b]| a.cmp(b));
    assert_eq!(shards.iter().map(|[.., cause]| cause.clone()).collect::<Vec<_>>(), will);
    assert_eq!((&one["stages"]["codes"]["added"], &one["totals"]["will"]), (&9.into(), &8.into()));
}
