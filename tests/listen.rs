//! Results of listening tests from tables of ratings.

mod support;

use serde_json::Value;
use std::{fs, path::PathBuf};
use support::{Said, say, text};
use tempfile::TempDir;

/// Tables of ratings whose statistics are known.
fn table(name: &str) -> PathBuf {
    support::repository().join("stages/tests/parity/data").join(name)
}

fn results(table: &str, more: &[&str]) -> Said {
    say(&[&["listen", "results", table], more].concat())
}

fn json(table: &str, more: &[&str]) -> Value {
    let said = results(table, &[&["--json"], more].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.events.into_iter().next().expect("a line of JSON")
}

fn written(text: &str) -> (TempDir, String) {
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("ratings.csv");
    fs::write(&file, text).expect("a table");
    (place, file.display().to_string())
}

fn near(found: &Value, expected: f64) {
    let found = found.as_f64().expect("a number");
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} for {expected}");
}

#[test]
fn mushra_is_screened_before_it_is_compared() {
    let file = table("mushra_ratings.csv").display().to_string();
    let found = json(&file, &[]);
    assert_eq!(
        (text(&found["test"]), &found["screening"]["by_reference"]),
        ("mushra".into(), &serde_json::json!(["7"]))
    );
    assert_eq!(found["screening"]["by_anchor"], serde_json::json!(["11"]));
    assert_eq!(found["screening"]["items_not_counted"], serde_json::json!(["5"]));
    assert_eq!(found["screening"]["kept"].as_array().map(Vec::len), Some(14));
    let condition = |name: &str| {
        let all = found["conditions"].as_array().expect("conditions");
        all.iter().find(|own| own["condition"] == name).expect("a condition").clone()
    };
    near(&condition("A")["mean"], 80.72321428571429);
    near(&condition("A")["by_assessor"][0], 78.38023671555274);
    near(&found["systems"]["friedman"]["chi_squared"], 26.14285714285714);
    near(&found["systems"]["variance"]["system"]["f"], 246.30297585808302);
    near(&found["systems"]["variance"]["item"]["p_greenhouse_geisser"], 1.333613505795788e-07);
    assert_eq!(found["pairs"].as_array().map(Vec::len), Some(3), "anchors are no systems");
    near(&found["pairs"][0]["wilcoxon"]["p"], 0.000244140625);
    near(&found["pairs"][0]["p"], 9.999000099990002e-05);
    let said = results(&file, &[]);
    assert!(said.out.starts_with("14 of 16 assessors are kept\n"), "{}", said.out);
    assert!(
        said.out.contains("excluded, the hidden reference is under 90 on more than 15 % of items: 7\n"),
        "{}",
        said.out
    );
    assert!(said.out.contains("Huynh-Feldt"), "{}", said.out);

    let said = results(&file, &["--reference", "original"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("no condition \"original\": --reference names one of A, B, C, anchor35"), "{}", said.err);
    let unanchored = json(&file, &["--mid-anchor", "none"]);
    assert_eq!(unanchored["screening"]["anchor_rule"], false);
    assert_eq!(unanchored["screening"]["by_anchor"], serde_json::json!([]));
}

#[test]
fn mos_has_intervals_over_raters() {
    let file = table("mos_ratings.csv").display().to_string();
    let found = json(&file, &["--seed", "8000"]);
    assert_eq!(found["systems"].as_array().map(Vec::len), Some(3));
    let first = &found["systems"][0];
    near(&first["mean"], 3.671171171171171);
    near(&first["student"][0], 3.5625669107665483);
    near(&first["bootstrap"]["accelerated"][1], 3.774774774774775);
    near(&found["krippendorff_alpha"]["ordinal"], 0.31215707536186654);
    near(&found["pairs"][0]["t"], 8.9043263771705);
    let again = json(&file, &["--seed", "8000"]);
    assert_eq!(found, again, "a seed gives the same again");
    assert_ne!(found["systems"][0]["bootstrap"], json(&file, &[])["systems"][0]["bootstrap"]);
    let said = results(&file, &[]);
    assert!(said.out.contains("Krippendorff's alpha 0.319 (interval), 0.312 (ordinal)"), "{}", said.out);
}

#[test]
fn abx_is_exact() {
    let rows = |listener: &str, right: usize, trials: usize| {
        (0..trials).map(|i| format!("{listener},{}\n", u8::from(i < right))).collect::<String>()
    };
    let (_place, file) = written(&format!("listener,correct\n{}{}b,maybe\n", rows("a", 12, 16), rows("b", 8, 16)));
    let found = json(&file, &[]);
    near(&found["listeners"][0]["p"], 2517.0 / 65536.0);
    near(&found["listeners"][0]["p_holm"], 2.0 * 2517.0 / 65536.0);
    assert_eq!((&found["all"]["right"], &found["all"]["trials"]), (&20.into(), &32.into()));
    let plan =
        found["trials_for"].as_array().and_then(|all| all.iter().find(|plan| plan["share"] == 0.7)).expect("a plan");
    assert_eq!((&plan["first"], &plan["safe"]), (&37.into(), &42.into()));
    assert_eq!(found["left_out"][0]["line"], 34);
    let said = results(&file, &[]);
    assert!(said.err.contains("ratings.csv:34: left out: `correct` is \"maybe\""), "{}", said.err);
    assert!(said.out.contains("22 of 32 right answers are significant at 0.05"), "{}", said.out);
}

#[test]
fn what_is_no_table_of_ratings_is_refused() {
    for (text, why) in [
        ("a,b\n1,2\n", "it has no column `rater`"),
        ("rater,item,score\n1,2,3\n", "its columns are those of no test"),
        ("rater,item,system,score\n1,2,3,9\n", "it holds no rating that can be used"),
        (
            "assessor,item,condition,score\n1,2,A,9\n1,3,reference,9\n",
            "no assessor has rated every condition of every item",
        ),
    ] {
        let (_place, file) = written(text);
        let said = results(&file, &[]);
        assert_eq!(said.code, Some(3), "{text}: {}", said.err);
        assert!(said.err.contains(why), "{text}: {}", said.err);
    }
    assert_eq!(results("nowhere.csv", &[]).code, Some(3));
}
