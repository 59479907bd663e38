//! NSynth: single notes, listed in the `examples.json` of each official split.
//!
//! ```text
//! nsynth-train/examples.json    {"bass_synthetic_068-073-025": {"pitch": 73, "velocity": 25, ..}, ..}
//! nsynth-train/audio/bass_synthetic_068-073-025.wav
//! ```
//!
//! The root holds these folders, or is one of them. The list of the training split is 200 MB, so notes are taken one at a time.

use super::inventory::{Inventory, OFFICIAL_SPLIT, whole};
use super::maestro::name_of;
use crate::corpus::adapter::{Adapter, Evidence, Listing};
use crate::corpus::rows::At;
use crate::corpus::{Entry, ScanError};
use crate::row::Labels;
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The data set NSynth.
#[derive(Clone, Debug)]
pub struct Nsynth {
    /// The folder that holds `nsynth-train`, `nsynth-valid` and `nsynth-test`, or one of these.
    pub root: PathBuf,
}

const LICENSE: &str = "CC-BY-4.0";

const SOURCE: &str = "https://magenta.tensorflow.org/datasets/nsynth";

/// Folders, splits and numbers of notes.
const SPLITS: &[(&str, &str, usize)] =
    &[("nsynth-train", "train", 289_205), ("nsynth-valid", "valid", 12_678), ("nsynth-test", "test", 4_096)];

/// Columns of a note that go along under their own names.
const OWN: [&str; 8] = [
    "note",
    "pitch",
    "velocity",
    "instrument_str",
    "instrument_family_str",
    "instrument_source_str",
    "qualities_str",
    "sample_rate",
];

const EXAMPLES: &str = "examples.json";

impl Nsynth {
    fn inventory(&self) -> Result<Inventory, ScanError> {
        let mut inventory = Inventory::of(EXAMPLES, &self.root)?;
        let there = |folder: &&(&str, &str, usize)| self.root.join(folder.0).join(EXAMPLES).is_file();
        let (parts, absent): (Vec<_>, Vec<_>) = SPLITS.iter().partition(there);
        if parts.is_empty() {
            let list = self.root.join(EXAMPLES);
            if !list.is_file() {
                let reason = "it holds neither `examples.json` nor a folder `nsynth-train`, `nsynth-valid` or \
                              `nsynth-test` with one";
                return Err(ScanError::Syntax { path: self.root.clone(), line: None, reason: reason.to_owned() });
            }
            // The name of the folder is all that tells the split.
            let name = name_of(&self.root);
            let split = SPLITS.iter().find(|(folder, ..)| *folder == name);
            if split.is_none() {
                inventory.remarks.push(
                    "the folder is none of nsynth-train, nsynth-valid, nsynth-test: no official split".to_owned(),
                );
            }
            notes(&list, "", split.map(|(_, split, _)| *split), &mut inventory)?;
            split.into_iter().for_each(|part| compare(&mut inventory, &[part]));
            return Ok(inventory);
        }
        for (folder, split, _) in &parts {
            notes(&self.root.join(folder).join(EXAMPLES), &format!("{folder}/"), Some(*split), &mut inventory)?;
        }
        compare(&mut inventory, &parts.iter().collect::<Vec<_>>());
        if !absent.is_empty() {
            let names: Vec<&str> = absent.iter().map(|(folder, ..)| *folder).collect();
            inventory.remarks.push(format!("without {}", names.join(" and ")));
        }
        Ok(inventory)
    }
}

/// Compares the numbers of notes with those that the data set states.
fn compare(inventory: &mut Inventory, parts: &[&(&str, &str, usize)]) {
    let stated: Vec<(&str, usize)> = parts.iter().map(|(_, split, count)| (*split, *count)).collect();
    inventory.compare("NSynth", &stated);
}

/// Reads the notes of one list.
fn notes(list: &Path, folder: &str, split: Option<&str>, inventory: &mut Inventory) -> Result<(), ScanError> {
    let file = crate::untrusted::open(list).map_err(|source| ScanError::Read { path: list.to_owned(), source })?;
    let mut row = 0;
    let mut take = |key: String, note: Value| {
        row += 1;
        let Value::Object(note) = note else {
            return inventory.unusable(At { row, line: None }, format!("the value of {key:?} is no object"));
        };
        let text = |name: &str| match note.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let mut labels = Labels {
            title: Some(key.clone()),
            genre: text("instrument_family_str"),
            source: Some(SOURCE.to_owned()),
            ..Labels::default()
        };
        split.into_iter().for_each(|split| labels.set(OFFICIAL_SPLIT, split));
        OWN.iter().for_each(|name| text(name).into_iter().for_each(|text| labels.set(name, &text)));
        inventory.add(&format!("{folder}audio/{key}.wav"), whole("NSynth", LICENSE), labels);
    };
    let mut reader = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 18, file));
    let read = reader.deserialize_map(Notes(&mut take)).and_then(|()| reader.end());
    read.map_err(|error| ScanError::Syntax {
        path: list.to_owned(),
        line: Some(error.line() as u64),
        reason: error.to_string(),
    })
}

/// Visits the notes of a list, one at a time.
struct Notes<'a>(&'a mut dyn FnMut(String, Value));

impl<'de> Visitor<'de> for Notes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of notes by their names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, note)) = map.next_entry::<String, Value>()? {
            (self.0)(key, note);
        }
        Ok(())
    }
}

impl Adapter for Nsynth {
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

    const NOTES: &str = r#"{"bass_synthetic_068-073-025": {"note": 216448, "pitch": 73, "velocity": 25,
        "sample_rate": 16000, "instrument_str": "bass_synthetic_068", "instrument_family_str": "bass",
        "instrument_source_str": "synthetic", "qualities_str": ["dark", "reverb"], "qualities": [0, 1]},
        "bass_synthetic_068-073-050": {"pitch": 73, "velocity": 50, "instrument_family_str": "bass"},
        "odd": 3, "gone-001-002": {}}"#;

    #[test]
    fn notes_come_from_each_split_there_is_or_from_one_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let notes = ["068-073-025", "068-073-050"].map(|note| format!("audio/bass_synthetic_{note}.wav"));
        for part in ["nsynth-test", "nsynth-valid"] {
            put(root, &format!("{part}/{EXAMPLES}"), NOTES);
            notes.iter().for_each(|note| put(root, &format!("{part}/{note}"), "sound"));
        }
        let (entries, rows, remarks) = scanned(&Nsynth { root: root.to_owned() }).expect("a scan");
        assert_eq!(entries.len(), 4);
        assert_eq!(tally(&entries, "split"), [("test".to_owned(), 2), ("valid".to_owned(), 2)].into());
        let first = &entries[&format!("nsynth-test/{}", notes[0])];
        assert_eq!(
            columns(first),
            [
                "instrument_family_str=bass",
                "instrument_source_str=synthetic",
                "instrument_str=bass_synthetic_068",
                "note=216448",
                "pitch=73",
                "qualities_str=[\"dark\",\"reverb\"]",
                "sample_rate=16000",
                "split=test",
                "velocity=25",
            ]
        );
        assert_eq!((first.labels.genre.as_deref(), first.license.as_deref()), (Some("bass"), Some("CC-BY-4.0")));
        let odd =
            ["nsynth-test/audio/gone-001-002.wav missing-file", "nsynth-valid/audio/gone-001-002.wav missing-file"];
        assert_eq!(rows, [&odd[..], &["row 3 unusable-row", "row 3 unusable-row"]].concat());
        assert_eq!(
            remarks,
            [
                "examples.json lists valid 3, test 3, where NSynth has valid 12678, test 4096",
                "without nsynth-train",
                "2 of the 6 recordings that examples.json lists are not there, such as nsynth-test/audio/gone-001-002.wav",
            ]
        );

        let one = Nsynth { root: root.join("nsynth-test") };
        let (entries, _, remarks) = scanned(&one).expect("a scan");
        assert_eq!(tally(&entries, "split"), [("test".to_owned(), 2)].into());
        assert_eq!(remarks[0], "examples.json lists test 3, where NSynth has test 4096");
        assert!(entries.contains_key(&notes[0]), "{:?}", entries.keys());
        std::fs::rename(root.join("nsynth-test"), root.join("mine")).expect("renamed");
        let (entries, _, remarks) = scanned(&Nsynth { root: root.join("mine") }).expect("a scan");
        assert_eq!(tally(&entries, "split"), [(String::new(), 2)].into());
        assert!(remarks[0].ends_with("no official split"), "{remarks:?}");
    }

    #[test]
    fn what_is_no_list_of_notes_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let nsynth = Nsynth { root: folder.path().to_owned() };
        let wrong = || scanned(&nsynth).expect_err("an error").to_string();
        assert!(wrong().contains("it holds neither `examples.json` nor a folder"), "{}", wrong());
        for (text, what) in
            [("[1]", "expected an object of notes"), ("{\"a\": {}", "EOF while parsing"), ("{} {}", "trailing")]
        {
            put(folder.path(), EXAMPLES, text);
            assert!(wrong().contains(what), "{text}: {}", wrong());
        }
    }

    /// Counts by Python's `json` over the list.
    #[test]
    #[ignore = "needs REFRAIN_SHARED"]
    fn the_real_list_gives_what_it_states() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let text = std::fs::read_to_string(shared("nsynth/nsynth-test/examples.json")).expect("the list");
        put(root, "nsynth-test/examples.json", &text);
        let notes: serde_json::Map<String, Value> = serde_json::from_str(&text).expect("JSON");
        notes.keys().for_each(|key| put(root, &format!("nsynth-test/audio/{key}.wav"), "sound"));
        let (entries, rows, remarks) = scanned(&Nsynth { root: root.to_owned() }).expect("a scan");
        assert_eq!((entries.len(), rows), (12, vec![]));
        assert_eq!(remarks[0], "examples.json lists test 12, where NSynth has test 4096");
        let counts = |column: &str| {
            tally(&entries, column)
                .into_iter()
                .map(|(text, count)| format!("{text} {count}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        assert_eq!(counts("instrument_family_str"), "bass 3, guitar 2, keyboard 4, organ 1, reed 1, string 1");
        assert_eq!(counts("velocity"), "100 1, 127 3, 25 4, 50 1, 75 3");
        assert_eq!(counts("instrument_source_str"), "acoustic 4, electronic 5, synthetic 3");
        let reed = &entries["nsynth-test/audio/reed_acoustic_023-036-075.wav"].labels.extra;
        assert_eq!(reed["qualities_str"], r#"["bright","fast_decay","multiphonic","nonlinear_env"]"#);
        assert_eq!((reed["pitch"].as_str(), reed["split"].as_str()), ("36", "test"));
    }
}
