//! A place with recordings, a manifest and a store, and what may change in it.

use crate::support::{Said, copy, files, hosts, refrain, repository, tone};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A place with recordings, a manifest and a store.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub manifest: String,
    pub sets: Vec<String>,
    pub options: Vec<String>,
    pub env: Vec<(String, String)>,
    pub processes: usize,
    pub music: String,
    pub store: String,
}

impl Place {
    pub fn new(manifest: &str) -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let at = repository().join("tests/rebuilds").join(format!("{manifest}-manifest.toml"));
        fs::copy(at, folder.path().join("manifest.toml")).expect("a manifest");
        fs::create_dir(folder.path().join("music")).expect("a folder");
        fs::write(folder.path().join("optout.tsv"), OPTOUT).expect("a list");
        let (sets, options, env) = (Vec::new(), vec!["-w".into(), "2".into()], Vec::new());
        let (processes, music, store) = (1, "music".into(), "store".into());
        Place { folder, manifest: manifest.into(), sets, options, env, processes, music, store }
    }

    pub fn copy(&self) -> Place {
        let place = Place::new(&self.manifest);
        copy(self.folder.path(), place.folder.path());
        place
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.at(&self.music).join(name)
    }

    pub fn command(&self, verb: &str) -> Command {
        let mut command = refrain(&[verb, "--json"]);
        command.arg(self.at("manifest.toml")).arg("--store").arg(self.at(&self.store)).args(&self.options);
        command.arg("--set").arg(format!("stage.tracks.root={}", self.at(&self.music).display()));
        self.sets.iter().for_each(|set| {
            command.arg("--set").arg(set);
        });
        command.env_remove("REFRAIN_REVISION").envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self) -> Said {
        hosts(&self.at("hosts.txt"), self.processes);
        let command = |process: usize| {
            let mut command = self.command("run");
            // A change may leave no row.
            command.arg("--allow-empty").arg("--hosts").arg(self.at("hosts.txt")).arg("-p").arg(process.to_string());
            command
        };
        let start = |process| command(process).stdout(Stdio::null()).spawn().expect("the binary starts");
        let others: Vec<Child> = (1..self.processes).map(start).collect();
        let said = Said::of(&command(0).output().expect("the binary starts"));
        assert_eq!(said.code, Some(0), "{}", said.err);
        let well = |mut other: Child| other.wait().expect("its end").success();
        assert!(others.into_iter().all(well), "one of the others did not end well");
        said
    }

    fn table(&self) -> BTreeMap<String, Vec<String>> {
        let text = fs::read_to_string(self.file("tracks.csv")).unwrap_or_default();
        let cells = |line: &str| {
            let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
            cells.resize(COLUMNS.len(), String::new());
            cells
        };
        text.lines().skip(1).map(|line| (cells(line)[0].clone(), cells(line))).collect()
    }

    pub fn rows(&self, rows: &BTreeMap<String, Vec<String>>) {
        let line = |cells: &Vec<String>| cells.join(",") + &",".repeat(COLUMNS.len() - cells.len()) + "\n";
        let rows: String = rows.values().map(line).collect();
        fs::write(self.file("tracks.csv"), format!("{}\n{rows}", COLUMNS.join(","))).expect("a table");
    }

    fn edit(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<String>>)) {
        let mut rows = self.table();
        change(&mut rows);
        self.rows(&rows);
    }

    /// Everything that a user has written, as it is in another place.
    pub fn take_back(&mut self, from: &Place) {
        fs::remove_dir_all(self.at(&self.music)).expect("removed");
        self.music = from.music.clone();
        copy(&from.at(&from.music), &self.at(&self.music));
        for name in ["manifest.toml", "optout.tsv"] {
            fs::copy(from.at(name), self.at(name)).expect("copied");
        }
        (self.sets, self.env, self.options) = (from.sets.clone(), from.env.clone(), from.options.clone());
        self.processes = from.processes;
    }

    pub fn change(&mut self, change: &[String]) {
        let words: Vec<&str> = change.iter().map(String::as_str).collect();
        match words[..] {
            ["write", file, number, seconds] => {
                tone(&self.file(file), number.parse().expect("a number"), seconds.parse().expect("seconds"));
            }
            ["row", line] => self.edit(|rows| {
                let cells: Vec<String> = line.split(',').map(str::to_owned).collect();
                rows.insert(cells[0].clone(), cells);
            }),
            ["copy", from, to] => drop(fs::copy(self.file(from), self.file(to)).expect("copied")),
            ["remove", file] => {
                fs::remove_file(self.file(file)).expect("removed");
                self.edit(|rows| drop(rows.remove(file)));
            }
            ["rename", from, to] => {
                fs::rename(self.file(from), self.file(to)).expect("renamed");
                self.edit(|rows| {
                    let mut cells = rows.remove(from).expect("a row");
                    cells[0] = to.to_owned();
                    rows.insert(to.to_owned(), cells);
                });
            }
            ["move root", to] => {
                fs::rename(self.at(&self.music), self.at(to)).expect("renamed");
                self.music = to.to_owned();
            }
            ["bytes", file] => {
                let path = self.file(file);
                let times = fs::metadata(&path).expect("facts").modified().expect("a time");
                let mut bytes = fs::read(&path).expect("read");
                // Half a millisecond of silence amid the second clip.
                let middle = bytes.len() / 2;
                bytes[middle..middle + 22].fill(0);
                fs::write(&path, bytes).expect("written");
                File::options().write(true).open(&path).expect("a file").set_modified(times).expect("its time");
            }
            ["times", file] => {
                let file = File::options().write(true).open(self.file(file)).expect("a file");
                file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000)).expect("a time");
            }
            ["tag", file, title] => {
                let path = self.file(file);
                let mut bytes = fs::read(&path).expect("read");
                let size = title.len() as u32;
                let info =
                    [&b"LIST"[..], &(12 + size).to_le_bytes(), b"INFOINAM", &size.to_le_bytes(), title.as_bytes()];
                info.iter().for_each(|part| bytes.extend(*part));
                let whole = (bytes.len() as u32 - 8).to_le_bytes();
                bytes[4..8].copy_from_slice(&whole);
                fs::write(path, bytes).expect("written");
            }
            ["cell", file, column, value] => self.edit(|rows| {
                let at = COLUMNS.iter().position(|name| *name == column).expect("a column");
                rows.get_mut(file).expect("a row")[at] = value.to_owned();
            }),
            ["set", set] => self.sets.push(set.to_owned()),
            ["option", option, value] => self.options = vec![option.to_owned(), value.to_owned()],
            ["processes", count] => self.processes = count.parse().expect("a number"),
            ["env", name, value] => self.env.push((name.to_owned(), value.to_owned())),
            ["text", from, to] => {
                let text = fs::read_to_string(self.at("manifest.toml")).expect("a manifest");
                assert!(text.contains(from), "the manifest has no {from:?}");
                fs::write(self.at("manifest.toml"), text.replace(from, to)).expect("written");
            }
            ["opt out", id] => {
                let line = format!("{id}\t2026-03-01\tletter\n");
                let text = fs::read_to_string(self.at("optout.tsv")).expect("a list");
                fs::write(self.at("optout.tsv"), text + &line).expect("written");
            }
            ["move store", to] => {
                fs::rename(self.at(&self.store), self.at(to)).expect("renamed");
                self.store = to.to_owned();
            }
            ["lose objects", folder] => fs::remove_dir_all(self.at(&self.store).join(folder)).expect("removed"),
            ["lose half of", folder] => {
                let folder = self.at(&self.store).join(folder);
                for path in files(&folder).into_keys().filter(|path| path.to_string_lossy().as_bytes()[0] < b'8') {
                    fs::remove_file(folder.join(path)).expect("removed");
                }
            }
            ["clean"] => {
                let mut command = refrain(&["gc", "--keep", "1", "--store"]);
                assert!(command.arg(self.at(&self.store)).output().expect("the binary starts").status.success());
            }
            _ => panic!("no such change: {change:?}"),
        }
    }
}

/// The columns of the sidecar; `mood` is the corpus's own.
const COLUMNS: [&str; 7] = ["path", "license", "artist", "title", "genre", "source", "mood"];
const OPTOUT: &str = "id\tdate\tevidence\n";
