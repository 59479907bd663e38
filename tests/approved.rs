//! `plan --save` and `run --plan`: a run does what a saved plan names, and nothing else.

mod support;

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use support::{Place, Plan, STEPS, Said, base, tone};

/// Where the plan is saved.
fn file(place: &Place) -> PathBuf {
    place.path().join("approved.json")
}

/// Saves a plan, and what it says.
fn save(place: &Place, args: &[&str]) -> Plan {
    let path = file(place).display().to_string();
    place.plan(&[&["--save", &path][..], args].concat())
}

/// Runs by the saved plan.
fn run(place: &Place, args: &[&str]) -> Said {
    let path = file(place).display().to_string();
    place.run(&[&["--plan", &path][..], args].concat())
}

/// A run that was refused before it did anything: the differences.
fn refused(place: &Place, args: &[&str]) -> Vec<String> {
    let objects = || support::files(&place.store().join("objects"));
    let before = objects();
    let said = run(place, args);
    assert_eq!((said.code, said.all("executed").count()), (Some(5), 0), "{}{}", said.out, said.err);
    support::assert_same("objects", &before, &objects());
    let lines: Vec<&str> = said.err.lines().collect();
    let head = "error: this is not what the saved plan was made for; nothing was run:";
    let foot = "Look at `refrain plan` again, and save it with --save if it is as it should be";
    assert_eq!((lines.first(), lines.last()), (Some(&head), Some(&foot)), "{}", said.err);
    lines[1..lines.len() - 1].iter().map(|line| (*line).to_owned()).collect()
}

/// One more recording.
fn add(place: &Place, name: &str, number: u32) {
    tone(&place.music().join(name), number, 1.5);
    place.table(&format!("{}{name},CC0-1.0,artist {number},New,genre 0\n", place.rows()));
}

#[test]
fn a_run_does_what_its_plan_names() {
    let place = base().copy();
    add(&place, "new.wav", 99);
    let planned = save(&place, &[]);
    let bytes = fs::read(file(&place)).expect("a plan");
    let said = run(&place, &[]);
    planned.holds(&said.executed());
    assert!(said.executed().contains_key("decoded"), "{}", said.out);
    // There is less to do now, and that is no difference.
    let again = run(&place, &[]);
    assert_eq!(again.executed(), BTreeMap::new());
    assert_eq!(again.done()["run"], said.done()["run"]);
    assert_eq!(fs::read(file(&place)).expect("a plan"), bytes);
}

#[test]
fn a_plan_of_an_empty_store_holds_for_all_that_follows() {
    let place = Place::new().with(&STEPS);
    let planned = save(&place, &[]);
    let said = run(&place, &[]);
    planned.holds(&said.executed());
    assert!(said.executed()["codes"].len() >= 16, "{}", said.out);
}

#[test]
fn the_file_is_the_same_for_any_workers_and_says_what_the_plan_says() {
    let place = base().copy();
    add(&place, "new.wav", 99);
    let planned = save(&place, &["-w", "1"]);
    let one = fs::read(file(&place)).expect("a plan");
    save(&place, &["-w", "3"]);
    assert_eq!(fs::read(file(&place)).expect("a plan"), one);
    let saved: Value = serde_json::from_slice(&one).expect("JSON");
    assert_eq!((&saved["format"], &saved["version"]), (&"refrain plan".into(), &1.into()));
    assert_eq!((&saved["name"], saved["against"].is_string()), (&"tiny".into(), true));
    for (stage, own) in saved["stages"].as_object().expect("stages") {
        let ids = |rows: &Value, id: fn(&Value) -> String| rows.as_array().expect("rows").iter().map(id).collect();
        let none = Default::default();
        assert_eq!(planned.will.get(stage).unwrap_or(&none), &ids(&own["will"], support::text), "{stage}");
        assert_eq!(planned.may.get(stage).unwrap_or(&none), &ids(&own["may"], |row| support::text(&row["id"])));
    }
    assert_eq!(saved["stages"]["tracks"]["rows"].as_object().map(|rows| rows.len()), Some(9));
    assert_eq!(saved["stages"]["codec"]["settings"]["steps"], "[2, 2, 2]");
    let reason = &saved["stages"]["decoded"]["reasons"][0];
    assert_eq!((&reason["text"], &reason["count"]), (&"input `folder/new.wav` is new".into(), &1.into()));
}

#[test]
fn sources_that_moved_are_named() {
    let place = base().copy();
    save(&place, &[]);
    let rows = place.rows();
    add(&place, "x.wav", 98);
    add(&place, "y.wav", 99);
    fs::remove_file(place.music().join("t0.wav")).expect("removed");
    tone(&place.music().join("t1.wav"), 77, 2.0);
    place.table(&place.rows().replace("t0.wav,CC0-1.0,artist 0,Title 0,genre 0\n", ""));
    let said = refused(&place, &[]);
    assert_eq!(
        &said[..3],
        [
            "2 tracks are new since the plan in `tracks`: x.wav, y.wav",
            "1 track is gone since the plan in `tracks`: t0.wav",
            "1 track is changed since the plan in `tracks`: t1.wav",
        ]
    );
    assert_eq!(
        said[3],
        "3 items of `decoded` would run that the plan does not name: folder/t1.wav, folder/x.wav, folder/y.wav"
    );
    // What was there before is no difference, and another label is one.
    for name in ["x.wav", "y.wav"] {
        fs::remove_file(place.music().join(name)).expect("removed");
    }
    (0..2).for_each(|n| tone(&place.music().join(format!("t{n}.wav")), n, 2.0 + f64::from(n) * 0.07));
    place.table(&rows);
    assert_eq!(run(&place, &[]).code, Some(0));
    place.table(&rows.replace("Title 3", "Another"));
    assert_eq!(refused(&place, &[])[0], "1 track is changed since the plan in `tracks`: t3.wav");
}

#[test]
fn a_manifest_that_moved_is_told_by_its_settings() {
    let place = base().copy();
    save(&place, &[]);
    let of = |args: &[&str]| refused(&place, args).first().cloned().unwrap_or_default();
    let said = refused(&place, &["--set", "stage.codec.steps=[3,2,2]"]);
    assert_eq!(
        said[..3],
        [
            "the setting stage.codec.steps is [3, 2, 2] now, and [2, 2, 2] in the plan",
            "1 item of `codec` would run that the plan does not name: all",
            "20 items of `codes` would run that the plan does not name: folder/t0.wav@0+16000, folder/t0.wav@16000+16000, \
             folder/t1.wav@0+16000 and 17 more",
        ]
    );
    assert!(said.len() == 4 && said[3].contains(" of `shards` would run that the plan does not name: "), "{said:?}");
    assert_eq!(of(&["--set", "seed=18"]), "the seed is 18 now, and 17 in the plan");
    assert_eq!(of(&["--set", "stage.codec.salt=b"]), "the setting stage.codec.salt is \"b\" now, and \"\" in the plan");
    assert_eq!(of(&["--to", "codes"]), "the stage `shards` of the plan is not in this run");
    let said = Said::of(&{
        let mut command = place.command("run", &["--plan", &file(&place).display().to_string()]);
        command.env("REFRAIN_REVISION", "encode").output().expect("the binary starts")
    });
    assert_eq!(said.code, Some(5), "{}", said.err);
    assert!(said.err.contains("\nthe revision of `encode` is 2 now, and 1 in the plan\n"), "{}", said.err);
    // How it is written is not what it says.
    let text = fs::read_to_string(place.path().join("tiny.toml")).expect("a manifest");
    fs::write(place.path().join("tiny.toml"), format!("# Mine.\n{text}")).expect("written");
    assert_eq!(run(&place, &[]).code, Some(0));
    let wired = text.replace("from = [\"unique\"]", "from = [\"decoded\"]");
    fs::write(place.path().join("tiny.toml"), wired).expect("written");
    assert_eq!(of(&[]), "the stage `mono` reads `decoded` now, and `unique` in the plan");
}

#[test]
fn results_that_the_store_has_lost_are_counted() {
    let place = base().copy();
    save(&place, &[]);
    fs::remove_dir_all(place.store().join("objects")).expect("removed");
    fs::create_dir(place.store().join("objects")).expect("a folder");
    let said = refused(&place, &[]);
    assert_eq!(said[0], "1 result of `codec` that the plan counted on is not in the store any more: all");
    assert!(
        said[1].starts_with("20 results of `codes` that the plan counted on are not in the store any more: "),
        "{said:?}"
    );
    // Saved again, the same run is as it should be.
    let planned = save(&place, &[]);
    planned.holds(&run(&place, &[]).executed());
}

#[test]
fn files_that_are_no_plan_of_this_manifest() {
    let place = base().copy();
    let refused = |args: &[&str]| {
        let said = run(&place, args);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.err);
        said.err.trim_end().rsplit_once("approved.json ").map_or(said.err.clone(), |(_, why)| why.to_owned())
    };
    assert!(refused(&[]).starts_with("cannot be read: No such file"), "{}", refused(&[]));
    fs::write(file(&place), "{\"name\": \"tiny\"}").expect("written");
    assert!(
        refused(&[]).starts_with("is no plan that `refrain plan MANIFEST --save FILE` wrote: missing field `format`")
    );
    // A file that is no plan is somebody's.
    fs::remove_file(file(&place)).expect("removed");
    save(&place, &[]);
    let text = fs::read_to_string(file(&place)).expect("a plan");
    let write = |text: &str| fs::write(file(&place), text).expect("written");
    write(&text[..text.len() / 2]);
    assert!(refused(&[]).contains(" wrote: "), "{}", refused(&[]));
    write(&text.replace("\"will\": []", "\"will\": [\"all\"]"));
    assert!(refused(&[]).ends_with("it was edited, for its digest is not that of what it says"));
    write(&text.replace("\"version\": 1", "\"version\": 2"));
    assert_eq!(refused(&[]), "is a plan of version 2, and this refrain reads version 1: save the plan again");
    write(&text);
    let other = refused(&["--set", "name=other"]);
    assert_eq!(other, "error: the saved plan is of `tiny`, and this manifest is `other`: save a plan of this one\n");
    let said = Said::of(&place.command("plan", &["--save", "/nowhere/plan.json"]).output().expect("the binary starts"));
    assert_eq!(said.code, Some(2));
    assert!(said.err.starts_with("error: the plan cannot be saved: "), "{}", said.err);
}

#[test]
fn people_are_told_where_the_plan_is() {
    let place = base().copy();
    let path = file(&place);
    let mut command = support::refrain(&["plan"]);
    command.arg(place.path().join("tiny.toml")).args(&place.args).arg("--store").arg(place.store());
    let said = Said::of(&command.arg("--save").arg(&path).output().expect("the binary starts"));
    let shown = path.display();
    let last = format!("saved as {shown}: `refrain run --plan {shown}` keeps to it");
    assert_eq!(said.out.lines().last(), Some(last.as_str()), "{}", said.out);
}

#[test]
fn a_run_that_was_interrupted_goes_on_by_its_plan() {
    let place = Place::new().with(&["--set", "stage.codec.steps=[300,2,2]"]);
    let planned = save(&place, &[]);
    let mut child = place
        .command("run", &["-w", "2", "--plan", &file(&place).display().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let started = Instant::now();
    let samples = place.store().join("pcm");
    while !fs::read_dir(&samples).is_ok_and(|mut all| all.next().is_some()) {
        assert!(started.elapsed() < Duration::from_secs(60), "nothing is done");
        thread::sleep(Duration::from_millis(10));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
    assert_eq!(support::ended(&mut child, Duration::from_secs(60)).code(), Some(130));
    let left = place.plan(&[]);
    assert!(!left.will.contains_key("decoded") && left.will.contains_key("codec"), "{left:?}");
    // Another number of steps is another plan; this one goes on.
    let said = run(&place, &[]);
    planned.holds(&[planned.will.clone(), said.executed()].into_iter().flatten().collect());
    assert!(!said.executed().contains_key("decoded") && said.executed().contains_key("codec"), "{}", said.out);
}

#[test]
fn weights_of_a_pinned_codec() {
    let place = Place::new().with(&STEPS).with(&["--set", "stage.codec.refresh=pinned"]);
    // No lock names weights yet: those that the run trains, and pins, are what the plan names.
    save(&place, &[]);
    assert!(run(&place, &[]).executed().contains_key("codec"));
    assert_eq!(run(&place, &[]).executed(), BTreeMap::new());
    add(&place, "new.wav", 99);
    let planned = save(&place, &[]);
    let said = run(&place, &[]);
    planned.holds(&said.executed());
    assert!(said.executed().contains_key("codes") && !said.executed().contains_key("codec"), "{}", said.out);

    save(&place, &[]);
    let said = refused(&place, &["--refresh", "codec"]);
    assert_eq!(said[0], "this run has --refresh codec, and the plan was saved without");
    save(&place, &["--refresh", "codec"]);
    assert_eq!(refused(&place, &[])[0], "the plan was saved with --refresh codec, and this run goes without");
}

#[test]
fn a_lock_that_names_other_weights() {
    let place = Place::new().with(&STEPS).with(&["--set", "stage.codec.refresh=pinned"]);
    let first = place.run(&[]).weights();
    save(&place, &[]);
    // Some of the tracks that it was trained on are away for a while.
    let away: Vec<String> = (0..4).map(|n| format!("t{n}.wav")).collect();
    let moved = |from: &Path, to: &Path| {
        away.iter().for_each(|name| fs::rename(from.join(name), to.join(name)).expect("moved"));
    };
    moved(&place.music(), place.path());
    let refresh = ["--set", "name=other", "--to", "codec", "--refresh", "codec"];
    assert_eq!(place.run(&refresh).code, Some(0));
    moved(place.path(), &place.music());
    let said = refused(&place, &[]);
    let (now, planned) = said[0].split_once(" now, and ").expect("a sentence");
    assert_eq!(planned, format!("{} in the plan", &first[..12]));
    assert!(now.starts_with("the weights of `codec` are ") && !now.ends_with(&first[..12]), "{said:?}");
    assert!(said[1].starts_with("20 items of `codes` would run that the plan does not name: "), "{said:?}");
}

#[test]
fn points_of_a_sweep() {
    let place = base().copy();
    let manifest = fs::read_to_string(place.path().join("tiny.toml")).expect("a manifest");
    let sweep = |rates: &str| {
        let text = format!("{manifest}\n[sweep]\n\"stage.codec.learning_rate\" = [{rates}]\n");
        fs::write(place.path().join("tiny.toml"), text).expect("written");
    };
    sweep("1e-3, 2e-3");
    let planned = save(&place, &[]);
    let said = run(&place, &[]);
    planned.holds(&said.executed());
    assert!(said.executed().contains_key("codec[learning_rate=0.002]"), "{}", said.out);
    sweep("1e-3, 2e-3, 4e-3");
    let said = refused(&place, &[]);
    let new = |stage: &str| format!("the stage `{stage}[learning_rate=0.004]` is not in the plan");
    assert_eq!(said[..3], [new("codec"), new("codes"), new("shards")]);
    assert_eq!(said[3], "1 item of `codec[learning_rate=0.004]` would run that the plan does not name: all");
    sweep("1e-3");
    let said = refused(&place, &[]);
    assert!(said[0].ends_with("` of the plan is not in this run"), "{said:?}");
}

#[test]
fn several_processes_keep_to_one_plan() {
    let place = base().copy();
    add(&place, "new.wav", 99);
    let planned = save(&place, &[]);
    let plan = file(&place).display().to_string();
    let list = place.path().join("hosts.txt");
    let both = |second: &[&str]| {
        support::hosts(&list, 2);
        let start = |process: &str, args: &[&str]| {
            let mut command = place.command("run", &["-w", "1", "--wait", "60", "-p", process]);
            command.args(args).arg("--hosts").arg(&list).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("the binary starts")
        };
        support::side_by_side([start("0", &["--plan", &plan]), start("1", second)])
    };
    let alone = both(&[]);
    assert!(alone.iter().all(|said| said.code == Some(2) && said.err.contains("--plan")), "{alone:?}");
    let said = both(&["--plan", &plan]);
    assert_eq!((said[0].code, said[1].code), (Some(0), Some(0)), "{said:?}");
    let mut ran: BTreeMap<String, std::collections::BTreeSet<String>> = BTreeMap::new();
    for event in said.iter().flat_map(|said| said.all("executed")) {
        ran.entry(support::text(&event["stage"])).or_default().insert(support::text(&event["id"]));
    }
    planned.holds(&ran);
    // Both hear what has moved.
    add(&place, "more.wav", 98);
    let said = both(&["--plan", &plan]);
    for said in &said {
        let moved = "1 track is new since the plan in `tracks`: more.wav";
        assert!(said.code == Some(5) && said.err.contains(moved), "{said:?}");
    }
}
