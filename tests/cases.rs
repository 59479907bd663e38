//! One case a verb: a manifest with its inputs, and what becomes of every row.
//!
//! A case is a folder `tests/cases/VERB/`: `manifest.toml`, `music/` with text and tables, `recordings.csv` (path, rate,
//! channels, frames, tone: WAVs that are made under `music/`; an equal tone is an equal sound), and `expected.json`:
//! rows kept and dropped at each stage, every dropped row with its code, every row of the published shards, and what else
//! was published. `codec.safetensors` is a codec for 16 kHz, trained by the test. REFRAIN_BLESS=1 writes what is found now.

mod support;

use parquet::{file::reader::SerializedFileReader, record::RowAccessor};
use serde_json::{Map, Value, json};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};
use support::{Place, Said, copy, files, refrain, repository, tree, wav};

/// A codec file in a place of its own.
fn codec() -> (Place, PathBuf) {
    let place = Place::new();
    let said = place.run(&["--set", "stage.codec.steps=[2,2,2]", "--to", "codec"]);
    let file = said.folder().join("model/codec.safetensors");
    (place, file)
}

/// Makes the WAVs that a table describes.
fn record(case: &Path, folder: &Path) {
    let Ok(table) = fs::read_to_string(case.join("recordings.csv")) else { return };
    for line in table.lines().skip(1) {
        let [path, rate, channels, frames, tone] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("five columns: {line}")
        };
        let (rate, channels) = (rate.parse().expect("a rate"), channels.parse().expect("channels"));
        let (frames, tone): (u32, u32) = (frames.parse().expect("frames"), tone.parse().expect("a tone"));
        // A triangle whose period tells tones and channels apart: integers only, the same anywhere.
        let sample = |frame: u32, channel: u16| {
            let period = 40 + 7 * i64::from(tone) + 3 * i64::from(channel);
            let at = i64::from(frame) % period;
            ((at.min(period - at) * 40_000 / period) - 10_000) as i16
        };
        let samples: Vec<i16> = (0..frames).flat_map(|f| (0..channels).map(move |c| sample(f, c))).collect();
        let path = folder.join("music").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, wav(rate, channels, &samples)).expect("a WAV");
    }
}

/// Every row of a shard: its texts, and how many codes it has at each level.
fn rows(shard: &Path) -> Vec<Value> {
    let reader = SerializedFileReader::new(File::open(shard).expect("a shard")).expect("Parquet");
    reader
        .into_iter()
        .map(|row| {
            let row = row.expect("a row");
            let mut value = Map::new();
            let mut codes = Vec::new();
            for (at, (name, _)) in row.get_column_iter().enumerate() {
                if name.starts_with("codes_") {
                    codes.push(row.get_list(at).expect("codes").len());
                } else if ["clip", "split", "license", "attribution", "genre"].contains(&name.as_str())
                    && let Ok(text) = row.get_string(at)
                {
                    value.insert(name.clone(), json!(text));
                }
            }
            value.insert("codes".into(), json!(codes));
            Value::Object(value)
        })
        .collect()
}

/// What became of every row.
fn found(said: &Said) -> Value {
    let (record, folder) = (said.record(), said.folder());
    let stages: Map<String, Value> = record["stages"]
        .as_array()
        .expect("stages")
        .iter()
        .map(|s| (support::text(&s["name"]), json!({ "kept": s["kept"], "dropped": s["dropped"] })))
        .collect();
    let codes = folder.join("codes");
    let shards: Map<String, Value> = if codes.is_dir() {
        files(&codes).keys().map(|path| (path.display().to_string(), json!(rows(&codes.join(path))))).collect()
    } else {
        Map::new()
    };
    let others = tree(&folder).into_keys().filter(|path| !path.starts_with("codes"));
    let mut found = json!({
        "stages": stages,
        "dropped": record["dropped"],
        "shards": shards,
        "files": others.map(|path| path.display().to_string()).collect::<Vec<_>>(),
    });
    let curves = folder.join("model/codec-curves.parquet");
    if curves.is_file() {
        let reader = SerializedFileReader::new(File::open(curves).expect("curves")).expect("Parquet");
        found["steps"] = json!(reader.into_iter().count());
    }
    // What was measured on what: figures differ between numerics classes.
    let count = |set: &Value| format!("{} clips, {} frames", set["clips"], set["frames"]);
    let score = |s: &Value| {
        let subject = [&s["metric"], &s["subject"]].map(support::text).join(" of ");
        let level = s["level"].as_u64().map(|level| format!(", level {level}")).unwrap_or_default();
        format!("{subject}{level}: {} against {}", count(&s["candidate"]), count(&s["reference"]))
    };
    let scores = record["scores"].as_array().expect("scores").iter().map(|score| &score["metric"]);
    let scores: Vec<String> = scores.filter(|metric| metric.is_object()).map(score).collect();
    if !scores.is_empty() {
        found["scores"] = json!(scores);
    }
    found
}

#[test]
fn every_verb_does_this_to_its_rows() {
    let (_place, codec) = codec();
    let bless = std::env::var_os("REFRAIN_BLESS").is_some();
    let mut cases: Vec<PathBuf> = fs::read_dir(repository().join("tests/cases"))
        .expect("the cases")
        .map(|entry| entry.expect("a case").path())
        .collect();
    cases.sort();
    let mut failed = Vec::new();
    for case in cases {
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let folder = tempfile::tempdir().expect("a folder");
        copy(&case, folder.path());
        fs::create_dir_all(folder.path().join("music")).expect("a folder");
        record(&case, folder.path());
        fs::copy(&codec, folder.path().join("codec.safetensors")).expect("a codec");
        let mut command = refrain(&["run", "--json", "-w", "2", "--store"]);
        command.arg(folder.path().join("store")).arg(folder.path().join("manifest.toml"));
        let said = Said::of(&command.output().expect("the binary starts"));
        if said.code != Some(0) {
            failed.push(format!("{name}: exit code {:?}: {}", said.code, said.err));
            continue;
        }
        let found = format!("{:#}\n", found(&said));
        let file = case.join("expected.json");
        if bless {
            fs::write(&file, &found).expect("expected.json is written");
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            failed.push(format!("{name}: expected\n{expected}\nfound\n{found}"));
        }
    }
    assert!(failed.is_empty(), "{}\n(REFRAIN_BLESS=1 accepts)", failed.join("\n\n"));
}
