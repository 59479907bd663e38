//! The same meaning is the same run, what cannot come of a manifest is told before, and success means that rows are left.

mod support;

use std::{collections::BTreeMap, fs};
use support::{Place, Said, say};

/// What a run of the tiny manifest said, which must end well.
fn well(place: &Place, args: &[&str]) -> Said {
    let said = place.run(args);
    assert_eq!(said.code, Some(0), "{}", said.err);
    said
}

#[test]
fn however_it_is_written_the_same_meaning_is_the_same_run() {
    let place = Place::new();
    let first = well(&place, &[]);
    for set in [
        "stage.free.allow=[\"CC-BY-4.0\",\"CC0-1.0\",\"CC-BY-4.0\"]",
        "stage.free.allow=[\"cc-by-4.0\",\"cc0-1.0\"]",
        "stage.tracks.dataset=folder",
        "stage.clips.stride=1",
        "stage.codec.log_spectral=[0,0,0]",
        "stage.codec.unquantised=[-0.0]",
        "stage.codec.steps=[20]",
        "stage.codec.width=[8]",
    ] {
        let again = well(&place, &["--set", set]);
        assert_eq!((again.executed(), &again.done()["run"]), (BTreeMap::new(), &first.done()["run"]), "{set}");
    }
}

#[test]
fn a_run_in_which_no_row_is_left_is_no_success() {
    let place = Place::new();
    let latest = place.store().join("runs/latest");
    let refused = place.run(&["--set", "stage.free.allow=[\"CC-BY-4.0\"]"]);
    assert_eq!(refused.code, Some(6), "{}", refused.err);
    assert!(refused.err.contains("stage `free` failed: it dropped all 8 rows (8 "), "{}", refused.err);
    assert!(refused.err.contains("No row is left; --allow-empty publishes all the same"), "{}", refused.err);
    let short = place.run(&["--set", "stage.clips.align=4294967295"]);
    assert_eq!(short.code, Some(6), "{}", short.err);
    assert!(short.err.contains("stage `clips` failed: it dropped all 8 rows (8 too-short)"), "{}", short.err);
    assert!(!latest.exists(), "an empty run is published");
    fs::create_dir(place.path().join("nothing")).expect("a folder");
    let root = format!("stage.tracks.root={}", place.path().join("nothing").display());
    let empty = place.run(&["--set", &root]);
    assert_eq!(empty.code, Some(6), "{}", empty.err);
    assert!(empty.err.contains("stage `tracks` failed: it found no tracks"), "{}", empty.err);
    // Unless it is meant; and that once it was meant changes nothing for the next run.
    let allowed = place.run(&["--set", &root, "--allow-empty"]);
    assert_eq!(allowed.code, Some(0), "{}", allowed.err);
    assert!(latest.exists());
    assert_eq!(place.run(&["--set", &root]).code, Some(6));
}

#[test]
fn a_branch_without_a_row_withholds_no_other() {
    let place = Place::new();
    let manifest = fs::read_to_string(place.path().join("tiny.toml")).expect("a manifest");
    let more = "\n[stage.strict]\ndo = \"license\"\nfrom = [\"tracks\"]\nallow = [\"CC-BY-SA-4.0\"]\n";
    fs::write(place.path().join("tiny.toml"), manifest + more).expect("written");
    let part = place.run(&[]);
    assert_eq!(part.code, Some(6), "{}", part.err);
    assert_eq!(part.events.last().expect("an end")["failed"][0]["stage"], "strict");
    assert!(part.folder().join("codes").is_dir() && part.folder().join("model").is_dir());
}

#[test]
fn a_split_that_stays_empty_is_said() {
    let place = Place::new();
    let args = ["--set", "stage.parts.train=0.999999", "--set", "stage.parts.valid=0.0000005"];
    let args = [&args[..], &["--set", "stage.parts.test=0.0000005"]].concat();
    let command = refrain_text(&place, &args);
    assert!(command.contains("none of the 8 tracks fell into `valid` and `test`"), "{command}");
}

/// The summary of a run, for people.
fn refrain_text(place: &Place, args: &[&str]) -> String {
    let mut all = vec!["run".to_owned(), place.path().join("tiny.toml").display().to_string()];
    all.extend(place.args.iter().cloned().chain(args.iter().map(|arg| (*arg).to_owned())));
    all.extend(["--store".to_owned(), place.store().display().to_string()]);
    let said = say(&all);
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.out + &said.err
}

#[test]
fn pinned_weights_stay_in_a_sweep_over_seeds() {
    let place = Place::new();
    let manifest = place.path().join("tiny.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, text.replace("[stage.codec]\n", "[stage.codec]\nrefresh = \"pinned\"\n")).expect("written");
    let first = well(&place, &[]);
    assert_eq!(well(&place, &["--set", "seed=18"]).weights(), first.weights());
    let sweep = "extends = \"tiny.toml\"\nname = \"sweep\"\n[sweep]\nseed = [17, 18, 19]\n";
    fs::write(place.path().join("sweep.toml"), sweep).expect("written");
    let mut args = vec!["run".to_owned(), place.path().join("sweep.toml").display().to_string()];
    args.extend(place.args.iter().cloned());
    args.extend(["--json", "--store"].map(str::to_owned));
    args.push(place.store().display().to_string());
    let swept = say(&args);
    assert_eq!(swept.code, Some(0), "{}", swept.err);
    assert_eq!(swept.executed(), BTreeMap::new());
}
