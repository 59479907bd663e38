//! Paths of a run's files in its tree: `codes/`, `model/`, `audio/`; of a sweep, what differs between points lies below
//! a folder for each point, such as `audio/top_p=0.9/`.

use crate::{
    dataflow::outcome::Outcome,
    error::Error,
    plan::Plan,
    publish::tracks,
    record::{kinds, stage_record::PointRecord, sweep_table::Results},
};
use datasets::{Digest, store::Store};
use stages::rows::{AnyRow, kept::Corpus};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Stages whose files lie together: those that are the same at all points, or those of one point.
pub struct Part<'p> {
    /// The point's folder.
    pub folder: Option<&'p str>,
    /// The stages, by their index in the plan.
    pub stages: Vec<usize>,
}

impl Part<'_> {
    /// A path of this part: the point's folder comes below the first.
    pub fn place(&self, path: &Path) -> PathBuf {
        let mut parts = path.components();
        match (self.folder, parts.next()) {
            (Some(folder), Some(first)) => Path::new(&first).join(folder).join(parts.as_path()),
            _ => path.to_owned(),
        }
    }

    /// Rows that the stages of this part made of the corpus.
    pub fn made(&self, outcome: &Outcome) -> Vec<AnyRow> {
        self.stages.iter().flat_map(|&stage| outcome.stages[stage].kept.made()).collect()
    }

    /// The files of this part that are objects of the store: path under the tree, object.
    pub fn files(&self, outcome: &Outcome) -> BTreeMap<PathBuf, Digest> {
        kinds::files(&self.made(outcome)).into_iter().map(|(path, digest)| (self.place(&path), digest)).collect()
    }
}

/// The parts of a plan's tree; one without a sweep.
pub fn parts(plan: &Plan) -> Vec<Part<'_>> {
    let Some(sweep) = &plan.sweep else {
        return vec![Part { folder: None, stages: (0..plan.stages.len()).collect() }];
    };
    let differs = |stage: &usize| sweep.stages.contains(&plan.stages[*stage].of);
    let model = |stage: &usize| kinds::is_model(plan.stages[*stage].entry.gives);
    let same = (0..plan.stages.len()).filter(|stage| !differs(stage)).collect();
    let points = sweep.points.iter().map(|point| {
        // Models are of use together only.
        let models = point.stages.iter().any(|stage| differs(stage) && model(stage));
        let own = point.stages.iter().copied().filter(|stage| differs(stage) || models && model(stage));
        Part { folder: Some(&point.folder), stages: own.collect() }
    });
    std::iter::once(Part { folder: None, stages: same }).chain(points).collect()
}

/// Files of the tree that are objects of the store: path under the tree, object.
///
/// # Errors
/// When the store refuses a table.
pub fn files(
    plan: &Plan,
    outcome: &Outcome,
    corpus: &Corpus<'_>,
    results: Option<&Results>,
    store: &Store,
) -> Result<BTreeMap<PathBuf, Digest>, Error> {
    let mut files = BTreeMap::new();
    for part in parts(plan) {
        files.extend(part.files(outcome));
    }
    files.insert("tracks.parquet".into(), tracks::list(plan, outcome, corpus, store)?);
    if let Some(results) = results {
        let table = results.parquet().map_err(|e| Error::Bug(format!("the results cannot be written: {e}")))?;
        files.insert("results.csv".into(), store.put(results.csv().as_bytes())?);
        files.insert("results.parquet".into(), store.put(&table)?);
    }
    Ok(files)
}

/// View of each shard by its id; at a point of a sweep by `folder/id`.
pub fn views(plan: &Plan, outcome: &Outcome) -> BTreeMap<String, Digest> {
    let mut views = BTreeMap::new();
    for part in parts(plan) {
        for row in part.made(outcome) {
            if let Some((id, view)) = kinds::of(&row).view() {
                views.insert(part.folder.map_or_else(|| id.clone(), |folder| format!("{folder}/{id}")), view);
            }
        }
    }
    views
}

/// The points of a sweep for the record. `None` of a plan without one.
pub fn points(plan: &Plan) -> Option<Vec<PointRecord>> {
    let sweep = plan.sweep.as_ref()?;
    let points = sweep.points.iter().map(|point| {
        let own = point.stages.iter().map(|&stage| &plan.stages[stage]);
        let differing = own.filter(|stage| sweep.stages.contains(&stage.of)).map(|stage| stage.name.clone());
        PointRecord {
            folder: point.folder.clone(),
            name: point.name.clone(),
            stages: differing.collect(),
            values: point.values.clone(),
        }
    });
    Some(points.collect())
}
