//! `timing.json`: what this run took; the only published file that tells times.

use crate::{plan::Plan, record::summary::Summary};
use datasets::store::{StoreError, Temp};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    time::Instant,
};

/// What this time was like.
pub(crate) fn timing(
    plan: &Plan,
    run: &str,
    summary: &Summary,
    workers: usize,
    processes: usize,
    started: Instant,
) -> String {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path).display().to_string();
    let sources = plan.stages.iter().filter(|stage| stage.entry.ports.is_empty());
    let sources = sources.map(|stage| {
        let places: Vec<String> = stage.ready.source_paths(&plan.base).into_iter().map(absolute).collect();
        (stage.name.as_str(), places)
    });
    pretty(&json!({
        "run": run,
        "sources": sources.collect::<BTreeMap<_, _>>(),
        "workers": workers,
        "processes": processes,
        "seconds": started.elapsed().as_secs_f64(),
        "stages": summary.costs(),
    }))
}

/// Not begun beside its place: a tree never holds what a killed process was writing.
pub(crate) fn write_timing(folder: &Path, text: &str) -> Result<(), StoreError> {
    let target = folder.join("timing.json");
    let mut temp = Temp::beside(folder)?;
    temp.write_all(text.as_bytes()).map_err(StoreError::io("write", &target))?;
    temp.commit(&target)
}

pub(crate) fn pretty(value: &Value) -> String {
    // Keys are sorted by serde_json's map; a value of our own always prints.
    format!("{value:#}\n")
}
