//! Commands on plain files: they do all they can and say what they could not, overwrite nothing that they did not make, and
//! know the bounds of their numbers.

mod support;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};
use support::{Said, base, files, refrain, repository, say};
use tempfile::TempDir;

/// A folder with three recordings, one of them in a folder below, and what is no sound.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("sub")).expect("a folder");
    for (from, to) in [("t0", "a"), ("t1", "sub/a"), ("t2", "sub/A")] {
        let to = folder.path().join(format!("{to}.wav"));
        fs::copy(base().music().join(format!("{from}.wav")), to).expect("copied");
    }
    fs::write(folder.path().join("broken.wav"), "RIFF").expect("written");
    folder
}

/// `encode` or `decode` in a folder, with the model of the shared run.
fn on(folder: &Path, verb: &str, files: &[&str], more: &[&str]) -> Said {
    let mut command = refrain(&[verb]);
    command.current_dir(folder).args(files).arg("--model").arg(base().store().join("runs/latest/model"));
    Said::of(&command.args(["--out", "out"]).args(more).output().expect("the binary starts"))
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().map(|path| path.display().to_string()).collect()
}

#[test]
fn what_can_be_encoded_is_and_the_rest_is_named() {
    let place = folder();
    let said = on(place.path(), "encode", &["missing.wav", "a.wav", "broken.wav"], &[]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.out.contains("out/a.parquet  ") && said.out.lines().count() == 1, "{}", said.out);
    for word in
        ["error: missing.wav: ", "error: broken.wav: ", "2 of 3 files could not be encoded: missing.wav, broken.wav"]
    {
        assert!(said.err.contains(word), "no {word} in {}", said.err);
    }
    assert_eq!(names(&place.path().join("out")), ["a.parquet"]);
    let none = on(place.path(), "encode", &["missing.wav"], &[]);
    assert!(none.code == Some(3) && none.err.contains("no file could be encoded"), "{}", none.err);
}

#[test]
fn what_can_be_decoded_is_and_the_rest_is_named() {
    let place = folder();
    assert_eq!(on(place.path(), "encode", &["a.wav", "sub/a.wav"], &[]).code, Some(0));
    let coded = place.path().join("out");
    fs::write(coded.join("cut.parquet"), &fs::read(coded.join("a.parquet")).expect("codes")[..200]).expect("written");
    fs::rename(&coded, place.path().join("codes")).expect("renamed");
    let files = ["codes/none.parquet", "codes/a.parquet", "codes/cut.parquet", "codes/a-2.parquet"];
    let said = on(place.path(), "decode", &files, &[]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(
        said.err.contains("2 of 4 files could not be decoded: codes/none.parquet, codes/cut.parquet"),
        "{}",
        said.err
    );
    assert_eq!(names(&place.path().join("out")), ["a-2.wav", "a.wav"]);
}

/// Without a model the codec that comes along works, says what it is, and names what it was trained on.
#[test]
fn the_codec_that_comes_along_needs_no_model() {
    let place = tempfile::tempdir().expect("a folder");
    let said =
        |words: &[&str]| Said::of(&refrain(words).current_dir(place.path()).output().expect("the binary starts"));
    // Two seconds of three tones that die away.
    let pitches = [220.0, 277.2, 329.6];
    let tone = |t: usize| -> f64 {
        pitches.iter().map(|pitch| libm::sin(std::f64::consts::TAU * pitch * t as f64 / 44_100.0)).sum()
    };
    let sound = |t: usize| 4000.0 * libm::exp(-(t as f64) / 40_000.0) * tone(t);
    let samples: Vec<i16> = (0..88_200).map(|t| sound(t) as i16).collect();
    fs::write(place.path().join("chord.wav"), support::wav(44_100, 1, &samples)).expect("a WAV");
    let encoded = said(&["encode", "chord.wav", "-o", "codes"]);
    assert_eq!(encoded.code, Some(0), "{}", encoded.err);
    assert!(encoded.out.contains("11040 + 2760 + 690 codes"), "{}", encoded.out);
    for word in ["refrain-44k", "trained on", "CC-BY-3.0", "`refrain model`"] {
        assert!(encoded.err.contains(word), "no {word} in {}", encoded.err);
    }
    let decoded = said(&["decode", "codes/chord.parquet", "-o", "sound"]);
    assert_eq!(decoded.code, Some(0), "{}", decoded.err);
    let heard = fs::read(place.path().join("sound/chord.wav")).expect("a WAV");
    let heard: Vec<i16> = heard[44..].as_chunks::<2>().0.iter().map(|x| i16::from_le_bytes(*x)).collect();
    assert_eq!(heard.len(), samples.len());
    let power = |all: &mut dyn Iterator<Item = f64>| all.map(|x| x * x).sum::<f64>();
    let noise = power(&mut heard.iter().zip(&samples).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let ratio = 10.0 * libm::log10(power(&mut samples.iter().map(|x| f64::from(*x))) / noise);
    assert!(ratio > 10.0, "{ratio} dB");
    let told = said(&["model"]);
    for word in ["# refrain-44k", "Kevin MacLeod", "Alexander Holm", "OLPC Berklee Sound Library", "CC-BY-3.0"] {
        assert!(told.out.contains(word), "no {word} in {}", told.out);
    }
}

/// A published codec comes in, works, and goes out as it came.
#[test]
fn published_codecs_are_imported_and_exported() {
    let place = tempfile::tempdir().expect("a folder");
    let at = |name: &str| place.path().join(name);
    let published = repository().join("stages/tests/published/codec.pth");
    let said = |words: &[&dyn AsRef<OsStr>]| {
        let words: Vec<OsString> = words.iter().map(|word| word.as_ref().to_owned()).collect();
        Said::of(&refrain(&words).output().expect("the binary starts"))
    };
    let imported = said(&[&"import", &published, &"-o", &at("codec.safetensors")]);
    assert_eq!(imported.code, Some(0), "{}", imported.err);
    assert!(imported.out.contains("22050 Hz, stereo, hops 6, 24, 192, codewords 64, 64, 64"), "{}", imported.out);
    let again = said(&[&"import", &published, &"-o", &at("codec.safetensors")]);
    assert!(again.code == Some(2) && again.err.contains("nothing was done"), "{}", again.err);

    // Two seconds of stereo, a tone on each side.
    let side = |period: i32, t: i32| ((t % period - period / 2) * 8000 / period) as i16;
    let samples: Vec<i16> = (0..44_100).flat_map(|t| [side(80, t), side(131, t)]).collect();
    fs::write(at("tones.wav"), support::wav(22_050, 2, &samples)).expect("a WAV");
    let encoded = said(&[&"encode", &at("tones.wav"), &"-m", &at("codec.safetensors"), &"-o", &at("codes")]);
    assert!(
        encoded.code == Some(0) && encoded.out.contains("7360 + 1840 + 230 codes"),
        "{}{}",
        encoded.out,
        encoded.err
    );
    assert_eq!(names(&at("codes")), ["tones.parquet"]);
    let decoded = said(&[&"decode", &at("codes/tones.parquet"), &"-m", &at("codec.safetensors"), &"-o", &at("sound")]);
    assert_eq!(decoded.code, Some(0), "{}", decoded.err);
    let sound = fs::read(at("sound/tones.wav")).expect("a WAV");
    assert_eq!((u16::from_le_bytes([sound[22], sound[23]]), sound.len()), (2, 44 + 2 * 2 * 44_100));

    let exported = said(&[&"export", &at("codec.safetensors"), &"-o", &at("published.safetensors")]);
    assert!(exported.code == Some(0) && exported.out.contains("import it with --rate 22050"), "{}", exported.out);
    let back = said(&[&"import", &at("published.safetensors"), &"-o", &at("back.safetensors"), &"--rate", &"22050"]);
    assert_eq!(back.code, Some(0), "{}", back.err);
    let bytes = |name: &str| fs::read(at(name)).expect("a codec");
    assert_eq!(bytes("back.safetensors"), bytes("codec.safetensors"));
    // What is no codec is told, and leaves no file.
    let none = said(&[&"import", &at("tones.wav"), &"-o", &at("none.safetensors")]);
    assert!(none.code == Some(3) && none.err.contains("tones.wav cannot be imported: "), "{}", none.err);
    let own = said(&[&"import", &at("codec.safetensors"), &"-o", &at("none.safetensors")]);
    assert!(own.code == Some(3) && own.err.contains("it needs no import"), "{}", own.err);
    assert!(!at("none.safetensors").exists());
}

#[test]
fn inputs_of_one_name_are_told_apart() {
    let place = folder();
    let said = on(place.path(), "encode", &["a.wav", "sub/a.wav", "sub/A.wav"], &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let coded = files(&place.path().join("out"));
    let names: Vec<&Path> = coded.keys().map(PathBuf::as_path).collect();
    assert_eq!(names, [Path::new("A-3.parquet"), Path::new("a-2.parquet"), Path::new("a.parquet")]);
    // Once more: it knows its own files. With another input in front, too.
    assert_eq!(on(place.path(), "encode", &["a.wav", "sub/a.wav", "sub/A.wav"], &[]).code, Some(0));
    assert!(files(&place.path().join("out")) == coded);

    // Clips of two files whose ids are one name.
    fs::rename(place.path().join("out"), place.path().join("codes")).expect("renamed");
    let shards: Vec<PathBuf> = shards();
    let twice: Vec<&str> = shards.iter().chain(&shards).map(|path| path.to_str().expect("text")).collect();
    let once = on(place.path(), "decode", &twice[..shards.len()], &[]);
    assert_eq!(once.code, Some(0), "{}", once.err);
    let first = files(&place.path().join("out"));
    fs::remove_dir_all(place.path().join("out")).expect("removed");
    assert_eq!(on(place.path(), "decode", &twice, &[]).code, Some(0));
    let both = files(&place.path().join("out"));
    assert_eq!(both.len(), 2 * first.len());
    assert!(first.iter().all(|(name, bytes)| both.get(name) == Some(bytes)));
}

/// The shards of the shared run.
fn shards() -> Vec<PathBuf> {
    let codes = base().store().join("runs/latest/codes");
    files(&codes).into_keys().map(|path| codes.join(path)).collect()
}

/// A refusal before anything was done.
fn refused(said: &Said, folder: &Path, before: &BTreeMap<PathBuf, Vec<u8>>, words: &[&str]) {
    assert_eq!(said.code, Some(2), "{}{}", said.out, said.err);
    assert!(words.iter().all(|word| said.err.contains(word)), "{words:?} are not all in {}", said.err);
    assert!(said.out.is_empty() && files(folder) == *before);
}

#[test]
fn nothing_is_overwritten_that_the_command_did_not_make() {
    let place = folder();
    let at = place.path();
    fs::create_dir(at.join("out")).expect("a folder");
    fs::write(at.join("out/a.parquet"), "mine").expect("written");
    let before = files(at);
    let said = on(at, "encode", &["sub/A.wav", "a.wav"], &[]);
    assert_eq!(said.code, Some(0), "A.parquet and a-2.parquet are free: {}", said.err);
    assert_eq!(fs::read(at.join("out/a.parquet")).expect("mine"), b"mine");
    fs::remove_file(at.join("out/A.parquet")).expect("removed");
    fs::remove_file(at.join("out/a-2.parquet")).expect("removed");
    let said = on(at, "encode", &["a.wav"], &[]);
    refused(&said, at, &before, &["out/a.parquet", "nothing was done", "--overwrite"]);
    assert_eq!(on(at, "encode", &["a.wav"], &["--overwrite"]).code, Some(0));
    assert_ne!(fs::read(at.join("out/a.parquet")).expect("codes"), b"mine");

    // Beside its recording.
    fs::rename(at.join("out/a.parquet"), at.join("a.parquet")).expect("renamed");
    fs::rename(at.join("a.wav"), at.join("out/a.wav")).expect("renamed");
    let before = files(at);
    refused(&on(at, "decode", &["a.parquet"], &[]), at, &before, &["out/a.wav", "nothing was done"]);
    assert_eq!(on(at, "decode", &["a.parquet"], &["--overwrite"]).code, Some(0));

    // Over what it reads, never.
    fs::rename(at.join("a.parquet"), at.join("out/b.parquet")).expect("renamed");
    fs::rename(at.join("sub/a.wav"), at.join("out/b.wav")).expect("renamed");
    fs::rename(at.join("out/b.wav"), at.join("out/c.parquet")).expect("renamed");
    let before = files(at);
    let said = on(at, "encode", &["out/c.parquet"], &["--overwrite"]);
    refused(&said, at, &before, &["out/c.parquet", "what this command reads"]);

    // A link is replaced, and leads nowhere.
    fs::write(at.join("mine"), "mine").expect("written");
    symlink(at.join("mine"), at.join("out/A.parquet")).expect("a link");
    assert_eq!(on(at, "encode", &["sub/A.wav"], &[]).code, Some(2));
    symlink(at.join("mine"), at.join("out/.A.parquet.tmp")).expect("a link");
    assert_eq!(on(at, "encode", &["sub/A.wav"], &["--overwrite"]).code, Some(0));
    assert_eq!(fs::read(at.join("mine")).expect("mine"), b"mine");
}

#[test]
fn what_a_killed_process_left_is_gone_after_the_next_run() {
    let place = folder();
    fs::create_dir(place.path().join("out")).expect("a folder");
    fs::write(place.path().join("out/.a.parquet.tmp"), vec![7; 1 << 20]).expect("written");
    assert_eq!(on(place.path(), "encode", &["a.wav"], &[]).code, Some(0));
    assert_eq!(names(&place.path().join("out")), ["a.parquet"]);
}

#[test]
fn plans_and_pages_replace_their_like_alone() {
    let place = base().copy();
    let manifest = place.path().join("tiny.toml");
    let (text, saved) = (fs::read(&manifest).expect("a manifest"), place.path().join("saved.json"));
    let save = |path: &Path| {
        let path = path.display().to_string();
        Said::of(&place.command("plan", &["--save", &path]).output().expect("the binary starts"))
    };
    let said = save(&manifest);
    assert!(said.code == Some(2) && said.err.contains("is no saved plan"), "{}", said.err);
    assert!(fs::read(&manifest).expect("a manifest") == text);
    assert_eq!((save(&saved).code, save(&saved).code), (Some(0), Some(0)));
    fs::create_dir(place.path().join("pages")).expect("a folder");
    let page = place.path().join("pages/refrain-run.1");
    fs::write(&page, "mine").expect("written");
    let folder = page.with_file_name("").display().to_string();
    let said = say(&["man", &folder]);
    assert!(said.code == Some(2) && said.err.contains("refrain-run.1"), "{}", said.err);
    assert_eq!(names(page.parent().expect("a folder")), ["refrain-run.1"]);
}

#[test]
fn numbers_have_bounds_and_a_negative_one_is_a_number() {
    let huge = "99999999999999999999999";
    let sample = ["sample", "--model", "x", "--out", "x.wav"];
    for (args, words) in [
        (&["--temperature", "-1"][..], &["temperature is -1", "expected from 0 to 100"][..]),
        (&["--top-p", "-0.1"], &["top_p is -0.1", "expected from 0 to 1"]),
        (&["--seconds", "-3"], &["seconds is -3", "expected from 0.01 to 3600"]),
        (&["--overlap", "-1"], &["overlap is -1", "expected from 0 to 0.95"]),
        (&["--temperature", "warm"], &["'warm'", "expected a number"]),
        (&["--seed", "-1"], &["'-1'", "expected at least 0"]),
        (&["--level", "-1"], &["'-1'", "expected at least 0"]),
        (&["--songs", "0"], &["'0'", "expected at least 1"]),
        (&["--songs", "4294967295"], &["'4294967295'", "expected at most 10000"]),
    ] {
        let said = say(&[&sample[..], args].concat());
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.err);
        assert!(words.iter().all(|word| said.err.contains(word)), "{args:?}: {}", said.err);
        assert!(!said.err.contains("unexpected"), "{args:?}: {}", said.err);
    }
    for (args, word) in [
        (&["run", "x.toml", "-w", "0"][..], "expected at least 1"),
        (&["run", "x.toml", "-w", "-1"], "expected at least 1"),
        (&["run", "x.toml", "-w", "99999999999"], "expected at most "),
        (&["watch", "x.toml", "-w", huge], "expected at most "),
        (&["check", "x.toml", "-w", huge], "expected at most "),
        (&["plan", "x.toml", "--pcm-cache", huge], "expected at most 17592186044415"),
        (&["run", "x.toml", "--wait", huge], "expected at most 604800"),
        (&["run", "x.toml", "-n", huge], "expected at most 1024"),
        (&["run", "x.toml", "-p", "-1"], "expected at least 0"),
        (&["gc", "--keep", "0"], "expected at least 1"),
        (&["gc", "--keep", "-1"], "expected at least 1"),
        (&["decode", "x", "--model", "x", "--out", "x", "--level", "99"], "expected at most 7"),
    ] {
        let said = say(args);
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.err);
        assert!(said.err.contains(word), "{args:?}: {}", said.err);
    }
}

#[test]
fn complaints_of_fit_come_all_at_once_each_at_its_setting() {
    let manifest = base().path().join("tiny.toml").display().to_string();
    let root = format!("stage.tracks.root={}", base().music().display());
    let name = format!("name={}", "n".repeat(300));
    let wrong = [
        ("stage.codec.crop=[0,2048,2047]", "`crop` of level 0 is 0"),
        ("stage.codec.commitment=-1.0", "`commitment` is -1"),
        ("stage.codec.codewords=[64,64,70000]", "`codewords` of level 2 is 70000"),
        ("stage.codec.revival=1.5", "`revival` is 1.5"),
        (&name, "a name of 300 characters cannot name a run"),
    ];
    let sets = wrong.iter().flat_map(|(set, _)| ["--set", *set]);
    let args: Vec<&str> = ["check", &manifest, "--set", &root].into_iter().chain(sets).collect();
    let said = say(&args);
    assert_eq!(said.code, Some(2), "{}", said.err);
    for (set, words) in wrong {
        assert!(said.err.contains(words), "no {words} in {}", said.err);
        let field = set.split_once('=').expect("a value").0;
        assert!(said.err.contains(&format!("{field}=")), "{field} is not shown in {}", said.err);
    }
    assert!(said.err.contains("`crop` is 2047, which is no multiple of"), "{}", said.err);
    assert!(said.err.contains("6 complaints"), "{}", said.err);
}
