//! The Lakh MIDI data set: MIDI files named by their MD5, matched to entries of the Million Song Dataset or all of them.
//!
//! ```text
//! match_scores.json                                     {"TRAAAGR128F425B14B": {"<md5>": 0.7, ..}, ..}
//! lmd_matched/A/A/A/TRAAAGR128F425B14B/<md5>.mid
//! lmd_full/0/<md5>.mid
//! ```
//!
//! One file may match several entries and one entry several files: everything that hangs together by matches is a cluster, named
//! by its least entry, and belongs in one split. The data set is published under CC BY, which cannot clear the songs that the
//! files transcribe: the license of a row says both.

use super::inventory::{Inventory, inside, whole};
use crate::corpus::adapter::{Adapter, Evidence, Listing};
use crate::corpus::folder;
use crate::corpus::rows::At;
use crate::corpus::{Entry, ScanError};
use crate::row::Labels;
use std::collections::BTreeMap;

use std::io::BufReader;
use std::path::PathBuf;

/// Which files of the Lakh MIDI data set are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LakhPart {
    /// `lmd_matched`: a file for each match.
    Matched,
    /// `lmd_full`: each file once.
    Full,
}

/// The Lakh MIDI data set.
#[derive(Clone, Debug)]
pub struct Lakh {
    /// The folder that holds `lmd_matched` or `lmd_full` and `match_scores.json`, or the first of these itself.
    pub root: PathBuf,
    /// The part that is read.
    pub part: LakhPart,
}

/// The license under which the data set is published.
const DECLARED: &str = "CC-BY-4.0";

/// What a policy must allow as well: the songs are somebody's, and nobody states a license for them.
const BOTH: &str = "CC-BY-4.0 AND LicenseRef-Lakh-underlying-works";

const SOURCE: &str = "https://colinraffel.com/projects/lmd/";

const SCORES: &str = "match_scores.json";

/// Numbers that the data set states: files in all, and of these the matched ones.
const FILES: usize = 176_581;
const MATCHED: usize = 45_129;

/// Scores by entry and MD5.
type Scores = BTreeMap<String, BTreeMap<String, f64>>;

impl Lakh {
    fn scores(&self) -> Result<Option<Scores>, ScanError> {
        let path = self.root.join(SCORES);
        if !path.is_file() {
            return Ok(None);
        }
        let file = crate::untrusted::open(&path).map_err(|source| ScanError::Read { path: path.clone(), source })?;
        let read = serde_json::from_reader(BufReader::with_capacity(1 << 18, file));
        read.map(Some).map_err(|error| ScanError::Syntax {
            line: Some(error.line() as u64),
            reason: error.to_string(),
            path,
        })
    }

    fn inventory(&self) -> Result<Inventory, ScanError> {
        let name = match self.part {
            LakhPart::Matched => "lmd_matched",
            LakhPart::Full => "lmd_full",
        };
        let scores = self.scores()?;
        let folder = inside(&self.root, name);
        let mut inventory = Inventory::of(if scores.is_some() { SCORES } else { name }, &folder)?;
        if scores.is_none() {
            inventory.remarks.push(format!("without {SCORES}: no scores, and no matches but those that folders name"));
        }
        let walked = folder::scan(&folder)?;
        walked.complaints.into_iter().for_each(|odd| inventory.refuse(odd.key, odd.oddity.code(), odd.sentence));
        let files: Vec<String> = walked.entries.into_iter().map(|entry| entry.key).filter(|key| is_midi(key)).collect();
        match self.part {
            LakhPart::Matched => matched(&mut inventory, scores.unwrap_or_default(), &files),
            LakhPart::Full => full(&mut inventory, &scores.unwrap_or_default(), &files),
        }
        inventory.items.iter_mut().for_each(|item| item.key = format!("{name}/{}", item.key));
        Ok(inventory)
    }
}

fn is_midi(key: &str) -> bool {
    key.rsplit_once('.').is_some_and(|(_, ending)| ["mid", "midi"].iter().any(|own| ending.eq_ignore_ascii_case(own)))
}

/// The MD5 that a file is named by.
fn md5(key: &str) -> &str {
    let name = key.rsplit('/').next().unwrap_or(key);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// One row for each match: those that are listed, and files beyond them.
fn matched(inventory: &mut Inventory, mut scores: Scores, files: &[String]) {
    let mut rows: BTreeMap<String, (String, String, Option<f64>)> = BTreeMap::new();
    let mut known = 0;
    for (entry, of_entry) in &scores {
        known += 1;
        let letters = Some(entry).filter(|entry| entry.is_ascii()).and_then(|entry| entry.get(2..5));
        let Some(letters) = letters else {
            let why = format!("{entry:?} names no entry of the Million Song Dataset");
            inventory.unusable(At { row: known, line: None }, why);
            continue;
        };
        let (a, b, c) = (&letters[..1], &letters[1..2], &letters[2..]);
        for (md5, score) in of_entry {
            rows.insert(format!("{a}/{b}/{c}/{entry}/{md5}.mid"), (entry.clone(), md5.clone(), Some(*score)));
        }
    }
    let mut unlisted = 0;
    for key in files {
        let entry = key.rsplit('/').nth(1).unwrap_or_default().to_owned();
        rows.entry(key.clone()).or_insert_with(|| {
            unlisted += 1;
            scores.entry(entry.clone()).or_default().insert(md5(key).to_owned(), f64::NAN);
            (entry, md5(key).to_owned(), None)
        });
    }
    if unlisted > 0 && known > 0 {
        inventory.remarks.push(format!("{unlisted} files are not in {SCORES}"));
    }
    count(inventory, &scores);
    let clusters = clusters(&scores);
    for (path, (entry, md5, score)) in rows {
        let mut labels = labels(&md5, clusters.get(&md5));
        labels.set("msd_id", &entry);
        score.into_iter().for_each(|score| labels.set("match_score", &score.to_string()));
        inventory.add(&path, whole("Lakh MIDI", BOTH), labels);
    }
}

/// One row for each file, with its best match.
fn full(inventory: &mut Inventory, scores: &Scores, files: &[String]) {
    let clusters = clusters(scores);
    let mut matches: BTreeMap<&str, (usize, f64, &str)> = BTreeMap::new();
    for (entry, of_entry) in scores {
        let entry = entry.as_str();
        for (md5, score) in of_entry {
            let best = matches.entry(md5.as_str()).or_insert((0, *score, entry));
            best.0 += 1;
            if *score > best.1 {
                (best.1, best.2) = (*score, entry);
            }
        }
    }
    inventory.list = "lmd_full".to_owned();
    if files.len() != FILES {
        inventory.remarks.push(format!("lmd_full holds {} files, where the data set has {FILES}", files.len()));
    }
    for key in files {
        let md5 = md5(key);
        let mut labels = labels(md5, clusters.get(md5));
        if let Some((count, score, entry)) = matches.get(md5) {
            labels.set("msd_id", entry);
            labels.set("match_score", &score.to_string());
            labels.set("matches", &count.to_string());
        }
        inventory.add(key, whole("Lakh MIDI", BOTH), labels);
    }
}

/// Compares the number of matched files with the one that the data set states.
fn count(inventory: &mut Inventory, scores: &Scores) {
    let files: std::collections::BTreeSet<&String> = scores.values().flat_map(BTreeMap::keys).collect();
    if files.len() != MATCHED {
        let list = &inventory.list;
        inventory.remarks.push(format!("{list} matches {} files, where the data set has {MATCHED}", files.len()));
    }
}

/// What is known of every file.
fn labels(md5: &str, cluster: Option<&String>) -> Labels {
    let mut labels = Labels { source: Some(SOURCE.to_owned()), ..Labels::default() };
    let own = [
        ("kind", "midi"),
        ("md5", md5),
        ("cluster", cluster.map_or(md5, String::as_str)),
        ("license_declared", DECLARED),
        ("license_underlying", "NOASSERTION"),
    ];
    own.iter().for_each(|(column, text)| labels.set(column, text));
    labels
}

/// The number of the least entry that hangs together with another one as far as is known; paths to it are halved on the way.
fn top(above: &mut [usize], mut at: usize) -> usize {
    while above[at] != at {
        above[at] = above[above[at]];
        at = above[at];
    }
    at
}

/// The cluster of each matched file: the least entry that hangs together with it by matches.
fn clusters(scores: &Scores) -> BTreeMap<String, String> {
    // Entries are numbered in their order, and of two clusters that meet the lesser one stays.
    let entries: Vec<&String> = scores.keys().collect();
    let mut above: Vec<usize> = (0..entries.len()).collect();
    let mut of: BTreeMap<&String, usize> = BTreeMap::new();
    for (number, of_entry) in scores.values().enumerate() {
        for md5 in of_entry.keys() {
            let other = *of.entry(md5).or_insert(number);
            let (a, b) = (top(&mut above, number), top(&mut above, other));
            above[a.max(b)] = a.min(b);
        }
    }
    of.into_iter().map(|(md5, number)| (md5.clone(), entries[top(&mut above, number)].clone())).collect()
}

impl Adapter for Lakh {
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
    use super::super::inventory::tests::{columns, put, scanned};
    use super::*;

    /// `bb` matches two entries, which one cluster holds; `cc` one.
    const MATCHES: &str =
        r#"{"TRBCDEF": {"aa": 0.5, "bb": 0.25}, "TRAAAGR": {"bb": 0.75}, "TRZZZZZ": {"cc": 1.0}, "X": {}}"#;

    fn lakh(root: &std::path::Path, part: LakhPart) -> Lakh {
        Lakh { root: root.to_owned(), part }
    }

    #[test]
    fn matches_are_rows_and_what_hangs_together_is_a_cluster() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        put(root, SCORES, MATCHES);
        for path in ["B/C/D/TRBCDEF/aa.mid", "B/C/D/TRBCDEF/bb.mid", "A/A/A/TRAAAGR/bb.mid", "Z/Y/X/TRZYXWV/aa.MID"] {
            put(root, &format!("lmd_matched/{path}"), "MThd");
        }
        put(root, "lmd_matched/README", "text");
        let (entries, rows, remarks) = scanned(&lakh(root, LakhPart::Matched)).expect("a scan");
        let clusters: Vec<(&str, &str)> =
            entries.iter().map(|(key, entry)| (key.as_str(), entry.labels.extra["cluster"].as_str())).collect();
        assert_eq!(
            clusters,
            [
                ("lmd_matched/A/A/A/TRAAAGR/bb.mid", "TRAAAGR"),
                ("lmd_matched/B/C/D/TRBCDEF/aa.mid", "TRAAAGR"),
                ("lmd_matched/B/C/D/TRBCDEF/bb.mid", "TRAAAGR"),
                ("lmd_matched/Z/Y/X/TRZYXWV/aa.MID", "TRAAAGR"),
            ]
        );
        let own = &entries["lmd_matched/B/C/D/TRBCDEF/bb.mid"];
        assert_eq!(
            columns(own),
            [
                "cluster=TRAAAGR",
                "kind=midi",
                "license_declared=CC-BY-4.0",
                "license_underlying=NOASSERTION",
                "match_score=0.25",
                "md5=bb",
                "msd_id=TRBCDEF",
            ]
        );
        assert_eq!(rows, ["lmd_matched/Z/Z/Z/TRZZZZZ/cc.mid missing-file", "row 4 unusable-row"]);
        assert_eq!(remarks[0], "1 files are not in match_scores.json");
        assert_eq!(remarks[1], "match_scores.json matches 3 files, where the data set has 45129");
        let read = crate::license::License::read(own.license.as_deref().expect("a license"));
        assert_eq!(read.canonical(), BOTH, "a policy has to allow both");
    }

    #[test]
    fn each_file_has_its_best_match() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        put(root, SCORES, MATCHES);
        ["a/aa.mid", "b/bb.mid", "d/dd.mid"].iter().for_each(|path| put(root, &format!("lmd_full/{path}"), "MThd"));
        let (entries, rows, remarks) = scanned(&lakh(root, LakhPart::Full)).expect("a scan");
        let own = |key: &str| columns(&entries[key]).join(" ");
        let ends = "kind=midi license_declared=CC-BY-4.0 license_underlying=NOASSERTION";
        assert_eq!(
            own("lmd_full/b/bb.mid"),
            format!("cluster=TRAAAGR {ends} match_score=0.75 matches=2 md5=bb msd_id=TRAAAGR")
        );
        assert_eq!(own("lmd_full/d/dd.mid"), format!("cluster=dd {ends} md5=dd"));
        assert_eq!((entries.len(), rows), (3, vec![]));
        assert_eq!(remarks, ["lmd_full holds 3 files, where the data set has 176581"]);

        // Without the list of matches folders name the entries.
        put(root, "lmd_matched/A/A/A/TRAAAGR/bb.mid", "MThd");
        std::fs::remove_file(root.join(SCORES)).expect("removed");
        let (entries, _, remarks) = scanned(&lakh(root, LakhPart::Matched)).expect("a scan");
        let own = columns(&entries["lmd_matched/A/A/A/TRAAAGR/bb.mid"]).join(" ");
        assert_eq!(own, format!("cluster=TRAAAGR {ends} md5=bb msd_id=TRAAAGR"));
        assert!(remarks[0].starts_with("without match_scores.json"), "{remarks:?}");
        put(root, SCORES, "{\"a\": [");
        let wrong = scanned(&lakh(root, LakhPart::Full)).expect_err("an error").to_string();
        assert!(wrong.contains("match_scores.json:1: "), "{wrong}");
    }
}
