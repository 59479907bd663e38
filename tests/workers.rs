//! The same bytes whatever the number of workers, the order in which files lie in their folder, and the place.

mod support;

use std::{fs, path::Path};
use support::{Place, Said, assert_same, tone, tree};

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
