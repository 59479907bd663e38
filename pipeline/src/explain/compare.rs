//! Comparison of a plan with the last run: stages, settings, and the parts of rows that other stages read.

use crate::{
    explain::reason::{Change, Reason},
    plan::{Plan, PlannedStage},
    record::history::{Fingerprint, History, Name, Past},
};
use rayon::prelude::*;
use stages::{rows::kept::Kept, settings::Role, stage::Version};

/// Kind of difference between a row and that of the last run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The row is new.
    Added,
    /// The row has the same name and another fingerprint.
    Changed,
    /// The row is gone.
    Gone,
}

/// The part of a row that its reader depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// The content digest only: what heavy work reads of one row.
    Substance,
    /// The content digest and the split.
    Placed,
    /// The whole fingerprint.
    Whole,
}

/// A row that differs from that of the last run.
#[derive(Clone, Debug)]
pub struct RowDiff {
    /// Name of the row.
    pub name: Name,
    /// Kind of difference.
    pub how: How,
    /// Whether the content digest differs, that is, what heavy work reads.
    pub content_digest: bool,
    /// Index of the row among the rows that are kept now. `None` if it is gone.
    pub now: Option<usize>,
    /// Split of the row in the last run and now; `None` where there is no such row.
    splits: [Option<[u8; 2]>; 2],
}

impl RowDiff {
    fn of(was: Option<Fingerprint>, now: Option<(Fingerprint, usize)>) -> RowDiff {
        let fingerprint = now.map(|(fingerprint, _)| fingerprint);
        let how = match (was, fingerprint) {
            (None, _) => How::Added,
            (_, None) => How::Gone,
            _ => How::Changed,
        };
        RowDiff {
            name: fingerprint.or(was).unwrap_or_default().name,
            how,
            content_digest: was.map(|m| m.content) != fingerprint.map(|m| m.content),
            now: now.map(|(_, index)| index),
            splits: [was.map(|m| m.split), fingerprint.map(|m| m.split)],
        }
    }

    /// Whether a reader of this part of the row sees the difference.
    pub(super) fn seen(&self, reads: Reads) -> bool {
        match (self.how, reads) {
            (How::Added | How::Gone, _) | (_, Reads::Whole) => true,
            (How::Changed, Reads::Substance) => self.content_digest,
            (How::Changed, Reads::Placed) => self.content_digest || self.splits[0] != self.splits[1],
        }
    }

    /// Whether it is or was in one of these splits, or in none; no splits are all.
    pub(super) fn placed(&self, splits: &[[u8; 2]]) -> bool {
        let none = Fingerprint::split("");
        splits.is_empty() || self.splits.iter().flatten().any(|own| *own == none || splits.contains(own))
    }

    /// Whether it is or was in a shard.
    pub(super) fn within(&self, split: &str, prefix: &str) -> bool {
        let bits = prefix.bytes().all(|bit| bit == b'0' || bit == b'1');
        // What went through no `split` is to be trained on.
        let splits = [Fingerprint::split(split), Fingerprint::split(if split == "train" { "" } else { split })];
        self.splits.iter().flatten().any(|own| splits.contains(own)) && (!bits || self.name.starts_with(prefix))
    }
}

/// Matches each stage of a plan with a stage of the last run: by name and verb, or else with one whose name is gone and
/// that has the same verb and was fed by the same. `None` if there is none.
pub(super) fn matched<'h>(plan: &Plan, history: Option<&'h History>) -> Vec<Option<&'h Past>> {
    let Some(history) = history else { return vec![None; plan.stages.len()] };
    let mut matched: Vec<Option<&Past>> = Vec::with_capacity(plan.stages.len());
    for stage in &plan.stages {
        let fed = stage.inputs.iter().flatten().map(|&fed| matched[fed].map_or("", |past| past.name.as_str()));
        let from: Vec<&str> = fed.collect();
        let named = history.own(&stage.name).filter(|past| past.verb == stage.entry.verb);
        let renamed = || {
            let mut others = history
                .stages
                .iter()
                .filter(|past| past.verb == stage.entry.verb && plan.stage(&past.name).is_none() && past.from == from);
            others.find(|past| !matched.iter().flatten().any(|taken| taken.name == past.name))
        };
        matched.push(named.or_else(renamed));
    }
    matched
}

/// Finds settings that differ, of the roles that `which` picks; paths are never compared. `None` if all are equal.
pub(super) fn settings(stage: &PlannedStage, past: &Past, which: impl Fn(Role) -> bool) -> Option<Reason> {
    let now = stage.ready.with_role(&|role| role != Role::Path && which(role));
    let was = |name: &str| past.settings.iter().find(|(own, _)| own == name).map(|(_, value)| value);
    let changes = now.iter().filter(|(name, value)| was(name) != Some(value));
    let changes: Vec<Change> = changes
        .map(|(name, now)| {
            let was = was(name).map_or_else(|| "unset".to_owned(), String::clone);
            Change { name: (*name).to_owned(), was, now: now.clone() }
        })
        .collect();
    (!changes.is_empty()).then(|| Reason::Settings { stage: stage.name.clone(), changes })
}

/// Compares revision and settings of a stage, by which a lock file names weights. `None` if they are equal.
pub(super) fn canonical(stage: &PlannedStage, past: &Past) -> Option<Reason> {
    let (was, now) = (past.revision, stage.revision());
    if was != now {
        return Some(Reason::Revision { verb: past.verb.clone(), was, now });
    }
    settings(stage, past, |role| role != Role::Refresh)
}

/// Finds the first difference of the stage itself: revision, settings, seed or versions.
pub(super) fn own(stage: &PlannedStage, past: &Past, history: Option<&History>) -> Option<Reason> {
    if let Some(reason) = canonical(stage, past) {
        return Some(reason);
    }
    if let Some((seed, salt)) = past.seed.as_ref().filter(|_| stage.entry.random) {
        let change = |name: &str, was: String, now: String| Change { name: name.to_owned(), was, now };
        let seeds = change("seed", seed.to_string(), stage.seed.to_string());
        let salts = change("salt", format!("{salt:?}"), format!("{:?}", stage.salt));
        if let Some(change) = [seeds, salts].into_iter().find(|change| change.was != change.now) {
            return Some(Reason::Seed { stage: stage.name.clone(), change });
        }
    }
    let known = &history?.versions;
    let change = |version: &Version| {
        let (was, now) = (known.get(version.name())?.clone(), version.text());
        (was != now).then(|| Change { name: version.name().to_owned(), was, now })
    };
    let mut versions = stage.entry.versions.to_vec();
    versions.sort_unstable();
    versions.iter().find_map(change).map(|change| Reason::Version { change })
}

/// The splits that a stage chooses rows by; empty if it takes all.
pub(super) fn splits(stage: &PlannedStage) -> Vec<[u8; 2]> {
    let chosen = stage.ready.with_role(&|role| role == Role::Selects);
    let chosen: Vec<String> = chosen.into_iter().map(|(_, value)| value).collect();
    match chosen.first() {
        // TOML strings.
        Some(split) if split != "\"\"" => {
            chosen.iter().map(|split| Fingerprint::split(split.trim_matches('"'))).collect()
        }
        _ => Vec::new(),
    }
}

/// Rows that differ, sorted by name.
pub(super) fn rows(past: Option<&Past>, kept: &Kept) -> Vec<RowDiff> {
    let mut now: Vec<(Fingerprint, usize)> = kept.fingerprints().zip(0..).collect();
    now.par_sort_unstable();
    let (mut was, mut now) = (past.into_iter().flat_map(Past::rows).peekable(), now.into_iter().peekable());
    let mut diffs = Vec::new();
    loop {
        let order = match (was.peek(), now.peek()) {
            (Some(was), Some((now, _))) => was.name.cmp(&now.name),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return diffs,
        };
        let (was, now) = match order {
            std::cmp::Ordering::Less => (was.next(), None),
            std::cmp::Ordering::Greater => (None, now.next()),
            std::cmp::Ordering::Equal => (was.next(), now.next()),
        };
        if was.is_none_or(|was| now.is_none_or(|(now, _)| was != now)) {
            diffs.push(RowDiff::of(was, now));
        }
    }
}

/// The row of a name among those that differ.
pub(super) fn find(diffs: &[RowDiff], name: Name) -> Option<&RowDiff> {
    diffs.get(diffs.partition_point(|diff| diff.name < name)).filter(|diff| diff.name == name)
}
