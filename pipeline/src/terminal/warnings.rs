//! Groups warnings with the same cause: a table whose 1,276 files are missing is one line, not 1,276.
//!
//! A warning names its row and place first, and its cause behind its last colon. Those of one stage and one cause are held
//! until the stages before a training, a sampling or an evaluation have settled, or all have, and are then told with their
//! number and the least of them as the example. Which rows they are about is in `run.json`, under `dropped`.

use crate::terminal::escape::in_line;
use serde_json::{Value, json};
use stages::flow::Event;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Shortest interval between late warnings while a stage is running.
const PACE: Duration = Duration::from_secs(5);

/// Warnings of one stage with one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warnings {
    /// The stage's name.
    pub(crate) stage: String,
    /// Cause that the warnings have in common.
    pub(crate) cause: String,
    /// Number of warnings.
    pub(crate) count: u64,
    /// The least of the warnings in alphabetical order, in full.
    pub(crate) example: String,
}

impl Warnings {
    /// A line for people.
    pub(crate) fn text(&self) -> String {
        in_line(&self.sentence()).into_owned()
    }

    fn sentence(&self) -> String {
        let Warnings { stage, cause, count, example } = self;
        if *count == 1 {
            return format!("{stage}: {example}");
        }
        let example =
            example.strip_suffix(cause.as_str()).map_or(example.as_str(), |start| start.trim_end_matches(": "));
        format!("{stage}: {cause}: {count} rows, such as {example}")
    }

    /// One JSON event.
    pub(crate) fn json(&self) -> Value {
        let Warnings { stage, cause, count, example } = self;
        json!({ "event": "warning", "stage": stage, "cause": cause, "count": count, "message": example })
    }
}

/// Holds warnings back, by stage and cause.
#[derive(Debug, Default)]
pub(crate) struct Held {
    warnings: Mutex<BTreeMap<(String, String), (u64, String)>>,
    told: Mutex<Option<Instant>>,
}

impl Held {
    /// Takes a warning in.
    pub(crate) fn add(&self, stage: String, message: String) {
        let cause = message.rsplit(": ").next().unwrap_or_default().to_owned();
        let mut warnings = lock(&self.warnings);
        match warnings.get_mut(&(stage.clone(), cause.clone())) {
            Some((count, example)) => {
                *count += 1;
                if message < *example {
                    *example = message;
                }
            }
            None => drop(warnings.insert((stage, cause), (1, message))),
        }
    }

    /// Takes the warnings to tell before an event is shown; empty if none are due.
    pub(crate) fn before(&self, event: &Event) -> Vec<Warnings> {
        let paced = match event {
            Event::Publishing { .. } | Event::Unchanged { .. } => false,
            Event::Progress { .. } | Event::Resumed { .. } => true,
            _ => return Vec::new(),
        };
        let early = paced && lock(&self.told).is_some_and(|told| told.elapsed() < PACE);
        if early { Vec::new() } else { self.take() }
    }

    /// Takes all warnings that are held, in the order of stages and causes.
    pub(crate) fn take(&self) -> Vec<Warnings> {
        let held = std::mem::take(&mut *lock(&self.warnings));
        if !held.is_empty() {
            *lock(&self.told) = Some(Instant::now());
        }
        let warnings = |((stage, cause), (count, example))| Warnings { stage, cause, count, example };
        held.into_iter().map(warnings).collect()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_one_cause_are_one_line_and_one_event() {
        let held = Held::default();
        for file in ["b.wav", "a.wav", "c.wav"] {
            held.add("tracks".into(), format!("set/{file}: cannot read /music/{file}: No such file"));
        }
        held.add("tracks".into(), "set/d.wav: cannot read /music/d.wav: Permission denied".into());
        held.add("free".into(), "2 of the 2 lines of `exclude` name no track here".into());
        assert_eq!(held.before(&Event::Queued { stage: "decoded".into() }), []);
        let told = held.before(&Event::Publishing { run: "run".into() });
        let lines: Vec<String> = told.iter().map(Warnings::text).collect();
        assert_eq!(
            lines,
            [
                "free: 2 of the 2 lines of `exclude` name no track here",
                "tracks: No such file: 3 rows, such as set/a.wav: cannot read /music/a.wav",
                "tracks: set/d.wav: cannot read /music/d.wav: Permission denied",
            ]
        );
        let event = json!({
            "event": "warning", "stage": "tracks", "cause": "No such file", "count": 3,
            "message": "set/a.wav: cannot read /music/a.wav: No such file",
        });
        assert_eq!(told[1].json(), event);
        assert_eq!(held.take(), []);
    }

    #[test]
    fn what_comes_late_is_told_at_a_pace() {
        let held = Held::default();
        let step = Event::Progress { stage: "songs".into(), done: 1, total: 9, unit: "codes", figures: Vec::new() };
        held.add("tracks".into(), "a: gone".into());
        assert_eq!(held.before(&step).len(), 1);
        held.add("tracks".into(), "b: gone".into());
        assert_eq!(held.before(&step), []);
        assert_eq!(held.take()[0].example, "b: gone");
    }
}
