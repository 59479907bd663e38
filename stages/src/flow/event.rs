//! Events of a build while it runs, for whoever shows them.

use datasets::Digest;
use std::fmt;

/// Something worth a line on the screen or in `--json`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An effect was queued.
    Queued {
        /// The stage's name.
        stage: String,
    },
    /// An effect ran.
    Executed {
        /// The stage's name.
        stage: String,
        /// The row's id.
        id: String,
        /// Digest of what came of it: two outcomes with one digest are the same.
        output: Digest,
    },
    /// A queued effect had been run meanwhile for another stage that needs the same result.
    Shared {
        /// The stage's name.
        stage: String,
    },
    /// Every stage is done; the tree of results is written now.
    Publishing {
        /// The run's name.
        run: String,
    },
    /// Sources, settings and store are as the last published run left them: nothing was gone through again.
    Unchanged {
        /// The run's name.
        run: String,
    },
    /// A row was dropped with a warning: its source could not be read.
    Warning {
        /// The stage's name.
        stage: String,
        /// A sentence that names the row first; behind its last colon is the cause, which others may have in common.
        message: String,
    },
    /// Progress of a long effect.
    Progress {
        /// The stage's name.
        stage: String,
        /// Amount done, in `unit`.
        done: u64,
        /// Total amount, in `unit`.
        total: u64,
        /// Unit of `done` and `total`: `steps`, `codes`, `sounds`.
        unit: &'static str,
        /// Figures measured on the way, the most telling first.
        figures: Vec<Figure>,
    },
    /// Training or sampling went on from a checkpoint.
    Resumed {
        /// The stage's name.
        stage: String,
        /// Steps that need not be done again.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// The state of training was saved.
    Checkpoint {
        /// The stage's name.
        stage: String,
        /// Steps done.
        done: u64,
    },
}

/// A figure that was measured while an effect runs.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Figure {
    /// Name of the figure.
    pub name: &'static str,
    /// Value of the figure, in `unit`.
    pub value: f64,
    /// Unit of the figure; empty if it has none.
    pub unit: &'static str,
}

impl Figure {
    /// A figure without a unit.
    pub fn plain(name: &'static str, value: f64) -> Figure {
        Figure { name, value, unit: "" }
    }

    /// A figure with a unit.
    pub fn of(name: &'static str, value: f64, unit: &'static str) -> Figure {
        Figure { name, value, unit }
    }
}

/// Name, value and unit: whole numbers as they are, others with three digits after the point.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.value.fract() == 0.0 { 0 } else { 3 };
        write!(f, "{} {:.digits$}", self.name, self.value)?;
        if self.unit.is_empty() { Ok(()) } else { write!(f, " {}", self.unit) }
    }
}

/// Shows events as they happen.
pub trait Observer: Send + Sync {
    /// Called from any thread.
    fn event(&self, event: Event);
}

impl Observer for () {
    fn event(&self, _: Event) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_phrase() {
        assert_eq!(Figure::plain("level", 2.0).to_string(), "level 2");
        assert_eq!(Figure::of("loss", 4.12345, "bits per code").to_string(), "loss 4.123 bits per code");
    }

    #[test]
    fn progress_is_one_event_whatever_the_stage() {
        let figures = vec![Figure::of("loss", 0.5, "bits per code")];
        let event = Event::Progress { stage: "top".into(), done: 1, total: 2, unit: "steps", figures };
        let expected = serde_json::json!({
            "event": "progress", "stage": "top", "done": 1, "total": 2, "unit": "steps",
            "figures": [{ "name": "loss", "value": 0.5, "unit": "bits per code" }],
        });
        assert_eq!(serde_json::to_value(event).expect("JSON"), expected);
    }
}
