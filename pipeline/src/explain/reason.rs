//! Reason for which an item runs, typed, with the chain back to its first cause.

use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;

/// A value that was something else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// Name of the setting, seed, salt or version that changed.
    pub name: String,
    /// Value in the last run.
    pub was: String,
    /// Value now.
    pub now: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {} -> {}", self.name, self.was, self.now)
    }
}

/// Numbers of rows that differ from those of the last run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Differences {
    /// Rows that were not there.
    pub added: u64,
    /// Rows that have another fingerprint.
    pub changed: u64,
    /// Rows that are not there any more.
    pub gone: u64,
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [(self.added, "added"), (self.changed, "changed"), (self.gone, "gone")];
        let said: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        f.write_str(&said.join(", "))
    }
}

/// Why an item runs. Of several reasons, each enough by itself, the first that is found.
///
/// `input` is the id of a track or the name of a file; empty in what several items have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing is known of an earlier run.
    NeverRun {
        /// The manifest's name.
        name: String,
    },
    /// The last run had no such stage.
    NewStage {
        /// Name of the stage.
        stage: String,
    },
    /// The stage failed in the last run, or rests on one that did.
    Unfinished {
        /// Name of the stage.
        stage: String,
    },
    /// The sweep of the last run had no such point.
    NewPoint {
        /// The stage, as the manifest calls it.
        stage: String,
        /// The values that tell this variant of it from others.
        point: String,
    },
    /// The command line asks for it.
    Refreshed {
        /// The refreshed stage.
        stage: String,
    },
    /// A source holds a new row.
    New {
        /// Id of the track or name of the file that is new.
        input: String,
    },
    /// A source no longer holds the row.
    Removed {
        /// Id of the track or name of the file that was removed.
        input: String,
    },
    /// An opt-out list names it.
    Withdrawn {
        /// Id of the track that was withdrawn.
        input: String,
    },
    /// A file has other bytes.
    Bytes {
        /// Name of the file, or id of the track, whose bytes changed.
        input: String,
    },
    /// The labels of a track changed, not its bytes.
    Labels {
        /// Id of the track whose labels changed.
        input: String,
        /// Names of the labels that changed.
        what: Vec<&'static str>,
    },
    /// Settings have other values.
    Settings {
        /// Name of the stage whose settings changed.
        stage: String,
        /// Settings that changed, with both values.
        changes: Vec<Change>,
    },
    /// The verb does its work in another way.
    Revision {
        /// Name of the verb.
        verb: String,
        /// Revision of the verb in the last run.
        was: u32,
        /// Revision of the verb now.
        now: u32,
    },
    /// The stage draws from another seed.
    Seed {
        /// Name of the stage.
        stage: String,
        /// Seed or salt that changed, with both values.
        change: Change,
    },
    /// The processor, or a library that decodes or resamples, gives other bits.
    Version {
        /// Version that changed, with both values.
        change: Change,
    },
    /// The stage is fed by other stages than in the last run.
    Wiring {
        /// Name of the stage.
        stage: String,
        /// Stages that fed it in the last run.
        was: String,
        /// Stages that feed it now.
        now: String,
    },
    /// The lock file names other weights.
    Pinned {
        /// The stage that they are of.
        stage: String,
    },
    /// A stage gives other rows, and the record of the last run does not tell why.
    Other {
        /// Name of the stage.
        stage: String,
    },
    /// The source of the item could not be read in the last run.
    Failed,
    /// The result was remembered, and the store no longer holds it.
    Lost,
    /// Rows that the item reads have changed.
    Rows {
        /// The stage that gives them.
        stage: String,
        /// Numbers of rows that differ.
        differ: Differences,
        /// Reason of the first of these rows.
        because: Box<Reason>,
    },
    /// A stage before it gives something else than in the last run.
    Upstream {
        /// Name of the stage.
        stage: String,
        /// Reason for which that stage gives something else.
        because: Box<Reason>,
    },
    /// A stage before it has to run first, or may have to: what it gives is not known.
    Waits {
        /// Name of the stage.
        stage: String,
        /// Whether that stage will run; otherwise it may.
        certain: bool,
        /// Reason for which that stage runs.
        because: Box<Reason>,
    },
}

/// `input `x``, or what stands for it.
fn named(input: &str) -> String {
    if input.is_empty() { "the input".to_owned() } else { format!("input `{input}`") }
}

fn list(changes: &[Change]) -> String {
    changes.iter().map(Change::to_string).collect::<Vec<_>>().join(", ")
}

impl Reason {
    /// A word for the kind of reason, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::NeverRun { .. } => "never-run",
            Reason::NewStage { .. } => "new-stage",
            Reason::Unfinished { .. } => "unfinished",
            Reason::NewPoint { .. } => "new-point",
            Reason::Refreshed { .. } => "refreshed",
            Reason::New { .. } => "new",
            Reason::Removed { .. } => "removed",
            Reason::Withdrawn { .. } => "withdrawn",
            Reason::Bytes { .. } => "bytes",
            Reason::Labels { .. } => "labels",
            Reason::Settings { .. } => "settings",
            Reason::Revision { .. } => "revision",
            Reason::Seed { .. } => "seed",
            Reason::Version { .. } => "version",
            Reason::Wiring { .. } => "wiring",
            Reason::Pinned { .. } => "pinned",
            Reason::Other { .. } => "other",
            Reason::Failed => "failed",
            Reason::Lost => "lost",
            Reason::Rows { .. } => "rows",
            Reason::Upstream { .. } => "upstream",
            Reason::Waits { .. } => "waits",
        }
    }

    /// The reason behind this one. `None` if this is the first cause.
    pub fn because(&self) -> Option<&Reason> {
        match self {
            Reason::Rows { because, .. } | Reason::Upstream { because, .. } | Reason::Waits { because, .. } => {
                Some(because)
            }
            _ => None,
        }
    }

    /// The reason and all that it rests on; the first cause comes last.
    pub fn chain(&self) -> impl Iterator<Item = &Reason> {
        std::iter::successors(Some(self), |reason| reason.because())
    }

    /// The first cause.
    pub fn first(&self) -> &Reason {
        self.because().map_or(self, Reason::first)
    }

    /// The reason without the names of inputs: what many items have in common.
    #[must_use]
    pub fn family(&self) -> Reason {
        let mut family = self.clone();
        let mut link = &mut family;
        loop {
            match link {
                Reason::New { input }
                | Reason::Removed { input }
                | Reason::Withdrawn { input }
                | Reason::Bytes { input }
                | Reason::Labels { input, .. } => {
                    input.clear();
                    return family;
                }
                Reason::Rows { because, .. } | Reason::Upstream { because, .. } | Reason::Waits { because, .. } => {
                    link = because;
                }
                _ => return family,
            }
        }
    }

    /// One link of the chain.
    fn link(&self) -> String {
        match self {
            Reason::NeverRun { name } => format!("no earlier run of `{name}` is known"),
            Reason::NewStage { stage } => format!("the last run had no stage `{stage}`"),
            Reason::Unfinished { stage } => format!("the last run did not finish `{stage}`"),
            Reason::NewPoint { stage, point } => format!("the last run had no point `{point}` of `{stage}`"),
            Reason::Refreshed { stage } => format!("--refresh {stage}"),
            Reason::New { input } => format!("{} is new", named(input)),
            Reason::Removed { input } => format!("{} is gone", named(input)),
            Reason::Withdrawn { input } => format!("{} is withdrawn", named(input)),
            Reason::Bytes { input } => format!("{} changed: bytes", named(input)),
            Reason::Labels { input, what } => format!("{} changed: {}", named(input), what.join(", ")),
            Reason::Settings { stage, changes } => match changes.as_slice() {
                [one] => format!("setting {one} of `{stage}`"),
                several => format!("settings {} of `{stage}`", list(several)),
            },
            Reason::Revision { verb, was, now } => format!("revision of `{verb}` {was} -> {now}"),
            Reason::Seed { stage, change } => format!("{change} of `{stage}`"),
            Reason::Version { change } => change.to_string(),
            Reason::Wiring { stage, was, now } => format!("`{stage}` reads {now} instead of {was}"),
            Reason::Pinned { stage } => format!("the lock file names other weights of `{stage}`"),
            Reason::Other { stage } => format!("`{stage}` gives other rows"),
            Reason::Failed => "its source could not be read in the last run".to_owned(),
            Reason::Lost => "the store has lost what it remembered of it".to_owned(),
            Reason::Rows { stage, differ, .. } => format!("rows of `{stage}` differ ({differ})"),
            Reason::Upstream { stage, .. } => format!("upstream `{stage}` gives something else"),
            Reason::Waits { stage, certain: true, .. } => format!("upstream `{stage}` has to run"),
            Reason::Waits { stage, certain: false, .. } => format!("upstream `{stage}` may have to run"),
        }
    }

    /// The reason as JSON for programs: kind, sentence, and the chain with both for each link.
    pub fn json(&self) -> Value {
        let link = |reason: &Reason| json!({ "kind": reason.kind(), "text": reason.link() });
        json!({ "kind": self.kind(), "text": self.to_string(), "chain": self.chain().map(link).collect::<Vec<_>>() })
    }
}

/// Writes one sentence: the reason, `because` the one behind it, `<-` the one behind that, and so on.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, reason) in self.chain().enumerate() {
            f.write_str(["", " because ", " <- "][place.min(2)])?;
            f.write_str(&reason.link())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_reads_as_one_sentence() {
        let change = Change { name: "rate".into(), was: "44100".into(), now: "22050".into() };
        let setting = Reason::Settings { stage: "mono".into(), changes: vec![change.clone()] };
        assert_eq!(setting.to_string(), "setting `rate` 44100 -> 22050 of `mono`");
        let differ = Differences { added: 3, changed: 0, gone: 2 };
        let rows = Reason::Rows { stage: "clips".into(), differ, because: Box::new(setting) };
        let waits = Reason::Waits { stage: "codec".into(), certain: true, because: Box::new(rows) };
        assert_eq!(
            waits.to_string(),
            "upstream `codec` has to run because rows of `clips` differ (3 added, 2 gone) \
             <- setting `rate` 44100 -> 22050 of `mono`"
        );
        assert_eq!((waits.kind(), waits.first().kind(), waits.chain().count()), ("waits", "settings", 3));
        let two = Reason::Settings { stage: "mono".into(), changes: vec![change.clone(), change] };
        assert!(two.to_string().starts_with("settings `rate` 44100 -> 22050, `rate` "), "{two}");
    }

    #[test]
    fn a_family_names_no_input() {
        let of = |input: &str| {
            let because = Box::new(Reason::Bytes { input: input.into() });
            Reason::Waits { stage: "decoded".into(), certain: true, because }
        };
        assert_eq!(of("fma/123").to_string(), "upstream `decoded` has to run because input `fma/123` changed: bytes");
        assert_eq!(of("a").family(), of("b").family());
        assert_eq!(of("a").family().to_string(), "upstream `decoded` has to run because the input changed: bytes");
        assert_eq!(Reason::Lost.family(), Reason::Lost);
    }
}
