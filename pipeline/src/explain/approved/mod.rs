//! Approved plans: what a run will and may execute, saved as a file and compared with a fresh plan before the run.
//!
//! | written to the file | compared with a fresh plan before a run |
//! |---|---|
//! | what will and may run, stage by stage | an item that the file does not name is a difference; less to do is none |
//! | settings, wiring, revisions, seeds, `--refresh` | each one that is another is a difference |
//! | a digest of each row of a source; withdrawn tracks | rows that came, went or changed are a difference |
//! | the weights of pinned stages; versions of arithmetic, decoder and resampler | others are a difference |
//!
//! While the run is under way, [`Named`] keeps each effect from starting whose item the file does not name.

mod difference;
mod named;

pub use named::Named;

use crate::{explain::preview::Preview, plan::Plan, record::history::versions};
use datasets::{Digest, Key, store::replace};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stages::rows::scan::Scan;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::Arc,
};

/// Value of the field `format` in the file of a saved plan.
const FORMAT: &str = "refrain plan";

/// Version of the file's layout.
const VERSION: u32 = 1;

/// A plan as it was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    format: String,
    version: u32,
    /// Digest of everything else in the file. An edited file is refused.
    digest: Digest,
    /// The manifest's name.
    pub name: String,
    /// The published run that the plan was compared with.
    against: Option<String>,
    /// The plan's canonical digest: [`Plan::digest`].
    plan: Digest,
    /// Digest of everything outside the manifest that a run depends on.
    pub inputs: Digest,
    seed: u64,
    /// Points of a sweep.
    points: Vec<String>,
    /// Stages that `--refresh` names.
    refresh: BTreeSet<String>,
    /// Arithmetic, decoder and resampler.
    versions: BTreeMap<String, String>,
    /// The names of the stages, each after those that feed it.
    order: Vec<String>,
    stages: BTreeMap<String, Stage>,
}

/// One stage of a saved plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    verb: String,
    revision: u32,
    seed: u64,
    salt: String,
    settings: BTreeMap<String, String>,
    from: BTreeMap<String, Vec<String>>,
    /// Unit of the stage's rows, such as `tracks`, for sentences about them.
    unit: String,
    /// Digest of the weights that a pinned stage takes. `None` if they are unknown or the stage is not pinned.
    weights: Option<Digest>,
    /// Rows of a source by key, each with the beginning of its digest.
    rows: BTreeMap<String, String>,
    withdrawn: BTreeSet<String>,
    /// Number of remembered results that the plan counts on.
    remembered: u64,
    will: BTreeSet<String>,
    may: BTreeSet<Item>,
    reasons: Vec<Value>,
}

/// An item that may run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    id: String,
    behind: String,
    cause: String,
}

/// The data that a plan was computed from, apart from the plan itself.
pub struct PlanBasis<'b> {
    /// Digest of everything outside the manifest.
    pub inputs: Digest,
    /// Rows of each source, by the stage's index.
    pub rows: Vec<BTreeMap<String, String>>,
    /// Weights of each pinned stage that are known, by the stage's name.
    pub weights: BTreeMap<String, Digest>,
    /// Stages that `--refresh` names.
    pub refresh: &'b [String],
}

/// Error of a file that is no saved plan for this run.
#[derive(Debug, thiserror::Error)]
pub enum WrongPlan {
    /// The file cannot be read.
    #[error("{path} cannot be read: {why}; `refrain plan MANIFEST --save FILE` writes a plan")]
    Unreadable {
        /// The file.
        path: String,
        /// Error of the operating system.
        why: io::Error,
    },
    /// The file is no saved plan.
    #[error("{path} is no plan that `refrain plan MANIFEST --save FILE` wrote: {why}")]
    Foreign {
        /// The file.
        path: String,
        /// Description of the defect.
        why: String,
    },
    /// Another version of refrain wrote the file.
    #[error("{path} is a plan of version {version}, and this refrain reads version {VERSION}: save the plan again")]
    Version {
        /// The file.
        path: String,
        /// The version that it states.
        version: u64,
    },
}

/// Rows of a source: the beginning of each one's digest, by key. Rows of one key count together.
pub fn rows(scan: &Arc<Scan>) -> BTreeMap<String, String> {
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (row, digest) in scan.rows(0..scan.len()).zip(scan.digests()) {
        rows.entry(row.key).or_default().push(digest.short(16));
    }
    let joined = |(key, mut digests): (String, Vec<String>)| {
        digests.sort();
        (key, digests.join("+"))
    };
    rows.into_iter().map(joined).collect()
}

impl Approved {
    /// The plan that a dry run has found.
    pub fn of(plan: &Plan, preview: &Preview, basis: PlanBasis<'_>) -> Approved {
        let PlanBasis { inputs, rows, mut weights, refresh } = basis;
        let found = preview.stages.iter().zip(rows);
        let stages = plan.stages.iter().zip(found).map(|(planned, (own, rows))| {
            let names = |fed: &Vec<usize>| fed.iter().map(|&index| plan.stages[index].name.clone()).collect();
            let ports = planned.entry.ports.iter().map(|port| port.name.to_owned());
            let may = own.may.iter().map(|row| Item {
                id: row.id.to_string(),
                behind: row.behind.to_string(),
                cause: row.cause.to_string(),
            });
            let reasons = own.reasons.iter().map(|told| {
                let mut reason = told.reason.json();
                reason["certain"] = told.certain.into();
                reason["count"] = told.count.into();
                reason
            });
            let stage = Stage {
                verb: planned.entry.verb.to_owned(),
                revision: planned.revision(),
                seed: planned.seed,
                salt: planned.salt.clone(),
                settings: planned.settings().map(|(field, value)| (field.to_owned(), value)).collect(),
                from: ports.zip(planned.inputs.iter().map(names)).collect(),
                unit: planned.entry.unit.to_owned(),
                weights: weights.remove(&planned.name),
                rows,
                withdrawn: own.withdrawn.iter().map(|(id, _)| id.clone()).collect(),
                remembered: own.cached,
                will: own.will.iter().map(ToString::to_string).collect(),
                may: may.collect(),
                reasons: reasons.collect(),
            };
            (planned.name.clone(), stage)
        });
        let stages = stages.collect();
        let points = plan.sweep.iter().flat_map(|sweep| &sweep.points);
        let mut points: Vec<String> = points.map(|point| point.name.clone()).collect();
        points.sort();
        Approved {
            format: FORMAT.to_owned(),
            version: VERSION,
            digest: Digest::default(),
            name: plan.name.clone(),
            against: preview.run.clone(),
            plan: plan.digest(),
            inputs,
            seed: plan.seed,
            points,
            refresh: refresh.iter().cloned().collect(),
            versions: versions(),
            order: plan.stages.iter().map(|stage| stage.name.clone()).collect(),
            stages,
        }
        .sealed()
    }

    /// Sets the digest of the plan, computed over everything else in it.
    fn sealed(mut self) -> Approved {
        self.digest = Digest::default();
        self.digest = Key::of(FORMAT, self.json().as_bytes());
        self
    }

    /// The content of the saved file as JSON; equal plans give equal bytes.
    fn json(&self) -> String {
        // Texts and numbers: there is nothing that could fail.
        let text = serde_json::to_string_pretty(self);
        text.unwrap_or_else(|error| unreachable!("a plan cannot be written: {error}")) + "\n"
    }

    /// Digest of the saved plan, which tells it from any other.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, path: &Path) -> Result<(), datasets::store::StoreError> {
        replace(path, self.json().as_bytes())
    }

    /// Whether a plan may be saved at `path`: nothing lies there, or a saved plan of any version.
    pub fn may_save(path: &Path) -> bool {
        let plan = || {
            datasets::untrusted::read(path, datasets::untrusted::LARGEST)
                .is_ok_and(|bytes| serde_json::from_slice::<Head>(&bytes).is_ok_and(|head| head.format == FORMAT))
        };
        std::fs::symlink_metadata(path).is_err() || path.is_file() && plan()
    }

    /// Reads a file that [`Approved::save`] wrote.
    ///
    /// # Errors
    /// See [`WrongPlan`].
    pub fn read(path: &Path) -> Result<Approved, WrongPlan> {
        let shown = path.display().to_string();
        let foreign = |why: String| WrongPlan::Foreign { path: shown.clone(), why };
        let bytes = datasets::untrusted::read(path, datasets::untrusted::LARGEST)
            .map_err(|why| WrongPlan::Unreadable { path: shown.clone(), why })?;
        let head = serde_json::from_slice::<Head>(&bytes).map_err(|error| foreign(error.to_string()))?;
        if head.format != FORMAT {
            return Err(foreign(format!("its `format` is {:?}", head.format)));
        }
        if head.version != u64::from(VERSION) {
            return Err(WrongPlan::Version { path: shown, version: head.version });
        }
        let approved: Approved = serde_json::from_slice(&bytes).map_err(|error| foreign(error.to_string()))?;
        match approved.clone().sealed().digest == approved.digest {
            true => Ok(approved),
            false => Err(foreign("it was edited, for its digest is not that of what it says".to_owned())),
        }
    }
}

/// The fields that every version of the saved file has.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}
