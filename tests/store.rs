//! When the disk or a source fails: a clear sentence, the documented exit code, nothing damaged, and a next run that
//! finishes with the same bytes.

mod support;

use datasets::{
    effect::{Refusal, key},
    store::{Memo, Store},
    synth::{self, Synth},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};
use support::{Place, Said, assert_same, files, refrain, say, text, tree, undamaged};

/// A place whose manifest has run once, and what it published.
fn clean() -> &'static (Place, Said) {
    static CLEAN: OnceLock<(Place, Said)> = OnceLock::new();
    CLEAN.get_or_init(|| {
        let place = Place::new();
        let said = place.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        (place, said)
    })
}

/// Ended with this code and one sentence that has all these words.
fn refused(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, Some(code), "{}{}", said.out, said.err);
    assert!(said.all("done").next().is_none());
    let line = said.err.lines().find(|line| line.starts_with("error: ") || line.starts_with("  × "));
    let line = line.unwrap_or_else(|| panic!("no sentence: {}", said.err));
    assert!(words.iter().all(|word| said.err.contains(word)), "{words:?} are not all in: {line}");
    assert!(!said.err.contains("panicked"), "{}", said.err);
}

/// The guards compare with the last run: what cannot be read of it is no reason to go without.
#[test]
fn a_history_that_cannot_be_read() {
    let (place, clean) = clean();
    let place = place.copy();
    let history = place.store().join("history/tiny");
    let bytes = fs::read(&history).expect("a history");
    fs::remove_file(&history).expect("removed");
    fs::create_dir(&history).expect("a folder");
    refused(&place.run(&[]), 4, &["cannot read", "history/tiny"]);
    refused(
        &Said::of(&place.command("plan", &[]).output().expect("the binary starts")),
        4,
        &["cannot read", "history/tiny"],
    );
    fs::remove_dir(&history).expect("removed");
    fs::write(&history, bytes).expect("written");
    assert_eq!(text(&place.run(&[]).done()["run"]), text(&clean.done()["run"]));
}

#[test]
fn a_disk_that_fails() {
    let (_, clean) = clean();
    let whole = tree(&clean.folder());
    let full = "the disk is full; free some space and run again, what is finished is kept";
    let readonly = "the disk is read-only; choose a folder that can be written";
    let mut failed = BTreeSet::new();
    for (point, error, why, after) in [
        ("write", "full", full, vec![0, 1, 2, 7, 20, 45, 90]),
        ("write", "readonly", readonly, vec![0, 3, 60]),
        ("fsync", "io", "Input/output error", vec![0, 3, 30]),
        ("rename", "readonly", readonly, vec![0, 2, 18, 40]),
    ] {
        // One store for all moments of a fault: each goes on from where the last one failed.
        let place = Place::new();
        for after in after {
            let fault = format!("{point}:{error}:{after}");
            let said = place.faulty(&fault);
            if said.code == Some(0) {
                continue;
            }
            failed.insert(fault.clone());
            let named = place.store().display().to_string();
            refused(&said, 4, &["cannot ", &named, why]);
            undamaged(&place.store());
        }
        let last = place.run(&[]);
        assert_eq!(last.code, Some(0), "{point}:{error}: {}", last.err);
        assert_same(&format!("after {point}:{error}"), &tree(&last.folder()), &whole);
        assert_eq!(place.run(&[]).executed(), BTreeMap::new());
        let left = files(&place.store());
        let left: Vec<_> = left.keys().filter(|path| path.to_string_lossy().contains(".tmp")).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
    assert!(failed.len() >= 12, "only these faults were met: {failed:?}");
}

#[test]
fn a_store_of_a_newer_version() {
    let place = Place::new();
    fs::create_dir(place.store()).expect("a store");
    fs::write(place.store().join("format"), "999\n").expect("its format");
    let words = ["has format 999", "use the newer refrain, or another folder with --store"];
    refused(&place.run(&[]), 4, &words);
    let plan = place.command("plan", &[]).output().expect("the binary starts");
    refused(&Said::of(&plan), 4, &words);
    assert_eq!(files(&place.store()).len(), 1, "it was left alone");

    fs::write(place.store().join("format"), "new\n").expect("its format");
    refused(&place.run(&[]), 4, &["is not a store of refrain"]);
    let file = place.path().join("file");
    fs::write(&file, "").expect("a file");
    let said = Said::of(&place.command("run", &["--store"]).arg(&file).output().expect("the binary starts"));
    assert_ne!(said.code, Some(0));
}

#[test]
fn a_source_that_is_not_there() {
    let place = Place::new();
    fs::rename(place.music(), place.path().join("moved")).expect("renamed");
    refused(&place.run(&[]), 3, &["stage `tracks`", &place.music().display().to_string()]);
    fs::write(place.music(), "").expect("a file");
    refused(&place.run(&[]), 3, &["stage `tracks`", &place.music().display().to_string()]);
}

/// A file whose bytes cannot be read, also by root: its reading fails with an error of the system.
fn unreadable(place: &Place) -> PathBuf {
    let path = place.music().join("unreadable.wav");
    symlink("/proc/self/mem", &path).expect("a link");
    assert!(fs::metadata(&path).expect("a file").is_file());
    assert!(fs::read(&path).is_err());
    path
}

#[test]
fn a_file_that_cannot_be_read() {
    let (place, clean) = clean();
    let (place, kept) = (place.copy(), tree(&clean.folder()));
    let path = unreadable(&place);
    // A model is trained on all or nothing.
    let auto = place.run(&["--set", "stage.codec.learning_rate=2e-3"]);
    refused(&auto, 3, &["stage `codec` did not start", "unreadable.wav", "refresh = \"pinned\""]);
    assert!(auto.all("progress").next().is_none());
    fs::remove_file(&path).expect("removed");
    let pinned = ["--set", "stage.codec.refresh=pinned"];
    let first = place.run(&pinned);
    assert_eq!((first.code, first.executed()), (Some(0), BTreeMap::new()));
    unreadable(&place);
    for _ in 0..2 {
        let said = place.run(&pinned);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!((said.count("tracks", "kept"), said.count("tracks", "dropped")), (8, 1));
        assert_eq!(said.executed(), BTreeMap::new());
        let rows = said.record()["dropped"].clone();
        let row = serde_json::json!({ "stage": "tracks", "id": "folder/unreadable.wav", "code": "failed" });
        assert_eq!(rows, serde_json::json!([row]));
        // It is in the run's id, and the run without it is another.
        assert_ne!(said.done()["run"], first.done()["run"]);
        let warned = said.all("warning").any(|event| event.to_string().contains("unreadable.wav"));
        assert!(warned, "no warning:\n{}{}", said.out, said.err);
        assert_eq!(
            tree(&said.folder()).get(Path::new("codes/train/all.parquet")),
            kept.get(Path::new("codes/train/all.parquet"))
        );
    }
}

#[test]
fn files_that_are_missing_for_one_cause_are_one_warning() {
    let place = Place::new();
    let digest = |n: u32| blake3::hash(&fs::read(place.music().join(format!("t{n}.wav"))).expect("a file")).to_hex();
    let lost = |n: u32| format!("lost{n:02}.wav,CC0-1.0,{}\n", blake3::hash(&n.to_le_bytes()).to_hex());
    let there = (0..8).map(|n| format!("t{n}.wav,CC0-1.0,{}\n", digest(n)));
    let rows: String = (0..40).map(lost).chain(there).collect();
    let table = place.music().join("all.csv");
    fs::write(&table, format!("path,license,b3\n{rows}")).expect("a table");
    let file = format!("stage.tracks.file={}", table.display());
    let sets =
        ["--set", "stage.tracks.corpus=table", "--set", &file, "--set", "stage.tracks.digest=b3", "--to", "mono"];
    let said = place.run(&sets);
    assert_eq!((said.code, said.count("decoded", "dropped")), (Some(0), 40), "{}", said.err);
    let warnings: Vec<_> = said.all("warning").collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let cause = "No such file or directory (os error 2)";
    assert_eq!((&warnings[0]["stage"], &warnings[0]["count"]), (&"decoded".into(), &40.into()));
    assert_eq!(warnings[0]["cause"], *cause);
    let example = support::text(&warnings[0]["message"]);
    assert!(example.starts_with("table/lost00.wav: ") && example.ends_with(cause), "{example}");
    // The record names each.
    let record = said.record();
    let rows = record["dropped"].as_array().expect("rows").iter().filter(|row| row["code"] == "failed");
    assert_eq!(rows.map(|row| support::text(&row["id"])).collect::<BTreeSet<_>>().len(), 40);
    // To people it is one line.
    let mut command = refrain(&["run"]);
    command.arg(place.path().join("tiny.toml")).args(&place.args).args(sets).arg("--store").arg(place.store());
    let said = Said::of(&command.output().expect("the binary starts"));
    let lines: Vec<&str> = said.err.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(lines.len(), 1, "{}", said.err);
    assert!(lines[0].starts_with(&format!("warning: decoded: {cause}: 40 rows, such as table/lost00.wav: ")));
}

#[test]
fn what_is_no_file_is_dropped_with_its_reason() {
    let place = Place::new();
    symlink("nowhere.wav", place.music().join("dangling.wav")).expect("a link");
    symlink(".", place.music().join("circle")).expect("a link");
    let pipe = place.music().join("pipe.wav");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    fs::write(place.music().join("notes.txt"), "no music").expect("a file");
    fs::write(place.music().join("empty.wav"), "").expect("a file");
    let rows = place.rows();
    place.table(&format!("{rows}notes.txt,CC0-1.0,,,\nempty.wav,CC0-1.0,,,\nlost.wav,CC0-1.0,,,\n"));
    let said = place.run(&["--to", "decoded"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let record = said.record();
    let rows = record["dropped"].as_array().expect("rows").iter();
    let codes: BTreeMap<_, _> = rows.map(|row| (support::text(&row["id"]), support::text(&row["code"]))).collect();
    let code = |id: &str| codes.get(&format!("folder/{id}")).map(String::as_str);
    assert_eq!(code("dangling.wav"), Some("broken-link"));
    assert_eq!(code("circle"), Some("repeated-folder"));
    assert_eq!(code("pipe.wav"), Some("not-a-file"));
    assert_eq!(code("lost.wav"), Some("missing-file"));
    assert!(code("notes.txt").is_some() && code("empty.wav").is_some(), "{codes:?}");
    assert_eq!((codes.len(), said.count("decoded", "kept")), (6, 8));
}

#[test]
fn an_emptied_source() {
    let (place, clean) = clean();
    let place = place.copy();
    let before = files(&place.store());
    for entry in fs::read_dir(place.music()).expect("a folder") {
        fs::remove_file(entry.expect("an entry").path()).expect("removed");
    }
    let words = ["source `tracks` held 8 tracks in the last run and holds 0 now", "--allow-shrink goes on"];
    refused(&place.run(&[]), 5, &words);
    let after = files(&place.store());
    let published = |store: &BTreeMap<PathBuf, Vec<u8>>| -> BTreeMap<PathBuf, Vec<u8>> {
        store
            .iter()
            .filter(|(path, _)| path.starts_with("runs"))
            .map(|(path, bytes)| (path.clone(), bytes.clone()))
            .collect()
    };
    assert_same("published", &published(&after), &published(&before));
    refused(&place.run(&["--allow-shrink"]), 6, &["stage `tracks` failed: it found no tracks", "--allow-empty"]);
    let said = place.run(&["--allow-shrink", "--allow-empty"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!((said.count("tracks", "kept"), said.count("codec", "kept"), said.count("shards", "kept")), (0, 0, 0));
    assert_eq!(said.count("tracks", "retracted"), 8);
    // The tracks come back.
    place.compose(0..8);
    let back = place.run(&[]);
    assert_eq!((back.executed(), &back.done()["run"]), (BTreeMap::new(), &clean.done()["run"]));
}

#[test]
fn too_much_is_dropped() {
    let place = Place::new();
    fs::write(place.music().join("broken.wav"), "RIFF").expect("a file");
    place.table(&format!("{}broken.wav,CC0-1.0,,,\n", place.rows()));
    let limit = ["--set", "stage.decoded.max_dropped=0.05", "--to", "unique"];
    refused(&place.run(&limit), 5, &["stage `decoded` dropped 1 of 9 rows", "max_dropped = 0.05", "broken.wav"]);
    assert!(!place.store().join("runs/latest").exists());
    let mut anyway = limit.to_vec();
    anyway.push("--allow-shrink");
    assert_eq!(place.run(&anyway).count("decoded", "dropped"), 1);
    assert_eq!(place.run(&["--set", "stage.decoded.max_dropped=0.2", "--to", "unique"]).count("decoded", "dropped"), 1);
}

#[test]
fn a_lock_without_its_weights() {
    let (place, clean) = clean();
    let place = place.copy().with(&["--set", "stage.codec.refresh=pinned"]);
    assert_eq!(place.run(&[]).code, Some(0));
    let (lock, hex) = (place.path().join("tiny.lock"), clean.weights());
    fs::remove_dir_all(place.store()).expect("removed");
    let said = place.run(&[]);
    refused(&said, 4, &[&lock.display().to_string(), "`codec`", &hex[..12], "--refresh codec"]);
    fs::write(&lock, "codec\n").expect("a lock");
    refused(&place.run(&[]), 4, &["tiny.lock:1: expected a stage and two digests"]);
}

#[test]
fn a_split_without_rows() {
    let place = Place::new();
    let said = place.run(&["--set", "stage.codec.split=held"]);
    refused(
        &said,
        2,
        &["`split` is the split \"held\", into which no row falls", "rows fall into \"test\", \"train\", \"valid\""],
    );
}

#[test]
fn a_table_that_states_digests() {
    let place = Place::new();
    let digest = |name: &str| blake3::hash(&fs::read(place.music().join(name)).expect("a file")).to_hex().to_string();
    // One that states the digest of something else, and one that states none.
    let stated = |n: u32| match n {
        3 => blake3::hash(b"something else").to_hex().to_string(),
        5 => String::new(),
        n => digest(&format!("t{n}.wav")),
    };
    let rows = (0..8).map(|n| format!("t{n}.wav,CC0-1.0,{}\n", stated(n)));
    let table = place.path().join("tracks.csv");
    fs::write(&table, format!("path,license,b3\n{}", rows.collect::<String>())).expect("a table");
    let file = format!("stage.tracks.file={}", table.display());
    let sets = ["--set", "stage.tracks.corpus=table", "--set", &file, "--set", "stage.tracks.digest=b3"];
    let run = |to: &str| place.run(&[&sets[..], &["--to", to]].concat());
    let first = run("decoded");
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert_eq!((first.count("decoded", "kept"), first.count("decoded", "dropped")), (7, 1));
    assert!(first.record()["dropped"].to_string().contains("table/t3.wav"), "{}", first.record()["dropped"]);
    assert!(first.out.contains("a table states a wrong digest for it"), "{}", first.out);

    // Nothing but the table is read where nothing decodes.
    (0..8).filter(|n| *n != 5).for_each(|n| fs::remove_file(place.music().join(format!("t{n}.wav"))).expect("removed"));
    let again = run("free");
    assert_eq!((again.code, again.count("free", "kept")), (Some(0), 8), "{}", again.err);
}

#[test]
fn a_table_that_states_the_digest_of_one_file_for_several() {
    let place = Place::new();
    let digest = blake3::hash(&fs::read(place.music().join("t5.wav")).expect("a file")).to_hex().to_string();
    // The first is not there, the second has other bytes.
    let rows: String =
        ["gone.wav", "t1.wav", "t5.wav"].iter().map(|name| format!("{name},CC0-1.0,{digest}\n")).collect();
    let table = place.music().join("all.csv");
    fs::write(&table, format!("path,license,b3\n{rows}")).expect("a table");
    let file = format!("stage.tracks.file={}", table.display());
    let sets =
        ["--set", "stage.tracks.corpus=table", "--set", &file, "--set", "stage.tracks.digest=b3", "--to", "mono"];
    let said = place.run(&sets);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!((said.count("decoded", "kept"), said.count("decoded", "dropped")), (3, 0), "{}", said.out);
    assert_eq!((said.count("decoded", "executed"), said.count("mono", "kept")), (1, 1));
    assert!(said.err.contains("t5.wav holds what is looked for"), "{}", said.err);
    // Where nobody has the bytes, what is wrong with the first is said.
    fs::remove_file(place.music().join("t5.wav")).expect("removed");
    fs::remove_dir_all(place.store()).expect("removed");
    let said = place.run(&[&sets[..], &["--allow-empty"]].concat());
    assert_eq!((said.count("decoded", "kept"), said.count("decoded", "dropped")), (0, 3), "{}", said.out);
    assert!(said.out.contains("gone.wav: No such file"), "{}", said.out);
}

#[test]
fn usage() {
    let (place, _) = clean();
    let place = place.copy();
    refused(&place.run(&["--refresh", "codes"]), 2, &["`codes`, which cannot be refreshed; these can be: `codec`"]);
    refused(&place.run(&["--refresh", "codecs"]), 2, &["`codecs`, which cannot be refreshed"]);
    refused(&say(&["stages", "ingset"]), 2, &["did you mean `ingest`?"]);
    let nowhere = place.path().join("nowhere");
    let report = refrain(&["report", "latest", "--store"]).arg(&nowhere).output().expect("the binary starts");
    refused(&Said::of(&report), 2, &["there is no store at"]);
    for wrong in [&["run"][..], &["walk"], &["run", "m.toml", "-w", "0"], &["run", "m.toml", "--jsn"]] {
        let said = say(wrong);
        assert_eq!(said.code, Some(2), "{wrong:?}: {}", said.err);
        assert!(said.err.contains("Usage:") || said.err.contains("--help"), "{}", said.err);
    }
    let missing = say(&["run", "no-such-manifest.toml"]);
    assert_eq!(missing.code, Some(2), "{}", missing.err);
    assert!(missing.err.contains("no-such-manifest.toml"), "{}", missing.err);
}

#[test]
fn objects_that_are_lost() {
    let (place, clean) = clean();
    let whole = tree(&clean.folder());
    for half in [0, 1] {
        let place = place.copy();
        let objects = place.store().join("objects");
        for path in files(&objects).into_keys().skip(half).step_by(2) {
            fs::remove_file(objects.join(path)).expect("removed");
        }
        let said = place.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_same("after objects were lost", &tree(&said.folder()), &whole);
        // All of them, and what was published.
        fs::remove_dir_all(&objects).expect("removed");
        fs::remove_dir_all(place.store().join("runs")).expect("removed");
        let said = place.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_same("after all objects were lost", &tree(&said.folder()), &whole);
    }
}

/// What the store remembers of an effect.
#[derive(serde::Serialize, serde::Deserialize)]
enum Remembered {
    Result(Vec<u8>),
    Refused(Refusal),
}

#[test]
fn a_piece_that_the_renderer_refused_is_a_dropped_row_in_this_run_and_the_next() {
    let place = Place::empty().with(&["--set", "stage.tracks.corpus=synth", "--set", "stage.tracks.pieces=3"]);
    let mut place = place.with(&["--set", "stage.tracks.seconds=2", "--to", "free"]);
    place.args.drain(..2);
    // As a panic of the renderer leaves it.
    let store = Store::open(&place.store()).expect("a store");
    let piece = key("ingest synth", synth::REVISION).number(1).number(3).number(2000).number(1).finish();
    let refusal = Refusal { code: "panic".into(), why: "the stage panicked: on purpose".into() };
    Memo::at(piece).put(&store, &Remembered::Refused(refusal), &[]).expect("remembered");
    drop(store);
    let name = Synth { pieces: 3, seed: 1, seconds: 2.0, grid: 0 }.piece(1).key;
    for run in ["first", "next"] {
        let said = place.run(&[]);
        assert_eq!(said.code, Some(0), "{run}: {}", said.err);
        assert_eq!((said.count("tracks", "kept"), said.count("tracks", "dropped")), (2, 1), "{run}");
        let record = said.record();
        let dropped = record["dropped"].to_string();
        assert!(dropped.contains(&format!("synth/{name}")) && dropped.contains("on purpose"), "{run}: {dropped}");
    }
}
