//! Disks that fail, files that are damaged, channels that are closed or full, and processes that are killed, at moments
//! that nobody chose, on one store: whatever happened before, a run without faults finishes with the bytes of a build from
//! nothing, the store is sound, and `gc` leaves nothing that no run needs.
//!
//! `REFRAIN_FAULT_ROUNDS` and `REFRAIN_FAULT_SEED` draw more or others; each round is printed.

#[path = "support/damage.rs"]
mod damage;
#[path = "support/orphans.rs"]
mod orphans;
mod support;

use damage::{damage, notices, published, speechless};
use orphans::nothing_is_left_over;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use support::{Place, Said, assert_same, ended, hosts, refrain, repository, tone, tree, undamaged};

/// Longer than any run here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Milliseconds within which a process is killed: at the start, in what is remembered, in work.
const SPANS: [u64; 3] = [20, 150, 700];

/// A generator of its own: what is drawn follows from the seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }

    /// Small numbers as often as large ones.
    fn skewed(&mut self, bits: u64) -> u64 {
        let most = 1 << (1 + self.below(bits));
        self.below(most)
    }

    /// When to kill a process.
    fn moment(&mut self) -> Duration {
        let span = SPANS[self.below(SPANS.len() as u64) as usize];
        Duration::from_micros(self.below(1000 * span))
    }

    /// A fault as `REFRAIN_FAULT` has it, after so many operations or more.
    fn fault(&mut self, past: u64) -> String {
        let point = self.of(&["write", "write", "fsync", "rename", "remove", "read"]);
        let error = if point == "read" { "io" } else { self.of(&["full", "io", "readonly"]) };
        let times = self.of(&["", ":1", ":2"]);
        format!("{point}:{error}:{}{times}", past + self.skewed(8))
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn draw(rounds: u64) -> (u64, Draw) {
    let (rounds, seed) = (variable("REFRAIN_FAULT_ROUNDS", rounds), variable("REFRAIN_FAULT_SEED", 5));
    println!("REFRAIN_FAULT_ROUNDS={rounds} REFRAIN_FAULT_SEED={seed}");
    (rounds, Draw(seed))
}

/// What sets the builds apart that share the store: all have one name.
const BUILDS: [&[&str]; 3] = [
    &["--set", "stage.codec.steps=[3,3,3]"],
    &["--set", "stage.codec.steps=[2,2,2]", "--set", "stage.mono.rate=8000", "--set", "stage.codec.rate=8000"],
    &["--set", "stage.codec.steps=[4,4,4]", "--set", "stage.codec.refresh=pinned"],
];

/// What goes wrong no more: runs without faults finish, and agree with a build from nothing.
fn mends(place: &Place, build: usize, whole: &BTreeMap<PathBuf, Vec<u8>>, keep: &str) {
    let said = place.run(BUILDS[build]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_same("after faults", &tree(&said.folder()), whole);
    undamaged(&place.store());
    let verified = Said::of(&on_store(place, &["store", "verify"]).output().expect("the binary starts"));
    assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
    nothing_is_left_over(place, keep);
    let again = place.run(BUILDS[build]);
    assert_eq!((again.code, again.executed()), (Some(0), BTreeMap::new()), "{}", again.err);
    assert_same("after gc", &tree(&again.folder()), whole);
}

/// A small corpus and a manifest that decodes, trains codec and priors, encodes, writes shards, samples and publishes.
fn place() -> Place {
    let place = Place::empty();
    place.compose(0..5);
    let rows: Vec<String> = place.rows().lines().take(5).map(|row| format!("{row}\n")).collect();
    place.table(&rows.concat());
    let read = |name: &str| fs::read_to_string(repository().join("tests").join(name)).expect("a manifest");
    let songs = read("songs.toml").replace("steps             = 150", "steps             = 2");
    let songs = songs.replace("seconds     = 1.5", "seconds     = 0.2");
    fs::write(place.path().join("tiny.toml"), read("tiny.toml") + "\n" + &songs).expect("a manifest");
    place.with(&["--set", "stage.parts.salt=c"])
}

/// What each build publishes in a place of its own.
fn whole() -> Vec<BTreeMap<PathBuf, Vec<u8>>> {
    let from_nothing = |build: &&[&str]| {
        let place = place();
        let said = place.run(build);
        assert_eq!(said.code, Some(0), "{}", said.err);
        tree(&said.folder())
    };
    BUILDS.iter().map(from_nothing).collect()
}

/// Ended with exit code 4 and one sentence, and published nothing.
fn refused(said: &Said) {
    stopped(said);
    assert!(said.all("done").next().is_none(), "{}", said.err);
}

/// Ended with exit code 4 and one sentence.
fn stopped(said: &Said) {
    let sentences: Vec<&str> = said.err.lines().filter(|line| line.starts_with("error: ")).collect();
    // A watcher tells of others, too, and goes on.
    let several = sentences.len() > 1 && !said.out.contains("\"event\":\"watching\"");
    assert!(said.code == Some(4) && !several, "{}{}", said.out, said.err);
    let last = sentences.last().expect("a sentence");
    assert!(["cannot ", "object ", "does not hold"].iter().any(|word| last.contains(word)), "{}", said.err);
    assert!(!said.err.contains("panicked"), "{}", said.err);
}

/// A command on the store alone.
fn on_store(place: &Place, words: &[&str]) -> Command {
    let mut command = refrain(words);
    command.arg("--json").arg("--store").arg(place.store());
    command
}

/// After damage: no command ends twice in the same way because of it, and then nothing is wrong any more.
fn recovers(place: &Place, build: usize, whole: &BTreeMap<PathBuf, Vec<u8>>, keep: &str) {
    let verified = Said::of(&on_store(place, &["store", "verify"]).output().expect("the binary starts"));
    assert!(matches!(verified.code, Some(0 | 4)), "{}{}", verified.out, verified.err);
    // The weights that a lock names are told of until somebody brings them back, or lets them go.
    if verified.out.contains(" are lost: bring them back") {
        fs::remove_file(place.path().join("tiny.lock")).expect("a lock file");
        fs::remove_dir_all(place.store().join("roots/locks")).expect("records of it");
    }
    // A published tree that lacks what was removed is published again by a run of its own.
    if verified.code == Some(4) {
        for build in BUILDS {
            let said = place.run(build);
            assert_eq!(said.code, Some(0), "{}", said.err);
        }
    }
    mends(place, build, whole, keep);
}

/// A process under way, whose words go to files: nobody has to read them for it to go on.
struct Process {
    child: Child,
    said: PathBuf,
}

impl Process {
    fn start(place: &Place, name: &str, mut command: Command) -> Process {
        let said = place.path().join(name);
        let file = |ending: &str| Stdio::from(File::create(said.with_extension(ending)).expect("a file"));
        let child = command.stdout(file("out")).stderr(file("err")).spawn().expect("the binary starts");
        Process { child, said }
    }

    /// Waits until so many builds are published; false where it ended before.
    fn built(&mut self, builds: usize) -> bool {
        let started = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("its end").is_some();
            let said = fs::read_to_string(self.said.with_extension("out")).expect("its words");
            if ended || said.matches("\"event\":\"done\"").count() >= builds {
                return !ended;
            }
            if started.elapsed() > PATIENCE {
                self.child.kill().expect("SIGKILL");
                panic!("{said}");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    }

    fn end(mut self) -> Said {
        let status = ended(&mut self.child, PATIENCE);
        let read = |ending: &str| fs::read(self.said.with_extension(ending)).expect("its words");
        let said = Said::of(&std::process::Output { status, stdout: read("out"), stderr: read("err") });
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said
    }
}

/// Checkpoints as often as there are steps, or hardly any.
fn run(place: &Place, build: usize, draw: &mut Draw, args: &[&str]) -> Command {
    let mut command = place.command("run", &[BUILDS[build], args].concat());
    command.env("REFRAIN_CHECKPOINT_SECONDS", draw.of(&["0", "0.01", "12"]));
    command
}

#[test]
fn a_disk_that_fails_and_kills_at_random() {
    let (rounds, mut draw) = draw(60);
    let (place, whole) = (place(), whole());
    let (mut met, mut killed, mut since, mut hurt, mut mute) = (0, 0, 0, 0, 0);
    for round in 0..rounds {
        let build = draw.below(BUILDS.len() as u64) as usize;
        since += 1;
        match draw.below(13) {
            8 | 9 => {
                // Between runs: the next one notices, or need not know.
                let Some((did, inode)) = damage(&place, &mut draw) else { continue };
                println!("{round}: {did}; build {build}");
                hurt += 1;
                let in_tree = published(&place, inode);
                if draw.below(2) == 0 {
                    let command = run(&place, build, &mut draw, &["-w", "2"]).output().expect("the binary starts");
                    notices(&Said::of(&command), &did, in_tree, &whole[build]);
                }
                recovers(&place, build, &whole[build], draw.of(&["1", "3"]));
                since = 0;
            }
            10 | 11 => {
                // While one is under way.
                let (pause, command) = (draw.moment(), run(&place, build, &mut draw, &["-w", "2"]));
                let process = Process::start(&place, "damaged", command);
                thread::sleep(pause);
                let hit = damage(&place, &mut draw);
                let said = process.end();
                let (did, inode) = hit.unwrap_or_default();
                println!("{round}: build {build}, and after {pause:?} {did}");
                hurt += usize::from(!did.is_empty());
                notices(&said, &did, published(&place, inode), &whole[build]);
                recovers(&place, build, &whole[build], draw.of(&["1", "3"]));
                since = 0;
            }
            12 => {
                let channel = draw.of(&["stderr closed", "stderr full", "stdout closed", "stdout full"]);
                println!("{round}: build {build}, {channel}");
                mute += 1;
                speechless(&place, build, channel, &mut draw);
                mends(&place, build, &whole[build], "3");
                since = 0;
            }
            0..=3 => {
                let fault = draw.fault(0);
                println!("{round}: build {build} with {fault}");
                let mut command = run(&place, build, &mut draw, &["-w", "2"]);
                let said = Said::of(&command.env("REFRAIN_FAULT", &fault).output().expect("the binary starts"));
                if said.code == Some(0) {
                    assert_same(&fault, &tree(&said.folder()), &whole[build]);
                } else {
                    refused(&said);
                    met += 1;
                }
            }
            4 | 5 => {
                let pause = draw.moment();
                println!("{round}: build {build} killed after {pause:?}");
                let command = run(&place, build, &mut draw, &["-w", "2"]);
                let mut process = Process::start(&place, "killed", command);
                thread::sleep(pause);
                process.child.kill().expect("SIGKILL");
                killed += usize::from(process.end().code.is_none());
            }
            6 if place.store().join("runs").exists() => {
                let (fault, words) = (draw.fault(0), draw.of(&["gc --keep 1", "gc", "store verify"]));
                let (kill, pause) = (draw.below(3) == 0, draw.moment() / 10);
                let mut command = on_store(&place, &words.split(' ').collect::<Vec<_>>());
                if kill {
                    println!("{round}: {words} killed after {pause:?}");
                    let mut process = Process::start(&place, "killed", command);
                    thread::sleep(pause);
                    process.child.kill().expect("SIGKILL");
                    killed += usize::from(process.end().code.is_none());
                } else {
                    println!("{round}: {words} with {fault}");
                    let said = Said::of(&command.env("REFRAIN_FAULT", &fault).output().expect("the binary starts"));
                    if said.code != Some(0) {
                        refused(&said);
                        met += 1;
                    }
                }
            }
            _ if since > 3 => {
                let keep = draw.of(&["1", "1", "3"]);
                println!("{round}: build {build} without faults, --keep {keep}");
                mends(&place, build, &whole[build], keep);
                since = 0;
            }
            _ => {}
        }
        undamaged(&place.store());
    }
    (0..BUILDS.len()).for_each(|build| mends(&place, build, &whole[build], "1"));
    println!(
        "{met} faults were met, {killed} runs were killed, {hurt} files were damaged, {mute} channels were closed or full"
    );
    // How many runs are still there when they are killed is the machine's speed.
    let least = rounds as usize / 20;
    assert!(met > rounds / 20 && killed > 0 && hurt > least, "{met} faults, {killed} kills, {hurt} damaged files");
}

#[test]
fn one_of_two_processes_fails_or_is_killed_at_random() {
    let (rounds, mut draw) = draw(14);
    let (mut place_, whole) = (place(), whole());
    let (mut met, mut killed) = (0, 0);
    for round in 0..rounds {
        let build = draw.below(BUILDS.len() as u64) as usize;
        let list = place_.path().join("hosts.txt");
        hosts(&list, 2);
        let (lost, kill) = (draw.below(2) as usize, draw.below(2) == 0);
        let (pause, fault) = (draw.moment(), draw.fault(0));
        let how = if kill { format!("is killed after {pause:?}") } else { format!("has {fault}") };
        println!("{round}: build {build}, process {lost} {how}");
        let start = |process: usize, draw: &mut Draw| {
            // One that is killed before it came is not waited for without end.
            let mut command = run(&place_, build, draw, &["-w", "1", "--wait", "4"]);
            command.arg("--hosts").arg(&list).args(["-p", &process.to_string()]);
            command.envs((process == lost && !kill).then_some(("REFRAIN_FAULT", &fault)));
            Process::start(&place_, &format!("process-{process}"), command)
        };
        let mut both = [start(0, &mut draw), start(1, &mut draw)];
        if kill {
            thread::sleep(pause);
            both[lost].child.kill().expect("SIGKILL");
        }
        let said = both.map(Process::end);
        let codes = (said[lost].code, said[1 - lost].code);
        let words = || format!("{codes:?}\n{}\n{}", said[lost].err, said[1 - lost].err);
        match codes {
            (Some(0), Some(0)) => assert_same("two processes", &tree(&said[0].folder()), &whole[build]),
            // What it was killed for may have been over.
            (None, Some(0 | 7)) if kill => killed += 1,

            (Some(4), Some(4 | 7)) if !kill => {
                refused(&said[lost]);
                met += 1;
            }
            _ => panic!("{}", words()),
        }
        assert!(said.iter().all(|said| said.err.matches("error: ").count() <= 2), "{}", words());
        undamaged(&place_.store());
        // Some of the next go on from what is there, with one process or two, and some from nothing.
        match draw.below(4) {
            0 => {
                mends(&place_, build, &whole[build], "1");
                place_ = place();
            }
            1 => {
                hosts(&list, 2);
                let start = |process: usize| {
                    let mut command = place_.command("run", &[BUILDS[build], &["-w", "1"]].concat());
                    command.arg("--hosts").arg(&list).args(["-p", &process.to_string()]);
                    Process::start(&place_, &format!("process-{process}"), command)
                };
                let said = [start(0), start(1)].map(Process::end);
                assert_eq!((said[0].code, said[1].code), (Some(0), Some(0)), "{}{}", said[0].err, said[1].err);
                assert_same("two processes after a loss", &tree(&said[0].folder()), &whole[build]);
                nothing_is_left_over(&place_, "1");
            }
            _ => {}
        }
    }
    (0..BUILDS.len()).for_each(|build| mends(&place_, build, &whole[build], "1"));
    println!("{met} faults were met, {killed} processes were killed");
    assert!(met > 0 && killed > 0, "{met} faults, {killed} kills");
}

/// What a watcher has to absorb: the corpus as it is, a recording more and a better title, a recording less and another
/// license, which another policy refuses.
fn turn(place: &Place, turn: usize) {
    let file = place.path().join("tiny.toml");
    let manifest = fs::read_to_string(&file).expect("a manifest");
    let policies = ["allow = [\"CC0-1.0\", \"CC-BY-4.0\"]", "allow = [\"CC0-1.0\"]"];
    let (policy, other) = (policies[usize::from(turn == 2)], policies[usize::from(turn != 2)]);
    if manifest.contains(other) {
        fs::write(file, manifest.replace(other, policy)).expect("written");
    }
    let row = |n: u32| {
        let license = if turn == 2 && n == 1 { "CC-BY-4.0" } else { "CC0-1.0" };
        let title = if turn == 1 && n == 0 { "A better title".to_owned() } else { format!("Title {n}") };
        format!("t{n}.wav,{license},artist {n},{title},genre {}\n", n % 2)
    };
    let more = place.music().join("t5.wav");
    match turn {
        1 => tone(&more, 5, 2.35),
        _ => drop(fs::remove_file(more)),
    }
    place.table(&(0..if turn == 1 { 6 } else { 5 }).map(row).collect::<String>());
}

/// So many states of the corpus.
const TURNS: usize = 3;
/// The builds that are watched: the codec of the last one stays that of the first turn.
const WATCHED: [usize; 2] = [0, 2];

/// What each build publishes at each turn.
fn turns() -> Vec<Vec<BTreeMap<PathBuf, Vec<u8>>>> {
    let of = |build: &usize| {
        let mut place = place();
        let publish = |turn_: usize| {
            if *build == 0 {
                place = self::place();
            }
            turn(&place, turn_);
            let said = place.run(BUILDS[*build]);
            assert_eq!(said.code, Some(0), "{}", said.err);
            tree(&said.folder())
        };
        (0..TURNS).map(publish).collect()
    };
    WATCHED.iter().map(of).collect()
}

#[test]
fn a_watcher_fails_or_is_killed_at_random() {
    let (rounds, mut draw) = draw(6);
    let (place, whole) = (place(), turns());
    // The codec that is pinned is that of the first turn.
    let mut now = 0;
    turn(&place, now);
    mends(&place, WATCHED[1], &whole[1][now], "1");
    let (mut met, mut killed, mut absorbing) = (0, 0, 0);
    for round in 0..rounds {
        let watched = draw.below(WATCHED.len() as u64) as usize;
        let next = (now + 1 + draw.below(TURNS as u64 - 1) as usize) % TURNS;
        // The first build, which has nothing to do, takes some operations, too.
        let past = 12 * draw.below(4);
        let (kill, fault) = (draw.below(2) == 0, draw.fault(past));
        // Changes are waited out for a while before they are absorbed.
        let pause = draw.moment() + Duration::from_millis(150 * draw.below(2));
        let how = if kill { format!("killed after {pause:?}") } else { format!("with {fault}") };
        println!("{round}: a watcher of build {} at {now}, then {next}, {how}", WATCHED[watched]);
        let mut command = place.command("watch", &[BUILDS[WATCHED[watched]], &["-w", "2"]].concat());
        command.env("REFRAIN_CHECKPOINT_SECONDS", draw.of(&["0", "12"]));
        command.envs((!kill).then_some(("REFRAIN_FAULT", &fault)));
        let mut watcher = Process::start(&place, "watcher", command);
        if watcher.built(1) {
            now = next;
            turn(&place, now);
            if kill {
                thread::sleep(pause);
                watcher.child.kill().expect("SIGKILL");
            } else if watcher.built(2) {
                watcher.interrupt();
            } else {
                absorbing += 1;
            }
        }
        let said = watcher.end();
        match said.code {
            None if kill => killed += 1,
            // It was told to end, between builds or in one.
            Some(0 | 130) if !kill => {}
            _ => {
                stopped(&said);
                met += 1;
            }
        }
        undamaged(&place.store());
        if draw.below(2) == 0 {
            mends(&place, WATCHED[watched], &whole[watched][now], draw.of(&["1", "3"]));
        }
    }
    (0..WATCHED.len()).for_each(|watched| mends(&place, WATCHED[watched], &whole[watched][now], "1"));
    println!("{met} faults were met, {absorbing} of them by changes, {killed} watchers were killed");
    assert!(met > 0 && killed > 0, "{met} faults, {killed} kills");
}
