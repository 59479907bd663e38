//! Text of the comparison, for people.

use super::{Data, Diff, ScoreChange, TrackLine};
use crate::{
    record::scores::Basis,
    terminal::{escape::in_line, table::aligned},
};
use std::fmt::Write as _;

/// Maximum number of tracks of a kind that are spelled out.
const EXAMPLES: usize = 10;

/// Three sections; one that holds nothing says so.
pub fn text(diff: &Diff) -> String {
    let mut out = String::new();
    for (side, run, failed) in [("A", &diff.a, &diff.failed_a), ("B", &diff.b, &diff.failed_b)] {
        let partial = if failed.is_empty() { "" } else { ", partial" };
        let _ = writeln!(out, "{side}  {run}{partial}");
        failed.iter().for_each(|failed| {
            let _ = writeln!(out, "   {failed}");
        });
    }
    out += "\nsettings\n";
    let mut lines = vec![["".to_owned(), "A".to_owned(), "B".to_owned()]];
    for setting in &diff.settings {
        let name = match &setting.stage {
            Some(stage) => format!("{stage}.{}", setting.setting),
            None => setting.setting.clone(),
        };
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        lines.push([name, value(&setting.a), value(&setting.b)]);
    }
    out += &if diff.settings.is_empty() { "  no difference\n".to_owned() } else { indented(&lines) };
    out += "\ndata\n";
    out += &data(&diff.data);
    out += "\nscores\n";
    out += &scores(&diff.scores);
    out
}

fn indented<L: AsRef<[String]>>(lines: &[L]) -> String {
    aligned(lines).lines().map(|line| format!("  {line}\n")).collect()
}

fn data(data: &Data) -> String {
    let mut lines = vec![["license", "A", "B", "added", "removed"].map(str::to_owned)];
    for (license, counts) in &data.licenses {
        let name = if license.is_empty() { "none stated".to_owned() } else { license.clone() };
        let figures = [counts.a, counts.b, counts.added, counts.removed].map(|n| n.to_string());
        let [a, b, added, removed] = figures;
        lines.push([name, a, b, added, removed]);
    }
    let mut out = if data.licenses.is_empty() { "  no tracks\n".to_owned() } else { indented(&lines) };
    let row = |row: &TrackLine| match row.license.is_empty() {
        true => row.track.clone(),
        false => format!("{} ({})", row.track, row.license),
    };
    let changed = data.changed.iter().map(|track| format!("{}: {}", track.track, track.what.join(", ")));
    for (word, rows) in [
        ("added", data.added.iter().map(row).collect::<Vec<_>>()),
        ("removed", data.removed.iter().map(row).collect()),
        ("changed", changed.collect()),
    ] {
        for row in rows.iter().take(EXAMPLES) {
            let _ = writeln!(out, "  {word:<7}  {}", in_line(row));
        }
        if rows.len() > EXAMPLES {
            let _ = writeln!(out, "  {word:<7}  and {} more", rows.len() - EXAMPLES);
        }
    }
    out
}

fn scores(scores: &[ScoreChange]) -> String {
    if scores.is_empty() {
        return "  neither run has any\n".to_owned();
    }
    let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    let mut lines = vec![["", "A", "B", "B - A"].map(str::to_owned)];
    for score in scores {
        let difference = match &score.mismatch {
            Some(_) => "do not compare".to_owned(),
            None => score.difference.map_or_else(|| "-".to_owned(), |difference| format!("{difference:+.4}")),
        };
        lines.push([format!("{} {}", score.stage, score.name), figure(score.a), figure(score.b), difference]);
    }
    let mut out = indented(&lines);
    let words = |basis: &Basis| match basis.is_empty() {
        true => "nothing said".to_owned(),
        false => basis.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", "),
    };
    for score in scores {
        if let Some((a, b)) = &score.mismatch {
            let (stage, name) = (&score.stage, &score.name);
            let _ = writeln!(out, "  {stage} {name} was measured on other things: A {}; B {}", words(a), words(b));
        }
    }
    out
}
