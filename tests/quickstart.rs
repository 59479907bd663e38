//! The README's first command: its output is the block that stands in the README.

mod support;

use std::fs;
use support::{refrain, repository};

/// A line of output without what differs between machines: how long it took (`(98.1 s)`), and the run's id, which holds
/// the processor's class of arithmetic.
fn portable(line: &str) -> String {
    let line = match line.rsplit_once(" (") {
        Some((before, time)) if time.ends_with(" s)") => before,
        _ => line.trim_end(),
    };
    let Some((before, rest)) = line.split_once(RUN) else { return line.to_owned() };
    let id = rest.chars().take_while(char::is_ascii_hexdigit).count();
    format!("{before}{RUN}ID{}", &rest[id..])
}

/// What the run's name begins with.
const RUN: &str = "quickstart-";

/// The numbers in the text behind `phrase`, as far as `count` of them. A number has a digit first, and no letter beside it.
fn figures(text: &str, phrase: &str, count: usize) -> Vec<f64> {
    let (_, rest) = text.split_once(phrase).unwrap_or_else(|| panic!("the README says no more `{phrase}`"));
    let words = rest.split(|c: char| c.is_whitespace() || "(),;".contains(c)).map(|word| word.trim_end_matches('.'));
    words.filter_map(|word| word.parse().ok()).take(count).collect()
}

/// The block of the README between two marks, without the fence.
fn block(readme: &str) -> Vec<String> {
    let (_, rest) = readme.split_once("<!-- quickstart-output -->").expect("where the block begins");
    let (block, _) = rest.split_once("<!-- /quickstart-output -->").expect("where the block ends");
    let lines = block.lines().filter(|line| !line.is_empty() && !line.starts_with("```"));
    lines.map(portable).collect()
}

#[test]
fn what_is_compared_is_all_but_the_time_and_the_id() {
    assert_eq!(portable("run     quickstart-d878 (98.1 s)"), "run     quickstart-ID");
    assert_eq!(portable("codes   .refrain/runs/quickstart-0f/codes"), "codes   .refrain/runs/quickstart-ID/codes");
    assert_eq!(portable("codec           1        0        1  "), "codec           1        0        1");
    assert_eq!(figures("a distance of 0.75, by level 2.5\nthe songs 14.", "distance of", 3), [0.75, 2.5, 14.0]);
    assert_eq!(block("a\n<!-- quickstart-output -->\n```text\nb 1\n\n```\n<!-- /quickstart-output -->\nc"), ["b 1"]);
}

/// Figures of the README may differ by so much of their value: the last digit that it prints, and other arithmetic.
const TOLERANCE: f64 = 0.15;

/// Stages and rows are compared to the letter, figures within [`TOLERANCE`]; the time is not compared.
#[test]
#[ignore = "takes minutes"]
fn the_readme_shows_what_the_first_command_prints() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("the README");
    let (_, command) = readme.split_once("cargo run --release -- ").expect("the first command");
    let line = command.lines().next().unwrap_or_default();
    let args: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(args.first(), Some(&"run"), "{args:?}");
    // Beside the manifest a run writes its lock, and where it starts its store: both belong into no repository.
    let place = tempfile::tempdir().expect("a folder");
    fs::create_dir(place.path().join("manifests")).expect("a folder");
    fs::copy(repository().join(args[1]), place.path().join(args[1])).expect("the manifest");
    let output = refrain(&args).current_dir(place.path()).output().expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let said: Vec<String> = said.lines().map(portable).collect();
    let shown = block(&readme);
    assert!(shown.len() > 15, "{shown:?}");
    assert_eq!(said, shown, "the README's block is not what the command prints");

    let record = fs::read_to_string(place.path().join(".refrain/runs/latest/run.json")).expect("a record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    let score = |name: &str, stage: &str| {
        let scores = record["scores"].as_array().expect("scores");
        let own = scores.iter().find(|score| score["name"] == name && score["stage"] == stage);
        own.and_then(|score| score["value"].as_f64()).unwrap_or_else(|| panic!("no score `{name}` of `{stage}`"))
    };
    let text = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    let measured = |names: &[&str]| names.iter().map(|name| score(name, "scores")).collect::<Vec<f64>>();
    let bits = measured(&["bits-per-code/prior/0", "bits-per-code/bigram/0", "bits-per-code/unigram/0"]);
    let distances =
        measured(&["fad/held out", "fad/reconstruction/0", "fad/songs", "fad/unigram codes/0", "fad/white noise"]);
    let pulse =
        ["held out", "reconstruction/0", "songs", "unigram codes/0"].map(|of| score(&format!("pulse/{of}"), "scores"));
    // Songs have notes and metre: a pulse of at least half of the pieces', and their clear pitches.
    assert!(pulse[2] > 0.5 * pulse[0], "{pulse:?}");
    assert!(score("salience/songs", "scores") > 0.8 && score("sounding/songs", "scores") > 0.7);
    assert!(bits[0] < 0.67 * bits[2], "{bits:?}");
    for (phrase, measured) in
        [("Its prior needs", &bits[..]), ("have a Fréchet audio distance of", &distances), ("a pulse of", &pulse)]
    {
        let stated = figures(&text, phrase, measured.len());
        assert_eq!(stated.len(), measured.len(), "{phrase}: {stated:?}");
        for (stated, measured) in stated.iter().zip(measured) {
            assert!((stated - measured).abs() <= TOLERANCE * stated, "{phrase}: {stated} is {measured} here");
        }
    }
}
