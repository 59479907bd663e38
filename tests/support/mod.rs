//! What the tests share: a place with recordings, a manifest and a store; the binary; what it said and published.

#![expect(dead_code, reason = "every test file is a crate of its own and uses its part")]

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A new command of the binary, with none of the variables that change what it does.
pub fn refrain<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_refrain"));
    command
        .args(args)
        .env_remove("REFRAIN_FAULT")
        .env_remove("REFRAIN_CHECKPOINT_SECONDS")
        .env_remove("REFRAIN_MEMORY")
        .env_remove("REFRAIN_SECRET");
    command.stdin(Stdio::null());
    command
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// The events on standard output.
    pub events: Vec<Value>,
    /// Standard output as it is.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Of a command that has ended.
    pub fn of(output: &Output) -> Said {
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        Said {
            code: output.status.code(),
            events: out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            out,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Events of one kind.
    pub fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> + 'a {
        self.events.iter().filter(move |event| event["event"] == kind)
    }

    /// The last event, which says that all went well.
    pub fn done(&self) -> &Value {
        let last = self.events.last().filter(|event| event["event"] == "done");
        last.unwrap_or_else(|| panic!("the run did not end well ({:?}):\n{}{}", self.code, self.out, self.err))
    }

    /// A count of a stage, such as `executed`.
    pub fn count(&self, stage: &str, what: &str) -> u64 {
        self.done()["stages"][stage][what].as_u64().unwrap_or_else(|| panic!("no {what} of {stage}: {}", self.done()))
    }

    /// The published tree.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(self.done()["folder"].as_str().expect("a published folder"))
    }

    /// The record of the published tree.
    pub fn record(&self) -> Value {
        let text = fs::read_to_string(self.folder().join("run.json")).expect("a record");
        serde_json::from_str(&text).expect("a record in JSON")
    }

    /// The digest of the published codec.
    pub fn weights(&self) -> String {
        self.record()["files"]["model/codec.safetensors"].as_str().expect("a codec").to_owned()
    }

    /// Ids of the rows on which effects ran, by stage.
    pub fn executed(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut ran: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for event in self.all("executed") {
            ran.entry(text(&event["stage"])).or_default().insert(text(&event["id"]));
        }
        for (stage, counts) in self.done()["stages"].as_object().expect("stages") {
            let seen = ran.get(stage).map_or(0, BTreeSet::len) as u64;
            assert_eq!(counts["executed"], seen, "{stage}: events and counts differ");
        }
        ran
    }
}

/// A JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}")).to_owned()
}

/// Every object's bytes have the digest that is its name.
pub fn undamaged(store: &Path) {
    let objects = store.join("objects");
    for (path, bytes) in if objects.exists() { files(&objects) } else { BTreeMap::new() } {
        let name: String = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        if !name.contains(".tmp") {
            assert_eq!(blake3::hash(&bytes).to_hex().as_str(), name);
        }
    }
}

/// How a process ends; one that takes longer than this fails the test.
pub fn ended(child: &mut Child, patience: Duration) -> ExitStatus {
    let started = Instant::now();
    loop {
        match child.try_wait().expect("its end") {
            Some(status) => return status,
            None if started.elapsed() > patience => {
                child.kill().expect("SIGKILL");
                panic!("a process does not end");
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Writes a list of hosts: so many free ports of this one. Their addresses.
pub fn hosts(file: &Path, count: usize) -> Vec<String> {
    let free: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let addresses: Vec<String> = free.iter().map(|l| l.local_addr().expect("its address").to_string()).collect();
    fs::write(file, format!("# one line a process\n{}\n", addresses.join("\n"))).expect("written");
    addresses
}

/// Runs a command to its end.
pub fn say<S: AsRef<OsStr>>(args: &[S]) -> Said {
    Said::of(&refrain(args).output().expect("the binary starts"))
}

/// A folder with recordings (`music`), a copy of the tiny manifest and a store.
pub struct Place {
    folder: TempDir,
    /// Added to every command on a manifest.
    pub args: Vec<String>,
}

impl Place {
    /// Without recordings.
    pub fn empty() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("music")).expect("a folder for music");
        fs::copy(repository().join("tests/tiny.toml"), folder.path().join("tiny.toml")).expect("a manifest");
        let root = format!("stage.tracks.root={}", folder.path().join("music").display());
        Place { folder, args: vec!["--set".into(), root] }
    }

    /// With eight recordings of about two seconds by as many artists.
    pub fn new() -> Place {
        let place = Place::empty();
        place.compose(0..8);
        place
    }

    /// Writes recordings, in this order, and the table about them.
    pub fn compose(&self, numbers: impl IntoIterator<Item = u32>) {
        for n in numbers {
            tone(&self.music().join(format!("t{n}.wav")), n, 2.0 + f64::from(n) * 0.07);
        }
        let row = |n: u32| format!("t{n}.wav,CC0-1.0,artist {n},Title {n},genre {}\n", n % 2);
        self.table(&(0..8).map(row).collect::<String>());
    }

    /// Writes the table about the recordings.
    pub fn table(&self, rows: &str) {
        fs::write(self.music().join("tracks.csv"), format!("path,license,artist,title,genre\n{rows}"))
            .expect("a table");
    }

    /// The rows of the table.
    pub fn rows(&self) -> String {
        let text = fs::read_to_string(self.music().join("tracks.csv")).expect("a table");
        text.split_once('\n').expect("a head").1.to_owned()
    }

    /// Another place that holds a copy of all that is here.
    pub fn copy(&self) -> Place {
        let place = Place::empty();
        copy(self.path(), place.path());
        let more = self.args.iter().skip(2).cloned();
        Place { args: place.args.iter().cloned().chain(more).collect(), ..place }
    }

    /// With arguments for every command on a manifest.
    pub fn with(mut self, args: &[&str]) -> Place {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// The folder of all.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of recordings.
    pub fn music(&self) -> PathBuf {
        self.path().join("music")
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    /// A command on the manifest.
    pub fn command(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = refrain(&[verb]);
        command.arg(self.path().join("tiny.toml")).args(&self.args).args(args).arg("--json");
        command.arg("--store").arg(self.store());
        command
    }

    /// Runs the manifest with two workers.
    pub fn run(&self, args: &[&str]) -> Said {
        let mut all = vec!["-w", "2"];
        all.extend(args);
        Said::of(&self.command("run", &all).output().expect("the binary starts"))
    }

    /// Plans the manifest.
    pub fn plan(&self, args: &[&str]) -> Plan {
        let said = Said::of(&self.command("plan", args).output().expect("the binary starts"));
        assert_eq!(said.code, Some(0), "{}", said.err);
        Plan::of(&said)
    }

    /// Runs the manifest with a fault.
    pub fn faulty(&self, fault: &str) -> Said {
        let output = self.command("run", &["-w", "2"]).env("REFRAIN_FAULT", fault).output();
        Said::of(&output.expect("the binary starts"))
    }
}

/// Short trainings.
pub const STEPS: [&str; 2] = ["--set", "stage.codec.steps=[2,2,2]"];

/// A place whose manifest has run once, with [`STEPS`].
pub fn base() -> &'static Place {
    static BASE: OnceLock<Place> = OnceLock::new();
    BASE.get_or_init(|| {
        let place = Place::new().with(&STEPS);
        let said = place.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        place
    })
}

/// What processes said that run side by side, each with pipes: all are read at once, since one that waits for its reader
/// keeps the others waiting.
pub fn side_by_side<const N: usize>(children: [Child; N]) -> [Said; N] {
    let read = |child: Child| thread::spawn(move || Said::of(&child.wait_with_output().expect("its end")));
    children.map(read).map(|reader| reader.join().expect("read"))
}

/// Copies a tree; links stay links.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (kind, target) = (entry.file_type().expect("its kind"), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).expect("a link"), target).expect("a link");
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// What a plan said.
#[derive(Debug)]
pub struct Plan {
    /// Ids of rows on which an effect will run, by stage.
    pub will: BTreeMap<String, BTreeSet<String>>,
    /// Ids of rows on which an effect may run, by stage.
    pub may: BTreeMap<String, BTreeSet<String>>,
}

impl Plan {
    /// Of a command that has ended.
    pub fn of(said: &Said) -> Plan {
        let event = said.events.last().filter(|event| event["event"] == "plan").expect("a plan");
        let mut plan = Plan { will: BTreeMap::new(), may: BTreeMap::new() };
        for (stage, own) in event["stages"].as_object().expect("stages") {
            let will: BTreeSet<String> = own["will"].as_array().expect("will").iter().map(text).collect();
            let may: BTreeSet<String> =
                own["may"].as_array().expect("may").iter().map(|row| text(&row["id"])).collect();
            if !will.is_empty() {
                plan.will.insert(stage.clone(), will);
            }
            if !may.is_empty() {
                plan.may.insert(stage.clone(), may);
            }
        }
        plan
    }

    /// Whether nothing will or may run.
    pub fn is_empty(&self) -> bool {
        self.will.is_empty() && self.may.is_empty()
    }

    /// The law: what will run has run, and what has run is what will or may run.
    pub fn holds(&self, ran: &BTreeMap<String, BTreeSet<String>>) {
        let none = BTreeSet::new();
        for (stage, ids) in &self.will {
            let lacks: Vec<_> = ids.difference(ran.get(stage).unwrap_or(&none)).collect();
            assert!(lacks.is_empty(), "{stage}: would run and did not: {lacks:?}");
        }
        for (stage, ids) in ran {
            let (will, may) = (self.will.get(stage).unwrap_or(&none), self.may.get(stage).unwrap_or(&none));
            let wild: Vec<_> =
                ids.iter().filter(|id| !will.contains(*id) && !may.iter().any(|m| covers(m, id))).collect();
            assert!(wild.is_empty(), "{stage}: ran and was not planned: {wild:?}; will {will:?}, may {may:?}");
        }
    }
}

/// `all` stands for whatever a stage makes of all that comes in, a track for its clips, a shard for those that it may split into, `split/new` for a shard of the split that is not
/// there yet, `?/new` for one of a split that is not known.
fn covers(may: &str, id: &str) -> bool {
    let splits = |(may, id): ((&str, &str), (&str, &str))| {
        let bits = !id.1.is_empty() && id.1.bytes().all(|bit| b"01".contains(&bit));
        may.0 == id.0 && (may.1 == "new" || bits && (may.1 == "all" || id.1.starts_with(may.1)))
    };
    may == id
        || may == "all"
        || id.strip_prefix(may).is_some_and(|rest| rest.starts_with('@'))
        || may == "?/new"
        || may.split_once('/').zip(id.split_once('/')).is_some_and(splits)
}

/// Writes a WAV (22,050 Hz, mono, 16 bit): a few partials that glide, and a little noise, all from a number.
pub fn tone(path: &Path, number: u32, seconds: f64) {
    let (rate, mut state) = (22_050u32, u64::from(number) * 2 + 1);
    let frames = (seconds * f64::from(rate)) as u32;
    let mut phase = 0.0f64;
    let samples: Vec<i16> = (0..frames)
        .map(|frame| {
            let time = f64::from(frame) / f64::from(rate);
            phase += (110.0 * (1.0 + f64::from(number % 11) * 0.3) + 40.0 * time) / f64::from(rate);
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (state >> 40) as f64 / f64::from(1 << 24) - 0.5;
            let saw = 2.0 * phase.fract() - 1.0;
            ((saw * 0.5 + (4.0 * phase).fract() * 0.2 + noise * 0.05) * 16_000.0) as i16
        })
        .collect();
    fs::write(path, wav(rate, 1, &samples)).expect("a WAV is written");
}

/// The bytes of a 16-bit WAV.
pub fn wav(rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
    let size = samples.len() as u32 * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend(1u16.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * u32::from(channels) * 2).to_le_bytes());
    bytes.extend((channels * 2).to_le_bytes());
    bytes.extend(16u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(size.to_le_bytes());
    samples.iter().for_each(|sample| bytes.extend(sample.to_le_bytes()));
    bytes
}

/// Every file under a folder, by its path there.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, all);
            } else {
                all.insert(path.strip_prefix(root).expect("a path under it").into(), fs::read(&path).expect("a file"));
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(folder, folder, &mut all);
    all
}

/// A published tree but for what tells of one time only.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut tree = files(folder);
    assert!(tree.remove(Path::new("timing.json")).is_some(), "no timing.json in {}", folder.display());
    for name in ["run.json", "report.html", "ATTRIBUTION.md"] {
        assert!(tree.contains_key(Path::new(name)), "no {name} in {}", folder.display());
    }
    tree
}

/// Two trees hold the same files with the same bytes.
pub fn assert_same(what: &str, a: &BTreeMap<PathBuf, Vec<u8>>, b: &BTreeMap<PathBuf, Vec<u8>>) {
    let differ: Vec<_> = a.keys().chain(b.keys()).filter(|path| a.get(*path) != b.get(*path)).collect();
    assert!(differ.is_empty(), "{what}: these differ: {differ:?}");
}
