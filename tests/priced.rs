//! `plan --without` and `plan --deny`: what a withdrawal would cost, with nothing edited.

mod support;

use serde_json::Value;
use std::fs;
use support::{Place, STEPS, Said, base};

/// A plan as its event says it.
fn event(place: &Place, args: &[&str]) -> Value {
    let said = Said::of(&place.command("plan", args).output().expect("the binary starts"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.events.last().expect("a plan").clone()
}

/// A plan that is refused: the sentence.
fn slip(place: &Place, args: &[&str]) -> String {
    let said = Said::of(&place.command("plan", args).output().expect("the binary starts"));
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.err);
    said.err.trim_end().trim_start_matches("error: ").to_owned()
}

#[test]
fn a_withdrawal_costs_what_the_list_would_make_it_cost() {
    let place = base().copy();
    let plan = event(&place, &[]);
    let before = support::files(place.path());
    let asked = event(&place, &["--without", "folder/t1.wav", "--without", "folder/t5.wav"]);
    assert_eq!(asked["stages"]["free"]["withdrawn"], serde_json::json!(["folder/t1.wav", "folder/t5.wav"]));
    assert_eq!(asked["stages"]["codec"]["will"], serde_json::json!(["all"]));
    // Nothing was edited, and what the store knows is what it knew.
    support::assert_same("all", &before, &support::files(place.path()));
    assert_eq!(event(&place, &[]), plan);
    let list = place.path().join("list.csv");
    let listed = |rows: &str| {
        fs::write(&list, format!("id,date,evidence\n{rows}")).expect("written");
        format!("stage.free.exclude={}", list.display())
    };
    let set = listed("folder/t1.wav,2026-03-01,letter\nfolder/t5.wav,2026-03-02,mail\n");
    assert_eq!(event(&place, &["--set", &set]), asked);
    // Beside a list, which says itself whom it names.
    let set = listed("folder/t1.wav,2026-03-01,letter\n");
    let args = ["--without", "folder/t5.wav", "--without", "folder/t1.wav", "--set", &set];
    assert_eq!(event(&place, &args), asked);
    let mut command = support::refrain(&["plan"]);
    command.arg(place.path().join("tiny.toml")).args(&place.args).args(args).arg("--store").arg(place.store());
    let said = Said::of(&command.output().expect("the binary starts"));
    let drops: Vec<&str> =
        said.out.lines().filter_map(|line| line.split_once("  drops ")).map(|(_, why)| why).collect();
    assert_eq!(drops, ["folder/t1.wav: withdrawn on 2026-03-01: letter", "folder/t5.wav: withdrawn by --without"]);
}

#[test]
fn a_license_costs_what_the_policy_would_make_it_cost() {
    let place = base().copy();
    place.table(
        &place.rows().replace("t1.wav,CC0-1.0", "t1.wav,CC-BY-4.0").replace("t2.wav,CC0-1.0", "t2.wav,CC-BY-4.0"),
    );
    assert_eq!(place.run(&[]).code, Some(0));
    let asked = event(&place, &["--deny", "CC-BY-*"]);
    assert_eq!(event(&place, &["--set", "stage.free.deny=[\"CC-BY-*\"]"]), asked);
    assert_eq!((&asked["stages"]["free"]["retracted"], &asked["stages"]["free"]["kept"]), (&2.into(), &6.into()));
    let reason = &asked["stages"]["codec"]["reasons"][0]["text"];
    let setting = " because setting `deny` [] -> [\"CC-BY-*\"] of `free`";
    assert!(reason.as_str().is_some_and(|reason| reason.ends_with(setting)), "{reason}");
    // What nothing is under costs nothing, and both are priced at once.
    assert_eq!(event(&place, &["--deny", "CC-BY-SA-4.0"])["totals"]["will"], 0);
    let both = event(&place, &["--deny", "CC-BY-4.0", "--without", "folder/t0.wav"]);
    assert_eq!(both["stages"]["free"]["kept"], 5);
}

#[test]
fn before_anything_was_decoded() {
    let place = Place::new().with(&STEPS);
    let asked = event(&place, &["--without", "folder/t1.wav"]);
    assert_eq!((&asked["stages"]["decoded"]["items"], &asked["stages"]["free"]["kept"]), (&7.into(), &7.into()));
}

#[test]
fn slips_in_what_is_withdrawn() {
    let place = base().copy();
    let of = |args: &[&str]| slip(&place, args);
    let track = |id: &str, help: &str| format!("--without names `{id}`, which no source holds; {help}");
    let near = "did you mean `folder/t1.wav`?";
    assert_eq!(of(&["--without", "t1.wav"]), track("t1.wav", near));
    assert_eq!(of(&["--without", "folder/t1.wva"]), track("folder/t1.wva", near));
    let help = "a track is called `dataset/key`, as `refrain plan` and `tracks.parquet` name it";
    assert_eq!(of(&["--without", "nothing like it"]), track("nothing like it", help));
    let license = of(&["--deny", "CC-BY-4"]);
    assert!(
        license.starts_with("--deny names \"CC-BY-4\", ") && license.ends_with("did you mean `CC-BY-4.0`?"),
        "{license}"
    );
    let manifest = fs::read_to_string(place.path().join("tiny.toml")).expect("a manifest");
    let more = "[stage.more]\ndo = \"ingest\"\ndataset = \"more\"\n";
    let text = manifest.replace("from = [\"free\"]", "from = [\"free\", \"more\"]") + more;
    fs::write(place.path().join("tiny.toml"), text).expect("written");
    let root = format!("stage.more.root={}", place.music().display());
    let judged = "--without names `more/t1.wav` of `more`, and no `license` stage stands behind that: put one there";
    assert_eq!(of(&["--set", &root, "--without", "more/t1.wav"]), judged);
    let stage = "[stage.free]\ndo    = \"license\"\nfrom  = [\"tracks\"]\nallow = [\"CC0-1.0\", \"CC-BY-4.0\"]\n";
    let text = manifest.replace(stage, "").replace("\"free\"", "\"tracks\"");
    fs::write(place.path().join("tiny.toml"), text).expect("written");
    let needs = "needs a `license` stage, where tracks are withdrawn, and `tiny` has none: put one after its sources";
    assert_eq!(of(&["--without", "folder/t1.wav"]), format!("--without {needs}"));
    assert_eq!(of(&["--deny", "CC0-1.0"]), format!("--deny {needs}"));
    // What is priced is no plan that a run could keep to.
    let save = ["--deny", "CC0-1.0", "--save", "plan.json"];
    assert_eq!(Said::of(&place.command("plan", &save).output().expect("the binary starts")).code, Some(2));
}
