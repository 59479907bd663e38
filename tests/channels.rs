//! The two streams that `refrain` writes to: closed, full, blocked, on a terminal; and what others have put into the text.

mod support;

use std::{
    fs::{self, File},
    io::{self, PipeWriter, Write as _},
    os::unix::fs::symlink,
    process::{Command, Stdio},
    thread,
    time::Duration,
};
use support::{Place, STEPS, Said, base, ended, refrain, say, tone};

/// A stream whose reader went away.
fn closed() -> PipeWriter {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    writer
}

/// A stream on a disk that is full.
fn full() -> File {
    File::options().write(true).open("/dev/full").expect("a full disk")
}

fn code(command: &mut Command) -> Option<i32> {
    ended(&mut command.spawn().expect("the binary starts"), Duration::from_secs(120)).code()
}

/// `refrain run` of a place, as people start it.
fn run(place: &Place) -> Command {
    let mut command = refrain(&["run"]);
    command.arg(place.path().join("tiny.toml")).args(&place.args).args(["-w", "2"]);
    command.arg("--store").arg(place.store()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn nobody_has_to_hear_what_a_run_says() {
    let expected = support::tree(&base().store().join("runs/latest"));
    let streams: [(&str, fn(&mut Command)); 5] = [
        ("standard error closed", |command| {
            command.stderr(closed());
        }),
        ("standard error full", |command| {
            command.stderr(full());
        }),
        ("standard output closed", |command| {
            command.stdout(closed());
        }),
        ("events to nobody", |command| {
            command.arg("--json").stdout(closed());
        }),
        ("both closed, as by 2>&1 | head", |command| {
            let writer = closed();
            command.arg("-v").stdout(writer.try_clone().expect("a pipe")).stderr(writer);
        }),
    ];
    for (what, stream) in streams {
        let place = Place::new().with(&STEPS);
        let mut command = run(&place);
        stream(&mut command);
        assert_eq!(code(&mut command), Some(0), "{what}");
        support::assert_same(what, &support::tree(&place.store().join("runs/latest")), &expected);
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_told_by_its_exit_code() {
    let place = base();
    let store = place.store().display().to_string();
    let manifest = place.path().join("tiny.toml").display().to_string();
    let fine: [&[&str]; 9] = [
        &["--help"],
        &["--version"],
        &["stages"],
        &["schema"],
        &["completions", "bash"],
        &["runs", "--store", &store],
        &["why", "latest", "folder/t1.wav", "--json", "--store", &store],
        &["report", "--store", &store],
        &["gc", "--dry-run", "--store", &store],
    ];
    for args in fine {
        let on = |stdout: Stdio| Said::of(&refrain(args).stdout(stdout).output().expect("the binary starts"));
        let said = on(full().into());
        assert_eq!(said.code, Some(8), "{args:?}: {}", said.err);
        assert!(said.err.contains("error: standard output cannot be written: No space left"), "{}", said.err);
        let said = on(closed().into());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{args:?}");
        // Nobody hears the sentence; the code is the same.
        assert_eq!(code(refrain(args).stdout(full()).stderr(full())), Some(8), "{args:?}");
    }
    // What was done is done.
    let copy = place.copy();
    assert_eq!(code(run(&copy).args(["--set", "seed=5"]).stdout(full())), Some(8));
    assert!(copy.plan(&["--set", "seed=5"]).is_empty());
    // An error has its own code, whoever hears of it.
    for (args, expected) in [
        (&["runs", "--store", "nowhere"][..], 2),
        (&["check", &manifest, "--set", "stage.codec.crop=0"], 2),
        (&["init", "nowhere"], 3),
        (&["chek"], 2),
    ] {
        for stderr in [Stdio::from(full()), closed().into()] {
            assert_eq!(code(refrain(args).stdout(full()).stderr(stderr)), Some(expected), "{args:?}");
        }
    }
}

#[test]
fn a_second_interrupt_ends_a_process_whose_threads_cannot_write() {
    let place = Place::new().with(&STEPS);
    let (reader, mut writer) = io::pipe().expect("a pipe");
    // As much as a pipe takes by default: the first line blocks.
    writer.write_all(&[b'\n'; 1 << 16]).expect("room");
    let mut child = run(&place).arg("-v").stderr(writer).spawn().expect("the binary starts");
    thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().expect("its end").is_none(), "it did not wait");
    for _ in 0..2 {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(ended(&mut child, Duration::from_secs(5)).code(), Some(130));
    drop(reader);
}

#[test]
fn a_file_that_grows_too_large_is_an_error_with_a_sentence() {
    let place = Place::new().with(&STEPS);
    let words = run(&place);
    let mut limited = Command::new("bash");
    limited.args(["-c", "ulimit -f 16; exec \"$@\"", "bash"]).arg(words.get_program()).args(words.get_args());
    let said = Said::of(&limited.output().expect("bash starts"));
    assert_eq!(said.code, Some(4), "{}", said.err);
    assert!(said.err.contains("raise the limit (ulimit -f)"), "{}", said.err);
    // Without it the next run goes on.
    assert_eq!(code(&mut run(&place)), Some(0));
}

/// What a command writes on a terminal, both streams as one.
fn on_a_terminal(command: &Command, variables: &[(&str, &str)]) -> String {
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().expect("text").replace('\'', "'\\''"));
    let words: Vec<String> = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &words.join(" "), "/dev/null"]).env_remove("NO_COLOR").env("TERM", "xterm");
    let output = script.envs(variables.iter().copied()).stdin(Stdio::null()).output().expect("`script` starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn who_wants_no_color_gets_none() {
    let place = Place::new().with(&STEPS);
    let manifest = place.path().join("tiny.toml").display().to_string();
    for args in [&["check", &manifest, "--set", "stage.clips.secnds=4"][..], &["chek"], &["--help"], &["runs"]] {
        let plain = |more: &[&str], variables: &[(&str, &str)]| {
            let text = on_a_terminal(refrain(args).args(more), variables);
            assert!(text.len() > 20, "{text}");
            !text.contains('\x1b')
        };
        assert!(plain(&[], &[("NO_COLOR", "1")]), "{args:?}");
        assert!(plain(&[], &[("TERM", "dumb")]), "{args:?}");
        assert!(plain(&["--color", "never"], &[]), "{args:?}");
        assert!(!plain(&[], &[]), "{args:?}: no color at all");
        assert!(!plain(&["--color=always"], &[("NO_COLOR", "1")]), "{args:?}");
    }
    // Bars are no color, but more than a dumb terminal understands.
    let text = on_a_terminal(&run(&place), &[("TERM", "dumb")]);
    assert!(text.contains("publishing ") && !text.contains('\x1b'), "{text}");
}

/// Clears the screen, hides what follows, and turns its direction.
const HOSTILE: &str = "x\x1b[2J\u{9b}8m\u{202e}\u{200b}y";

/// The same as it may stand on a terminal.
const HARMLESS: &str = "x\\u001b[2J\\u009b8m\\u202e\\u200by";

#[test]
fn what_others_wrote_does_nothing_to_a_terminal() {
    let place = Place::new().with(&STEPS);
    let name = format!("{HOSTILE}.wav");
    tone(&place.music().join(&name), 77, 2.4);
    fs::write(place.music().join(format!("broken{HOSTILE}.wav")), "RIFF").expect("written");
    symlink("nowhere", place.music().join(format!("gone{HOSTILE}.wav"))).expect("a link");
    let labels = format!("t0.wav,CC0-1.0,{HOSTILE},{HOSTILE},{HOSTILE}\n{name},CC0-1.0,artist,title,genre 0\n");
    place.table(&(place.rows().split_inclusive('\n').skip(1).collect::<String>() + &labels));
    let seen = |what: &str, text: &str, shown: bool| {
        for raw in ["\x1b[2J", "\u{9b}", "\u{202e}", "\u{200b}"] {
            assert!(!text.contains(raw), "{what}: {raw:?} in\n{text:?}");
        }
        assert!(!shown || text.contains(HARMLESS), "{what}: not even escaped in\n{text}");
    };
    let store = place.store().display().to_string();
    let mut verbose = run(&place);
    verbose.arg("-v");
    seen("run", &on_a_terminal(&verbose, &[]), true);
    let id = format!("folder/{name}");
    let model = place.store().join("runs/latest/model").display().to_string();
    let missing = format!("{HOSTILE}.wav");
    let manifest = place.path().join("hostile.toml");
    fs::write(&manifest, format!("edition = 1\nname = \"{HOSTILE}\"\n[stage.x]\ndo = \"{HOSTILE}\"\n"))
        .expect("written");
    let manifest = manifest.display().to_string();
    let (out, set) = (place.path().join("out").display().to_string(), format!("stage.{HOSTILE}.x={HOSTILE}"));
    for args in [
        &["why", "latest", &id, "--store", &store][..],
        &["why", "latest", "folder/t0.wav", "--store", &store],
        &["why", "latest", "folder/t0.wav", "--json", "--store", &store],
        &["why", "latest", HOSTILE, "--store", &store],
        &["report", HOSTILE, "--store", &store],
        &["encode", &missing, "--model", &model, "--out", &out],
        &["encode", "t0.wav", "--model", HOSTILE, "--out", &out],
        &["check", &manifest],
        &["check", &manifest, "--set", &set],
        &["check", HOSTILE],
        &[HOSTILE],
        &["runs", HOSTILE],
        &["runs", "--store", HOSTILE],
        &["sample", "--temperature", HOSTILE, "--model", "x", "--out", "x"],
    ] {
        let command = refrain(args);
        // The parser of the command line leaves control sequences out.
        let ours = args[0] != HOSTILE && args[1] != HOSTILE && args[0] != "sample";
        seen(&format!("{args:?}"), &on_a_terminal(&command, &[]), ours);
        let said = say(args);
        seen(&format!("{args:?} in pipes"), &said.err, false);
    }
    // Another program reads what is there.
    let said = say(&["why", "latest", &id, "--json", "--store", &store]);
    assert_eq!(said.events[0]["track"]["track"], id, "{}", said.out);
}

#[test]
fn the_lock_file_is_tried_before_anything_is_trained() {
    let place = base().copy().with(&["--set", "stage.codec.refresh=pinned", "--set", "seed=3"]);
    let said = place.faulty("write:readonly:0");
    assert_eq!(said.code, Some(4), "{}", said.err);
    let sentence = format!("the lock file {} cannot be written", place.path().join("tiny.lock").display());
    assert!(said.err.contains(&sentence) && !said.err.contains("--store"), "{}", said.err);
    assert!(said.all("executed").next().is_none(), "{}", said.out);
    assert!(!place.path().join(".tiny.lock.tmp").exists());
}
