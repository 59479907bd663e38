//! `watch` stays up: every change becomes a build, which does what a run would do and publishes the same bytes.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};
use support::{Place, Said, assert_same, text, tone, tree};

/// A running watcher and the events that it has told of.
struct Watcher {
    child: Child,
    events: Receiver<serde_json::Value>,
}

fn events(out: ChildStdout) -> Receiver<serde_json::Value> {
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let event = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            if send.send(event).is_err() {
                return;
            }
        }
    });
    receive
}

impl Watcher {
    fn start(place: &Place) -> Watcher {
        let mut command = place.command("watch", &["-w", "2"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let events = events(child.stdout.take().expect("its output"));
        Watcher { child, events }
    }

    /// What it said until the next build was published.
    fn built(&self) -> Said {
        let mut seen = Vec::new();
        loop {
            match self.events.recv_timeout(Duration::from_secs(300)) {
                Ok(event) => {
                    let done = event["event"] == "done";
                    seen.push(event);
                    if done {
                        let out = seen.iter().map(|event| format!("{event}\n")).collect();
                        return Said { code: None, events: seen, out, err: String::new() };
                    }
                }
                Err(why) => panic!("no build was published: {why}; so far: {seen:?}"),
            }
        }
    }

    /// Nothing more is built for a while.
    fn rests(&self) {
        loop {
            match self.events.recv_timeout(Duration::from_millis(1500)) {
                Err(RecvTimeoutError::Timeout) => return,
                Ok(event) if event["event"] == "watching" => {}
                other => panic!("it does not rest: {other:?}"),
            }
        }
    }

    /// Ctrl-C; the exit code and what it said on standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
        let mut err = String::new();
        self.child.stderr.take().expect("its errors").read_to_string(&mut err).expect("text");
        (self.child.wait().expect("its end").code(), err)
    }
}

/// How many effects ran at each stage, where any did.
fn ran(said: &Said) -> BTreeMap<String, usize> {
    said.executed().into_iter().map(|(stage, ids)| (stage, ids.len())).collect()
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(stage, count)| ((*stage).to_owned(), *count)).collect()
}

/// What a run of its own publishes of the same, with the codec that was trained here.
fn anew(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let other = place.copy();
    for folder in ["runs", "roots", "history"] {
        let _ = fs::remove_dir_all(other.store().join(folder));
    }
    let said = other.run(&[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    tree(&said.folder())
}

#[test]
fn every_change_is_built_and_nothing_else() {
    let place = Place::new().with(&["--set", "stage.codec.refresh=pinned"]);
    fs::write(place.path().join("optout.tsv"), "id\tdate\tevidence\n").expect("a list");
    let manifest = fs::read_to_string(place.path().join("tiny.toml")).expect("a manifest");
    let exclude = "allow = [\"CC0-1.0\", \"CC-BY-4.0\"]\nexclude = \"optout.tsv\"";
    let listed = manifest.replace("allow = [\"CC0-1.0\", \"CC-BY-4.0\"]", exclude);
    assert_ne!(listed, manifest);
    fs::write(place.path().join("tiny.toml"), &listed).expect("written");

    let watcher = Watcher::start(&place);
    let first = watcher.built();
    assert_eq!((first.count("decoded", "executed"), first.count("codec", "executed")), (8, 1));
    // The codec that was trained is pinned from here on: rendered anew, with nothing to do.
    let pinned = watcher.built();
    assert_eq!(ran(&pinned), counts(&[]));
    watcher.rests();

    // A recording more.
    tone(&place.music().join("t8.wav"), 8, 1.0);
    place.table(&format!("{}t8.wav,CC0-1.0,artist 3,Title 8,genre 0\n", place.rows()));
    let mut more = watcher.built();
    while more.count("parts", "kept") < 9 {
        more = watcher.built();
    }
    assert_eq!(ran(&more), counts(&[("decoded", 1), ("codes", 1), ("shards", 1)]));
    assert_eq!(more.count("clips", "added"), 1);
    assert_same("a recording more", &tree(&more.folder()), &anew(&place));

    // A title corrected: a shard. The same table written again: nothing.
    place.table(&place.rows().replace("Title 2", "A better title"));
    assert_eq!(ran(&watcher.built()), counts(&[("shards", 1)]));
    place.table(&place.rows());
    watcher.rests();

    // A recording withdrawn.
    fs::write(place.path().join("optout.tsv"), "id\tdate\tevidence\nfolder/t8.wav\t2026-03-01\tletter\n")
        .expect("a list");
    let withdrawn = watcher.built();
    assert_eq!((withdrawn.count("free", "dropped"), withdrawn.count("clips", "retracted")), (1, 1));
    assert!(withdrawn.folder().join("quarantine.tsv").is_file());

    // A manifest that is wrong is told of and waited on.
    fs::write(place.path().join("tiny.toml"), listed.replace("allow", "alow")).expect("written");
    watcher.rests();
    fs::write(place.path().join("tiny.toml"), listed.replace("minimum = 0.25", "minimum = 0.5")).expect("written");
    let last = watcher.built();
    assert_eq!(last.count("decoded", "executed"), 0);
    assert_same("other settings", &tree(&last.folder()), &anew(&place));

    let (code, err) = watcher.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("did you mean `allow`?") && !err.contains("panicked"), "{err}");
    assert_eq!(text(&last.done()["run"]), text(&place.run(&[]).done()["run"]));
}

#[test]
fn a_corpus_that_shrinks_is_not_published() {
    let place = Place::new().with(&["--to", "clips"]);
    let watcher = Watcher::start(&place);
    let first = watcher.built();
    let away = place.path().join("away");
    fs::rename(place.music(), &away).expect("moved");
    fs::create_dir(place.music()).expect("an empty folder");
    watcher.rests();
    fs::remove_dir(place.music()).expect("removed");
    fs::rename(&away, place.music()).expect("moved back");
    let back = watcher.built();
    assert_eq!(text(&back.done()["run"]), text(&first.done()["run"]));
    // The folder is another one now, and watched.
    tone(&place.music().join("t8.wav"), 8, 1.0);
    place.table(&format!("{}t8.wav,CC0-1.0,artist 3,Title 8,genre 0\n", place.rows()));
    while watcher.built().count("parts", "kept") < 9 {}
    fs::remove_file(place.music().join("t8.wav")).expect("removed");
    watcher.built();
    let (code, err) = watcher.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("held 8 tracks in the last run and holds 0 now"), "{err}");
}

/// Whether the attribution of what was published has a word.
fn tree_says(said: &Said, word: &str) -> bool {
    fs::read_to_string(said.folder().join("ATTRIBUTION.md")).expect("an attribution").contains(word)
}

#[test]
fn another_policy_is_a_change_of_rows() {
    let place = Place::new();
    let manifest = fs::read_to_string(place.path().join("tiny.toml")).expect("a manifest");
    let policy = |allow: &str| {
        let other = manifest.replace("allow = [\"CC0-1.0\", \"CC-BY-4.0\"]", allow);
        fs::write(place.path().join("tiny.toml"), &other).expect("written");
        assert!(other.contains(allow));
    };
    place.table(&place.rows().replacen("CC0-1.0", "CC-BY-4.0", 2));
    let watcher = Watcher::start(&place);
    let first = watcher.built();
    let kept = first.count("free", "kept");
    for (allow, less) in [
        ("allow = [\"CC0-1.0\"]", true),
        ("allow = [\"CC0-1.0\", \"CC-BY-4.0\"]", false),
        ("allow = [\"*\"]\ndeny = [\"CC-BY-*\"]", true),
    ] {
        policy(allow);
        let built = watcher.built();
        assert_eq!(built.all("watching").next(), None, "the dataflow was rendered anew");
        assert_eq!(built.count("free", "kept") < kept, less, "{allow}");
        assert_eq!(built.count("decoded", "executed"), 0);
        assert_same(allow, &tree(&built.folder()), &anew(&place));
    }
    // Policy and table at once.
    policy("allow = [\"CC0-1.0\", \"CC-BY-4.0\"]\nunknown = \"allow\"");
    place.table(&place.rows().replacen("CC-BY-4.0", "", 1));
    let mut last = watcher.built();
    while last.count("free", "added") == 0 || !tree_says(&last, "NOASSERTION") {
        last = watcher.built();
    }
    assert_eq!(last.count("free", "dropped"), 0);
    assert_same("policy and table", &tree(&last.folder()), &anew(&place));
    let (code, err) = watcher.end();
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn over_a_list_of_tracks_what_is_freed_goes_back_at_once() {
    for (to, light) in [("free", true), ("decoded", false)] {
        let place = Place::new().with(&["--to", to]);
        let watcher = Watcher::start(&place);
        watcher.built();
        // It has begun anew as the process that was started.
        let environment = fs::read(format!("/proc/{}/environ", watcher.child.id())).expect("its environment");
        let told = environment.split(|byte| *byte == 0).any(|word| word == b"MIMALLOC_PURGE_DELAY=0");
        assert_eq!(told, light, "--to {to}");
        let (code, err) = watcher.end();
        assert_eq!(code, Some(0), "{err}");
    }
}
