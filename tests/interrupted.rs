//! A run that was killed or interrupted at any moment: the next one goes on from there and ends with the same bytes.

mod support;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};
use support::{Place, Said, assert_same, tree};

/// Enough steps to be stopped among them.
const STEPS: u64 = 3 * 150;
/// Makes a training of these tests long enough.
const LONG: [&str; 2] = ["--set", "stage.codec.steps=[150,150,150]"];

/// What an undisturbed run publishes.
fn whole() -> &'static (BTreeMap<PathBuf, Vec<u8>>, String) {
    static WHOLE: OnceLock<(BTreeMap<PathBuf, Vec<u8>>, String)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let place = Place::new().with(&LONG);
        let said = place.run(&[]);
        assert_eq!(said.all("progress").count() as u64, STEPS);
        (tree(&said.folder()), said.weights())
    })
}

fn started(place: &Place) -> Command {
    let mut command = place.command("run", &["-w", "2"]);
    command.env("REFRAIN_CHECKPOINT_SECONDS", "0.1").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads events until `count` of a kind have come; the number of steps before the last of them.
fn follow(child: &mut Child, kind: &str, count: usize) -> u64 {
    let (mut seen, mut steps) = (0, 0);
    let out = BufReader::new(child.stdout.as_mut().expect("its output"));
    for line in out.lines() {
        let event: serde_json::Value = serde_json::from_str(&line.expect("a line")).expect("an event");
        steps += u64::from(event["event"] == "progress");
        seen += usize::from(event["event"] == kind);
        if seen == count {
            return steps;
        }
    }
    panic!("the run ended before {count} {kind} events, after {seen} of them and {steps} steps");
}

/// The next run ends with what an undisturbed one publishes.
fn finishes(place: &Place) -> Said {
    let second = place.run(&[]);
    assert_eq!(second.code, Some(0), "{}", second.err);
    assert_eq!(second.weights(), whole().1);
    assert_same("a run that went on", &tree(&second.folder()), &whole().0);
    assert_eq!(place.run(&[]).executed(), BTreeMap::new());
    second
}

#[test]
fn killed_during_training() {
    let place = Place::new().with(&LONG);
    let mut child = started(&place).spawn().expect("the binary starts");
    let done = follow(&mut child, "checkpoint", 2);
    child.kill().expect("SIGKILL");
    assert_eq!(child.wait().expect("its end").code(), None);
    assert!(done > 0 && done < STEPS, "{done} steps before the second checkpoint");
    let second = finishes(&place);
    let resumed = second.all("resumed").next().expect("it says that it goes on");
    let from = resumed["done"].as_u64().expect("steps");
    assert!(from >= done && resumed["total"] == STEPS, "{resumed}, {done}");
    assert_eq!(second.all("progress").count() as u64, STEPS - from);
    assert_eq!(second.count("decoded", "executed"), 0);
}

#[test]
fn interrupted_during_training() {
    let place = Place::new().with(&LONG);
    let mut child = started(&place).spawn().expect("the binary starts");
    let done = follow(&mut child, "progress", 20);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    let said = Said::of(&child.wait_with_output().expect("its end"));
    assert_eq!(said.code, Some(130), "{}", said.err);
    assert!(said.err.contains("run again to go on from here"), "{}", said.err);
    assert!(said.all("done").next().is_none());
    let second = finishes(&place);
    // A clean stop saves where it was.
    let resumed = second.all("resumed").next().expect("it says that it goes on");
    assert!(resumed["done"].as_u64().is_some_and(|from| from >= done), "{resumed}, {done}");
}

#[test]
fn killed_at_any_moment() {
    let mut state = 0x5eed_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let place = Place::new().with(&LONG);
    let mut killed = 0;
    // Where each run is to be killed: at a row of a stage, or when that has so much less to do that it is over before.
    let moments = [("decoded", 3), ("codes", 2), ("codes", 6), ("codes", 4), ("shards", 1), ("shards", 1)];
    for (stage, count) in moments {
        let mut child = started(&place).spawn().expect("the binary starts");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let row = |line: &String| line.contains("\"executed\"") && line.contains(&format!("\"{stage}\""));
        let seen = out.lines().map_while(Result::ok).filter(row).take(count).count();
        thread::sleep(Duration::from_micros(random(3_000)));
        child.kill().expect("SIGKILL");
        let code = child.wait().expect("its end").code();
        killed += usize::from(code.is_none());
        assert!(code.is_none() || seen < count || stage == "shards", "{stage}, {count}: it ended with {code:?}");
    }
    // While the report is made and the tree is put in its place.
    for _ in 0..8 {
        let mut child = started(&place).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        thread::sleep(Duration::from_millis(5 + random(120)));
        child.kill().expect("SIGKILL");
        killed += usize::from(child.wait().expect("its end").code().is_none());
    }
    assert!(killed >= 4, "only {killed} runs were killed");
    finishes(&place);
}
