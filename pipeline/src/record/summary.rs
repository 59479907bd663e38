//! The summary of a finished run: the same on screen, as an event, and in `timing.json`.

use crate::{
    dataflow::outcome::Outcome,
    plan::Plan,
    record::{kinds, sweep_table, timing::StageTiming},
    report::sweep,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _};

/// Summary of a run in numbers and sentences.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Summary of each stage, in the order of the plan.
    pub stages: Vec<Line>,
    /// The table of a sweep; empty if there is no sweep.
    pub results: String,
}

/// Summary of one stage: effects, rows, costs and notes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The stage's name.
    pub name: String,
    /// Effects that ran.
    pub executed: u64,
    /// Results that were remembered.
    pub cached: u64,
    /// Seconds that effects took, added up.
    pub seconds: f64,
    /// Bytes of the objects that came of them.
    pub bytes: u64,
    /// Rows kept.
    pub kept: u64,
    /// Rows dropped.
    pub dropped: u64,
    /// Rows added against the last published run of this name.
    pub added: u64,
    /// Rows that this run no longer has.
    pub retracted: u64,
    /// Reasons of dropped rows: code, number of rows, and an example.
    pub reasons: Vec<(String, u64, String)>,
    /// Sentences, such as "codec pinned, 12 tracks newer than it".
    pub notes: Vec<String>,
}

impl Summary {
    /// Computes the summary of an outcome; `changes` holds the rows added and retracted at each stage.
    pub fn of(plan: &Plan, outcome: &Outcome, changes: &[(u64, u64)]) -> Summary {
        let rows = plan.stages.iter().zip(&outcome.stages).zip(changes);
        let stages = rows.map(|((stage, own), (added, retracted))| {
            let mut reasons: BTreeMap<&str, (u64, String)> = BTreeMap::new();
            for row in own.dropped.iter() {
                let entry = reasons.entry(&row.code).or_insert_with(|| (0, format!("{}: {}", row.id, row.why)));
                entry.0 += 1;
            }
            Line {
                name: stage.name.clone(),
                executed: own.ledger.executed.len() as u64,
                cached: own.ledger.cached,
                seconds: own.ledger.cost.seconds,
                bytes: own.ledger.cost.bytes,
                kept: own.kept.len() as u64,
                dropped: own.dropped.len() as u64,
                added: *added,
                retracted: *retracted,
                reasons: reasons.into_iter().map(|(code, (count, row))| (code.to_owned(), count, row)).collect(),
                notes: own.ledger.notes.iter().cloned().collect(),
            }
        });
        let stages = stages.collect();
        let scores = kinds::scores(plan, outcome);
        let results = sweep_table::results(plan, &scores).filter(|results| !results.scores.is_empty());
        Summary { stages, results: results.map_or_else(String::new, |results| sweep::text(&results.view())) }
    }

    /// Summary of the next run, if nothing has changed by then.
    #[must_use]
    pub fn again(&self) -> Summary {
        let stages = self.stages.iter().map(|line| Line {
            executed: 0,
            cached: line.cached + line.executed,
            seconds: 0.0,
            bytes: 0,
            added: 0,
            retracted: 0,
            ..line.clone()
        });
        Summary { stages: stages.collect(), results: self.results.clone() }
    }

    /// A table of all stages, then why rows were dropped, notes, and the results of a sweep.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let width = self.stages.iter().map(|line| line.name.len()).max().unwrap_or(0).max(5);
        let _ = writeln!(
            text,
            "{:width$}  {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}",
            "stage", "executed", "cached", "kept", "dropped", "added", "retracted"
        );
        for line in &self.stages {
            let _ = writeln!(
                text,
                "{:width$}  {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}",
                line.name, line.executed, line.cached, line.kept, line.dropped, line.added, line.retracted
            );
        }
        for line in &self.stages {
            for (code, count, example) in &line.reasons {
                let _ = writeln!(text, "{} dropped {count} ({code}), such as {example}", line.name);
            }
            for note in &line.notes {
                let _ = writeln!(text, "note: {note}");
            }
        }
        text + &self.results
    }

    /// The counts of each stage, by name, for the last event.
    pub fn counts(&self) -> Value {
        let value = |line: &Line| {
            json!({
                "executed": line.executed,
                "cached": line.cached,
                "kept": line.kept,
                "dropped": line.dropped,
                "added": line.added,
                "retracted": line.retracted,
            })
        };
        self.stages.iter().map(|line| (line.name.clone(), value(line))).collect()
    }

    /// Work of each stage, by name, for `timing.json`.
    pub fn costs(&self) -> BTreeMap<String, StageTiming> {
        let cost = |line: &Line| StageTiming {
            added: line.added,
            bytes: line.bytes,
            cached: line.cached,
            executed: line.executed,
            retracted: line.retracted,
            seconds: line.seconds,
        };
        self.stages.iter().map(|line| (line.name.clone(), cost(line))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_remembers_what_this_one_executed() {
        let line = Line {
            name: "codes".into(),
            executed: 3,
            cached: 2,
            seconds: 1.5,
            bytes: 9,
            kept: 5,
            dropped: 1,
            added: 5,
            retracted: 1,
            reasons: vec![("too-short".into(), 1, "a.wav: 0.1 s".into())],
            notes: vec!["codec pinned".into()],
        };
        let again = Summary { stages: vec![line], results: String::new() }.again();
        assert_eq!(
            again.text(),
            "stage  executed   cached     kept  dropped    added retracted\n\
             codes         0        5        5        1        0         0\n\
             codes dropped 1 (too-short), such as a.wav: 0.1 s\nnote: codec pinned\n"
        );
        assert_eq!(again.counts()["codes"]["cached"], 5);
        assert_eq!(again.costs()["codes"].seconds, 0.0);
    }
}
