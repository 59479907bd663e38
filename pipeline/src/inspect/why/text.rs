//! Text of the answer, for people.

use super::{Answer, Subject, id};
use crate::terminal::escape::in_line;
use datasets::row::Labels;
use std::fmt::Write as _;

/// Maximum number of names of a kind that are spelled out.
const EXAMPLES: usize = 8;

/// Maximum width of a list of settings, in characters.
const WIDTH: usize = 80;

/// A list, broken where it gets too wide; one line at least.
fn wrapped(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words {
        let Some(line) = lines.last_mut() else { break };
        match line.len() {
            0 => *line = word,
            length if length + 2 + word.len() <= WIDTH => *line += &format!(", {word}"),
            _ => {
                line.push(',');
                lines.push(word);
            }
        }
    }
    lines
}

/// A label and what belongs to it, line by line.
struct Lines(String);

impl Lines {
    fn add(&mut self, label: &str, lines: impl IntoIterator<Item = String>) {
        for (place, line) in lines.into_iter().enumerate() {
            let _ = writeln!(self.0, "{:<9} {}", if place == 0 { label } else { "" }, in_line(&line));
        }
    }

    /// Names, the first of them, and how many more there are.
    fn names(&mut self, label: &str, names: &[String]) {
        let more = names.len().saturating_sub(EXAMPLES);
        let shown = names.iter().take(EXAMPLES).cloned();
        self.add(label, shown.chain((more > 0).then(|| format!("and {more} more"))));
    }
}

impl Answer {
    /// The answer as text for people.
    pub fn text(&self) -> String {
        let mut out = Lines(format!("{}\n", in_line(id(&self.subject))));
        out.add("is", [format!("{} in {}", self.what, self.run)]);
        match &self.subject {
            Subject::Dropped { code, why, .. } if why.is_empty() => out.add("dropped", [code.clone()]),
            Subject::Dropped { code, why, .. } => out.add("dropped", [format!("{why} ({code})")]),
            Subject::Withdrawn { date, evidence, .. } => out.add("withdrawn", [format!("on {date}: {evidence}")]),
            Subject::Clip { track, .. } => out.add("track", [track.clone()]),
            Subject::File { digest: Some(digest), .. } => out.add("digest", [digest.clone()]),
            _ => {}
        }
        if let Some(track) = &self.track {
            for (label, text) in Labels::NAMES.into_iter().zip(track.labels.each()) {
                out.add(label, text.filter(|text| !text.is_empty()).map(str::to_owned));
            }
            out.add("extra", track.labels.extra.iter().map(|(column, text)| format!("{column}: {text}")));
            out.add("bytes", [track.content.clone()]);
            out.add("samples", Some(track.samples.clone()).filter(|samples| !samples.is_empty()));
            out.add("split", Some(track.split.clone()).filter(|split| !split.is_empty()));
        }
        out.add("license", self.license.iter().cloned());
        out.names("clips", &self.clips);
        let models = self.models.iter().map(|made| format!("{} {}, from `{}`", made.kind, made.digest, made.stage));
        out.add("made with", models);
        if !self.tracks.ids.is_empty() || self.tracks.gone > 0 {
            let licenses = self.tracks.licenses.iter().map(|(license, count)| format!("{count} under {license}"));
            let gone = (self.tracks.gone > 0).then(|| format!("{} that the run does not list", self.tracks.gone));
            let counts: Vec<String> = licenses.chain(gone).collect();
            out.add(
                "rests on",
                [format!("{} tracks: {}", self.tracks.ids.len() as u64 + self.tracks.gone, counts.join(", "))],
            );
            out.names("", &self.tracks.ids);
        }
        let width = self.stages.iter().map(|stage| stage.name.len()).max().unwrap_or(0);
        let verbs = self.stages.iter().map(|stage| stage.verb.len()).max().unwrap_or(0);
        let stages = self.stages.iter().flat_map(|stage| {
            let settings = stage.settings.iter().map(|(name, value)| format!("{name} = {value}"));
            let (name, verb, revision) = (&stage.name, &stage.verb, stage.revision);
            let head = format!("{name:width$}  {verb:verbs$} {revision}");
            let blank = " ".repeat(head.chars().count());
            let lines = wrapped(settings).into_iter().enumerate();
            let lines = lines.map(|(place, line)| format!("{}  {line}", if place == 0 { &head } else { &blank }));
            lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>()
        });
        out.add("stages", stages);
        let by = &self.used_by;
        let all: Vec<String> = by.shards.iter().chain(&by.models).chain(&by.songs).cloned().collect();
        match (all.is_empty(), &self.subject) {
            (false, _) => out.names("used by", &all),
            (true, Subject::Track { .. } | Subject::Clip { .. } | Subject::Withdrawn { .. }) => {
                out.add("used by", ["nothing of this run".to_owned()]);
            }
            _ => {}
        }
        out.add("note", self.notes.iter().cloned());
        out.0
    }
}
