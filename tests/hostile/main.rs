//! Files of others that were damaged or made to do harm, some hundred of them: every command ends with an exit code of
//! the documented list, in little memory and time, without a panic.
//!
//! What is drawn follows from a seed; `REFRAIN_HOSTILE_SEED` draws others, and `REFRAIN_HOSTILE_ROUNDS` more.
//!
//! | file | holds |
//! |---|---|
//! | `draw` | the ways in which bytes are damaged |
//! | `made` | files that are made by hand: bombs, pipes, absurd numbers |
//! | `children` | commands with limits of memory and time |

mod children;
mod draw;
mod made;
#[path = "../support/mod.rs"]
mod support;

use children::Case;
use datasets::Digest;
use draw::Draw;
use std::{
    cell::Cell,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use support::{Place, Said, copy, repository, tone};

/// What a run published, and its place: every file that the cases damage.
struct Whole {
    place: Place,
    run: PathBuf,
}

impl Whole {
    fn model(&self) -> PathBuf {
        self.run.join("model")
    }

    fn codec(&self) -> PathBuf {
        self.model().join("codec.safetensors")
    }

    /// The words of a run that keeps to a saved plan, in a store.
    fn run_by(&self, plan: &Path, store: &Path) -> Vec<OsString> {
        let mut all = words([&"run", &self.place.path().join("tiny.toml"), &"--store", &store, &"--plan", &plan]);
        all.extend(self.place.args.iter().map(Into::into));
        all
    }

    /// A shard of the run.
    fn shard(&self) -> PathBuf {
        let shards = support::files(&self.run);
        let name =
            shards.keys().find(|path| path.starts_with("codes") && path.extension().is_some_and(|e| e == "parquet"));
        self.run.join(name.expect("a shard"))
    }
}

fn whole() -> &'static Whole {
    static WHOLE: OnceLock<Whole> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let place = Place::new();
        let read = |name: &str| fs::read_to_string(repository().join("tests").join(name)).expect("a manifest");
        let manifest = read("tiny.toml") + "\n" + &read("songs.toml").replace("150", "2");
        fs::write(place.path().join("tiny.toml"), manifest).expect("a manifest");
        let place = place.with(&["--set", "stage.parts.salt=c"]);
        let said = place.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let run = said.folder();
        Whole { place, run }
    })
}

/// A folder for the files of a test.
fn room() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) -> PathBuf {
    fs::write(path, bytes).expect("written");
    path.to_owned()
}

/// Words for a command.
fn words<const N: usize>(words: [&dyn AsRef<OsStr>; N]) -> Vec<OsString> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}

#[test]
fn damaged_codes_are_refused() {
    let (whole, room) = (whole(), room());
    let shard = fs::read(whole.shard()).expect("a shard");
    let mut draw = Draw::of("codes");
    let mut cases = Vec::new();
    for n in 0..draw::rounds(90) {
        let file = write(&room.path().join(format!("{n}.parquet")), draw.damaged(&shard));
        let out = room.path().join(format!("out-{n}"));
        cases.push(Case::new(words([&"decode", &file, &"-m", &whole.codec(), &"-o", &out])));
    }
    for (n, (name, bytes, code)) in made::shards(&shard).into_iter().enumerate() {
        let file = write(&room.path().join(format!("made-{n}.parquet")), bytes);
        let out = room.path().join(format!("made-out-{n}"));
        cases.push(Case::new(words([&"decode", &file, &"-m", &whole.codec(), &"-o", &out])).ends(name, code));
    }
    children::all(cases);
}

#[test]
fn damaged_models_are_refused() {
    let (whole, room) = (whole(), room());
    let codec = fs::read(whole.codec()).expect("a codec");
    let sound = room.path().join("sound.wav");
    tone(&sound, 3, 0.4);
    let mut draw = Draw::of("models");
    let mut cases = Vec::new();
    let mut models: Vec<(String, Vec<u8>, Option<i32>)> =
        (0..draw::rounds(50)).map(|n| (format!("draw {n}"), draw.damaged(&codec), None)).collect();
    models.extend(made::codecs(&codec));
    for (n, (name, bytes, code)) in models.into_iter().enumerate() {
        let file = write(&room.path().join(format!("{n}.safetensors")), bytes);
        let out = room.path().join(format!("out-{n}"));
        let case = Case::new(words([&"encode", &sound, &"-m", &file, &"-o", &out]));
        cases.push(case.ends(&name, code));
    }
    children::all(cases);
}

#[test]
fn damaged_checkpoints_are_refused() {
    let room = room();
    let mut draw = Draw::of("checkpoints");
    let mut cases = Vec::new();
    let published = |name: &str| fs::read(repository().join("stages/tests/published").join(name)).expect("a codec");
    let mut import = |name: &str, bytes: made::Put, code: Option<i32>| {
        let file = room.path().join(format!("{}.pth", cases.len()));
        bytes.put(&file);
        let out = room.path().join(format!("{}.safetensors", cases.len()));
        cases.push(Case::new(words([&"import", &file, &"-o", &out])).ends(name, code));
    };
    for name in ["codec.pth", "codec.pth.tar", "codec.bf16.safetensors"] {
        let whole = published(name);
        import(name, made::Put::Bytes(whole.clone()), Some(0));
        for n in 0..draw::rounds(30) {
            import(&format!("{name} {n}"), made::Put::Bytes(draw.damaged(&whole)), None);
        }
    }
    for (name, bytes) in made::checkpoints(&published("codec.pth.tar")) {
        import(name, bytes, Some(3));
    }
    children::all(cases);
}

#[test]
fn damaged_bundles_are_refused() {
    let (whole, room) = (whole(), room());
    let mut draw = Draw::of("bundles");
    let index = fs::read(whole.model().join("bundle.json")).expect("an index");
    let mut cases = Vec::new();
    let mut bundle = |name: &str, change: &mut dyn FnMut(&Path), code: Option<i32>| {
        let folder = room.path().join(format!("bundle-{name}"));
        copy(&whole.model(), &folder);
        change(&folder);
        let out = folder.join("song.wav");
        cases.push(Case::new(words([&"sample", &"-m", &folder, &"-o", &out, &"--seconds", &"0.2"])).ends(name, code));
    };
    bundle("whole", &mut |_| {}, Some(0));
    for n in 0..draw::rounds(25) {
        bundle(
            &format!("index {n}"),
            &mut |folder| drop(write(&folder.join("bundle.json"), draw.damaged_text(&index))),
            None,
        );
    }
    // Damaged priors whose digests the index was made to say.
    let priors: Vec<String> = support::files(&whole.model())
        .into_keys()
        .map(|path| path.display().to_string())
        .filter(|name| name.starts_with("prior") && name.ends_with(".safetensors"))
        .collect();
    assert_eq!(priors.len(), 3, "{priors:?}");
    let replaced = |folder: &Path, name: &str, bytes: &[u8]| {
        let was = Digest::of(&fs::read(folder.join(name)).expect("a prior")).hex();
        let text = fs::read_to_string(folder.join("bundle.json")).expect("an index");
        write(&folder.join("bundle.json"), text.replace(&was, &Digest::of(bytes).hex()));
        fs::remove_file(folder.join(name)).expect("removed");
        write(&folder.join(name), bytes);
    };
    for n in 0..draw::rounds(25) {
        let name = &priors[draw.below(3) as usize];
        let bytes = draw.damaged(&fs::read(whole.model().join(name)).expect("a prior"));
        bundle(&format!("prior {n}"), &mut |folder| replaced(folder, name, &bytes), None);
    }
    for name in &priors {
        let prior = fs::read(whole.model().join(name)).expect("a prior");
        for (what, bytes, code) in made::priors(&prior) {
            bundle(&format!("{name} {what}"), &mut |folder| replaced(folder, name, &bytes), code);
        }
    }
    children::all(cases);
}

#[test]
fn damaged_sources_are_told() {
    let (whole, room) = (whole(), room());
    let mut draw = Draw::of("sources");
    let mut cases = Vec::new();
    let music = whole.place.music();
    let plan = |settings: &[String], name: &str, code: Option<i32>| {
        let store = room.path().join(format!("store-{name}"));
        let mut all = words([&"plan", &whole.place.path().join("tiny.toml"), &"--store", &store, &"--to", &"free"]);
        for setting in settings {
            all.extend(words([&"--set", setting]));
        }
        Case::new(all).ends(name, code)
    };
    let tables = made::tables(&music);
    for (ending, whole) in &tables {
        for n in 0..draw::rounds(12) {
            let file = write(&room.path().join(format!("{n}.{ending}")), draw.damaged(whole));
            let table = [
                "stage.tracks.corpus=\"table\"".to_owned(),
                format!("stage.tracks.file=\"{}\"", file.display()),
                format!("stage.tracks.root=\"{}\"", music.display()),
            ];
            cases.push(plan(&table, &format!("table {n} {ending}"), None));
        }
    }
    for (n, (name, ending, bytes, code)) in made::bad_tables().into_iter().enumerate() {
        let file = room.path().join(format!("made-{n}.{ending}"));
        bytes.put(&file);
        let table = ["stage.tracks.corpus=\"table\"".to_owned(), format!("stage.tracks.file=\"{}\"", file.display())];
        cases.push(plan(&table, &format!("{n} {name}"), code));
        // The same as a list of withdrawn tracks.
        let exclude = [
            format!("stage.tracks.root=\"{}\"", music.display()),
            format!("stage.free.exclude=\"{}\"", file.display()),
        ];
        cases.push(plan(&exclude, &format!("{n} {name} as a list"), Some(3)));
    }
    // Sidecars and sounds.
    for n in 0..draw::rounds(12) {
        let folder = room.path().join(format!("music-{n}"));
        copy(&music, &folder);
        let sidecar = fs::read(folder.join("tracks.csv")).expect("a sidecar");
        write(&folder.join("tracks.csv"), draw.damaged(&sidecar));
        let wav = fs::read(folder.join("t1.wav")).expect("a sound");
        write(&folder.join("t1.wav"), draw.damaged(&wav));
        cases.push(plan(&[format!("stage.tracks.root=\"{}\"", folder.display())], &format!("sidecar {n}"), None));
    }
    children::all(cases);
}

#[test]
fn damaged_sounds_are_left_out() {
    let (whole, room) = (whole(), room());
    let mut draw = Draw::of("sounds");
    let mut cases = Vec::new();
    for n in 0..draw::rounds(10) {
        let mut all = words([&"encode", &"-m", &whole.codec(), &"-o", &room.path().join(format!("out-{n}"))]);
        let wav = fs::read(whole.place.music().join("t0.wav")).expect("a sound");
        for (at, bytes) in made::heads(&wav).into_iter().enumerate() {
            let file = write(&room.path().join(format!("{n}-{at}.wav")), draw.damaged(&bytes));
            all.push(file.into());
        }
        cases.push(Case::new(all));
    }
    children::all(cases);
}

#[test]
fn damaged_manifests_locks_and_plans_are_told() {
    let (whole, room) = (whole(), room());
    let mut draw = Draw::of("manifests");
    let mut cases = Vec::new();
    let manifest = fs::read(whole.place.path().join("tiny.toml")).expect("a manifest");
    let lock = format!("# What is pinned.\ncodec {} {}\n", "0".repeat(64), "1".repeat(64));
    let saved = room.path().join("saved.plan");
    let made = whole.place.command("plan", &["--save", &saved.display().to_string()]).output().expect("it starts");
    assert_eq!(made.status.code(), Some(0), "{}", Said::of(&made).err);
    let plan = fs::read(&saved).expect("a plan");
    for n in 0..draw::rounds(40) {
        let file = write(&room.path().join(format!("{n}.toml")), draw.damaged_text(&manifest));
        cases.push(Case::new(words([&"check", &file])));
    }
    for (n, (name, text)) in made::manifests().into_iter().enumerate() {
        let file = write(&room.path().join(format!("made-{n}.toml")), text);
        cases.push(Case::new(words([&"check", &file])).ends(name, Some(2)));
    }
    for n in 0..draw::rounds(12) {
        let file = write(&room.path().join(format!("locked-{n}.toml")), &manifest);
        write(&file.with_extension("lock"), draw.damaged_text(lock.as_bytes()));
        let root = format!("stage.tracks.root=\"{}\"", whole.place.music().display());
        let store = room.path().join(format!("store-{n}"));
        let pinned = "stage.codec.refresh=\"pinned\"";
        let mut all = words([&"plan", &file, &"--set", &root, &"--set", &pinned]);
        all.extend(words([&"--store", &store, &"--to", &"codec"]));
        cases.push(Case::new(all));
    }
    for n in 0..draw::rounds(12) {
        let file = write(&room.path().join(format!("{n}.plan")), draw.damaged_text(&plan));
        cases.push(Case::new(whole.run_by(&file, &room.path().join(format!("planned-{n}")))));
    }
    children::all(cases);
}

#[test]
fn damaged_records_and_stores_are_told() {
    let (whole, room) = (whole(), room());
    let mut draw = Draw::of("records");
    let mut cases = Vec::new();
    let name = whole.run.file_name().expect("a name").to_owned();
    for n in 0..draw::rounds(14) {
        let store = room.path().join(format!("store-{n}"));
        copy(&whole.place.store(), &store);
        let run = store.join("runs").join(&name);
        let damage = |draw: &mut Draw, path: PathBuf| {
            let bytes = fs::read(&path).expect("a file");
            fs::remove_file(&path).expect("removed");
            write(&path, draw.damaged(&bytes));
        };
        match n % 4 {
            0 => damage(&mut draw, run.join("run.json")),
            1 => damage(&mut draw, run.join("tracks.parquet")),
            2 => damage(&mut draw, store.join("history/tiny")),
            _ => {
                let receipts = support::files(&store.join("receipts"));
                let names: Vec<&PathBuf> = receipts.keys().collect();
                let name = names[draw.below(names.len() as u64) as usize];
                damage(&mut draw, store.join("receipts").join(name));
            }
        }
        let id = "music/t0.wav";
        cases.push(Case::new(words([&"runs", &"--store", &store])));
        cases.push(Case::new(words([&"why", &run, &id, &"--store", &store])));
        cases.push(Case::new(words([&"diff", &run, &whole.run, &"--store", &store])));
        let manifest = whole.place.path().join("tiny.toml");
        let mut plan = words([&"plan", &manifest, &"--store", &store]);
        plan.extend(whole.place.args.iter().map(Into::into));
        cases.push(Case::new(plan));
    }
    children::in_turn(cases, 4);
}

#[test]
fn pipes_and_devices_stand_for_no_file() {
    let (whole, room) = (whole(), room());
    let at = |name: &str| room.path().join(name);
    let mut cases = Vec::new();
    let manifest = fs::read_to_string(whole.place.path().join("tiny.toml")).expect("a manifest");
    for ending in ["toml", "lock", "csv", "json", "jsonl", "parquet", "safetensors", "wav", "plan", "hosts"] {
        made::pipe(&at(&format!("pipe.{ending}")));
    }
    let music = whole.place.music();
    let stores = Cell::new(0);
    let plan = |more: &[String]| {
        let store = at(&format!("store-of-{}", stores.replace(stores.get() + 1)));
        let mut all = words([&"plan", &whole.place.path().join("tiny.toml"), &"--store", &store, &"--to", &"free"]);
        more.iter().for_each(|setting| all.extend(words([&"--set", setting])));
        all
    };
    let root = format!("stage.tracks.root=\"{}\"", music.display());
    for ending in ["csv", "json", "jsonl", "parquet"] {
        let file = at(&format!("pipe.{ending}"));
        let table = ["stage.tracks.corpus=\"table\"".to_owned(), format!("stage.tracks.file=\"{}\"", file.display())];
        cases.push(Case::new(plan(&table)).ends("a table", Some(3)));
        let list = format!("stage.free.exclude=\"{}\"", file.display());
        cases.push(Case::new(plan(&[root.clone(), list])).ends("a list", Some(3)));
    }
    // A row that names a pipe is a row that cannot be read.
    let named = |file: &Path| format!("{},CC0-1.0\n", file.display());
    let rows =
        write(&at("rows.csv"), format!("path,license\n{}{}", named(&at("pipe.wav")), named(&music.join("t0.wav"))));
    let table = [
        "stage.tracks.corpus=\"table\"".to_owned(),
        format!("stage.tracks.file=\"{}\"", rows.display()),
        "stage.tracks.root=\"/\"".to_owned(),
    ];
    cases.push(Case::new(plan(&table)).ends("rows", Some(0)));
    // Sidecars.
    let folder = at("music");
    copy(&music, &folder);
    fs::remove_file(folder.join("tracks.csv")).expect("removed");
    made::pipe(&folder.join("tracks.csv"));
    cases.push(Case::new(plan(&[format!("stage.tracks.root=\"{}\"", folder.display())])).ends("a sidecar", Some(0)));
    // Manifests, and what they extend.
    cases.push(Case::new(words([&"check", &at("pipe.toml")])).ends("a manifest", Some(2)));
    let heir = write(&at("heir.toml"), "edition = 1\nextends = \"pipe.toml\"\nname = \"heir\"\n");
    cases.push(Case::new(words([&"check", &heir])).ends("extends", Some(2)));
    let device = write(&at("device.toml"), "edition = 1\nextends = \"/dev/zero\"\nname = \"heir\"\n");
    cases.push(Case::new(words([&"check", &device])).ends("extends a device", Some(2)));
    // A lock file.
    let locked = write(&at("locked.toml"), manifest);
    made::pipe(&locked.with_extension("lock"));
    let mut all = words([&"plan", &locked, &"--store", &at("store-locked"), &"--set", &root]);
    all.extend(words([&"--to", &"free"]));
    cases.push(Case::new(all).ends("a lock file", None));
    // Models, codes, sounds, plans.
    let (model, out) = (at("pipe.safetensors"), at("out"));
    let sound = music.join("t0.wav");
    for model in [model.as_path(), Path::new("/dev/zero"), room.path()] {
        cases.push(Case::new(words([&"encode", &sound, &"-m", &model, &"-o", &out])).ends("a model", Some(3)));
        cases.push(Case::new(words([&"sample", &"-m", &model, &"-o", &at("song.wav")])).ends("a bundle", Some(3)));
    }
    let weights = write(
        &at("weights.toml"),
        "edition = 1\nname = \"weights\"\n[stage.codec]\ndo = \"weights\"\nfile = \"pipe.safetensors\"\n",
    );
    cases.push(Case::new(words([&"run", &weights, &"--store", &at("other")])).ends("weights", Some(3)));
    let codec = whole.codec();
    for codes in [at("pipe.parquet"), PathBuf::from("/dev/zero"), room.path().to_owned()] {
        cases.push(Case::new(words([&"decode", &codes, &"-m", &codec, &"-o", &out])).ends("codes", Some(3)));
    }
    for sound in [at("pipe.wav"), PathBuf::from("/dev/zero")] {
        cases.push(Case::new(words([&"encode", &sound, &"-m", &codec, &"-o", &out])).ends("a sound", Some(3)));
    }
    cases.push(Case::new(whole.run_by(&at("pipe.plan"), &at("planned"))).ends("a plan", Some(2)));
    // Objects and what else lies in a store.
    for (n, part) in ["objects", "receipts", "history", "runs"].into_iter().enumerate() {
        let store = at(&format!("store-{n}"));
        copy(&whole.place.store(), &store);
        for path in support::files(&store.join(part)).into_keys() {
            let path = store.join(part).join(path);
            fs::remove_file(&path).expect("removed");
            made::pipe(&path);
        }
        let mut all = words([&"run", &whole.place.path().join("tiny.toml"), &"--store", &store]);
        all.extend(whole.place.args.iter().map(Into::into));
        cases.push(Case::new(all).ends(part, None));
    }
    children::all(cases);
}
