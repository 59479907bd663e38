//! The README's first command: its output is the block that stands in the README.

mod support;

use std::fs;
use support::{refrain, repository};

/// A line of output without how long it took: `run     NAME (98.1 s)`.
fn timeless(line: &str) -> &str {
    match line.rsplit_once(" (") {
        Some((before, time)) if time.ends_with(" s)") => before,
        _ => line.trim_end(),
    }
}

/// The block of the README between two marks, without the fence.
fn block(readme: &str) -> Vec<String> {
    let (_, rest) = readme.split_once("<!-- quickstart-output -->").expect("where the block begins");
    let (block, _) = rest.split_once("<!-- /quickstart-output -->").expect("where the block ends");
    let lines = block.lines().filter(|line| !line.is_empty() && !line.starts_with("```"));
    lines.map(|line| timeless(line).to_owned()).collect()
}

#[test]
fn time_alone_is_left_out_of_what_is_compared() {
    assert_eq!(timeless("run     quickstart-d878 (98.1 s)"), "run     quickstart-d878");
    assert_eq!(timeless("codec           1        0        1  "), "codec           1        0        1");
    assert_eq!(block("a\n<!-- quickstart-output -->\n```text\nb 1\n\n```\n<!-- /quickstart-output -->\nc"), ["b 1"]);
}

/// Stages, rows, the run's id and the paths are compared to the letter; the time is not.
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
    let said: Vec<&str> = said.lines().map(timeless).collect();
    let shown = block(&readme);
    assert!(shown.len() > 15, "{shown:?}");
    assert_eq!(said, shown, "the README's block is not what the command prints");
}
