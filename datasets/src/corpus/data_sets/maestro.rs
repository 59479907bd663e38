//! MAESTRO: piano performances with their MIDI, listed in `maestro-vN.csv` or `.json`.
//!
//! The layout is that of the published archives: the list beside one folder a year. `duration` in the list is the length of the
//! MIDI file, and goes along under a name that says so.

use super::columns::{self, Header, Wanted};
use super::inventory::{Inventory, OFFICIAL_SPLIT, is_missing, whole};
use crate::corpus::adapter::{Adapter, Evidence, Listing};
use crate::corpus::{Entry, ScanError};
use crate::row::Labels;
use std::fs;
use std::path::{Path, PathBuf};

/// The data set MAESTRO.
#[derive(Clone, Debug)]
pub struct Maestro {
    /// The folder that it was unpacked in.
    pub root: PathBuf,
    /// Its list; default: the one `maestro-v*.csv` or `.json` in the root.
    pub file: Option<PathBuf>,
}

/// The license of every version, as the data set's `LICENSE` states it.
const LICENSE: &str = "CC-BY-NC-SA-4.0";

const SOURCE: &str = "https://magenta.tensorflow.org/datasets/maestro";

/// Recordings by split, as each version states them.
const COUNTS: &[(&str, [(&str, usize); 3])] = &[
    ("maestro-v1.0.0", [("train", 954), ("validation", 105), ("test", 125)]),
    ("maestro-v2.0.0", [("train", 967), ("validation", 137), ("test", 178)]),
    ("maestro-v3.0.0", [("train", 962), ("validation", 137), ("test", 177)]),
];

const WANTED: Wanted = Wanted {
    header: Header::Plain,
    needed: &["canonical_composer", "canonical_title", "split", "audio_filename"],
    further: &["year", "midi_filename", "duration"],
};

impl Maestro {
    /// The list: the one that is named, or the only one in the root.
    fn list(&self) -> Result<PathBuf, ScanError> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let unreadable = |source| ScanError::Read { path: self.root.clone(), source };
        let mut lists: Vec<PathBuf> = Vec::new();
        for found in fs::read_dir(&self.root).map_err(unreadable)? {
            let path = found.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("maestro-v") && (name.ends_with(".csv") || name.ends_with(".json")) {
                lists.push(path);
            }
        }
        // A version comes with the same list in both formats.
        lists.sort();
        lists.dedup_by(|later, first| later.file_stem() == first.file_stem());
        let wrong = |reason: String| ScanError::Syntax { path: self.root.clone(), line: None, reason };
        match lists.as_slice() {
            [list] => Ok(list.clone()),
            [] => Err(wrong("it holds no list `maestro-v*.csv` or `maestro-v*.json`".to_owned())),
            several => {
                let names: Vec<String> = several.iter().map(|list| name_of(list)).collect();
                Err(wrong(format!("it holds the lists {}: name one of them with `file`", names.join(", "))))
            }
        }
    }

    fn inventory(&self) -> Result<Inventory, ScanError> {
        let list = self.list()?;
        let mut inventory = Inventory::of(&name_of(&list), &self.root)?;
        let (mut midi, mut without) = (0, 0);
        columns::read(&list, "audio_filename", WANTED, &mut |at, row| {
            let row = match row {
                Ok(row) => row,
                Err(why) => return inventory.unusable(at, why),
            };
            let Some(audio) = row.get("audio_filename") else {
                return inventory.unusable(at, "the row names no audio file".to_owned());
            };
            let text = |name: &str| row.get(name).map(str::to_owned);
            let mut labels = Labels {
                title: text("canonical_title"),
                artist: text("canonical_composer"),
                source: Some(SOURCE.to_owned()),
                ..Labels::default()
            };
            let own = [
                (OFFICIAL_SPLIT, "split"),
                ("year", "year"),
                ("midi_filename", "midi_filename"),
                ("midi_duration", "duration"),
            ];
            for (column, name) in own {
                row.get(name).into_iter().for_each(|text| labels.set(column, text));
            }
            if let Some(path) = row.get("midi_filename") {
                midi += 1;
                without += usize::from(is_missing(&self.root.join(path)));
            }
            inventory.add(audio, whole("MAESTRO", LICENSE), labels);
        })?;
        if without > 0 {
            let list = &inventory.list;
            inventory.remarks.push(format!("{without} of the {midi} MIDI files that {list} lists are not there"));
        }
        let version = list.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if let Some((name, stated)) = COUNTS.iter().find(|(name, _)| *name == version) {
            inventory.compare(name, stated);
        }
        Ok(inventory)
    }
}

/// The name of a file, for sentences.
pub(super) fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Adapter for Maestro {
    fn scan(&self, take: &(dyn Fn(usize, Vec<Entry>) + Sync)) -> Result<Listing, ScanError> {
        self.inventory()?.list(take)
    }

    fn evidence(&self, key: &str, words: Option<&str>) -> Result<Option<Evidence>, ScanError> {
        Ok(self.inventory()?.evidence(key, words))
    }

    fn trusts_tags(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::inventory::tests::{columns, put, scanned, shared, tally};
    use super::*;

    const CSV: &str = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n\
        Alban Berg,Sonata Op. 1,train,2018,2018/a.midi,2018/a.wav,698.66\n\
        Franz Liszt,\"Etude, No. 2\",test,2009,2009/b.midi,2009/b.wav,10.5\n\
        Franz Liszt,Gone,validation,2009,2009/c.midi,2009/c.wav,1\n";

    fn maestro(root: &Path) -> Maestro {
        Maestro { root: root.to_owned(), file: None }
    }

    #[test]
    fn a_list_gives_the_same_rows_in_each_of_its_formats() {
        let array = r#"[{"canonical_composer": "Alban Berg", "canonical_title": "Sonata Op. 1", "split": "train",
            "year": 2018, "midi_filename": "2018/a.midi", "audio_filename": "2018/a.wav", "duration": 698.66},
            {"canonical_composer": "Franz Liszt", "canonical_title": "Etude, No. 2", "split": "test", "year": 2009,
            "midi_filename": "2009/b.midi", "audio_filename": "2009/b.wav", "duration": 10.5},
            {"canonical_composer": "Franz Liszt", "canonical_title": "Gone", "split": "validation", "year": 2009,
            "midi_filename": "2009/c.midi", "audio_filename": "2009/c.wav", "duration": 1}]"#;
        let columnar = r#"{"canonical_composer": {"0": "Alban Berg", "1": "Franz Liszt", "2": "Franz Liszt"},
            "canonical_title": {"0": "Sonata Op. 1", "1": "Etude, No. 2", "2": "Gone"},
            "split": {"0": "train", "1": "test", "2": "validation"}, "year": {"0": 2018, "1": 2009, "2": 2009},
            "midi_filename": {"0": "2018/a.midi", "1": "2009/b.midi", "2": "2009/c.midi"},
            "audio_filename": {"0": "2018/a.wav", "1": "2009/b.wav", "2": "2009/c.wav"},
            "duration": {"0": 698.66, "1": 10.5, "2": 1}}"#;
        for (name, text) in [("maestro-v9.csv", CSV), ("maestro-v9.json", array), ("maestro-v9.json", columnar)] {
            let folder = tempfile::tempdir().expect("a folder");
            let root = folder.path();
            put(root, name, text);
            ["2018/a.wav", "2018/a.midi", "2009/b.wav"].iter().for_each(|path| put(root, path, "sound"));
            let (entries, rows, remarks) = scanned(&maestro(root)).expect("a scan");
            let (first, second) = (&entries["2018/a.wav"], &entries["2009/b.wav"]);
            assert_eq!(entries.len(), 2);
            assert_eq!(first.labels.each()[..3], [Some("Sonata Op. 1"), Some("Alban Berg"), None]);
            assert_eq!(second.labels.title.as_deref(), Some("Etude, No. 2"));
            assert_eq!(
                columns(first),
                ["midi_duration=698.66", "midi_filename=2018/a.midi", "split=train", "year=2018"]
            );
            assert_eq!(first.license.as_deref(), Some("CC-BY-NC-SA-4.0"));
            assert_eq!(rows, ["2009/c.wav missing-file"]);
            let said = [
                format!("2 of the 3 MIDI files that {name} lists are not there"),
                format!("1 of the 3 recordings that {name} lists are not there, such as 2009/c.wav"),
            ];
            assert_eq!(remarks, said);
        }
    }

    #[test]
    fn what_cannot_be_read_as_a_whole_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let wrong = |maestro: &Maestro| scanned(maestro).expect_err("an error").to_string();
        assert!(wrong(&maestro(root)).ends_with("it holds no list `maestro-v*.csv` or `maestro-v*.json`"));
        put(root, "maestro-v2.0.0.csv", CSV);
        put(root, "maestro-v2.0.0.json", "[]");
        let said = wrong(&maestro(root));
        assert!(said.starts_with("none of the 3 recordings that maestro-v2.0.0.csv lists is under"), "{said}");
        assert!(said.contains(", such as 2009/b.wav: "), "{said}");
        put(root, "maestro-v3.0.0.csv", CSV);
        let said = wrong(&maestro(root));
        assert!(
            said.ends_with("the lists maestro-v2.0.0.csv, maestro-v3.0.0.csv: name one of them with `file`"),
            "{said}"
        );
        put(root, "2018/a.wav", "sound");
        put(root, "maestro-v3.0.0.csv", &CSV.replace("2009/b.wav", "../b.wav").replace(",1\n", "\n"));
        let named = Maestro { file: Some(root.join("maestro-v3.0.0.csv")), ..maestro(root) };
        let (entries, rows, remarks) = scanned(&named).expect("a scan");
        assert_eq!(
            (entries.len(), rows.as_slice()),
            (1, &["../b.wav outside-root", "row 3 unusable-row"].map(String::from)[..])
        );
        let counts = "maestro-v3.0.0.csv lists train 1, validation 0, test 0, where maestro-v3.0.0 has train 962, \
                      validation 137, test 177";
        assert!(remarks.contains(&counts.to_owned()), "{remarks:?}");
    }

    /// Counts by Python's `csv.DictReader` and `collections.Counter` over the list.
    #[test]
    #[ignore = "needs REFRAIN_SHARED"]
    fn the_real_list_gives_what_it_states() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::copy(shared("maestro/maestro-v3.0.0.csv"), root.join("maestro-v3.0.0.csv")).expect("the list");
        let mut reader = csv::Reader::from_path(root.join("maestro-v3.0.0.csv")).expect("a table");
        for row in reader.records().map(|row| row.expect("a row")) {
            put(root, &row[4], "notes");
            put(root, &row[5], "sound");
        }
        let (entries, rows, remarks) = scanned(&maestro(root)).expect("a scan");
        assert_eq!((entries.len(), rows, remarks), (1276, vec![], vec![]));
        let splits = [("test", 177), ("train", 962), ("validation", 137)];
        assert_eq!(tally(&entries, "split"), splits.map(|(split, count)| (split.to_owned(), count)).into());
        let years = tally(&entries, "year");
        assert_eq!((years.len(), years["2011"], years["2018"]), (10, 163, 93));
        let composers: std::collections::BTreeSet<_> = entries.values().map(|entry| &entry.labels.artist).collect();
        assert_eq!(composers.len(), 60);
        assert!(entries.values().all(|entry| entry.license.as_deref() == Some(LICENSE)));
        assert!(entries.values().all(|entry| entry.labels.extra["midi_filename"].ends_with(".midi")));
    }
}
