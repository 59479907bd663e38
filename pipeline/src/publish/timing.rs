//! `timing.json` from a plan and its summary.

use crate::{
    plan::Plan,
    record::{
        summary::Summary,
        timing::{FILE, Timing},
    },
};
use datasets::store::{StoreError, Temp};
use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Instant,
};

/// The timing of a run that is being published.
pub(crate) fn timing(
    plan: &Plan,
    run: &str,
    summary: &Summary,
    workers: usize,
    processes: usize,
    started: Instant,
) -> Timing {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path).display().to_string();
    let sources = plan.stages.iter().filter(|stage| stage.entry.ports.is_empty());
    let sources = sources.map(|stage| {
        let places: Vec<String> = stage.ready.source_paths(&plan.base).into_iter().map(absolute).collect();
        (stage.name.clone(), places)
    });
    Timing {
        processes,
        run: run.to_owned(),
        seconds: started.elapsed().as_secs_f64(),
        sources: sources.collect(),
        stages: summary.costs(),
        workers,
    }
}

/// Writes `timing.json` through a temporary file beside `folder`: a tree never holds what a killed process was writing.
pub(crate) fn write_timing(folder: &Path, timing: &Timing) -> Result<(), StoreError> {
    let target = folder.join(FILE);
    let mut temp = Temp::beside(folder)?;
    temp.write_all(timing.text().as_bytes()).map_err(StoreError::io("write", &target))?;
    temp.commit(&target)
}
