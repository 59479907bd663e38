//! The plan: a manifest whose every word has been understood. Whatever is wrong with the manifest is
//! said here, all at once; nothing downstream judges it again.
//!
//! Knows the manifest and the verbs. No dataflow and no store.

mod canonical;
mod lower;
mod stage;
mod sweep;
mod wire;

pub(crate) use canonical::head;
pub use stage::PlannedStage;
pub use sweep::{Point, Sweep};

use crate::manifest::{self, Complaints, Manifest, Source};
use datasets::{Digest, Key};
use stages::{
    settings::{At, Complaint, Role, Table, suggest},
    stage::StageSpec,
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// A typed graph of stages.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name that the runs of this manifest go by.
    pub name: String,
    /// Seed of the manifest, from which the seeds of all drawing stages follow.
    pub seed: u64,
    /// The manifest, as given on the command line.
    pub file: PathBuf,
    /// The manifests that it extends, the nearest first.
    pub bases: Vec<PathBuf>,
    /// The manifest's folder: relative paths in its settings start here.
    pub base: PathBuf,
    /// The `--set` options, as typed.
    pub sets: Vec<String>,
    /// The stages: each after those it rests on, otherwise in the order of the file. Of a sweep, all points are here: a
    /// stage that is the same at several of them once.
    pub stages: Vec<PlannedStage>,
    /// The points of a sweep.
    pub sweep: Option<Sweep>,
    /// The names of the manifest's stages that `--to` leaves out.
    pub left_out: BTreeSet<String>,
}

impl Plan {
    /// Whether another plan would be rendered as this one is: it differs in nothing but settings that come as rows, and in how
    /// it was written. A sweep's stages are named after its settings: it counts as another.
    pub(crate) fn stands(&self, other: &Plan) -> bool {
        let static_settings = |stage: &PlannedStage| stage.ready.with_role(&|role| role != Role::Live);
        let stage = |a: &PlannedStage, b: &PlannedStage| {
            (&a.name, &a.of, a.entry.verb, &a.inputs) == (&b.name, &b.of, b.entry.verb, &b.inputs)
                && (&a.salt, a.seed) == (&b.salt, b.seed)
                && static_settings(a) == static_settings(b)
        };
        let whole = |plan: &Plan| (plan.name.clone(), plan.seed, plan.bases.clone(), plan.left_out.clone());
        whole(self) == whole(other)
            && self.sweep.is_none()
            && other.sweep.is_none()
            && self.stages.len() == other.stages.len()
            && self.stages.iter().zip(&other.stages).all(|(a, b)| stage(a, b))
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
    registry: &'static [StageSpec],
    path: &Path,
    sets: &[String],
    to: Option<&str>,
) -> Result<Plan, Complaints> {
    let mut text = manifest::read(path, sets)?;
    let mut complaints = std::mem::take(&mut text.complaints);
    let sweep = manifest::Sweep::read(&text, &mut complaints);
    if !text.table.0.iter().any(|(word, value)| manifest::may_hold_stages(word, value)) {
        complaints.push(
            Complaint::new(At::default(), "the manifest has no stages")
                .help("add a first one: `[stage.NAME]` with `do = \"..\"`; `refrain stages` lists the verbs"),
        );
    }
    let given = sweep.map_or_else(|| vec![manifest::Point::default()], |sweep| sweep.points);
    let tables: Vec<Table> = given.iter().map(|point| point.apply(&text.table)).collect();
    // What is wrong at every point is said once: complaints are told apart by place and words.
    let manifests: Vec<Manifest> = tables.iter().map(|table| Manifest::read(table, &mut complaints)).collect();
    let mut points = Vec::with_capacity(given.len());
    for ((point, table), manifest) in given.iter().zip(&tables).zip(&manifests) {
        let stages = lower::lower(registry, manifest, table, &text, &mut complaints);
        let graph = wire::wire(registry, &stages, &mut complaints);
        points.push(sweep::At { point, seed: manifest.seed, stages, graph });
    }
    still(&points, &mut complaints);
    if complaints.is_empty() {
        sweep::alike(&points, &mut complaints);
    }
    let lowered = points.first().map_or(&[][..], |at| &at.stages);
    let names: Vec<String> = lowered.iter().map(|stage| stage.name.text.clone()).collect();
    // `songs[top_p=0.9]` is a variant of `songs`.
    let to = to.map(|name| (name, name.split('[').next().unwrap_or(name)));
    let last = to.and_then(|(_, of)| names.iter().position(|known| known == of));
    let mut unknown = |name: &str, names: &[String], complaints: &mut Vec<Complaint>| {
        text.sources.push(Source { label: "--to".into(), text: name.to_owned() });
        let at = option_place(text.sources.len() - 1, name);
        complaints.push(manifest::unknown_stage(at, "`--to` names the stage", name, names));
    };
    if let (Some((name, _)), None) = (to, last) {
        unknown(name, &names, &mut complaints);
    }
    let (mut stages, mut sweep) = match complaints.is_empty() {
        true => sweep::merge(&points, last),
        false => (Vec::new(), None),
    };
    if let Some((name, of)) = to.filter(|(name, of)| name != of && complaints.is_empty()) {
        let variants: Vec<String> = stages.iter().filter(|s| s.of == of).map(|stage| stage.name.clone()).collect();
        match stages.iter().position(|stage| stage.name == name) {
            Some(variant) => (stages, sweep) = sweep::only(&stages, sweep, variant),
            None => unknown(name, &variants, &mut complaints),
        }
    }
    let mut left_out = BTreeSet::new();
    if to.is_some() && complaints.is_empty() {
        left_out.extend(sweep::merge(&points, None).0.into_iter().map(|stage| stage.name));
        left_out.retain(|name| stages.iter().all(|stage| stage.name != *name));
    }
    let explained = complaints.into_iter().map(|complaint| text.explain(complaint)).collect::<Vec<_>>();
    if !explained.is_empty() {
        return Err(Complaints::new(text.sources, explained));
    }
    let (name, seed) = manifests.first().map_or((String::new(), 0), |manifest| (manifest.name.clone(), manifest.seed));
    Ok(Plan {
        stages,
        sweep,
        left_out,
        name,
        seed,
        file: path.to_path_buf(),
        bases: text.files.iter().skip(1).map(|file| file.path.clone()).collect(),
        base: folder(path),
        sets: sets.to_vec(),
    })
}

/// An axis that decides about no stage: only the seed can be one, where nothing draws from it.
fn still(points: &[sweep::At<'_>], complaints: &mut Vec<Complaint>) {
    let draws = |at: &sweep::At<'_>| at.stages.iter().any(|s| s.entry.is_none_or(|entry| entry.random));
    if points.iter().any(draws) {
        return;
    }
    let seeds = points.iter().flat_map(|at| &at.point.values).filter(|value| value.stage().is_none());
    if let Some(at) = seeds.filter_map(|value| value.path.first()).map(|word| word.at).min() {
        let complaint = Complaint::new(at, "`[sweep]` varies the seed, from which no stage of this manifest draws");
        complaints.push(complaint.help("take it out"));
    }
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
                // The manifest's own seed is in the digest of the plan.
                if stage.seed != self.seed {
                    key = key.text("seed").number(stage.seed);
                }
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
        let key = stages.iter().fold(key, |key, (name, digest)| key.text(name).digest(digest));
        let mut points: Vec<&Point> = self.sweep.iter().flat_map(|sweep| &sweep.points).collect();
        points.sort_by_key(|point| &point.name);
        let point = |key: Key, point: &&Point| {
            let mut stages: Vec<&str> = point.stages.iter().map(|&stage| self.stages[stage].name.as_str()).collect();
            stages.sort_unstable();
            let key = key.text("point").text(&point.name).number(stages.len() as u64);
            stages.iter().fold(key, |key, name| key.text(name))
        };
        points.iter().fold(key, point).finish()
    }
}

pub mod memory;
pub mod scale;
#[cfg(test)]
mod tests;
