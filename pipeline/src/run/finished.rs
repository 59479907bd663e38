//! A finished run, and its text for people.

use crate::{
    error::Error,
    record::{published::Published, stage_record::FailedStage, summary::Summary},
};
use serde_json::json;
use std::{fmt::Write as _, path::PathBuf, time::Duration};

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    /// Summary of the run.
    pub summary: Summary,
    /// Name and folder under which the run was published.
    pub published: Published,
    /// Duration of the run.
    pub wall: Duration,
    /// The lock file, where this run wrote it.
    pub locked: Option<PathBuf>,
    /// Stages that failed; if there are any, only a part of the run was published.
    pub failed: Vec<FailedStage>,
}

impl Finished {
    /// The error with which the run ends although it published.
    ///
    /// # Errors
    /// [`Error::Stage`] where the run is partial.
    pub fn ended(&self) -> Result<(), Error> {
        if self.failed.is_empty() {
            return Ok(());
        }
        let mut lines: Vec<String> = self.failed.iter().map(ToString::to_string).collect();
        lines.push(format!("the rest is published as {}; the next run tries again", self.published.run));
        Err(Error::Stage(lines.join("\n")))
    }
}

/// The table of a finished run, and where its results are.
pub fn summary(finished: &Finished) -> String {
    let mut text = finished.summary.text();
    let Published { run, folder, .. } = &finished.published;
    let has = |name: &str| folder.join(name).exists();
    let shown = folder.display();
    let partial = if finished.failed.is_empty() { "" } else { ", partial" };
    let _ = writeln!(text, "run     {run} ({:.1} s{partial})", finished.wall.as_secs_f64());
    if has("codes") {
        let _ = writeln!(text, "codes   {shown}/codes");
    }
    if has("model") {
        let _ = writeln!(text, "model   {shown}/model");
    }
    if has("results.csv") {
        let _ = writeln!(text, "results {shown}/results.csv");
    }
    let _ = writeln!(text, "report  {shown}/report.html");
    if let Some(lock) = &finished.locked {
        let _ = writeln!(text, "lock    {}", lock.display());
    }
    text
}

/// The last event of a run with `--json`.
pub fn done(finished: &Finished) -> String {
    let mut done = json!({
        "event": "done",
        "stages": finished.summary.counts(),
        "run": finished.published.run,
        "folder": finished.published.folder.display().to_string(),
    });
    if !finished.failed.is_empty() {
        done["failed"] = json!(finished.failed);
    }
    done.to_string()
}

/// The last event of a process that does not lead, with `--json`.
pub fn followed(run: &str) -> String {
    json!({ "event": "followed", "run": run }).to_string()
}
