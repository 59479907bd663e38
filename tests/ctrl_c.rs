//! Ctrl-C ends a command soon, whatever it is at, and the next one finishes.

mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use support::{Place, Said, ended, refrain, say};

/// Far more than the second that it takes, for a machine that is busy with other things, and far less than the work.
const SOON: Duration = Duration::from_secs(10);
/// Long enough for a command to be at its work.
const UNDER_WAY: Duration = Duration::from_secs(1);

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

/// Interrupts a command that is at its work, which ends with 130 and says so.
fn interrupted(mut child: Child) {
    assert!(child.try_wait().expect("its state").is_none(), "it has ended before");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    let asked = Instant::now();
    let status = ended(&mut child, SOON);
    let took = asked.elapsed();
    let said = Said::of(&child.wait_with_output().expect("what it said"));
    assert_eq!(status.code(), Some(130), "after {took:?}: {}", said.err);
    let sentence = "error: interrupted; what was finished is kept, run again to go on from here\n";
    assert!(said.err.ends_with(sentence), "{}", said.err);
}

fn interrupted_soon(command: Command) {
    let child = start(command);
    thread::sleep(UNDER_WAY);
    interrupted(child);
}

fn finishes(place: &Place) {
    let said = place.run(&[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
}

/// A file that takes a minute to read and no room.
fn huge(path: &Path) {
    fs::File::create(path).and_then(|file| file.set_len(1 << 37)).expect("a file with a hole");
}

#[test]
fn while_a_large_codebook_is_made() {
    let place = Place::new();
    let mut child = start(place.command("run", &["-w", "2", "--set", "stage.codec.codewords=[65536,64,64]"]));
    // It says how far it is.
    let mut out = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let told = out.find(|line| line.contains("parts of the codebook of level"));
    let told: serde_json::Value = serde_json::from_str(&told.expect("progress")).expect("an event");
    let (done, total) = (told["done"].as_u64().expect("parts"), told["total"].as_u64().expect("parts"));
    assert!(0 < done && done < total, "{told}");
    interrupted(child);
    // It had a reader until here.
    drop(out);
    finishes(&place);
}

#[test]
fn while_a_large_file_is_hashed() {
    let place = Place::new();
    let large = place.music().join("large.wav");
    huge(&large);
    interrupted_soon(place.command("plan", &["-w", "2"]));
    interrupted_soon(place.command("run", &["-w", "2"]));
    fs::remove_file(large).expect("removed");
    finishes(&place);
}

#[test]
fn while_a_store_is_verified() {
    let place = Place::new();
    finishes(&place);
    let large = place.store().join("objects/ab").join("0".repeat(62));
    fs::create_dir_all(large.parent().expect("a folder")).expect("a folder");
    huge(&large);
    let store = place.store().display().to_string();
    interrupted_soon(refrain(&["store", "verify", "--store", &store]));
    fs::remove_file(large).expect("removed");
    assert_eq!(say(&["store", "verify", "--store", &store]).code, Some(0));
    finishes(&place);
}

#[test]
fn while_a_large_table_is_listed() {
    let place = Place::empty();
    let table = |rows: u32| {
        let row = |n| format!("t{n}.wav,CC0-1.0,artist {n},Title {n},genre {},{:064x}\n", n % 7, u64::from(n) + 1);
        (0..rows).map(row).fold("path,license,artist,title,genre,digest\n".to_owned(), |table, row| table + &row)
    };
    let path = place.path().join("tracks.csv");
    fs::write(&path, table(400_000)).expect("a table");
    let manifest = place.path().join("list.toml");
    let text = format!(
        r#"edition = 1
name = "list"

[stage.tracks]
do = "ingest"
corpus = "table"
file = "{}"
root = "{}"
path = "path"
digest = "digest"

[stage.tracks.columns]
license = "license"
artist = "artist"
title = "title"
genre = "genre"

[stage.free]
do = "license"
from = ["tracks"]
allow = ["CC0-1.0"]
"#,
        path.display(),
        place.music().display()
    );
    fs::write(&manifest, text).expect("a manifest");
    let store = place.store().display().to_string();
    let manifest = manifest.display().to_string();
    let check = say(&["check", &manifest]);
    assert_eq!(check.code, Some(0), "{}", check.err);
    // At moments of which each is in another part of the work.
    for after in [300, 800, 1500] {
        let child = start(refrain(&["run", &manifest, "--store", &store, "-w", "1"]));
        thread::sleep(Duration::from_millis(after));
        interrupted(child);
    }
    fs::write(&path, table(10)).expect("a short table");
    let rest = say(&["run", &manifest, "--store", &store, "-w", "1", "--json"]);
    assert_eq!(rest.code, Some(0), "{}", rest.err);
}
