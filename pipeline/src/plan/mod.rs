//! The plan: a manifest whose every word has been understood. Whatever is wrong with the manifest is
//! said here, all at once; nothing downstream judges it again.

mod lower;
mod wire;

use crate::manifest::{self, Complaints, Manifest, Source};
use datasets::{Digest, Key};
use stages::{
    settings::{At, Complaint, suggest},
    stage::{Entry, Ready},
};
use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A typed graph of stages.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name that the runs of this manifest go by.
    pub name: String,
    /// What the seeds of all drawing stages start from.
    pub seed: u64,
    /// The manifest, as given on the command line.
    pub file: PathBuf,
    /// The manifest's folder: relative paths in its settings start here.
    pub base: PathBuf,
    /// The manifest's text, as typed.
    pub text: String,
    /// The `--set` options, as typed.
    pub sets: Vec<String>,
    /// The stages: each after those it rests on, otherwise in the order of the file.
    pub stages: Vec<PlannedStage>,
}

/// One stage, its settings read and its inputs found.
#[derive(Clone)]
pub struct PlannedStage {
    /// Its name in the manifest.
    pub name: String,
    /// Its verb.
    pub entry: &'static Entry,
    /// Its settings.
    pub ready: Arc<dyn Ready>,
    /// For each of the entry's ports, the indices in [`Plan::stages`] of the stages that feed it.
    pub inputs: Vec<Vec<usize>>,
    /// The guard: the largest fraction of its rows that may be dropped.
    pub max_dropped: Option<f64>,
    /// What tells its random draws from those of another stage with the same verb.
    pub salt: String,
}

impl fmt::Debug for PlannedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedStage")
            .field("name", &self.name)
            .field("verb", &self.entry.verb)
            .field("settings", &self.ready.shown())
            .field("inputs", &self.inputs)
            .field("max_dropped", &self.max_dropped)
            .field("salt", &self.salt)
            .finish()
    }
}

/// Reads a manifest with its `--set` options; `to` cuts the plan to one stage and all it rests on.
///
/// # Errors
/// Everything that is wrong, at once. Exit code 2.
pub fn load(path: &Path, sets: &[String], to: Option<&str>) -> Result<Plan, Complaints> {
    load_from(stages::STAGES, path, sets, to)
}

/// [`load`] with another list of verbs.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load_from(
    registry: &'static [Entry],
    path: &Path,
    sets: &[String],
    to: Option<&str>,
) -> Result<Plan, Complaints> {
    let mut text = manifest::read(path, sets)?;
    let mut complaints = Vec::new();
    let manifest = Manifest::read(&text.table, &mut complaints);
    if !text.table.0.iter().any(|(word, value)| manifest::may_hold_stages(word, value)) {
        complaints.push(
            Complaint::new(At::default(), "the manifest has no stages")
                .help("add a first one: `[stage.NAME]` with `do = \"..\"`; `refrain stages` lists the verbs"),
        );
    }
    let lowered = lower::lower(registry, &manifest, &text, &mut complaints);
    let graph = wire::wire(registry, &lowered, &mut complaints);
    let to = to.map(|name| {
        let names: Vec<String> = lowered.iter().map(|stage| stage.name.text.clone()).collect();
        let found = names.iter().position(|known| known == name);
        if found.is_none() {
            text.sources.push(Source { label: "--to".into(), text: name.to_owned() });
            let at = option_place(text.sources.len() - 1, name);
            complaints.push(manifest::unknown_stage(at, "`--to` names the stage", name, &names));
        }
        found
    });
    let explained = complaints.into_iter().map(|complaint| text.explain(complaint)).collect::<Vec<_>>();
    if !explained.is_empty() {
        return Err(Complaints::new(text.sources, explained));
    }
    let mut kept: BTreeSet<usize> = (0..lowered.len()).collect();
    if let Some(Some(last)) = to {
        kept = graph.upstream(last);
        kept.insert(last);
    }
    let order: Vec<usize> = graph.order.iter().copied().filter(|index| kept.contains(index)).collect();
    let place = |old: &usize| order.iter().position(|index| index == old);
    let stages = order.iter().filter_map(|&index| {
        let stage = &lowered[index];
        Some(PlannedStage {
            name: stage.name.text.clone(),
            entry: stage.entry?,
            ready: stage.ready.clone()?,
            inputs: graph.ports[index].iter().map(|fed| fed.iter().filter_map(place).collect()).collect(),
            max_dropped: stage.max_dropped,
            salt: stage.salt.clone(),
        })
    });
    Ok(Plan {
        stages: stages.collect(),
        name: manifest.name,
        seed: manifest.seed,
        file: path.to_path_buf(),
        base: folder(path),
        text: text.sources.swap_remove(0).text,
        sets: sets.to_vec(),
    })
}

/// The folder of a file; `.` for a bare name.
fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn option_place(source: usize, text: &str) -> At {
    At { source: u16::try_from(source).unwrap_or(u16::MAX), start: 0, end: u32::try_from(text.len()).unwrap_or(0) }
}

impl Plan {
    /// The stage of a name.
    pub fn stage(&self, name: &str) -> Option<&PlannedStage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// The stage that an option such as `--refresh` names; it must be one whose result can be pinned.
    ///
    /// # Errors
    /// A name that is no stage of this plan, or a stage with nothing to pin.
    pub fn refreshable(&self, option: &str, name: &str) -> Result<usize, Complaints> {
        let source = Source { label: option.to_owned(), text: name.to_owned() };
        let at = option_place(0, name);
        let can = |stage: &&PlannedStage| stage.ready.refresh().is_some();
        let pinnable: Vec<&str> = self.stages.iter().filter(can).map(|stage| stage.name.as_str()).collect();
        let complaint = match self.stages.iter().position(|stage| stage.name == name) {
            Some(index) if can(&&self.stages[index]) => return Ok(index),
            Some(index) => {
                let message = format!("`{name}` is `{}`, which has nothing to refresh", self.stages[index].entry.verb);
                Complaint::new(at, message)
            }
            None => Complaint::new(at, format!("`{option}` names the stage `{name}`, which is not in the plan")),
        };
        let help = match suggest(name, pinnable.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if pinnable.is_empty() => "no stage of this plan has anything to refresh".to_owned(),
            None => format!("it can refresh `{}`", pinnable.join("`, `")),
        };
        Err(Complaints::new(vec![source], vec![complaint.help(help)]))
    }

    /// The digest of each stage by structure: its verb with revision, its settings, its salt where the
    /// verb draws from the seed, and the same of all that feeds each of its ports. Neither its name nor
    /// the order of the file, of `from` or of defaults spelled out is in it.
    pub fn structure(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            // The settings' digest holds verb and revision.
            let mut key = Key::new("planned stage").digest(&stage.ready.digest());
            if stage.entry.random {
                key = key.text("salt").text(&stage.salt);
            }
            for (port, fed) in stage.entry.ports.iter().zip(&stage.inputs) {
                let mut fed: Vec<Digest> = fed.iter().map(|&index| digests[index]).collect();
                fed.sort();
                key = key.text(port.name).number(fed.len() as u64);
                key = fed.iter().fold(key, |key, digest| key.digest(digest));
            }
            digests.push(key.finish());
        }
        digests
    }

    /// The plan's part in a run's identity: name, seed, and every stage by structure together with its
    /// name. A stage's name is in no effect's key, so that renaming it executes nothing; but what a run
    /// publishes (its record, its report) speaks of stages by name, so it is another run. `max_dropped`
    /// only decides whether a run may publish, paths only where to look: neither is in it.
    pub fn digest(&self) -> Digest {
        let mut stages: Vec<(&str, Digest)> =
            self.stages.iter().map(|stage| stage.name.as_str()).zip(self.structure()).collect();
        stages.sort();
        let key = Key::new("plan").text(&self.name).number(self.seed).number(stages.len() as u64);
        stages.iter().fold(key, |key, (name, digest)| key.text(name).digest(digest)).finish()
    }
}

#[cfg(test)]
mod tests;
