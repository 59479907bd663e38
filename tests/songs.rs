//! Priors and songs, from a manifest and on plain files: killed at any moment, they end with the same bytes; the bundle of
//! a run gives the songs of that run; and whatever cannot be done is said in a sentence.

mod support;

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};
use support::{Place, Said, assert_same, copy, files, refrain, repository, say, tree};

/// Training steps of each prior.
const STEPS: u64 = 150;

/// A place with the manifest of these tests.
fn place() -> Place {
    let place = Place::new();
    let read = |name: &str| fs::read_to_string(repository().join("tests").join(name)).expect("a manifest");
    fs::write(place.path().join("tiny.toml"), read("tiny.toml") + "\n" + &read("songs.toml")).expect("a manifest");
    // Under this salt the training split has both genres, and there are held-out tracks.
    place.with(&["--set", "stage.parts.salt=c"])
}

/// A place whose codes are made and whose priors are not, so that tests begin where they want to kill.
fn encoded() -> Place {
    static CODES: OnceLock<Place> = OnceLock::new();
    let first = CODES.get_or_init(|| {
        let place = place();
        let said = place.run(&["--to", "shards"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        place
    });
    first.copy()
}

/// Training steps that were done.
fn trained(said: &Said) -> impl Iterator<Item = &Value> {
    said.all("progress").filter(|event| event["unit"] == "steps")
}

/// A place whose manifest has run once, and what it published.
fn whole() -> &'static (Place, Said) {
    static WHOLE: OnceLock<(Place, Said)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let place = encoded();
        let said = place.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!(trained(&said).count() as u64, 3 * STEPS);
        assert!(said.all("resumed").next().is_none());
        (place, said)
    })
}

/// The bundle of that run.
fn bundle() -> PathBuf {
    whole().1.folder().join("model")
}

fn started(place: &Place) -> Command {
    let mut command = place.command("run", &["-w", "2"]);
    command.env("REFRAIN_CHECKPOINT_SECONDS", "0.02").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn event(line: &str) -> Value {
    serde_json::from_str(line).expect("an event")
}

/// Reads events until `count` of these have come, or the run has ended; all that came.
fn follow(child: &mut Child, which: fn(&Value) -> bool, count: usize) -> Vec<Value> {
    let out = BufReader::new(child.stdout.as_mut().expect("its output"));
    let mut seen = 0;
    let mut events = Vec::new();
    for line in out.lines() {
        let event = event(&line.expect("a line"));
        seen += usize::from(which(&event));
        events.push(event);
        if seen == count {
            break;
        }
    }
    events
}

fn number(event: &Value, field: &str) -> u64 {
    event[field].as_u64().unwrap_or_else(|| panic!("no {field}: {event}"))
}

/// The next run ends with what an undisturbed one publishes.
fn finishes(place: &Place) -> Said {
    let second = place.run(&[]);
    assert_eq!(second.code, Some(0), "{}", second.err);
    let (ours, theirs) = (tree(&second.folder()), tree(&whole().1.folder()));
    assert!(ours.keys().any(|path| path.ends_with("prior-2.safetensors")));
    assert!(ours.keys().any(|path| path.extension().is_some_and(|e| e == "wav")));
    assert_same("a run that went on", &ours, &theirs);
    assert_eq!(place.run(&[]).executed(), BTreeMap::new());
    // What a killed run was writing is hidden.
    let left = files(&place.store().join("checkpoints"));
    let left: Vec<_> = left.keys().filter(|path| !path.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "checkpoints are left: {left:?}");
    second
}

#[test]
fn killed_while_a_prior_is_trained() {
    let place = encoded();
    let mut child = started(&place).spawn().expect("the binary starts");
    let events = follow(&mut child, |event| event["event"] == "checkpoint" && event["stage"] == "middle", 2);
    child.kill().expect("SIGKILL");
    assert_eq!(child.wait().expect("its end").code(), None);
    let saved = number(events.last().expect("events"), "done");
    assert!(saved > 0 && saved < STEPS, "{saved}");
    let second = finishes(&place);
    let resumed = second.all("resumed").find(|event| event["stage"] == "middle").expect("it says that it goes on");
    assert!(number(resumed, "done") >= saved && resumed["total"] == STEPS, "{resumed}, {saved}");
    let steps = trained(&second).filter(|event| event["stage"] == "middle").count() as u64;
    assert_eq!(steps, STEPS - number(resumed, "done"));
    assert!(trained(&second).count() as u64 <= 3 * STEPS - saved);
    assert_eq!(["codec", "codes", "shards"].map(|stage| second.count(stage, "executed")), [0; 3]);
}

#[test]
fn killed_while_songs_are_sampled() {
    let place = encoded();
    let mut child = started(&place).spawn().expect("the binary starts");
    let events = follow(&mut child, |event| event["event"] == "progress" && event["unit"] == "codes", 30);
    child.kill().expect("SIGKILL");
    assert_eq!(child.wait().expect("its end").code(), None);
    let (saved, total) = (number(&events[events.len() - 1], "done"), number(&events[events.len() - 1], "total"));
    assert!(saved < total, "{saved} of {total}");
    let second = finishes(&place);
    let resumed = second.all("resumed").find(|event| event["stage"] == "songs").expect("it says that it goes on");
    assert!(number(resumed, "done") >= saved, "{resumed}, {saved}");
    let first = second.all("progress").find(|event| event["unit"] == "codes").expect("the rest is sampled");
    assert!(number(first, "done") > number(resumed, "done"));
    assert_eq!(trained(&second).count(), 0);
}

#[test]
fn killed_at_any_moment() {
    let mut state = 0x50f7_5eed_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let place = encoded();
    let (mut killed, mut steps, mut windows) = (0, 0, 0);
    let learned: fn(&Value) -> bool = |event| event["event"] == "progress" && event["unit"] == "steps";
    let sampled: fn(&Value) -> bool = |event| event["event"] == "progress" && event["unit"] == "codes";
    for (which, most) in [(learned, 120); 6].into_iter().chain([(sampled, 40); 6]) {
        let mut child = started(&place).spawn().expect("the binary starts");
        let events = follow(&mut child, which, 1 + random(most) as usize);
        thread::sleep(Duration::from_micros(random(5_000)));
        child.kill().expect("SIGKILL");
        killed += usize::from(child.wait().expect("its end").code().is_none());
        steps += events.iter().filter(|event| learned(event)).count();
        windows += events.iter().filter(|event| sampled(event)).count();
    }
    // While the WAVs are written and the tree is put in its place.
    for _ in 0..4 {
        let mut child = started(&place).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        thread::sleep(Duration::from_millis(20 + random(400)));
        child.kill().expect("SIGKILL");
        killed += usize::from(child.wait().expect("its end").code().is_none());
    }
    assert!(killed >= 10 && steps > 0 && windows > 0, "{killed} runs were killed, {steps} steps, {windows} windows");
    let last = finishes(&place);
    assert!((trained(&last).count() as u64) < 3 * STEPS);
}

/// `refrain sample` on a bundle.
fn sample(model: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = refrain(&["sample", "--seconds", "1.5", "--temperature", "50", "--top-p", "1", "--model"]);
    command.arg(model).arg("--out").arg(out).args(more);
    command
}

fn done(mut command: Command) -> Said {
    Said::of(&command.output().expect("the binary starts"))
}

#[test]
fn a_bundle_gives_the_songs_of_its_run() {
    let (folder, out) = (whole().1.folder(), tempfile::tempdir().expect("a folder"));
    let at = out.path().join("one/song.wav");
    let said = done(sample(&bundle(), &at, &["--genre", "genre 0", "--seed", "17"]));
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.contains("1.50 s, genre 0, seed 17") && said.out.contains(" a second; decoded in "),
        "{}",
        said.out
    );
    let own = fs::read(&at).expect("a song");
    assert!(own == fs::read(folder.join("audio/genre 0-1.wav")).expect("a song"));

    // What it rests on stands beside it.
    let facts = event(&fs::read_to_string(at.with_extension("json")).expect("facts"));
    assert_eq!(facts["digest"], blake3::hash(&own).to_hex().as_str());
    let files = whole().1.record()["files"].clone();
    assert_eq!(facts["models"]["codec"], files["model/codec.safetensors"]);
    for level in 0..3 {
        assert_eq!(facts["models"]["priors"][level], files[format!("model/prior-{level}.safetensors")]);
    }
    assert_eq!(facts["seed"], 17);
    let tracks = number(&facts["rests_on"], "tracks");
    assert!(tracks > 0 && facts["rests_on"]["licenses"]["CC0-1.0"] == tracks, "{facts}");
    let papers = fs::read(out.path().join("one/song.ATTRIBUTION.md")).expect("an attribution");
    assert!(papers == fs::read(bundle().join("ATTRIBUTION.md")).expect("an attribution"));
    let named = String::from_utf8(papers).expect("text");
    assert_eq!(named.lines().filter(|line| line.starts_with("- \"Title ")).count() as u64, tracks);
    let left: Vec<PathBuf> = files_of(&out.path().join("one"));
    assert_eq!(left, ["song.ATTRIBUTION.md", "song.json", "song.wav"].map(PathBuf::from));

    // Every genre at once: the same songs, whatever is sampled beside them.
    let said = done(sample(&bundle(), &out.path().join("all.wav"), &["--songs", "2", "--seed", "17"]));
    assert_eq!(said.code, Some(0), "{}", said.err);
    for genre in ["genre 0", "genre 1"] {
        let ours = fs::read(out.path().join(format!("all-{}-1.wav", genre.replace(' ', "_")))).expect("a song");
        assert!(ours == fs::read(folder.join(format!("audio/{genre}-1.wav"))).expect("a song"), "{genre}");
        assert!(out.path().join(format!("all-{}-2.wav", genre.replace(' ', "_"))).is_file());
    }
    // Another seed, another song.
    let other = out.path().join("other.wav");
    assert_eq!(done(sample(&bundle(), &other, &["--genre", "genre 0", "--seed", "18"])).code, Some(0));
    assert!(fs::read(&other).expect("a song") != own);
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    files(folder).into_keys().collect()
}

#[test]
fn nothing_of_others_is_overwritten_beside_a_song() {
    let out = tempfile::tempdir().expect("a folder");
    let (song, facts, mine) = (out.path().join("song.wav"), out.path().join("song.json"), out.path().join("mine"));
    let try_ = |more: &[&str]| done(sample(&bundle(), &song, &[&["--genre", "genre 0"], more].concat()));
    fs::write(&facts, "{ \"mine\": 1 }").expect("written");
    refused(&try_(&[]), 2, &["song.json", "nothing was done", "--overwrite"]);
    assert_eq!(files_of(out.path()), [PathBuf::from("song.json")]);
    fs::remove_file(&facts).expect("removed");

    // Where the working file would lie, and where the temporary ones would.
    fs::write(&mine, "mine").expect("written");
    std::os::unix::fs::symlink(&mine, out.path().join(".song.codes")).expect("a link");
    refused(&try_(&[]), 2, &[".song.codes"]);
    fs::hard_link(&mine, out.path().join(".song.wav.tmp")).expect("a link");
    assert_eq!(try_(&["--overwrite"]).code, Some(0));
    assert_eq!(fs::read(&mine).expect("mine"), b"mine");
    fs::remove_file(out.path().join(".song.wav.tmp")).expect("removed");
    let left = ["mine", "song.ATTRIBUTION.md", "song.json", "song.wav"];
    assert_eq!(files_of(out.path()), left.map(PathBuf::from));

    // Its own song it replaces; one that was changed is nobody's.
    let first = fs::read(&song).expect("a song");
    assert_eq!(try_(&["--seed", "5"]).code, Some(0));
    assert!(fs::read(&song).expect("a song") != first);
    fs::write(&song, "mine").expect("written");
    refused(&try_(&["--seed", "6"]), 2, &["song.wav", "nothing was done"]);
    assert_eq!((fs::read(&song).expect("mine"), files_of(out.path()).len()), (b"mine".to_vec(), 4));
}

#[test]
fn interrupted_on_plain_files_it_goes_on() {
    let out = tempfile::tempdir().expect("a folder");
    let long = |name: &str| {
        let mut command = refrain(&["sample", "--seconds", "6", "--temperature", "9", "--genre", "genre 1", "--model"]);
        command.arg(bundle()).arg("--out").arg(out.path().join(name));
        command
    };
    let mut child = long("a.wav").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut errors = BufReader::new(child.stderr.take().expect("its errors"));
    let mut line = String::new();
    errors.read_line(&mut line).expect("a line of progress");
    assert!(line.starts_with("song: ") && line.ends_with(" codes\n"), "{line}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    errors.read_to_string(&mut line).expect("its errors");
    assert_eq!(child.wait().expect("its end").code(), Some(130), "{line}");
    assert!(line.contains("run again to go on from here"), "{line}");
    assert!(!out.path().join("a.wav").exists());
    let again = done(long("a.wav"));
    assert!(again.err.contains("song: goes on from a checkpoint"), "{}", again.err);
    let straight = done(long("b.wav"));
    assert_eq!((again.code, straight.code), (Some(0), Some(0)));
    let read = |name: &str| fs::read(out.path().join(name)).expect("a song");
    assert!(read("a.wav") == read("b.wav"));
    assert_eq!(files_of(out.path()).len(), 6, "nothing else is left");
}

/// Ended with this code and one sentence that has all these words.
fn refused(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, Some(code), "{}{}", said.out, said.err);
    // Complaints about a manifest begin with a cross.
    let line = said.err.lines().find(|line| line.starts_with("error: ") || line.starts_with("  × "));
    let line = line.unwrap_or_else(|| panic!("no sentence: {}", said.err));
    assert!(words.iter().all(|word| said.err.contains(word)), "{words:?} are not all in: {line}");
    assert!(!said.err.contains("panicked") && !said.err.contains("bug of refrain"), "{}", said.err);
}

#[test]
fn what_a_manifest_cannot_have_is_said_in_a_sentence() {
    let place = whole().0.copy();
    let known = "the priors do not know the genre \"polka\"; they know genre 0, genre 1";
    refused(&place.run(&["--set", "stage.songs.genres=[\"polka\"]"]), 6, &["stage `songs` failed", known]);
    let level = "the codec has 3 levels, numbered from 0; `level` is 3";
    refused(&place.run(&["--set", "stage.songs.level=3"]), 2, &[level]);
    let level = "the codes have 3 levels, numbered from 0; `level` is 5";
    refused(&place.run(&["--set", "stage.top.level=5"]), 2, &[level]);
    let missing = "no prior of level 1 comes in";
    refused(&place.run(&["--set", "stage.songs.from=[\"codec\", \"top\", \"bottom\"]"]), 2, &[missing]);
    let large = ["--set", "stage.top.width=8192", "--set", "stage.top.depth=200", "--set", "stage.top.batch=64"];
    refused(&place.run(&large), 6, &["stage `top` failed: training needs about", "has to be narrower or less deep"]);
    let batch = ["--set", "stage.top.batch=65536", "--set", "stage.top.context=8192"];
    refused(&place.run(&batch), 6, &["stage `top` failed: training needs about", "`micro_batch = ", "would fit"]);

    // Songs by a codec whose codes the priors do not speak.
    let other = self::place();
    let said = other.run(&["--set", "stage.codec.steps=[2,2,2]", "--to", "codec"]);
    let manifest = place.path().join("tiny.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    let file = said.folder().join("model/codec.safetensors");
    let stage = format!("\n[stage.other]\ndo = \"weights\"\nfile = {file:?}\n");
    fs::write(&manifest, text.replace("from        = [\"codec\",", "from = [\"other\",") + &stage).expect("a manifest");
    let wrong = "stage `songs` failed: the prior of level 0 was trained on the codes of another codec";
    refused(&place.run(&[]), 6, &[wrong]);
}

#[test]
fn a_pinned_prior_whose_measures_are_lost() {
    let place = encoded().with(&["--set", "stage.top.refresh=pinned", "--to", "top"]);
    let first = place.run(&[]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert_eq!(place.run(&[]).executed(), BTreeMap::new());
    let lost = |folder: &str| fs::remove_dir_all(place.store().join(folder)).expect("removed");
    // The record of the lock file has them, too.
    lost("receipts");
    let again = place.run(&[]);
    assert_eq!((again.code, again.count("top", "executed")), (Some(0), 0), "{}", again.err);
    assert_same("from the record", &tree(&again.folder()), &tree(&first.folder()));
    lost("receipts");
    lost("roots/locks");
    let words = ["`top` is pinned to the prior ", "train anew with --refresh top"];
    refused(&Said::of(&place.command("plan", &[]).output().expect("the binary starts")), 4, &words);
    refused(&place.run(&[]), 4, &words);
    let anew = place.run(&["--refresh", "top"]);
    assert_eq!(anew.count("top", "executed"), 2);
    assert_same("trained anew", &tree(&anew.folder()), &tree(&first.folder()));
}

#[test]
fn what_cannot_be_sampled_is_said_in_a_sentence() {
    let out = tempfile::tempdir().expect("a folder");
    let song = out.path().join("song.wav");
    let try_ = |model: &Path, more: &[&str]| done(sample(model, &song, more));
    let known = "the priors do not know the genre \"polka\"; they know genre 0, genre 1";
    refused(&try_(&bundle(), &["--genre", "polka"]), 2, &[known]);
    refused(&try_(&bundle(), &["--level", "3"]), 2, &["the codec has 3 levels, numbered from 0; `level` is 3"]);
    refused(&try_(&bundle(), &["--overlap", "1.5"]), 2, &["--overlap: overlap is 1.5, expected from 0 to 0.95"]);
    let other = done(sample(&bundle(), &out.path().join("song.mp3"), &[]));
    refused(&other, 2, &["--out: songs are WAV files, and", "song.mp3 does not end in .wav"]);
    refused(&try_(&out.path().join("gone"), &[]), 3, &["gone is no bundle: cannot read bundle.json"]);

    // A bundle whose files are changed one after the other; the first is whole again before the next.
    let model = out.path().join("model");
    let fresh = || {
        let _ = fs::remove_dir_all(&model);
        copy(&bundle(), &model);
        // Published files are nobody's to write to.
        for path in support::files(&model).into_keys() {
            let writable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            fs::set_permissions(model.join(path), writable).expect("rights");
        }
        event(&fs::read_to_string(model.join("bundle.json")).expect("an index"))
    };
    let index = |index: &Value| fs::write(model.join("bundle.json"), index.to_string()).expect("written");
    let mut newer = fresh();
    newer["format"] = 2.into();
    index(&newer);
    refused(&try_(&model, &[]), 3, &["has format 2; this version of refrain reads up to 1: use the newer refrain"]);
    let encode = refrain(&["encode"])
        .arg(whole().0.music().join("t0.wav"))
        .arg("--model")
        .arg(&model)
        .arg("--out")
        .arg(out.path())
        .output();
    refused(&Said::of(&encode.expect("the binary starts")), 3, &["has format 2"]);
    fresh();
    fs::remove_file(model.join("prior-1.safetensors")).expect("removed");
    refused(&try_(&model, &[]), 3, &["lacks its file prior-1.safetensors"]);
    fresh();
    let mut bytes = fs::read(model.join("prior-0.safetensors")).expect("a prior");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(model.join("prior-0.safetensors"), bytes).expect("written");
    refused(&try_(&model, &[]), 3, &["prior-0.safetensors is damaged: its bytes have the digest"]);

    // Another codec, and an index that agrees to it.
    let place = place();
    let said = place.run(&["--set", "stage.codec.steps=[2,2,2]", "--to", "codec"]);
    let alone = said.folder().join("model");
    let mut swapped = fresh();
    fs::copy(alone.join("codec.safetensors"), model.join("codec.safetensors")).expect("copied");
    for slot in ["/codec/digest", "/files/codec.safetensors"] {
        *swapped.pointer_mut(slot).expect("a digest") = said.weights().into();
    }
    index(&swapped);
    let wrong = "the prior of level 0 was trained on the codes of another codec";
    refused(&try_(&model, &[]), 3, &["cannot be used", wrong]);
    refused(&try_(&alone, &[]), 3, &["holds no priors: there is nothing to sample from"]);
    assert!(!song.exists() && !song.with_extension("json").exists());
}

#[test]
fn a_bundle_says_what_it_is() {
    let index = event(&fs::read_to_string(bundle().join("bundle.json")).expect("an index"));
    let (said, inside) = (&whole().1, files(&bundle()));
    assert_eq!((number(&index, "format"), &index["run"]), (1, &said.done()["run"]));
    assert_eq!(index["genres"], serde_json::json!(["genre 0", "genre 1"]));
    assert_eq!((&index["codec"]["rate"], &index["codec"]["hops"]), (&16_000.into(), &serde_json::json!([8, 32, 128])));
    let levels: Vec<u64> = index["priors"].as_array().expect("priors").iter().map(|p| number(p, "level")).collect();
    assert_eq!(levels, [0, 1, 2]);
    // Every file but the index itself, by the digest of its bytes.
    let listed = index["files"].as_object().expect("files");
    assert_eq!(listed.len() + 1, inside.len());
    for (name, digest) in listed {
        assert_eq!(digest, blake3::hash(&inside[Path::new(name)]).to_hex().as_str(), "{name}");
    }
    let card = String::from_utf8(inside[Path::new("README.md")].clone()).expect("text");
    for said in [
        "| 2 | 128 | 64 |",
        "| CC0-1.0 |",
        "refrain sample --model MODEL --genre 'genre 0'",
        "level = 2\n",
        "steps = 150\n",
    ] {
        assert!(card.contains(said), "{said} is not in:\n{card}");
    }
    assert!(!card.contains(&said.folder().display().to_string()));
    // The training split alone: what is held out is in the run's list and not in the bundle's.
    let works = |text: &[u8]| String::from_utf8_lossy(text).lines().filter(|line| line.starts_with("- \"")).count();
    let all = works(&fs::read(said.folder().join("ATTRIBUTION.md")).expect("an attribution"));
    let trained = works(&inside[Path::new("ATTRIBUTION.md")]);
    assert_eq!((all, trained as u64), (8, number(&index["trained_on"], "tracks")));
    assert!(trained < all);
    // Encoding and decoding take it as well.
    let out = tempfile::tempdir().expect("a folder");
    let (music, model) = (whole().0.music().join("t0.wav"), bundle());
    let said = say(&[
        "encode".as_ref(),
        music.as_os_str(),
        "--model".as_ref(),
        model.as_os_str(),
        "--out".as_ref(),
        out.path().as_os_str(),
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
}
