//! `gc` and `store verify`: what nobody needs goes, what somebody needs stays, and neither a crash nor damage costs more
//! than doing work again.

mod support;

use datasets::{Digest, store::Store};
use pipeline::record::history::History;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
};
use support::{Place, Said, assert_same, files, refrain, tree};

/// A place whose manifest has run once.
fn base() -> &'static (Place, Said) {
    static BASE: OnceLock<(Place, Said)> = OnceLock::new();
    BASE.get_or_init(|| {
        let place = Place::new().with(&["--set", "stage.codec.steps=[4,4,4]"]);
        let said = place.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        (place, said)
    })
}

/// A command on the store alone.
fn on_store(place: &Place, words: &[&str], fault: Option<&str>) -> Said {
    let mut command = refrain(words);
    command.arg("--store").arg(place.store());
    if let Some(fault) = fault {
        command.env("REFRAIN_FAULT", fault);
    }
    Said::of(&command.output().expect("the binary starts"))
}

fn gc(place: &Place, more: &[&str]) -> Value {
    let said = on_store(place, &[&["gc", "--json"], more].concat(), None);
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.all("gc").next().expect("an event").clone()
}

/// How many things of each kind went.
fn gone(event: &Value) -> BTreeMap<String, u64> {
    let kinds = event["gone"].as_object().expect("kinds").iter();
    kinds
        .map(|(kind, gone)| (kind.clone(), gone["number"].as_u64().expect("a number")))
        .filter(|(_, n)| *n > 0)
        .collect()
}

/// Everything in the store but the lock and what a process writes of its own accord.
fn contents(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    files(&place.store())
}

fn verify(place: &Place) -> (Option<i32>, Value) {
    let said = on_store(place, &["store", "verify", "--json"], None);
    (said.code, said.all("verify").next().unwrap_or_else(|| panic!("no event: {}", said.err)).clone())
}

fn retitle(place: &Place, title: &str) -> Said {
    let rows = place.rows();
    let (first, rest) = rows.split_once('\n').expect("rows");
    let mut cells: Vec<&str> = first.split(',').collect();
    cells[3] = title;
    place.table(&format!("{}\n{rest}", cells.join(",")));
    let said = place.run(&[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    said
}

fn runs(place: &Place) -> usize {
    let entries = fs::read_dir(place.store().join("runs")).expect("runs");
    entries.filter(|entry| entry.as_ref().is_ok_and(|e| e.file_type().is_ok_and(|kind| kind.is_dir()))).count()
}

#[test]
fn the_last_runs_stay_with_all_they_need() {
    let (place, _) = base();
    let place = place.copy();
    let said: Vec<Said> = ["one", "two", "three"].map(|title| retitle(&place, title)).into();
    assert_eq!(runs(&place), 4);
    let before = contents(&place);
    let dry = gc(&place, &["--dry-run"]);
    assert_same("a dry run", &contents(&place), &before);
    let swept = gc(&place, &[]);
    assert_eq!(
        (swept["runs"].clone(), swept["gone"].clone(), swept["bytes"].clone()),
        (dry["runs"].clone(), dry["gone"].clone(), dry["bytes"].clone())
    );
    assert_eq!((runs(&place), gone(&swept)["runs"]), (3, 1));
    assert!(gone(&swept)["objects"] >= 1 && gone(&swept)["receipts"] >= 1, "{swept}");
    let freed = before.values().map(Vec::len).sum::<usize>() - contents(&place).values().map(Vec::len).sum::<usize>();
    assert!(freed > 0 && swept["bytes"].as_u64().expect("bytes") > 0);
    assert_eq!(gone(&gc(&place, &[])), BTreeMap::new(), "a second one finds nothing");
    assert_eq!(verify(&place).0, Some(0));
    // All of the runs that stay are remembered; of the one that went, its shard.
    let last = place.run(&[]);
    assert_eq!((last.executed(), &last.done()["run"]), (BTreeMap::new(), &said[2].done()["run"]));
    assert_same("after gc", &tree(&last.folder()), &tree(&said[2].folder()));
    assert_eq!(retitle(&place, "two").executed(), BTreeMap::new());
    let first = retitle(&place, "Title 0");
    assert_eq!((first.count("shards", "executed"), first.count("codes", "executed")), (1, 0));
    let one = gc(&place, &["--keep", "1"]);
    assert_eq!((runs(&place), one["runs"].as_array().expect("runs").len()), (1, 3));
    let said = on_store(&place, &["gc"], None);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "nothing to clean up\n"));
}

/// Puts files that are nobody's but the user's all over a store.
fn somebodys_files(store: &Path) -> Vec<PathBuf> {
    let names = [
        "notes.txt".to_owned(),
        ".x.tmp".to_owned(),
        "pcm/take1.raw".to_owned(),
        "history/2020.txt".to_owned(),
        "runs/.mine.tmp/keep.txt".to_owned(),
        "roots/2020-diary".to_owned(),
        "receipts/7.seg".to_owned(),
        format!("pcm/{}", "34".repeat(32)),
        format!("checkpoints/{}", "12".repeat(32)),
    ];
    let paths = names.map(|name| store.join(name));
    for path in &paths {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, "mine").expect("written");
    }
    paths.into()
}

#[test]
fn what_killed_runs_left_goes() {
    let (place, first) = base();
    let place = place.copy();
    let store = place.store();
    let object = fs::read_dir(store.join("objects")).expect("objects").next().expect("one").expect("one").path();
    let half = store.join("runs/.999.tmp/codes");
    fs::create_dir_all(&half).expect("a tree");
    let left = [
        object.join(".999-a-1.tmp"),
        half.join("all.parquet"),
        store.join("runs/.999.latest"),
        store.join("pcm/.999-a-2.tmp"),
        store.join("receipts/00000001.log"),
        store.join("checkpoints").join("ab".repeat(32)),
        store.join("pcm").join("cd".repeat(32)),
        store.join("objects/ff").join("ef".repeat(31)),
    ];
    for path in &left {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, "refrain checked\nleft").expect("written");
    }
    let theirs = somebodys_files(&store);
    let swept = gone(&gc(&place, &[]));
    assert_eq!((swept["checkpoints"], swept["objects"], swept["leftovers of killed runs"]), (1, 1, 5), "{swept:?}");
    assert!(left.iter().all(|path| !path.exists()));
    assert!(!store.join("runs/.999.tmp").exists());
    theirs.iter().for_each(|path| assert_eq!(fs::read_to_string(path).expect("theirs"), "mine", "{}", path.display()));
    let again = place.run(&[]);
    assert_eq!((again.executed(), &again.done()["run"]), (BTreeMap::new(), &first.done()["run"]));
}

#[test]
fn a_run_that_came_back_goes_again() {
    let (place, first) = base();
    let place = place.copy();
    let run = first.folder().file_name().expect("a name").to_string_lossy().into_owned();
    retitle(&place, "one");
    // What a removal left that was stopped halfway, before the run was published again.
    let half = place.store().join(format!("runs/.{run}.gone/codes"));
    fs::create_dir_all(&half).expect("a tree");
    fs::write(half.join("all.parquet"), "left").expect("written");
    assert_eq!(gone(&gc(&place, &["--keep", "1"]))["runs"], 1);
    assert!(!half.exists() && !place.store().join("runs").join(run).exists());
    assert_eq!(gone(&gc(&place, &[])), BTreeMap::new());
}

#[test]
fn a_crash_damages_nothing() {
    let (place, _) = base();
    let place = place.copy();
    let said: Vec<Said> = ["one", "two", "three", "four"].map(|title| retitle(&place, title)).into();
    let whole = tree(&said[3].folder());
    Store::open(&place.store()).and_then(|store| store.save(&Digest([0xab; 32]), b"left")).expect("saved");
    let mut failed = 0;
    for (point, least, most) in [("write", 0, 3), ("fsync", 0, 3), ("rename", 0, 5), ("remove", 0, 12)] {
        for after in least..most {
            let broken = place.copy();
            let said = on_store(&broken, &["gc"], Some(&format!("{point}:io:{after}")));
            if said.code == Some(0) {
                break;
            }
            failed += 1;
            assert_eq!(said.code, Some(4), "{}", said.err);
            assert!(said.err.contains("cannot "), "{}", said.err);
            assert_eq!(verify(&broken).0, Some(0), "{point}:{after}");
            if after % 3 == 0 {
                let again = broken.run(&[]);
                assert_eq!(again.executed(), BTreeMap::new(), "{point}:{after}");
                assert_same("after a crash", &tree(&again.folder()), &whole);
            }
            gc(&broken, &[]);
            assert_eq!((runs(&broken), gone(&gc(&broken, &[]))), (3, BTreeMap::new()), "{point}:{after}");
        }
    }
    assert!(failed >= 8, "only {failed} faults were met");
}

#[test]
fn a_store_in_use_is_left_alone() {
    let (place, _) = base();
    let place = place.copy();
    let lock = File::open(place.store().join("lock")).expect("a lock");
    lock.lock_shared().expect("locked");
    for words in [&["gc"][..], &["store", "verify"]] {
        let said = on_store(&place, words, None);
        assert_eq!(said.code, Some(4), "{}", said.err);
        assert!(said.err.contains("is in use by another refrain: try again when that has ended"), "{}", said.err);
    }
    assert_eq!(on_store(&place, &["gc", "--dry-run"], None).code, Some(0));
    assert_eq!(place.run(&[]).code, Some(0), "others may run");
    drop(lock);
    gc(&place, &[]);
    let nowhere = Place::empty();
    let said = on_store(&nowhere, &["gc"], None);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("there is no store at") && !nowhere.store().exists(), "{}", said.err);
}

#[test]
fn unfinished_work_stays() {
    let place = Place::new().with(&["--set", "stage.codec.steps=[150,150,150]"]);
    let mut command = place.command("run", &["-w", "2"]);
    command.env("REFRAIN_CHECKPOINT_SECONDS", "0.05").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary starts");
    let out = BufReader::new(child.stdout.take().expect("its output"));
    let saved = out.lines().map_while(Result::ok).filter(|line| line.contains("\"checkpoint\"")).take(2).count();
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    assert_eq!(saved, 2);
    let swept = gone(&gc(&place, &[]));
    assert!(!swept.contains_key("checkpoints") && !swept.contains_key("receipts"), "{swept:?}");
    let said = place.run(&[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.all("resumed").next().is_some_and(|event| event["done"].as_u64() > Some(0)));
    assert_eq!(said.count("decoded", "executed"), 0);
    // Published, it is no longer unfinished; what comes of other settings is what counts now.
    let other = place.run(&["--set", "stage.codec.steps=[2,2,2]"]);
    assert_eq!(other.code, Some(0), "{}", other.err);
    assert!(gone(&gc(&place, &["--keep", "1"]))["objects"] >= 3);
    assert_eq!(place.run(&["--set", "stage.codec.steps=[2,2,2]"]).executed(), BTreeMap::new());
    assert_eq!(place.run(&[]).count("codec", "executed"), 1);
}

#[test]
fn weights_that_a_lock_names_stay() {
    let (place, _) = base();
    let place = place.copy().with(&["--set", "stage.codec.refresh=pinned"]);
    let first = place.run(&[]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    fs::remove_dir_all(place.store().join("runs")).expect("removed");
    fs::create_dir(place.store().join("runs")).expect("a folder");
    let swept = gone(&gc(&place, &[]));
    assert!(swept["objects"] > 3 && swept["receipts"] > 8, "{swept:?}");
    // The next run rests on them, and is compared with the last one.
    assert!(!swept.contains_key("histories") && place.store().join("history/tiny").is_file(), "{swept:?}");
    let again = place.run(&[]);
    assert_eq!((again.count("codec", "executed"), again.count("decoded", "executed")), (0, 8));
    assert_eq!((again.weights(), &again.done()["run"]), (first.weights(), &first.done()["run"]));
    assert_same("from the weights alone", &tree(&again.folder()), &tree(&first.folder()));
    // A lock that is elsewhere for now is no reason to lose a training.
    fs::rename(place.path().join("tiny.lock"), place.path().join("away.lock")).expect("renamed");
    fs::remove_dir_all(place.store().join("runs")).expect("removed");
    fs::create_dir(place.store().join("runs")).expect("a folder");
    let swept = gc(&place, &[]);
    let note = swept["notes"][0].as_str().expect("a note").to_owned();
    assert!(note.contains("tiny.lock is not there: the weights that this lock named are kept; delete "), "{note}");
    let record = note.split("delete ").nth(1).and_then(|rest| rest.strip_suffix(" to let them go")).expect("a path");
    fs::remove_file(record).expect("removed");
    gc(&place, &[]);
    for folder in ["objects", "history"] {
        assert!(!place.store().join(folder).read_dir().expect("a folder").any(|_| true), "nothing is left");
    }
}

#[test]
fn the_history_of_a_name_goes_with_its_last_run() {
    let (place, first) = base();
    let place = place.copy();
    assert_eq!(place.run(&["--set", "name=other", "--to", "free"]).code, Some(0));
    assert_eq!(place.run(&["--set", "name=third", "--to", "free"]).code, Some(0));
    let history = place.store().join("history");
    let names = || files(&history).into_keys().map(|path| path.display().to_string()).collect::<Vec<_>>();
    assert_eq!(names(), ["other", "third", "tiny"]);
    assert_eq!(gone(&gc(&place, &["--keep", "1"])).get("histories"), None);
    let tree = |name: &str| {
        let runs = fs::read_dir(place.store().join("runs")).expect("runs").map(|entry| entry.expect("an entry").path());
        let start = format!("{name}-");
        runs.into_iter()
            .find(|path| path.file_name().expect("a name").to_string_lossy().starts_with(&start))
            .expect("a run")
    };
    fs::remove_dir_all(tree("other")).expect("removed");
    // One that the store knows nothing of is a run all the same.
    for (path, _) in files(&place.store().join("roots")) {
        if path.to_string_lossy().contains("third") {
            fs::remove_file(place.store().join("roots").join(path)).expect("removed");
        }
    }
    fs::write(history.join(".999-a-1.tmp"), "half").expect("written");
    assert_eq!(gone(&gc(&place, &["--dry-run"]))["histories"], 1);
    assert_eq!(names().len(), 4);
    let swept = gone(&gc(&place, &[]));
    assert_eq!((swept["histories"], swept["leftovers of killed runs"]), (1, 1), "{swept:?}");
    assert_eq!(names(), ["third", "tiny"]);
    assert_eq!(place.run(&[]).done()["run"], first.done()["run"]);
}

#[test]
fn former_runs_are_forgotten_that_hold_what_is_withdrawn() {
    let (place, _) = base();
    let place = place.copy();
    let list = place.path().join("optout.tsv");
    fs::write(&list, "id\tdate\tevidence\nfolder/t0.wav\t2026-03-01\tletter\n").expect("a list");
    assert_eq!(place.run(&["--set", "stage.free.deny=[\"MIT\"]", "--to", "free"]).code, Some(0));
    let former = || {
        let history =
            History::of(&Store::open(&place.store()).expect("a store"), "tiny").expect("read").expect("a history");
        history.former().map(|former| former.run.clone())
    };
    gc(&place, &[]);
    assert!(former().is_some());
    let exclude = format!("stage.free.exclude={}", list.display());
    assert_eq!(place.run(&["--set", &exclude, "--to", "free"]).code, Some(0));
    assert!(former().is_some());
    let swept = gc(&place, &[]);
    assert_eq!((swept["runs"].as_array().map(Vec::len), runs(&place), former()), (Some(2), 1, None), "{swept}");

    // So is one that was cleaned up before the withdrawal, whatever it held.
    let (place, _) = base();
    let place = place.copy();
    for deny in ["MIT", "ISC", "Zlib"] {
        let deny = format!("stage.free.deny=[{deny:?}]");
        assert_eq!(place.run(&["--set", &deny, "--to", "free"]).code, Some(0));
    }
    gc(&place, &[]);
    let former = || {
        let history =
            History::of(&Store::open(&place.store()).expect("a store"), "tiny").expect("read").expect("a history");
        history.former().map(|former| former.run.clone())
    };
    assert_eq!((runs(&place), former().is_some()), (3, true));
    assert_eq!(place.run(&["--set", &exclude, "--to", "free"]).code, Some(0));
    gc(&place, &[]);
    assert_eq!(former(), None);
}

/// The object that a published file is.
fn object(place: &Place, said: &Said, file: &str) -> PathBuf {
    let digest = said.record()["files"][file].as_str().expect("a digest").to_owned();
    place.store().join("objects").join(&digest[..2]).join(&digest[2..])
}

#[test]
fn damage_is_found_and_mended_by_the_next_run() {
    let (place, first) = base();
    let place = place.copy();
    assert_eq!(place.run(&[]).executed(), BTreeMap::new());
    let (code, sound) = verify(&place);
    assert_eq!(
        (code, sound["damaged"].clone(), sound["missing"].clone()),
        (Some(0), Value::Array(vec![]), Value::Array(vec![]))
    );
    assert!(sound["objects"].as_u64() > Some(6) && sound["files"].as_u64() > Some(3), "{sound}");
    let whole = tree(&first.folder());
    let shard = object(&place, first, "codes/train/all.parquet");
    let codec = object(&place, first, "model/codec.safetensors");
    let published = place.store().join("runs").join(first.folder().file_name().expect("a name"));
    for path in [&shard, &published.join("model/codec-curves.parquet")] {
        let mut bytes = fs::read(path).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::set_permissions(path, PermissionsExt::from_mode(0o644)).expect("rights");
        fs::write(path, bytes).expect("damaged");
    }
    fs::remove_file(&codec).expect("removed");
    let (code, found) = verify(&place);
    assert_eq!(code, Some(4), "{found}");
    let number = |what: &str| found[what].as_array().expect("a list").len();
    assert_eq!((number("damaged"), number("missing")), (1, 1), "{found}");
    assert!(found["forgotten"].as_u64() >= Some(3) && number("lost") >= 1, "{found}");
    assert!(!shard.exists());
    let said = place.run(&[]);
    assert_eq!((said.count("codec", "executed"), said.count("decoded", "executed")), (1, 0), "{}", said.done());
    assert_eq!(said.count("shards", "executed"), 1);
    assert_same("after the damage", &tree(&said.folder()), &whole);
    assert_eq!(verify(&place).0, Some(0));
    // Without `--json`, in words.
    fs::remove_file(object(&place, &said, "model/codec.safetensors")).expect("removed");
    let said = on_store(&place, &["store", "verify"], None);
    assert_eq!(said.code, Some(4));
    assert!(said.out.contains("0 damaged, 1 missing"), "{}", said.out);
    assert!(said.err.contains("what was wrong is removed, and the next run makes it again"), "{}", said.err);
    let untouched: &Path = &place.store().join("format");
    assert_eq!(fs::read_to_string(untouched).expect("a format"), "2\n");
}
