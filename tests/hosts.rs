//! Several processes as one run: the same bytes, the same work, and one end.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
    time::Duration,
};
use support::{Place, Said, assert_same, ended, hosts, text, tone, tree};

type Ran = BTreeMap<String, BTreeSet<String>>;

/// Longer than any run here takes.
const PATIENCE: Duration = Duration::from_secs(240);
/// Makes a training long enough to be stopped in.
const LONG: [&str; 2] = ["--set", "stage.codec.steps=[150,150,150]"];

/// A list of hosts at free ports of this one.
struct Hosts {
    file: PathBuf,
    addresses: Vec<String>,
}

impl Hosts {
    fn new(place: &Place, count: usize) -> Hosts {
        let file = place.path().join("hosts.txt");
        let addresses = hosts(&file, count);
        Hosts { file, addresses }
    }

    fn command(&self, place: &Place, process: usize, args: &[&str]) -> Command {
        let mut command = place.command("run", args);
        command.arg("--hosts").arg(&self.file).arg("-p").arg(process.to_string());
        command
    }

    fn name(&self, process: usize) -> String {
        format!("process {process} at {}", self.addresses[process])
    }
}

/// A process under way. What it says is read as it comes: one that nobody reads would wait.
struct Process {
    child: Child,
    lines: Receiver<String>,
    said: String,
    err: JoinHandle<String>,
}

impl Process {
    fn start(mut command: Command) -> Process {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line + "\n")));
        let mut err = child.stderr.take().expect("its errors");
        let err = thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            text
        });
        Process { child, lines, said: String::new(), err }
    }

    /// Reads on until an event of a kind has come; false where the process ended before.
    fn until(&mut self, kind: &str) -> bool {
        let wanted = format!("\"event\":\"{kind}\"");
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.said += &line;
            if line.contains(&wanted) {
                return true;
            }
        }
        false
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
    }

    /// What it said in all; one that does not end fails the test.
    fn end(mut self) -> Said {
        let status = ended(&mut self.child, PATIENCE);
        self.said.extend(self.lines);
        let (stdout, stderr) = (self.said, self.err.join().expect("read"));
        let said = Said::of(&std::process::Output { status, stdout: stdout.into(), stderr: stderr.into() });
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said
    }
}

/// Runs the manifest with so many processes of so many workers.
fn run(place: &Place, processes: usize, workers: usize) -> Vec<Said> {
    let hosts = Hosts::new(place, processes);
    let workers = workers.to_string();
    let start = |process| Process::start(hosts.command(place, process, &["-w", &workers]));
    // The first may come last.
    let started: Vec<Process> = (0..processes).rev().map(start).collect();
    started.into_iter().rev().map(Process::end).collect()
}

/// The same where all goes well.
fn ran(place: &Place, processes: usize, workers: usize) -> Vec<Said> {
    let said = run(place, processes, workers);
    said.iter().for_each(|said| assert_eq!(said.code, Some(0), "{}", said.err));
    for follower in &said[1..] {
        let last = follower.events.last().expect("an event");
        assert_eq!((&last["event"], &last["run"]), (&"followed".into(), &said[0].done()["run"]));
    }
    said
}

/// Ids of the rows on which effects ran in any of the processes; none ran twice.
fn executed<'a>(said: impl IntoIterator<Item = &'a Said>) -> Ran {
    let mut ran = Ran::new();
    for event in said.into_iter().flat_map(|said| said.all("executed")) {
        let fresh = ran.entry(text(&event["stage"])).or_default().insert(text(&event["id"]));
        assert!(fresh, "it ran twice: {event}");
    }
    ran
}

/// The counts of the leading process are those of all.
fn counts(said: &[Said], ran: &Ran) {
    for (stage, counts) in said[0].done()["stages"].as_object().expect("stages") {
        assert_eq!(counts["executed"], ran.get(stage).map_or(0, BTreeSet::len), "{stage}");
    }
}

fn nothing_published(place: &Place) {
    let runs = fs::read_dir(place.store().join("runs")).map_or(0, Iterator::count);
    assert_eq!(runs, 0, "something was published");
}

/// Adds a recording, and another title for one that is there.
fn change(place: &Place) {
    tone(&place.music().join("t8.wav"), 8, 2.4);
    let rows = place.rows().replace("Title 3", "Another title");
    place.table(&(rows + "t8.wav,CC0-1.0,artist 8,Title 8,genre 0\n"));
}

#[test]
fn the_same_bytes_for_any_number_of_processes_and_workers() {
    let alone = Place::new();
    let first = alone.run(&[]);
    let (whole, work) = (tree(&first.folder()), first.executed());
    change(&alone);
    let second = alone.run(&[]);
    let (grown, more) = (tree(&second.folder()), second.executed());
    assert!(more.values().map(BTreeSet::len).sum::<usize>() < work.values().map(BTreeSet::len).sum());
    for (processes, workers) in [(2, 1), (2, 2), (3, 1)] {
        let what = format!("{processes} processes of {workers} workers");
        let place = Place::new();
        let said = ran(&place, processes, workers);
        assert_same(&what, &tree(&said[0].folder()), &whole);
        assert_eq!(said[0].done()["run"], first.done()["run"]);
        assert_eq!(executed(&said), work, "{what}");
        counts(&said, &work);
        let busy = said.iter().filter(|said| said.all("executed").next().is_some()).count();
        assert!(busy > 1, "{what}: one did everything");
        change(&place);
        let said = ran(&place, processes, workers);
        assert_same(&what, &tree(&said[0].folder()), &grown);
        assert_eq!(executed(&said), more, "{what}");
        counts(&said, &more);
        // Any other number finds it done, and what the others wrote stays when the store is cleaned up.
        assert!(support::say(&["gc", "--store", &place.store().display().to_string()]).code == Some(0));
        let again = place.run(&[]);
        assert_eq!(again.executed(), Ran::new(), "{what}");
        assert_same(&what, &tree(&again.folder()), &grown);
        assert_eq!(executed(&ran(&place, 5 - processes, 1)), Ran::new(), "{what}");
    }
}

#[test]
fn pieces_rendered_in_one_process_are_read_in_another() {
    let synth = || {
        let mut place = Place::empty();
        place.args = ["corpus=synth", "pieces=6", "seconds=2"]
            .iter()
            .flat_map(|setting| ["--set".to_owned(), format!("stage.tracks.{setting}")])
            .collect();
        place
    };
    let (one, two) = (synth(), synth());
    let (alone, said) = (one.run(&[]), ran(&two, 2, 1));
    assert_same("two processes", &tree(&said[0].folder()), &tree(&alone.folder()));
    assert_eq!(executed(&said), alone.executed());
}

#[test]
fn what_two_points_of_a_sweep_share_runs_once_and_a_pinned_codec_stays() {
    let sweep = || {
        let place = Place::new().with(&["--set", "stage.codec.refresh=pinned"]);
        let manifest = place.path().join("tiny.toml");
        let text = fs::read_to_string(&manifest).expect("a manifest");
        let axis = "\n[sweep]\n\"stage.free.allow\" = [[\"CC0-1.0\"], [\"CC0-1.0\", \"CC-BY-4.0\"]]\n";
        fs::write(&manifest, text + axis).expect("written");
        place
    };
    // Either of two stages that meet in a key may be first: what counts is the number of both.
    let count = |ran: &Ran| -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (stage, ids) in ran {
            *counts.entry(stage.split('[').next().unwrap_or_default().to_owned()).or_default() += ids.len();
        }
        counts
    };
    let (one, three) = (sweep(), sweep());
    let (alone, said) = (one.run(&[]), ran(&three, 3, 1));
    assert_same("three processes", &tree(&said[0].folder()), &tree(&alone.folder()));
    assert_eq!(count(&executed(&said)), count(&alone.executed()));
    change(&one);
    change(&three);
    let (alone, said) = (one.run(&[]), ran(&three, 3, 1));
    assert_same("three processes, pinned", &tree(&said[0].folder()), &tree(&alone.folder()));
    let counts = count(&executed(&said));
    assert_eq!(counts, count(&alone.executed()));
    assert!(!counts.contains_key("codec") && counts.contains_key("decoded"));
}

#[test]
fn a_lost_process_ends_the_others_and_the_next_run_does_what_remains() {
    let alone = Place::new().with(&LONG);
    let undisturbed = alone.run(&[]);
    let (whole, work) = (tree(&undisturbed.folder()), undisturbed.executed());
    let lose = |lost: usize, kind: &str| {
        let place = Place::new().with(&LONG);
        let hosts = Hosts::new(&place, 2);
        let mut both: Vec<Process> = (0..2)
            .map(|process| {
                let mut command = hosts.command(&place, process, &["-w", "1"]);
                command.env("REFRAIN_CHECKPOINT_SECONDS", "0.1");
                Process::start(command)
            })
            .collect();
        let (mut killed, other) = match lost {
            0 => (both.remove(0), both.remove(0)),
            _ => (both.remove(1), both.remove(0)),
        };
        if !killed.until(kind) {
            assert_eq!((killed.end().code, other.end().code), (Some(0), Some(0)));
            return None;
        }
        killed.signal("-KILL");
        let (killed, other) = (killed.end(), other.end());
        assert_eq!((killed.code, other.code), (None, Some(7)), "{}", other.err);
        let sentence = format!("error: {} was lost; nothing was published; run again to go on\n", hosts.name(lost));
        assert!(other.err.ends_with(&sentence), "{}", other.err);
        nothing_published(&place);
        let rest = place.run(&[]);
        assert_eq!(rest.code, Some(0), "{}", rest.err);
        assert_same("after a loss", &tree(&rest.folder()), &whole);
        // Together they did everything once; what was finished when the signal came may not have been told.
        let told = executed([&killed, &other, &rest]);
        let all = |ran: &Ran| -> BTreeSet<(String, String)> {
            ran.iter().flat_map(|(stage, ids)| ids.iter().map(move |id| (stage.clone(), id.clone()))).collect()
        };
        let untold: Vec<_> = all(&work).difference(&all(&told)).cloned().collect();
        assert!(all(&told).is_subset(&all(&work)) && untold.len() <= 1, "{untold:?}");
        assert!(!all(&executed([&killed])).is_empty(), "it was killed before it had done anything");
        Some(rest)
    };
    assert!(lose(1, "executed").is_some());
    assert!(lose(0, "executed").is_some());
    // One of the two trains.
    let resumed: Vec<Said> = [0, 1].into_iter().filter_map(|lost| lose(lost, "checkpoint")).collect();
    assert!(!resumed.is_empty() && resumed.iter().all(|rest| rest.all("resumed").next().is_some()));
}

/// A codec and a prior whose batches come in parts, of which every process makes some.
fn trainings() -> Place {
    let place = Place::new().with(&["--set", "stage.codec.batch=[4,4,3]", "--set", "stage.codec.micro_batch=[1,2,1]"]);
    let manifest = place.path().join("tiny.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    let prior = "\n[stage.top]\ndo = \"train\"\nfrom = [\"shards\"]\nlevel = 2\nwidth = 32\ndepth = 1\nheads = 2\ncontext = 32\n\
                 steps = 40\nbatch = 6\nmicro_batch = 1\n";
    fs::write(&manifest, text + prior).expect("written");
    place
}

#[test]
fn processes_that_train_together_make_the_bytes_of_one() {
    let alone = trainings();
    let first = alone.run(&[]);
    let (whole, work) = (tree(&first.folder()), first.executed());
    for (processes, workers) in [(2, 1), (4, 1), (2, 2)] {
        let what = format!("{processes} processes of {workers} workers");
        let place = trainings();
        let said = ran(&place, processes, workers);
        assert_same(&what, &tree(&said[0].folder()), &whole);
        assert_eq!(executed(&said), work, "{what}");
        // They are done where the run is led.
        for stage in ["codec", "top"] {
            assert!(said[0].all("executed").any(|event| event["stage"] == *stage), "{what}: {stage}");
        }
    }
}

#[test]
fn a_training_of_several_that_loses_one_goes_on_from_its_checkpoint() {
    let long = || trainings().with(&["--set", "stage.codec.steps=[600,600,600]"]);
    let alone = long();
    let whole = tree(&alone.run(&[]).folder());
    let mut resumed = 0;
    for lost in [0, 1] {
        let place = long();
        let hosts = Hosts::new(&place, 2);
        let start = |process| {
            let mut command = hosts.command(&place, process, &["-w", "1"]);
            command.env("REFRAIN_CHECKPOINT_SECONDS", "0.1");
            Process::start(command)
        };
        let mut both = [0, 1].map(start);
        assert!(both[0].until("checkpoint"), "it trained without a checkpoint");
        both[lost].signal("-KILL");
        let said = both.map(Process::end);
        assert_eq!((said[lost].code, said[1 - lost].code), (None, Some(7)), "{}", said[1 - lost].err);
        assert!(said[1 - lost].err.contains(&format!("{} was lost", hosts.name(lost))), "{}", said[1 - lost].err);
        nothing_published(&place);
        let rest = ran(&place, 2, 1);
        assert_same("after a loss", &tree(&rest[0].folder()), &whole);
        resumed += rest[0].all("resumed").count();
    }
    assert_eq!(resumed, 2);
}

#[test]
fn an_interrupted_process_ends_all() {
    let place = Place::new().with(&LONG);
    let hosts = Hosts::new(&place, 2);
    let mut both: Vec<Process> =
        (0..2).map(|process| Process::start(hosts.command(&place, process, &["-w", "1"]))).collect();
    assert!(both[1].until("executed"));
    both[1].signal("-INT");
    let said: Vec<Said> = both.into_iter().map(Process::end).collect();
    assert_eq!((said[0].code, said[1].code), (Some(7), Some(130)), "{}{}", said[0].err, said[1].err);
    let sentence = format!("{} was interrupted; nothing was published; run again to go on", hosts.name(1));
    assert!(said[0].err.contains(&sentence), "{}", said[0].err);
    assert!(said[1].err.contains("run again to go on from here"), "{}", said[1].err);
    nothing_published(&place);
    assert_eq!(place.run(&[]).code, Some(0));
}

#[test]
fn a_process_that_fails_ends_all_with_its_code() {
    let place = Place::new();
    let hosts = Hosts::new(&place, 2);
    let start = |process: usize, fault: Option<&str>| {
        let mut command = hosts.command(&place, process, &["-w", "1"]);
        command.envs(fault.map(|fault| ("REFRAIN_FAULT", fault)));
        Process::start(command)
    };
    let both = [start(0, None), start(1, Some("write:full:2"))];
    let said = both.map(Process::end);
    assert_eq!((said[0].code, said[1].code), (Some(4), Some(4)), "{}{}", said[0].err, said[1].err);
    assert!(said[0].err.contains(&format!("error: {}: ", hosts.name(1))), "{}", said[0].err);
    assert!(said.iter().all(|said| said.err.contains("the disk is full")), "{}{}", said[0].err, said[1].err);
    nothing_published(&place);
    // A source that the first cannot read ends the second with the same code.
    symlink("/proc/self/mem", place.music().join("unreadable.wav")).expect("a link");
    for processes in [2, 3] {
        for said in run(&place, processes, 1) {
            assert_eq!(said.code, Some(3), "{}", said.err);
            assert!(said.err.contains("`codec` did not start: a source could not be read"), "{}", said.err);
        }
    }
    nothing_published(&place);
}

#[test]
fn a_process_that_does_not_come_is_named() {
    let place = Place::new();
    let hosts = Hosts::new(&place, 3);
    let both = [0, 1].map(|process| Process::start(hosts.command(&place, process, &["-w", "1", "--wait", "3"])));
    for said in both.map(Process::end) {
        assert_eq!(said.code, Some(7), "{}", said.err);
        let name = hosts.name(2);
        assert!(said.err.contains(&format!("waiting for {name}\n")), "{}", said.err);
        let (late, gone) = (format!("{name} did not come within 3 s"), "has gone; nothing was done");
        assert!(said.err.contains(&late) || said.err.contains(gone), "{}", said.err);
    }
    assert!(!place.store().exists());
}

#[test]
fn processes_that_do_not_belong_together_say_why() {
    let place = Place::new();
    let refused = |more: &[&str], says: &str| {
        let hosts = Hosts::new(&place, 2);
        let first = Process::start(hosts.command(&place, 0, &["-w", "1"]));
        let second = Process::start(hosts.command(&place, 1, more));
        for said in [first.end(), second.end()] {
            assert_eq!(said.code, Some(2), "{}", said.err);
            assert!(said.err.contains(says), "{}", said.err);
        }
    };
    refused(&["-w", "1", "--set", "seed=18"], "was started with another manifest, --set or --to: ");
    refused(&["-w", "2"], "was started with another number of workers (-w): ");
    assert!(!place.store().exists());
    // Another place for the store.
    let (hosts, elsewhere) = (Hosts::new(&place, 2), Place::empty());
    let first = Process::start(hosts.command(&place, 0, &["-w", "1"]));
    let second = Process::start(hosts.command(&elsewhere, 1, &["-w", "1"]));
    for said in [first.end(), second.end()] {
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains("give all processes one folder that they share with --store"), "{}", said.err);
    }
    assert!(!elsewhere.store().exists());
}
