//! Damage of every kind that a store can suffer between two runs: it is found, it is said, and the next run or the one after
//! is none the wiser. And folders that are no store: nothing in them is touched.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use support::{Place, Said, assert_same, files, refrain, repository, tree};

/// A place whose manifest trains a codec and priors, and samples.
fn place() -> Place {
    let place = Place::empty();
    place.compose(0..5);
    let rows: Vec<String> = place.rows().lines().take(5).map(|row| format!("{row}\n")).collect();
    place.table(&rows.concat());
    let read = |name: &str| fs::read_to_string(repository().join("tests").join(name)).expect("a manifest");
    let songs = read("songs.toml").replace("steps             = 150", "steps             = 2");
    let songs = songs.replace("seconds     = 1.5", "seconds     = 0.2");
    fs::write(place.path().join("tiny.toml"), read("tiny.toml") + "\n" + &songs).expect("a manifest");
    place.with(&["--set", "stage.parts.salt=c", "--set", "stage.codec.steps=[2,2,2]"])
}

fn well(said: Said) -> Said {
    assert_eq!(said.code, Some(0), "{}", said.err);
    said
}

/// Puts other bytes into a file, which keeps its inode.
fn overwrite(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("rights");
    fs::write(path, bytes).expect("written");
}

/// Flips a bit in the middle.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    overwrite(path, &bytes);
}

fn on_store(place: &Place, words: &[&str]) -> Said {
    let mut command = refrain(words);
    command.arg("--store").arg(place.store());
    Said::of(&command.output().expect("the binary starts"))
}

#[test]
fn caches_are_checked_before_anything_is_made_of_them() {
    // What reads the samples again, and what reads the codes.
    for other in ["stage.codec.steps=[3,3,3]", "stage.top.steps=3"] {
        let other = ["--set", other];
        let whole = tree(&well(place().run(&other)).folder());
        let first = place();
        well(first.run(&[]));
        for harm in ["flip", "cut", "empty", "cut in half"] {
            let place = first.copy();
            let cache = place.store().join("pcm");
            assert!(files(&cache).len() >= 7, "samples of five tracks, codes and their list");
            for (path, bytes) in files(&cache) {
                let path = cache.join(path);
                match harm {
                    "flip" => flip(&path),
                    "cut" => overwrite(&path, &bytes[..bytes.len() - 1]),
                    "empty" => overwrite(&path, b""),
                    _ => overwrite(&path, &bytes[..bytes.len() / 2]),
                }
            }
            let said = well(place.run(&other));
            assert_same(harm, &tree(&said.folder()), &whole);
            let told = ["cannot be used (", "it is thrown away and made again"];
            assert!(told.iter().all(|words| said.err.contains(words)), "{harm}: {}", said.err);
        }
    }
}

#[test]
fn a_cache_of_no_size_is_only_slower() {
    let whole = tree(&well(place().run(&[])).folder());
    for workers in ["1", "4"] {
        let place = place();
        let ran = place.command("run", &["--pcm-cache", "0", "-w", workers]).output();
        let said = well(Said::of(&ran.expect("the binary starts")));
        assert_same(workers, &tree(&said.folder()), &whole);
    }
}

#[test]
fn a_damaged_object_is_never_published() {
    let first = place();
    let published = well(first.run(&[]));
    let whole = tree(&published.folder());
    let record = published.record();
    for (file, digest) in record["files"].as_object().expect("files") {
        let (place, digest) = (first.copy(), digest.as_str().expect("a digest"));
        fs::remove_dir_all(place.store().join("runs")).expect("removed");
        let object = place.store().join("objects").join(&digest[..2]).join(&digest[2..]);
        assert!(fs::metadata(&object).expect("facts").permissions().readonly(), "{file}");
        overwrite(&object, b"");
        let said = place.run(&[]);
        if said.code != Some(0) {
            assert_eq!(said.code, Some(4), "{file}: {}", said.err);
            assert!(said.err.contains("is damaged: its bytes have another digest"), "{file}: {}", said.err);
            assert!(!place.store().join("runs/latest").exists(), "{file}");
        }
        // No command ends twice in the same way because of it.
        let said = well(place.run(&[]));
        assert_same(file, &tree(&said.folder()), &whole);
    }
}

#[test]
fn verify_reads_every_published_file() {
    let place = place();
    let said = well(place.run(&[]));
    let (folder, whole) = (said.folder(), tree(&said.folder()));
    let texts: Vec<&PathBuf> =
        whole.keys().filter(|path| !said.record()["files"][&*path.to_string_lossy()].is_string()).collect();
    let names: Vec<String> = texts.iter().map(|path| path.display().to_string()).collect();
    let all =
        ["ATTRIBUTION.md", "model/ATTRIBUTION.md", "model/README.md", "model/bundle.json", "report.html", "run.json"];
    assert!(all.iter().all(|name| names.iter().any(|own| own == name)), "{names:?}");
    for path in texts {
        flip(&folder.join(path));
        let found = on_store(&place, &["store", "verify"]);
        assert_eq!(found.code, Some(4), "{}", found.out);
        assert!(found.out.contains(&format!("/{}\n", path.display())), "{}: {}", path.display(), found.out);
        assert!(!folder.join(path).exists());
        let again = well(place.run(&[]));
        assert_eq!(again.executed(), BTreeMap::new(), "{}", path.display());
        assert_same("made again", &tree(&folder), &whole);
        assert_eq!(on_store(&place, &["store", "verify"]).code, Some(0), "{}", path.display());
    }
    // So is what the store keeps beside objects.
    for kept in ["history", "roots"] {
        let names = files(&place.store().join(kept));
        let name = format!("{kept}/{}", names.keys().next().expect("a file").display());
        flip(&place.store().join(&name));
        let found = on_store(&place, &["store", "verify"]);
        assert!(found.code == Some(4) && found.out.contains(&name), "{}{}", found.out, found.err);
        well(place.run(&[]));
        assert_same(&name, &tree(&folder), &whole);
        assert_eq!(on_store(&place, &["store", "verify"]).code, Some(0), "{name}");
    }
}

/// Whoever asks about a run whose list of tracks is damaged hears of the damage, and of no other tracks.
#[test]
fn a_damaged_list_of_tracks_is_said() {
    let place = place();
    let first = well(place.run(&[]));
    let second = well(place.run(&["--set", "stage.top.steps=3"]));
    let runs = [&first, &second].map(|said| said.folder().file_name().expect("a name").to_string_lossy().into_owned());
    flip(&second.folder().join("tracks.parquet"));
    for words in [vec!["why", &runs[1], "any"], vec!["diff", &runs[0], &runs[1]]] {
        let said = on_store(&place, &words);
        assert_eq!(said.code, Some(4), "{words:?}: {}{}", said.out, said.err);
        assert!(said.err.contains("tracks.parquet is damaged: it is not the file that was published"), "{}", said.err);
    }
    // A list of runs stands without what it cannot count.
    let listed = on_store(&place, &["runs"]);
    assert!(listed.code == Some(0) && listed.out.contains(&runs[1]), "{}{}", listed.out, listed.err);
    assert_eq!(on_store(&place, &["store", "verify"]).code, Some(4));
    // Both runs have one list.
    well(place.run(&[]));
    well(place.run(&["--set", "stage.top.steps=3"]));
    assert_eq!(on_store(&place, &["diff", &runs[0], &runs[1]]).code, Some(0));
}

#[test]
fn somebodys_file_in_a_run_outlives_it() {
    let place = place();
    let folder = well(place.run(&["--to", "free"])).folder();
    fs::write(folder.join("notes.txt"), "mine").expect("written");
    // Published again.
    fs::remove_file(folder.join("report.html")).expect("removed");
    well(place.run(&["--to", "free"]));
    assert!(folder.join("report.html").exists());
    assert_eq!(fs::read_to_string(folder.join("notes.txt")).expect("there"), "mine");
    // Cleaned up.
    well(place.run(&["--to", "decoded"]));
    let swept = on_store(&place, &["gc", "--keep", "1"]);
    assert!(
        swept.code == Some(0) && swept.out.contains("notes.txt stays: it was not written by refrain"),
        "{}",
        swept.out
    );
    assert_eq!(files(&folder).into_keys().collect::<Vec<_>>(), [PathBuf::from("notes.txt")]);
}

#[test]
fn a_folder_with_other_content_is_refused_and_left_alone() {
    let place = place();
    let theirs = [("pcm/take1.raw", "take"), ("history/2020.txt", "diary"), ("runs/.mine.tmp/keep.txt", "keep")];
    for (path, text) in theirs {
        let path = place.store().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }
    let before = files(&place.store());
    let named = place.store().display().to_string();
    for verb in ["run", "plan"] {
        let said = Said::of(&place.command(verb, &[]).output().expect("the binary starts"));
        assert!(
            said.code == Some(4) && said.err.contains(&format!("{named} is not a store of refrain")),
            "{}",
            said.err
        );
    }
    for words in [&["gc"][..], &["gc", "--dry-run"], &["store", "verify"]] {
        let said = on_store(&place, words);
        assert!(said.code == Some(4) && said.err.contains("is not a store of refrain"), "{words:?}: {}", said.err);
    }
    assert_eq!(on_store(&place, &["runs"]).code, Some(0));
    assert_eq!(files(&place.store()), before);
}

#[test]
fn whoever_only_looks_makes_no_store() {
    let place = place();
    assert!(!place.plan(&[]).is_empty());
    well(Said::of(
        &refrain(&["check"]).arg(place.path().join("tiny.toml")).args(&place.args).output().expect("it starts"),
    ));
    for words in [&["runs"][..], &["gc"], &["gc", "--dry-run"], &["store", "verify"], &["why", "latest", "t0.wav"]] {
        assert_ne!(on_store(&place, words).code, Some(0), "{words:?}");
    }
    assert!(!place.store().exists());
}

#[test]
fn a_store_among_the_recordings_is_no_recording() {
    let place = place();
    let inside = place.music().join("out");
    fs::copy(place.path().join("tiny.toml"), place.music().join("tiny.toml")).expect("a manifest");
    let run = |more: &[&str]| {
        let mut command = refrain(&["run"]);
        command.arg(place.music().join("tiny.toml")).args(&place.args).args(["--json", "-w", "2"]).args(more);
        Said::of(&command.arg("--store").arg(&inside).output().expect("the binary starts"))
    };
    let pinned = ["--set", "stage.codec.refresh=pinned"];
    let first = well(run(&pinned));
    assert!(place.music().join("tiny.lock").exists());
    assert_eq!((first.count("tracks", "kept"), first.count("tracks", "dropped")), (5, 0));
    let second = well(run(&pinned));
    assert_eq!((second.executed(), &second.done()["run"]), (BTreeMap::new(), &first.done()["run"]));
}

#[test]
fn weights_of_a_lock_file_outlive_its_record() {
    let place = place();
    let pinned = ["--set", "stage.codec.refresh=pinned"];
    let first = well(place.run(&pinned));
    let whole = tree(&first.folder());
    // Later runs of the name do not use them.
    for steps in ["[3,3,3]", "[4,4,4]"] {
        well(place.run(&["--set", &format!("stage.codec.steps={steps}")]));
    }
    fs::remove_dir_all(place.store().join("roots/locks")).expect("removed");
    well(on_store(&place, &["gc", "--keep", "1"]));
    let again = well(place.run(&pinned));
    assert_eq!(again.count("codec", "executed"), 0);
    assert_same("the same weights", &tree(&again.folder()), &whole);
    // What is known of them is more than the file: it comes back where receipts are lost.
    fs::remove_dir_all(place.store().join("receipts")).expect("removed");
    fs::remove_dir_all(place.store().join("runs")).expect("removed");
    let again = well(place.run(&pinned));
    assert_eq!(again.count("codec", "executed"), 0);
    assert_same("with curves and lineage", &tree(&again.folder()), &whole);
}
