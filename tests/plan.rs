//! `plan` says why each item runs, what rows come and go, and what it costs.

mod support;

use datasets::store::Store;
use pipeline::record::history::{History, versions};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::OnceLock,
};
use support::{Place, Said, text, tone};

/// Short trainings.
const STEPS: [&str; 2] = ["--set", "stage.codec.steps=[2,2,2]"];

/// A place whose manifest has run once; two of its tracks have another license.
fn base() -> &'static Place {
    static BASE: OnceLock<Place> = OnceLock::new();
    BASE.get_or_init(|| {
        let place = Place::new().with(&STEPS);
        place.table(&rows(|n| if n < 2 { "CC-BY-4.0" } else { "CC0-1.0" }));
        let said = place.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        place
    })
}

fn rows(license: impl Fn(u32) -> &'static str) -> String {
    (0..8).map(|n| format!("t{n}.wav,{},artist {n},Title {n},genre {}\n", license(n), n % 2)).collect()
}

/// A reason as a plan gives it: whether it is certain, its sentence, how many items.
type Told = (bool, String, u64);

/// What a plan says, and the reasons of each stage.
fn why(place: &Place, args: &[&str], env: &[(&str, &str)]) -> (Value, BTreeMap<String, Vec<Told>>) {
    let output = place.command("plan", args).envs(env.iter().copied()).output().expect("the binary starts");
    let said = Said::of(&output);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let event = said.all("plan").next().expect("a plan").clone();
    let told = |reason: &Value| {
        let count = reason["count"].as_u64().expect("a count");
        let ids = reason["ids"].as_array().expect("ids");
        assert!(ids.len() as u64 == count.min(5) && reason["chain"].is_array(), "{reason}");
        (reason["certain"] == true, text(&reason["text"]), count)
    };
    let mut all = BTreeMap::new();
    for (stage, own) in event["stages"].as_object().expect("stages") {
        let reasons: Vec<Told> = own["reasons"].as_array().expect("reasons").iter().map(told).collect();
        let items = own["will"].as_array().expect("will").len() as u64;
        assert_eq!(reasons.iter().filter(|(certain, ..)| *certain).map(|(.., n)| n).sum::<u64>(), items, "{own}");
        if !reasons.is_empty() {
            all.insert(stage.clone(), reasons);
        }
    }
    (event, all)
}

/// The reasons of a changed place, and that the next run keeps to the plan.
fn reasons(change: impl FnOnce(&Place), args: &[&str]) -> BTreeMap<String, Vec<Told>> {
    let place = base().copy();
    change(&place);
    let (_, reasons) = why(&place, args, &[]);
    let planned = place.plan(args);
    let mut run = vec!["--allow-shrink"];
    run.extend(args);
    let ran = place.run(&run);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    planned.holds(&ran.executed());
    reasons
}

/// The one reason of a stage.
fn one<'r>(reasons: &'r BTreeMap<String, Vec<Told>>, stage: &str) -> (bool, &'r str) {
    match reasons.get(stage).map(Vec::as_slice) {
        Some([(certain, text, _)]) => (*certain, text),
        other => panic!("{stage}: {other:?} of {reasons:?}"),
    }
}

fn retable(place: &Place, from: &str, to: &str) {
    let rows = place.rows();
    assert!(rows.contains(from), "{rows}");
    place.table(&rows.replace(from, to));
}

#[test]
fn nothing_has_a_reason_where_nothing_runs() {
    let (event, reasons) = why(base(), &[], &[]);
    assert_eq!(reasons, BTreeMap::new());
    assert_eq!((event["totals"]["will"].as_u64(), event["totals"]["may"].as_u64()), (Some(0), Some(0)));
    for (stage, own) in event["stages"].as_object().expect("stages") {
        assert_eq!((&own["added"], &own["retracted"]), (&0.into(), &0.into()), "{stage}");
    }
    assert!(text(&event["against"]).starts_with("tiny-"));
    let said = Said::of(&base().command("plan", &[]).output().expect("the binary starts"));
    assert_eq!(said.events.len(), 1, "one event: {}", said.out);
}

#[test]
fn a_first_run() {
    let place = Place::new();
    let (event, reasons) = why(&place, &[], &[]);
    let words = "no earlier run of `tiny` is known";
    assert_eq!((one(&reasons, "decoded"), one(&reasons, "codes")), ((true, words), (false, words)));
    assert_eq!((&event["against"], &event["totals"]["estimate"]["seconds"]), (&Value::Null, &Value::Null));
    assert_eq!(event["totals"]["unmeasured"], serde_json::json!(["decoded", "codec", "codes", "shards"]));
}

#[test]
fn files() {
    let new = "input `folder/new.wav` is new";
    let added = reasons(
        |place| {
            tone(&place.music().join("new.wav"), 99, 1.5);
            place.table(&format!("{}new.wav,CC0-1.0,artist 2,New,genre 0\n", place.rows()));
        },
        &[],
    );
    assert_eq!(one(&added, "decoded"), (true, new));
    let waits = format!("upstream `decoded` has to run because {new}");
    assert_eq!(one(&added, "codec"), (false, waits.as_str()));
    // Codes of the new file wait for it, all others for the codec that it changes.
    let through = format!("upstream `codec` may have to run because upstream `decoded` has to run <- {new}");
    assert_eq!(one(&added, "shards"), (false, through.as_str()));
    let codes: Vec<(&str, u64)> = added["codes"].iter().map(|(_, why, count)| (why.as_str(), *count)).collect();
    assert!(codes.len() == 2 && codes.contains(&(&waits, 1)), "{codes:?}");
    assert!(codes.iter().any(|(why, count)| *why == through && *count >= 16), "{codes:?}");

    let bytes = reasons(|place| tone(&place.music().join("t1.wav"), 50, 2.07), &[]);
    assert_eq!(one(&bytes, "decoded"), (true, "input `folder/t1.wav` changed: bytes"));
    let several = reasons(
        |place| [1, 2].into_iter().for_each(|n| tone(&place.music().join(format!("t{n}.wav")), n + 50, 2.07)),
        &[],
    );
    assert_eq!(several["decoded"], [(true, "the input changed: bytes".to_owned(), 2)]);

    let gone = reasons(
        |place| {
            fs::remove_file(place.music().join("t1.wav")).expect("removed");
            let rows = place.rows();
            place.table(&rows.replace("t1.wav,CC-BY-4.0,artist 1,Title 1,genre 1\n", ""));
        },
        &[],
    );
    let (stage, (certain, why)) = gone.first_key_value().map(|(stage, _)| (stage, one(&gone, stage))).expect("a stage");
    assert!(certain && why.ends_with(" gone) because input `folder/t1.wav` is gone"), "{stage}: {why}");
}

#[test]
fn what_is_said() {
    let title = reasons(|place| retable(place, "Title 1", "A better title"), &[]);
    let words = "rows of `codes` differ (2 changed) because input `folder/t1.wav` changed: title";
    assert_eq!((one(&title, "shards"), title.len()), ((true, words), 1));
    // It moves to another split, or stays: the shards differ at least.
    let artist = reasons(|place| retable(place, "artist 3", "artist 77"), &[]);
    assert!(
        artist.values().flatten().all(|(_, why, _)| why.contains("input `folder/t3.wav` changed: artist")),
        "{artist:?}"
    );
    let license = reasons(|place| retable(place, "CC0-1.0,artist 4", "CC-BY-NC-4.0,artist 4"), &[]);
    let said = license.values().flatten().all(|(_, why, _)| why.ends_with("input `folder/t4.wav` changed: license"));
    assert!(said, "{license:?}");
}

#[test]
fn settings() {
    let setting = "setting `seconds` 1.0 -> 0.5 of `clips`";
    let place = base().copy();
    let (event, seconds) = why(&place, &["--set", "stage.clips.seconds=0.5"], &[]);
    let (certain, codec) = one(&seconds, "codec");
    assert!(
        certain && codec.starts_with("rows of `clips` differ (") && codec.ends_with(&format!(" because {setting}"))
    );
    let (certain, codes) = one(&seconds, "codes");
    assert!(!certain && codes.starts_with("upstream `codec` has to run because rows of `clips` differ ("), "{codes}");
    assert!(codes.ends_with(&format!(" <- {setting}")), "{codes}");
    // The last run has measured what these cost.
    let estimate = &event["totals"]["estimate"];
    for what in ["audio_seconds", "bytes", "seconds"] {
        assert!(estimate[what].as_f64().is_some_and(|value| value > 0.0), "{estimate}");
    }
    assert_eq!(
        (&event["stages"]["codes"]["estimated"], &event["totals"]["unmeasured"]),
        (&true.into(), &serde_json::json!([]))
    );
    let known = event["stages"]["codes"]["retracted"].as_u64().expect("a count");
    assert!(known >= 16 && event["stages"]["codes"]["added"].as_u64().is_some_and(|added| added >= 16), "{event}");

    let steps = reasons(|_| (), &["--set", "stage.codec.steps=[3,2,2]"]);
    assert_eq!(one(&steps, "codec"), (true, "setting `steps` [2, 2, 2] -> [3, 2, 2] of `codec`"));
    let seed = reasons(|_| (), &["--set", "seed=18"]);
    assert_eq!(one(&seed, "codec"), (true, "`seed` 17 -> 18 of `codec`"));
    let policy = reasons(|_| (), &["--set", "stage.free.allow=[\"CC0-1.0\"]"]);
    let words = " gone) because setting `allow` [\"CC-BY-4.0\", \"CC0-1.0\"] -> [\"CC0-1.0\"] of `free`";
    let (stage, (certain, why)) = policy.first_key_value().map(|(s, _)| (s, one(&policy, s))).expect("a stage");
    assert!(certain && why.ends_with(words), "{stage}: {why}");
}

#[test]
fn withdrawn() {
    let place = base().copy();
    let list = place.path().join("optout.tsv");
    fs::write(&list, "id\tdate\tevidence\nfolder/t0.wav\t2026-03-01\tletter\n").expect("a list");
    let (event, withdrawn) = why(&place, &["--set", &format!("stage.free.exclude={}", list.display())], &[]);
    let (stage, (certain, why)) = withdrawn.first_key_value().map(|(s, _)| (s, one(&withdrawn, s))).expect("a stage");
    assert!(certain && why.ends_with(" because input `folder/t0.wav` is withdrawn"), "{stage}: {why}");
    assert_eq!(
        (&event["stages"]["free"]["retracted"], &event["stages"]["tracks"]["retracted"]),
        (&1.into(), &0.into())
    );
}

#[test]
fn revisions_refreshes_and_losses() {
    let place = base().copy();
    let (_, encode) = why(&place, &[], &[("REFRAIN_REVISION", "encode")]);
    assert_eq!(one(&encode, "codes"), (true, "revision of `encode` 1 -> 2"));
    assert_eq!(one(&encode, "shards"), (false, "upstream `codes` has to run because revision of `encode` 1 -> 2"));
    let (_, decode) = why(&place, &[], &[("REFRAIN_REVISION", "decode")]);
    assert_eq!(decode["decoded"], [(true, "revision of `decode` 1 -> 2".to_owned(), 8)]);

    // A shard is gone from the store.
    let objects = support::files(&place.store().join("objects"));
    let shard =
        objects.iter().find(|(_, bytes)| bytes.starts_with(b"PAR1") && bytes.windows(6).any(|w| w == b"codes_"));
    fs::remove_file(place.store().join("objects").join(shard.expect("a shard").0)).expect("removed");
    let (_, lost) = why(&place, &[], &[]);
    assert_eq!(lost["shards"], [(true, "the store has lost what it remembered of it".to_owned(), 1)]);
    // Half of the receipts are gone.
    let place = base().copy();
    for (path, bytes) in support::files(&place.store().join("receipts")) {
        fs::write(place.store().join("receipts").join(path), &bytes[..bytes.len() / 2]).expect("written");
    }
    let (event, lost) = why(&place, &[], &[]);
    let all = lost.values().flatten().all(|(_, why, _)| why.ends_with("the store has lost what it remembered of it"));
    assert!(!lost.is_empty() && all, "{lost:?}");
    for (stage, own) in event["stages"].as_object().expect("stages") {
        assert_eq!((&own["added"], &own["retracted"]), (&0.into(), &0.into()), "{stage}: the same will come of it");
    }
    let planned = place.plan(&[]);
    let ran = place.run(&[]);
    planned.holds(&ran.executed());
    assert!(!ran.executed().is_empty());

    let pinned = Place::new().with(&STEPS).with(&["--set", "stage.codec.refresh=pinned"]);
    assert_eq!(pinned.run(&[]).code, Some(0));
    retable(&pinned, "CC0-1.0", "CC-BY-4.0");
    let (_, still) = why(&pinned, &[], &[]);
    assert_eq!(still.keys().collect::<Vec<_>>(), ["shards"]);
    fs::remove_file(pinned.music().join("t0.wav")).expect("removed");
    fs::remove_file(pinned.music().join("t1.wav")).expect("removed");
    let rows = pinned.rows().lines().skip(2).map(|row| format!("{row}\n")).collect::<String>();
    pinned.table(&rows);
    let (_, refreshed) = why(&pinned, &["--refresh", "codec"], &[]);
    assert_eq!(one(&refreshed, "codec"), (true, "--refresh codec"));
    assert_eq!(one(&refreshed, "codes"), (false, "upstream `codec` has to run because --refresh codec"));
}

#[test]
fn what_items_cost_is_measured_and_kept() {
    let place = base().copy();
    let costs = |place: &Place| -> Value {
        let text = fs::read_to_string(place.store().join("runs/latest/timing.json")).expect("timing.json");
        serde_json::from_str(&text).expect("JSON")
    };
    let first = costs(&place);
    let codes = &first["stages"]["codes"];
    assert!(codes["executed"].as_u64() >= Some(16) && codes["seconds"].as_f64() > Some(0.0), "{first}");
    assert!(codes["bytes"].as_u64() > Some(0) && first["stages"]["free"]["seconds"] == 0.0, "{first}");
    // A run that executes nothing measures nothing, and what was measured before is still known.
    assert_eq!(place.run(&[]).executed(), BTreeMap::new());
    assert_eq!(costs(&place)["stages"]["codes"]["seconds"], 0.0);
    let (event, _) = why(&place, &[], &[("REFRAIN_REVISION", "encode")]);
    assert!(event["stages"]["codes"]["estimate"]["seconds"].as_f64() > Some(0.0), "{event}");
}

#[test]
fn people_read_a_table_and_each_reason_once() {
    let place = base().copy();
    let mut command = support::refrain(&["plan"]);
    command.arg(place.path().join("tiny.toml")).args(&place.args).args(["--set", "stage.codec.steps=[3,2,2]"]);
    let said = Said::of(&command.arg("--store").arg(place.store()).output().expect("the binary starts"));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("stage    will  may  remembered  known  added  retracted"), "{}", said.out);
    assert!(lines.contains(&"codec    will 1: setting `steps` [2, 2, 2] -> [3, 2, 2] of `codec`"), "{}", said.out);
    assert!(lines.iter().any(|line| line.contains(" and ") && line.ends_with(" more")), "{}", said.out);
    assert!(lines.len() < 25 && lines.iter().all(|line| *line == line.trim_end()), "{}", said.out);
    let last = lines.last().expect("a line");
    assert!(last.starts_with("in all: 1 will run, ~") && last.contains(" of audio to read, "), "{last}");
}

#[test]
fn a_source_that_could_not_be_read() {
    let place = Place::new().with(&STEPS).with(&["--set", "stage.codec.refresh=pinned"]);
    assert_eq!(place.run(&[]).code, Some(0));
    let path = place.music().join("new.wav");
    std::os::unix::fs::symlink("/proc/self/mem", &path).expect("a link");
    place.table(&format!("{}new.wav,CC0-1.0,artist 2,New,genre 0\n", place.rows()));
    assert_eq!(place.run(&[]).code, Some(0));
    fs::remove_file(&path).expect("removed");
    tone(&path, 99, 1.5);
    let (_, failed) = why(&place, &[], &[]);
    assert_eq!(one(&failed, "decoded"), (true, "its source could not be read in the last run"));
}

#[test]
fn stages_renamed_and_taken_out() {
    let edit = |place: &Place, changes: &[(&str, &str)]| {
        let path = place.path().join("tiny.toml");
        let mut text = fs::read_to_string(&path).expect("a manifest");
        for (from, to) in changes {
            assert!(text.contains(from), "{text}");
            text = text.replace(from, to);
        }
        fs::write(path, text).expect("written");
    };
    let new = "input `folder/new.wav` is new";
    let renamed = reasons(
        |place| {
            edit(place, &[("stage.free", "stage.allowed"), ("\"free\"", "\"allowed\"")]);
            tone(&place.music().join("new.wav"), 99, 1.5);
            place.table(&format!("{}new.wav,CC0-1.0,artist 2,New,genre 0\n", place.rows()));
        },
        &[],
    );
    assert_eq!(one(&renamed, "decoded"), (true, new));

    // Without the stage that drops copies, there is one more track.
    let place = base().copy();
    fs::copy(place.music().join("t2.wav"), place.music().join("t9.wav")).expect("copied");
    place.table(&format!("{}t9.wav,CC0-1.0,artist 2,Title 2,genre 0\n", place.rows()));
    assert_eq!(place.run(&[]).code, Some(0));
    let stage = "[stage.unique]\ndo   = \"dedup\"\nfrom = [\"decoded\"]\n";
    edit(&place, &[(stage, ""), ("\"unique\"", "\"decoded\"")]);
    let (_, without) = why(&place, &[], &[]);
    let (stage, (certain, said)) = without.first_key_value().map(|(s, _)| (s, one(&without, s))).expect("a stage");
    assert!(certain && said.ends_with(" because `mono` reads `decoded` instead of `unique`"), "{stage}: {said}");
}

#[test]
fn a_lock_that_names_other_weights() {
    let place = Place::new().with(&STEPS).with(&["--set", "stage.codec.refresh=pinned"]);
    assert_eq!(place.run(&[]).code, Some(0));
    let rows = place.rows();
    tone(&place.music().join("new.wav"), 99, 1.5);
    place.table(&format!("{rows}new.wav,CC0-1.0,artist 2,New,genre 0\n"));
    // Under another name, so that the last run of this one knows nothing of it, and from less music.
    let away = |n: u32| place.path().join(format!("t{n}.wav"));
    (0..5).for_each(|n| fs::rename(place.music().join(format!("t{n}.wav")), away(n)).expect("moved"));
    let refresh = ["--set", "name=other", "--to", "codec", "--refresh", "codec"];
    assert_eq!(place.run(&refresh).code, Some(0));
    (0..5).for_each(|n| fs::rename(away(n), place.music().join(format!("t{n}.wav"))).expect("moved back"));
    let lock = "upstream `codec` gives something else because the lock file names other weights of `codec`";
    let (_, more) = why(&place, &[], &[]);
    let codes: BTreeSet<(bool, &str)> =
        more["codes"].iter().map(|(certain, why, _)| (*certain, why.as_str())).collect();
    assert_eq!(codes, BTreeSet::from([(true, lock), (true, "input `folder/new.wav` is new")]));

    fs::remove_file(place.music().join("new.wav")).expect("removed");
    place.table(&rows);
    let (_, reasons) = why(&place, &[], &[]);
    assert_eq!((one(&reasons, "codes"), reasons.len()), ((true, lock), 2));
    let shards = "upstream `codes` has to run because upstream `codec` gives something else \
                  <- the lock file names other weights of `codec`";
    assert_eq!(one(&reasons, "shards"), (false, shards));
    let planned = place.plan(&[]);
    planned.holds(&place.run(&[]).executed());
    assert_eq!(why(&place, &[], &[]).1, BTreeMap::new());
}

/// As if the last run had been made with another version of something.
fn made_with(place: &Place, what: &str, version: &str) {
    let store = Store::open(&place.store()).expect("a store");
    let mut history = History::of(&store, "tiny").expect("read").expect("a history");
    assert!(history.versions.insert(what.into(), version.into()).is_some());
    let (run, settled) = (history.run.clone(), history.settled.clone());
    history.record(&store, "tiny", &run, settled).expect("written");
}

#[test]
fn another_version_of_what_results_rest_on() {
    let now = versions();
    let said = |what: &str| format!("`{what}` of old -> {}", now[what]);
    for what in ["numerics", "decoder"] {
        let place = base().copy();
        fs::remove_dir_all(place.store().join("receipts")).expect("removed");
        made_with(&place, what, "of old");
        let (_, reasons) = why(&place, &[], &[]);
        assert_eq!(reasons["decoded"], [(true, said(what), 8)]);
        let waits = format!("upstream `decoded` has to run because {}", said(what));
        assert_eq!(one(&reasons, "codec"), (false, waits.as_str()));
    }
    // A training reads samples, whatever has decoded them.
    let lost = "the store has lost what it remembered of it".to_owned();
    for (what, why_) in [("resampler", said("resampler")), ("decoder", lost)] {
        let place = base().copy();
        fs::remove_dir_all(place.store().join("objects")).expect("removed");
        fs::create_dir(place.store().join("objects")).expect("a folder");
        made_with(&place, what, "of old");
        let (_, reasons) = why(&place, &[], &[]);
        assert_eq!((one(&reasons, "codec"), reasons.get("decoded")), ((true, why_.as_str()), None));
    }
}

#[test]
fn points_of_a_sweep() {
    let place = base().copy();
    let manifest = fs::read_to_string(place.path().join("tiny.toml")).expect("a manifest");
    let sweep = |rates: &str| {
        let text = format!("{manifest}\n[sweep]\n\"stage.codec.learning_rate\" = [{rates}]\n");
        fs::write(place.path().join("tiny.toml"), text).expect("written");
    };
    let new = |rate: &str| format!("the last run had no point `learning_rate={rate}` of `codec`");
    let runs = |rate: &str, because: &str| {
        let (event, reasons) = why(&place, &[], &[]);
        let names: Vec<String> =
            ["codec", "codes", "shards"].iter().map(|of| format!("{of}[learning_rate={rate}]")).collect();
        assert_eq!(reasons.keys().cloned().collect::<Vec<_>>(), names);
        assert_eq!(one(&reasons, &names[0]), (true, because));
        let waits = format!("upstream `{}` has to run because {because}", names[0]);
        assert_eq!((one(&reasons, &names[1]), one(&reasons, &names[2])), ((false, &*waits), (false, &*waits)));
        let reason = &event["stages"][&names[0]]["reasons"][0];
        let planned = place.plan(&[]);
        planned.holds(&place.run(&[]).executed());
        text(&reason["kind"])
    };
    // What the manifest had by itself is the first point.
    sweep("1e-3, 2e-3");
    assert_eq!(runs("0.002", &new("0.002")), "new-point");
    sweep("1e-3, 3e-3, 2e-3");
    assert_eq!(runs("0.003", &new("0.003")), "new-point");
    sweep("1e-3, 2e-3");
    assert_eq!(why(&place, &[], &[]).1, BTreeMap::new());
    assert!(place.run(&[]).executed().is_empty());
    // One in the place of another is the same stage with another setting.
    sweep("1e-3, 4e-3");
    let changed = "setting `learning_rate` 0.002 -> 0.004 of `codec[learning_rate=0.004]`";
    assert_eq!(runs("0.004", changed), "settings");
}

#[test]
fn a_run_of_the_first_stages_leaves_the_history_of_the_others() {
    let place = base().copy();
    let full = support::text(&place.run(&[]).done()["run"]);
    // With another rate as far as `mono`; the run is short, and so is what it remembers.
    // The codec goes by the rate of its clips, in what is left out too.
    let rate = ["--set", "stage.mono.rate=22050", "--set", "stage.codec.rate=22050"];
    let cut = place.run(&[&rate[..], &["--to", "mono"]].concat());
    assert_eq!(cut.code, Some(0), "{}", cut.err);
    // Nothing has changed of what was: not the reasons, not the rows, not the costs.
    let (event, reasons) = why(&place, &[], &[]);
    assert_eq!(reasons, BTreeMap::new());
    for (stage, own) in event["stages"].as_object().expect("stages") {
        let expected = if stage == "mono" { 8 } else { 0 };
        assert_eq!((&own["added"], &own["retracted"]), (&expected.into(), &expected.into()), "{stage}");
    }
    assert_eq!(event["against"], cut.done()["run"]);
    let (event, reasons) = why(&place, &rate, &[]);
    let codec = one(&reasons, "codec").1;
    assert_eq!(one(&reasons, "codec"), (true, "setting `rate` 16000 -> 22050 of `codec`"));
    assert_eq!(
        (&event["stages"]["mono"]["added"], &event["totals"]["unmeasured"]),
        (&0.into(), &serde_json::json!([]))
    );

    // Cut once more, elsewhere: the stages in between stay those of the cut before.
    assert_eq!(place.run(&["--to", "free"]).code, Some(0));
    let (_, again) = why(&place, &rate, &[]);
    assert_eq!(one(&again, "codec"), (true, codec));
    let history =
        || History::of(&Store::open(&place.store()).expect("a store"), "tiny").expect("read").expect("a history");
    // `why` knows of each of these runs which stages kept a track.
    let known = [&full, &support::text(&cut.done()["run"])].map(|run| history().of_run(run).expect("its history"));
    assert!(known[0].own("shards").is_some() && known[1].own("shards").is_none() && known[1].own("mono").is_some());
    // A run of all stages is all there is to remember.
    let whole = place.run(&[]);
    assert_eq!((whole.executed(), &whole.done()["run"]), (BTreeMap::new(), &full.into()));
    assert!(history().former().is_none() && history().own("shards").is_some());
}
