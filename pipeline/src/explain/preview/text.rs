//! Text of a plan, for people: a table of stages, then each reason once.

use super::{Estimate, Preview, Stage};
use crate::terminal::{escape::in_line, table::aligned};
use std::fmt::Write as _;

/// A number, marked where it is an estimate.
fn about(count: u64, estimated: bool) -> String {
    if estimated && count > 0 { format!("~{count}") } else { count.to_string() }
}

/// A length of time in the unit that suits it.
fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 5400.0 => format!("{:.1} h", s / 3600.0),
        s if s >= 90.0 => format!("{:.1} min", s / 60.0),
        s if s >= 0.095 => format!("{s:.1} s"),
        s => format!("{:.0} ms", s * 1000.0),
    }
}

/// Bytes in the unit that suits them.
fn size(bytes: f64) -> String {
    match bytes {
        b if b >= 1e9 => format!("{:.1} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.1} MB", b / 1e6),
        b if b >= 1e3 => format!("{:.1} kB", b / 1e3),
        b => format!("{b:.0} B"),
    }
}

impl Estimate {
    fn cells(&self) -> [String; 3] {
        let cell = |value: Option<String>| value.map_or_else(|| "-".to_owned(), |value| format!("~{value}"));
        [cell(self.audio.map(time)), cell(self.bytes.map(size)), cell(self.seconds.map(time))]
    }
}

impl Stage {
    fn cells(&self) -> [String; 10] {
        let [audio, bytes, work] = match self.items {
            (0, 0) => [const { String::new() }; 3],
            _ => self.cost.cells(),
        };
        [
            self.name.clone(),
            self.items.0.to_string(),
            about(self.items.1, true),
            self.cached.to_string(),
            self.kept.to_string(),
            about(self.rows.0, self.open),
            about(self.rows.1, self.open),
            audio,
            bytes,
            work,
        ]
    }
}

impl Preview {
    /// The preview as text for people.
    pub fn text(&self) -> String {
        let head = ["stage", "will", "may", "remembered", "known", "added", "retracted", "audio", "writes", "work"];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(self.stages.iter().map(Stage::cells));
        let mut text = aligned(&lines);
        let width = self.stages.iter().map(|stage| stage.name.len()).max().unwrap_or(0);
        for stage in &self.stages {
            for told in &stage.reasons {
                let word = if told.certain { "will" } else { "may" };
                let ids = told.ids.join(", ");
                let ids = in_line(&ids);
                let more = match told.count.saturating_sub(told.ids.len() as u64) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let _ = writeln!(
                    text,
                    "{:width$}  {word:4} {}: {}",
                    stage.name,
                    told.count,
                    in_line(&told.reason.to_string())
                );
                let _ = writeln!(text, "{:width$}         {ids}{more}", "");
            }
            for (id, why) in stage.withdrawn.iter().take(super::EXAMPLES) {
                let _ = writeln!(text, "{:width$}  drops {}", stage.name, in_line(&format!("{id}: {why}")));
            }
            if stage.withdrawn.len() > super::EXAMPLES {
                let more = stage.withdrawn.len() - super::EXAMPLES;
                let _ = writeln!(text, "{:width$}  drops {more} more that are withdrawn", stage.name);
            }
        }
        text + &self.sum()
    }

    fn sum(&self) -> String {
        let against = self.run.as_ref().map_or_else(String::new, |run| format!(", against {run}"));
        let (will, may) = self.items();
        if (will, may) == (0, 0) {
            return format!("nothing has to run{against}\n");
        }
        let (cost, unmeasured) = self.total();
        let mut parts = Vec::new();
        parts.extend(cost.audio.map(|audio| format!("{} of audio to read", time(audio))));
        parts.extend(cost.bytes.map(|bytes| format!("{} to write", size(bytes))));
        parts.extend(cost.seconds.map(|seconds| format!("{} of work", time(seconds))));
        let estimate = if parts.is_empty() { String::new() } else { format!(", about {}", parts.join(", ")) };
        let never = match unmeasured.as_slice() {
            [] => String::new(),
            stages => format!("; no estimate for {}, never measured", stages.join(", ")),
        };
        format!("in all: {will} will run, {} may run{estimate}{never}{against}\n", about(may, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_suit_the_size() {
        assert_eq!([0.004, 0.5, 61.0, 600.0, 7200.0].map(time), ["4 ms", "0.5 s", "61.0 s", "10.0 min", "2.0 h"]);
        assert_eq!([12.0, 2048.0, 3.5e6, 2e9].map(size), ["12 B", "2.0 kB", "3.5 MB", "2.0 GB"]);
        assert_eq!((about(0, true), about(3, true), about(3, false)), ("0".into(), "~3".into(), "3".into()));
    }
}
