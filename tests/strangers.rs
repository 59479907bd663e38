//! Strangers on the network while the processes of a run look for each other: the run goes on, and nobody else is told
//! anything.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use support::{Place, Said, assert_same, ended, hosts, say, tree};

/// Longer than any run here takes.
const PATIENCE: Duration = Duration::from_secs(240);
/// Length of a nonce, and of a proof.
const NONCE: usize = 32;

/// Two processes of a run, their addresses and their secret.
struct Two {
    place: Place,
    hosts: PathBuf,
    addresses: Vec<String>,
    secret: PathBuf,
}

impl Two {
    fn new() -> Two {
        let place = Place::new();
        let (hosts_file, secret) = (place.path().join("hosts.txt"), place.path().join("secret"));
        let addresses = hosts(&hosts_file, 2);
        new_secret(&secret);
        Two { place, hosts: hosts_file, addresses, secret }
    }

    fn command(&self, process: usize, args: &[&str]) -> Command {
        let mut command = self.place.command("run", &["-w", "1"]);
        command.arg("--hosts").arg(&self.hosts).arg("-p").arg(process.to_string()).args(args);
        command
    }

    fn start(&self, process: usize, args: &[&str]) -> Child {
        let mut command = self.command(process, args);
        command.arg("--secret").arg(&self.secret);
        start(command)
    }

    /// Waits until a process listens. To it, this is one more stranger.
    fn listens(&self, process: usize) {
        let started = Instant::now();
        while TcpStream::connect(&self.addresses[process]).is_err() {
            assert!(started.elapsed() < PATIENCE, "process {process} does not listen");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn new_secret(path: &Path) {
    let made = say(&["hosts", "new-secret", &path.display().to_string()]);
    assert_eq!(made.code, Some(0), "{}", made.err);
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

fn end(mut child: Child) -> Said {
    let read = |mut from: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = from.read_to_end(&mut text);
            text
        })
    };
    let out = read(Box::new(child.stdout.take().expect("its output")));
    let err = read(Box::new(child.stderr.take().expect("its errors")));
    let status = ended(&mut child, PATIENCE);
    let (stdout, stderr) = (out.join().expect("read"), err.join().expect("read"));
    let said = Said::of(&std::process::Output { status, stdout, stderr });
    assert!(!said.err.contains("panicked"), "{}", said.err);
    said
}

fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
}

/// Everything that strangers were told, a record for each connection.
type Told = Arc<Mutex<Vec<Vec<u8>>>>;

/// Reads what comes until the connection ends.
fn hear(told: &Told, mut stream: &TcpStream, first: Vec<u8>) {
    let mut all = first;
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let mut some = [0; 1 << 12];
    while let Ok(count @ 1..) = stream.read(&mut some) {
        all.extend(&some[..count]);
    }
    told.lock().expect("the records").push(all);
}

fn nonce(stream: &mut TcpStream, own: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(own).ok()?;
    let mut theirs = vec![0; NONCE];
    stream.read_exact(&mut theirs).ok()?;
    Some(theirs)
}

/// The attacks on an address, each for itself, and repeated until `over` is set where a flood is meant.
fn attacks(address: &str, recorded: Vec<Vec<u8>>, over: &Arc<AtomicBool>, told: &Told) -> Vec<thread::JoinHandle<()>> {
    let run = |attack: Box<dyn Fn(&str, &AtomicBool, &Told) + Send>| {
        let (address, over, told) = (address.to_owned(), over.clone(), told.clone());
        thread::spawn(move || attack(&address, &over, &told))
    };
    // Somebody who says this, and then listens.
    let speaks = |words: Vec<u8>| {
        run(Box::new(move |address, _, told| {
            let Ok(mut stream) = TcpStream::connect(address) else { return };
            let _ = stream.write_all(&words);
            hear(told, &stream, Vec::new());
        }))
    };
    let garbage: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut old = (60u32).to_le_bytes().to_vec();
    old.extend(b"\x0frefrain hosts 3\x01\x01\x00");
    old.resize(64, 0);
    let mut all = vec![
        speaks(garbage),
        speaks(b"GET / HTTP/1.1\r\nHost: refrain\r\n\r\n".repeat(3)),
        speaks(old),
        // A length that nobody has, with a nonce before it and without.
        speaks([&[7; NONCE][..], &[0xff; 8]].concat()),
        speaks(vec![0xff; 4]),
    ];
    // What a process said to an impostor is said again.
    all.extend(recorded.into_iter().map(speaks));
    // Drips.
    all.push(run(Box::new(|address, over, told| {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        while !over.load(Ordering::SeqCst) && stream.write_all(&[1]).is_ok() {
            thread::sleep(Duration::from_millis(250));
        }
        hear(told, &stream, Vec::new());
    })));
    // Half-closes.
    all.push(run(Box::new(|address, _, told| {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        let _ = stream.write_all(&[9; NONCE]);
        let _ = stream.shutdown(Shutdown::Write);
        hear(told, &stream, Vec::new());
    })));
    // Sends the nonce back as a proof.
    all.push(run(Box::new(|address, _, told| {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        let Some(theirs) = nonce(&mut stream, &[5; NONCE]) else { return };
        let _ = stream.write_all(&theirs);
        hear(told, &stream, theirs);
    })));
    // Has the process prove itself to itself: what it says on one connection goes to it on the other.
    all.push(run(Box::new(|address, _, told| {
        let (Ok(mut one), Ok(mut two)) = (TcpStream::connect(address), TcpStream::connect(address)) else { return };
        let Some(first) = nonce(&mut one, &[6; NONCE]) else { return };
        let Some(second) = nonce(&mut two, &first) else { return };
        let _ = one.write_all(&second);
        hear(told, &one, first);
        hear(told, &two, second);
    })));
    // Comes and goes.
    all.push(run(Box::new(|address, over, _| {
        while !over.load(Ordering::SeqCst) {
            drop(TcpStream::connect(address));
            thread::sleep(Duration::from_millis(2));
        }
    })));
    // Comes, says nothing and stays; more of them than there are slots.
    all.push(run(Box::new(|address, over, told| {
        let mut idle = Vec::new();
        while !over.load(Ordering::SeqCst) && idle.len() < 300 {
            idle.extend(TcpStream::connect(address).ok());
            thread::sleep(Duration::from_millis(3));
        }
        while !over.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(50));
        }
        idle.iter().for_each(|stream| hear(told, stream, Vec::new()));
    })));
    all
}

/// An impostor at the address of a process: takes calls and answers each with other bytes. What it was told.
fn impostor(address: &str, calls: usize) -> Vec<Vec<u8>> {
    let listener = TcpListener::bind(address).expect("the address is free");
    let mut told = Vec::new();
    for call in 0..calls {
        let (mut stream, _) = listener.accept().expect("it calls");
        stream.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
        let mut all = vec![0; NONCE];
        stream.read_exact(&mut all).expect("its nonce");
        // Nothing; a nonce of its own; the caller's own, sent back.
        let answer = [Vec::new(), vec![3; NONCE], all.clone()];
        stream.write_all(&answer[call % answer.len()]).expect("said");
        let mut proof = vec![0; NONCE];
        if stream.read_exact(&mut proof).is_ok() {
            all.extend(&proof);
            // A proof that is none, or the caller's own, sent back.
            stream.write_all(if call % 2 == 0 { &proof } else { &[4; NONCE] }).expect("said");
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        all.extend(rest);
        told.push(all);
    }
    told
}

#[test]
fn a_cluster_that_starts_among_strangers_runs_and_tells_them_nothing() {
    let alone = Place::new();
    let whole = tree(&alone.run(&[]).folder());
    let two = Two::new();
    // An impostor answers for process 0 before it comes.
    let second = two.start(1, &[]);
    let proven = impostor(&two.addresses[0], 6);
    for told in &proven {
        assert!(told.len() == NONCE || told.len() == 2 * NONCE, "a nonce and a proof: {} bytes", told.len());
    }
    assert!(proven.iter().any(|told| told.len() == 2 * NONCE));
    let different: BTreeSet<&[u8]> = proven.iter().flat_map(|told| told.chunks(NONCE)).collect();
    assert_eq!(different.len(), proven.iter().map(|told| told.len() / NONCE).sum::<usize>(), "no bytes come twice");
    // It waits, and says for whom and why.
    interrupt(&second);
    let waited = Instant::now();
    let said = end(second);
    assert_eq!(said.code, Some(130), "{}", said.err);
    assert!(waited.elapsed() < Duration::from_secs(10));

    // The first process waits among strangers, and the second comes late.
    let first = two.start(0, &[]);
    two.listens(0);
    let (over, told) = (Arc::new(AtomicBool::new(false)), Told::default());
    let mut strangers = attacks(&two.addresses[0], proven, &over, &told);
    let other = two.place.path().join("other");
    new_secret(&other);
    // A process of ours that was given another secret.
    let mut wrong = two.command(1, &["--wait", "2"]);
    wrong.arg("--secret").arg(&other);
    let wrong = end(start(wrong));
    assert_eq!(wrong.code, Some(7), "{}", wrong.err);
    assert!(
        wrong.err.contains("it did not accept this process: has it the same secret, and is its -p its own?"),
        "{}",
        wrong.err
    );
    let second = two.start(1, &[]);
    // It may have met the first before any of these comes.
    strangers.extend(attacks(&two.addresses[1], Vec::new(), &over, &told));
    let said = [end(first), end(second)];
    over.store(true, Ordering::SeqCst);
    for said in &said {
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    assert!(said[0].err.contains("connections proved no secret, the last: from 127.0.0.1"), "{}", said[0].err);
    assert_same("among strangers", &tree(&said[0].folder()), &whole);
    strangers.into_iter().for_each(|stranger| stranger.join().expect("it ends"));
    let told = told.lock().expect("the records");
    assert!(told.len() > 100);
    let heard: Vec<&Vec<u8>> = told.iter().filter(|told| !told.is_empty()).collect();
    assert!(heard.len() >= 5, "some said enough for a nonce");
    for told in &heard {
        assert_eq!(told.len(), NONCE, "a nonce and nothing else");
    }
    let different: BTreeSet<&Vec<u8>> = heard.iter().copied().collect();
    assert_eq!(different.len(), heard.len(), "no nonce comes twice");
}

#[test]
fn who_waits_among_strangers_hears_ctrl_c() {
    let two = Two::new();
    let first = two.start(0, &[]);
    two.listens(0);
    let (over, told) = (Arc::new(AtomicBool::new(false)), Told::default());
    let strangers = attacks(&two.addresses[0], Vec::new(), &over, &told);
    thread::sleep(Duration::from_millis(500));
    interrupt(&first);
    let asked = Instant::now();
    let said = end(first);
    over.store(true, Ordering::SeqCst);
    assert_eq!(said.code, Some(130), "{}", said.err);
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert!(!two.place.store().exists());
    strangers.into_iter().for_each(|stranger| stranger.join().expect("it ends"));
}

#[test]
fn under_tls_the_same_bytes_come_out_and_plain_words_are_refused() {
    let alone = Place::new();
    let whole = tree(&alone.run(&[]).folder());
    let two = Two::new();
    // One of them without.
    let both = [two.start(0, &["--tls", "--wait", "3"]), two.start(1, &["--wait", "3"])].map(end);
    for said in &both {
        assert_eq!(said.code, Some(7), "{}", said.err);
    }
    assert!(!two.place.store().exists());
    let first = two.start(0, &["--tls"]);
    two.listens(0);
    let (over, told) = (Arc::new(AtomicBool::new(false)), Told::default());
    let strangers = attacks(&two.addresses[0], Vec::new(), &over, &told);
    let said = [first, two.start(1, &["--tls"])].map(end);
    over.store(true, Ordering::SeqCst);
    for said in &said {
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    assert_same("under TLS", &tree(&said[0].folder()), &whole);
    strangers.into_iter().for_each(|stranger| stranger.join().expect("it ends"));
    // Strangers who speak no TLS get no more than an alert.
    assert!(told.lock().expect("the records").iter().all(|told| told.len() <= 16));
}

#[test]
fn without_a_secret_processes_stay_on_their_host() {
    let two = Two::new();
    let refused = |hosts: &str, more: &[&str]| {
        fs::write(&two.hosts, hosts).expect("written");
        let said = end(start(two.command(1, more)));
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains("`refrain hosts new-secret FILE` makes one"), "{}", said.err);
    };
    refused("0.0.0.0:2101\n127.0.0.1:2102\n", &[]);
    refused("127.0.0.1:2101\nnode1.example:2102\n", &[]);
    refused("127.0.0.1:2101\n127.0.0.1:2102\n", &["--tls"]);
    // What is no secret.
    let file = two.place.path().join("no-secret");
    fs::write(&file, "password\n").expect("written");
    let named = file.display().to_string();
    assert!(Command::new("chmod").args(["600", &named]).status().expect("chmod").success());
    let said = end(start(two.command(1, &["--secret", &named])));
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("holds no secret") && said.err.contains("`refrain hosts new-secret` makes one"));
    // By a variable, too; a file goes before it.
    let mut command = two.command(1, &[]);
    command.env("REFRAIN_SECRET", "password");
    let said = end(start(command));
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("REFRAIN_SECRET holds no secret"), "{}", said.err);
    assert!(!two.place.store().exists());
}
