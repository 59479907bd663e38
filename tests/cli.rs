//! The command line that people expect: color and verbosity, completions and manual pages, a first manifest, the report in
//! the browser, the list of runs; and wrong input, answered with a sentence and exit code 2.

mod support;

use clap::CommandFactory;
use datasets::environment::{Audience, BLESS, ENVIRONMENT};
use pipeline::cli::{Cli, reference};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};
use support::{Said, refrain, repository, say, text, tone};
use tempfile::TempDir;

/// A command in a folder, with nothing in its environment that decides about color.
fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = refrain(args);
    command.current_dir(folder).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("TERM");
    command
}

fn said(folder: &Path, args: &[&str]) -> Said {
    Said::of(&command(folder, args).output().expect("the binary starts"))
}

/// A command that has to end well.
fn done(folder: &Path, args: &[&str]) -> Said {
    let said = said(folder, args);
    assert_eq!(said.code, Some(0), "{args:?}: {}{}", said.out, said.err);
    said
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn color_goes_where_it_is_wanted() {
    let place = folder();
    fs::write(place.path().join("wrong.toml"), "edition = 1\nnme = \"x\"\n").expect("a manifest");
    let colored = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = command(place.path(), args);
        let said = Said::of(&command.envs(variables.iter().copied()).output().expect("the binary starts"));
        (said.code, said.err.contains('\x1b') || said.out.contains('\x1b'))
    };
    let none: &[(&str, &str)] = &[];
    let no = &[("NO_COLOR", "1")];
    for (args, variables, color) in [
        (&["check", "wrong.toml"][..], none, false),
        (&["check", "wrong.toml", "--color", "always"], none, true),
        (&["--color=always", "check", "wrong.toml"], no, true),
        (&["check", "wrong.toml", "--color", "never"], none, false),
        // A sentence of ours, and one of the parser.
        (&["--color", "always", "runs"], none, true),
        (&["runs"], none, false),
        (&["chek", "--color", "always"], none, true),
        (&["chek"], no, false),
    ] {
        assert_eq!(colored(args, variables), (Some(2), color), "{args:?} {variables:?}");
    }
    assert_eq!(colored(&["--help", "--color=always"], none), (Some(0), true));
    assert_eq!(colored(&["--help"], no), (Some(0), false));
}

#[test]
fn wrong_input_is_answered_with_what_was_meant() {
    let place = folder();
    for (args, words) in [
        (&["chek"][..], &["chek", "check"][..]),
        (&["runs", "--jsn"], &["--jsn", "--json"]),
        (&["run"], &["<MANIFEST>"]),
        (&["runs", "--color", "sometimes"], &["sometimes", "auto, always, never"]),
        (&["completions", "bsh"], &["bsh", "bash"]),
        (&["runs", "-q", "-v"], &["--quiet", "--verbose"]),
        (&["runs"], &["there is no store at .refrain", "--store"]),
        (&["stages", "ingset"], &["did you mean `ingest`?"]),
        (&["init", ".", "--license", "free for all"], &["names no license", "CC-BY-4.0"]),
    ] {
        let said = said(place.path(), args);
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.err);
        assert!(words.iter().all(|word| said.err.contains(word)), "{args:?}: {}", said.err);
        assert!(said.out.is_empty(), "{}", said.out);
    }
    let missing = said(place.path(), &["init", "nowhere"]);
    assert_eq!(missing.code, Some(3), "{}", missing.err);
    assert!(missing.err.contains("nowhere"), "{}", missing.err);
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = say(&["completions", shell]);
        assert_eq!(script.code, Some(0), "{}", script.err);
        for word in ["refrain", "allow-shrink", "completions", "verify", "quiet"] {
            assert!(script.out.contains(word), "{shell}: no {word}");
        }
    }
    // The shell itself reads it and completes by it.
    let script =
        "source /dev/stdin; COMP_WORDS=(refrain ru); COMP_CWORD=1; _refrain refrain ru refrain; echo ${COMPREPLY[*]}";
    let mut bash = Command::new("bash");
    let bash = bash.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut bash = bash.expect("bash starts");
    let completions = say(&["completions", "bash"]).out;
    std::io::Write::write_all(&mut bash.stdin.take().expect("its input"), completions.as_bytes()).expect("written");
    let output = bash.wait_with_output().expect("its end");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "run runs");
}

#[test]
fn manual_pages_for_every_command() {
    let place = folder();
    let said = done(place.path(), &["man", "share/man1"]);
    assert!(said.out.contains("share/man1/refrain.1"), "{}", said.out);
    let page = |name: &str| fs::read_to_string(place.path().join("share/man1").join(name)).expect(name);
    let first = page("refrain.1");
    for word in [".TH refrain 1", "EXIT STATUS", "ENVIRONMENT", "NO_COLOR=1", "refrain\\-run(1)"] {
        assert!(first.contains(word), "no {word} in\n{first}");
    }
    for (name, words) in [
        ("refrain-run.1", &["allow\\-shrink", "EXIT STATUS", "quiet"][..]),
        ("refrain-store-verify.1", &["Check every object"]),
        ("refrain-init.1", &["license"]),
    ] {
        let text = page(name);
        assert!(words.iter().all(|word| text.contains(word)), "{name}: {words:?} are not all in\n{text}");
    }
    // Again, over what is there.
    done(place.path(), &["-qq", "man", "share/man1"]);
}

/// What a newcomer does: a folder with recordings of their own, `init`, and what it says to do next.
#[test]
fn a_first_manifest_runs_as_it_is() {
    let place = folder();
    let at = place.path();
    fs::create_dir(at.join("my music")).expect("a folder");
    for n in 0..4 {
        tone(&at.join(format!("my music/take {n}.wav")), n, 3.0 + f64::from(n) * 0.4);
    }
    fs::write(at.join("my music/notes.txt"), "no sound\n").expect("a file");

    let first = done(at, &["init", "my music"]);
    for word in ["wrote my music.toml for 5 files", "refrain run 'my music.toml' ", "license", "NOASSERTION"] {
        assert!(first.out.contains(word), "no {word} in\n{}", first.out);
    }
    let written = fs::read_to_string(at.join("my music.toml")).expect("a manifest");
    assert!(!written.contains('@'), "{written}");
    assert!(written.contains("root   = \"my music\"") && written.contains("name    = \"my-music\""), "{written}");

    // Never over a file that is there, never among the recordings.
    for args in [&["init", "my music"][..], &["init", "my music", "--manifest", "my music/refrain.toml"]] {
        assert_eq!(said(at, args).code, Some(2), "{args:?}");
    }
    assert_eq!(fs::read_to_string(at.join("my music.toml")).expect("a manifest"), written);
    assert_eq!(fs::read_dir(at.join("my music")).expect("a folder").count(), 5);

    done(at, &["check", "my music.toml"]);
    // Errors and the summary only.
    let run = done(at, &["run", "my music.toml", "-w", "2", "-q"]);
    assert!(run.err.is_empty(), "{}", run.err);
    assert!(run.out.contains("unknown-format") && run.out.contains("notes.txt"), "{}", run.out);
    let report = done(at, &["report"]).out;
    let page = at.join(report.trim());
    assert!(page.is_file(), "{report}");
    let tree = page.parent().expect("a run").to_owned();
    let shards: Vec<_> = fs::read_dir(tree.join("codes/train")).expect("codes of the training split").collect();
    assert!(!shards.is_empty());
    assert!(at.join("my music.lock").is_file());

    // Nothing but errors; then all that there is to tell of a run with nothing to do.
    let silent = done(at, &["run", "my music.toml", "-qq"]);
    assert_eq!((silent.out.as_str(), silent.err.as_str()), ("", ""));
    let verbose = done(at, &["run", "my music.toml", "-v"]);
    assert!(verbose.err.contains("opened the store") && verbose.err.contains("5 rows found"), "{}", verbose.err);

    opened(at, report.trim());
    listed(at);

    // The songs, once their lines are no comments any more.
    let (before, after) = written.split_once("\n# Songs: ").expect("a block about songs");
    let uncommented =
        after.lines().filter_map(|line| line.strip_prefix("# ")).skip_while(|line| !line.starts_with('['));
    let songs = uncommented.fold(format!("{before}\n"), |text, line| text + line + "\n");
    assert!(songs.contains("\n[stage.songs]\n"));
    fs::write(at.join("songs.toml"), songs).expect("a manifest");
    let check = done(at, &["check", "songs.toml"]);
    assert!(check.out.contains("14 stages"), "{}", check.out);

    // With the license stated, nothing that states none is let through.
    done(at, &["init", "my music", "--manifest", "own.toml", "--license", "LicenseRef-own"]);
    let own = fs::read_to_string(at.join("own.toml")).expect("a manifest");
    assert!(own.contains("\nlicense = \"LicenseRef-own\"\n") && own.contains("unknown = \"refuse\"\n"), "{own}");
    let plan = done(at, &["plan", "own.toml", "--to", "free"]);
    assert!(plan.out.contains("free"), "{}", plan.out);
}

/// `report --open` hands the page to the desktop's opener, and says where it lies where there is none.
fn opened(at: &Path, report: &str) {
    let (bin, seen) = (at.join("bin"), at.join("opened"));
    fs::create_dir(&bin).expect("a folder");
    let opener = bin.join(if cfg!(target_os = "macos") { "open" } else { "xdg-open" });
    let open = || {
        let output = command(at, &["report", "--open"]).env("PATH", &bin).output();
        let said = Said::of(&output.expect("the binary starts"));
        assert_eq!((said.code, said.out.trim()), (Some(0), report), "{}", said.err);
        said.err
    };
    let none = open();
    assert!(none.contains("does not start") && none.contains("open the page above yourself"), "{none}");
    for (script, words) in [
        (format!("#!/bin/sh\nprintf %s \"$1\" > '{}'\n", seen.display()), None),
        ("#!/bin/sh\nexit 3\n".to_owned(), Some("found nothing to open it with")),
    ] {
        fs::write(&opener, script).expect("a script");
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).expect("executable");
        let err = open();
        assert_eq!(err.is_empty(), words.is_none(), "{err}");
        assert!(words.is_none_or(|words| err.contains(words)), "{err}");
    }
    assert_eq!(fs::read_to_string(seen).expect("what was opened"), report);
}

/// `runs` tells what a run has that the one before had not.
fn listed(at: &Path) {
    let list = |at: &Path| done(at, &["runs", "--json"]).events[0]["runs"].as_array().expect("runs").clone();
    let one = list(at);
    assert_eq!((one.len(), one[0]["tracks"].as_u64(), one[0]["since"].is_null()), (1, Some(5), true), "{one:?}");
    assert_eq!(one[0]["bytes"], one[0]["own_bytes"], "nobody else has its files");

    tone(&at.join("my music/take 9.wav"), 9, 4.0);
    fs::remove_file(at.join("my music/take 0.wav")).expect("removed");
    done(at, &["run", "my music.toml", "-q", "--allow-shrink"]);
    let two = list(at);
    assert_eq!(two.len(), 2);
    assert_eq!((&two[0]["latest"], &two[1]["latest"]), (&false.into(), &true.into()));
    let since = &two[1]["since"];
    assert_eq!(text(&since["run"]), text(&one[0]["run"]));
    assert_eq!((since["added"].as_u64(), since["retracted"].as_u64()), (Some(1), Some(1)), "{since}");
    let bytes = |run: &serde_json::Value, what: &str| run[what].as_u64().expect("bytes");
    // The codec is pinned, and both have it.
    assert!(bytes(&two[0], "own_bytes") < bytes(&two[0], "bytes"), "{two:?}");

    let table = done(at, &["runs"]).out;
    let widths: BTreeSet<usize> = table.lines().map(|line| line.find("MiB").unwrap_or(0)).collect();
    assert_eq!(widths.len(), 2, "the head has none, the others have it in one place:\n{table}");
    assert!(table.lines().last().expect("lines").ends_with("latest"), "{table}");
    let wrong = said(at, &["report", "latst"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("did you mean `latest`?"), "{}", wrong.err);
}

/// What stands between two lines of a page has to be `said`; with REFRAIN_BLESS=1 it becomes that.
fn holds(page: &str, from: &str, to: &str, said: &str) {
    let path = repository().join(page);
    let text = fs::read_to_string(&path).expect("a page");
    let start = text.find(from).unwrap_or_else(|| panic!("{page} has no `{from}`"));
    let end = text[start..].find(to).map(|end| start + end).unwrap_or_else(|| panic!("{page} has no `{to}`"));
    if BLESS.get().is_some() {
        fs::write(&path, format!("{}{said}{}", &text[..start], &text[end..])).expect("the page is written");
    } else {
        assert!(text[start..end] == *said, "{page} is out of date: run the tests once with REFRAIN_BLESS=1");
    }
}

#[test]
fn the_pages_are_what_the_code_says() {
    let (path, said) = (repository().join("docs/cli.md"), reference::reference_md(Cli::command()));
    if BLESS.get().is_some() {
        fs::write(&path, &said).expect("docs/cli.md is written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == said, "docs/cli.md is out of date: run the tests once with REFRAIN_BLESS=1");
    holds("README.md", "| exit code | |\n", "\n## What a run publishes", &reference::exit_table());
    let developers = reference::environment_table(Audience::Developers);
    holds("CONTRIBUTING.md", "| variable | does |\n", "\nTests of wrong manifests", &developers);
}

/// Every variable that some file of the repository names is in the list, and every one of the list is read somewhere.
#[test]
fn environment_variables_are_listed() {
    let mut names = Vec::new();
    let mut open = vec![repository()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match path.is_dir() {
                true if name.starts_with('.') || name == "target" => {}
                true => open.push(path),
                false if [".rs", ".md", ".py"].iter().any(|end| name.ends_with(end)) => names.push(path),
                false => {}
            }
        }
    }
    let mut seen = BTreeSet::new();
    for name in names {
        let text = fs::read_to_string(&name).unwrap_or_default();
        for (at, _) in text.match_indices("REFRAIN_") {
            let word: String = text[at..].chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            seen.insert(word.trim_end_matches('_').to_owned());
        }
    }
    let listed: BTreeSet<String> =
        ENVIRONMENT.iter().map(|own| own.name.to_owned()).filter(|name| name.starts_with("REFRAIN_")).collect();
    seen.remove("REFRAIN");
    assert_eq!(seen, listed);
}
