//! The peak memory of builds against the bound that `check` tells before they start: it holds, and it is not idle.

mod support;

use std::{fs, process::Stdio, thread, time::Duration};
use support::{Place, Said, refrain, repository, tone};

/// Recordings of twelve seconds, and a manifest from recordings to songs and scores.
fn place() -> Place {
    let place = Place::empty();
    let read = |name: &str| fs::read_to_string(repository().join("tests").join(name)).expect("a manifest");
    let songs = read("songs.toml").replace("steps             = 150", "steps             = 2");
    fs::write(place.path().join("tiny.toml"), read("tiny.toml") + "\n" + &songs).expect("a manifest");
    let row = |n: u32| format!("t{n}.wav,CC0-1.0,artist {n},Title {n},genre {}\n", n % 2);
    (0..6).for_each(|n| tone(&place.music().join(format!("t{n}.wav")), n, 12.0));
    place.table(&(0..6).map(row).collect::<String>());
    place.with(&["--set", "stage.parts.salt=c", "--set", "stage.codec.steps=[2,2,2]"])
}

/// MiB that a build takes at most, as `check` tells.
fn told(place: &Place, args: &[&str]) -> u64 {
    let mut check = refrain(&["check"]);
    check.arg(place.path().join("tiny.toml")).args(&place.args).args(args);
    let out = String::from_utf8(check.output().expect("the binary starts").stdout).expect("text");
    let number = out.split("at most ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no bound: {out}"))
}

/// MiB that the training of the codec takes, as `check` tells.
fn training(place: &Place, args: &[&str]) -> u64 {
    let mut check = refrain(&["check"]);
    check.arg(place.path().join("tiny.toml")).args(&place.args).args(args);
    let out = String::from_utf8(check.output().expect("the binary starts").stdout).expect("text");
    let number = out.split("`codec` ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no training: {out}"))
}

/// MiB that it took, with the pages of its program and of mapped files.
fn took(place: &Place, args: &[&str]) -> u64 {
    let mut command = place.command("run", args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        peak = line.unwrap_or(0u64).max(peak);
        if let Some(status) = child.try_wait().expect("its end") {
            assert!(status.success());
            return peak >> 10;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_build_takes_no_more_than_its_settings_say() {
    let codec = ["--set", "stage.codec.width=[48,48,48]", "--set", "stage.codec.batch=[8,8,8]"];
    let long = ["--set", "stage.codec.crop=[8192,8192,8192]", "--set", "stage.shards.megabytes=1"];
    let codec = [&codec[..], &long, &["--to", "shards"]].concat();
    let prior = [
        "--set",
        "stage.bottom.width=192",
        "--set",
        "stage.bottom.depth=4",
        "--set",
        "stage.bottom.context=512",
        "--set",
        "stage.bottom.batch=4",
        "--set",
        "stage.songs.seconds=0.5",
        "--set",
        "stage.shards.megabytes=1",
    ];
    let small = ["--set", "stage.shards.megabytes=1", "--to", "shards"];
    for (what, args, workers) in [
        ("a small codec", &small[..], "2"),
        ("a codec", &codec, "1"),
        ("a codec", &codec, "2"),
        ("priors", &prior, "2"),
    ] {
        let place = place();
        let args = [args, &["-w", workers]].concat();
        let (told, took) = (told(&place, &args), took(&place, &args));
        println!("{what} with -w {workers}: at most {told} MiB, took {took} MiB");
        assert!(took <= told && told <= 3 * took, "{what} with -w {workers}: at most {told} MiB, took {took} MiB");
    }
}

#[test]
fn what_check_says_fits_is_trained_with_as_many_workers() {
    let wide = ["--set", "stage.codec.width=[48,48,48]", "--set", "stage.codec.batch=[8,8,8]"];
    let long = ["--set", "stage.codec.crop=[8192,8192,8192]", "--set", "stage.codec.steps=[1,1,1]", "--to", "codec"];
    let place = place();
    let args = |workers| [&wide[..], &long, &["-w", workers]].concat();
    let (one, two) = (training(&place, &args("1")), training(&place, &args("2")));
    assert!(one < two, "one worker trains a level after the other: {one} MiB, and {two} MiB with two");
    // As much as one worker needs: too little for two, who are refused before anything is trained.
    for (workers, code) in [("2", 6), ("1", 0)] {
        let run = place.command("run", &args(workers)).env("REFRAIN_MEMORY", (one << 20).to_string()).output();
        let said = Said::of(&run.expect("the binary starts"));
        assert_eq!(said.code, Some(code), "-w {workers} with {one} MiB: {}", said.err);
        assert_eq!(said.err.contains("would fit"), code != 0, "-w {workers}: {}", said.err);
    }
}
