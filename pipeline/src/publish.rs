//! Publishing: a run's tree appears whole or not at all, under a name that follows from plan and inputs.

use crate::{
    bundle,
    error::Error,
    execute::Outcome,
    gather,
    history::Published,
    layout,
    plan::Plan,
    report::{self, attribution_md, html},
    results::{self, Score},
    summary::Summary,
    withdraw::{self, Withdrawn},
};
use datasets::{
    Digest,
    store::{Store, StoreError, Temp, sync_folder, write_atomic},
};
use serde::Serialize;
use serde_json::{Value, json};
use stages::{
    flow::{Env, Event},
    kept::Corpus,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process,
    time::Instant,
};

/// Everything that publishing needs.
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// Its corpus, in the order of ids.
    pub corpus: &'a Corpus<'a>,
    /// Store and sources.
    pub env: &'a Env,
    /// The run's digest.
    pub id: Digest,
    /// What it says of itself.
    pub summary: &'a Summary,
    /// What its opt-out lists withdraw.
    pub withdrawn: &'a Withdrawn,
    /// Workers.
    pub workers: usize,
    /// Processes.
    pub processes: usize,
    /// When the run started.
    pub started: Instant,
}

/// The file of a run's record; a tree is whole when it holds the record that belongs to it.
pub(crate) const RECORD: &str = "run.json";
/// The table of what was withdrawn.
const QUARANTINE: &str = "quarantine.tsv";

/// Writes the tree of a run, or finds it there.
///
/// # Errors
/// When the store refuses, or a source of the report's sounds is gone.
pub fn publish(run: &Run<'_>) -> Result<Published, Error> {
    let store = &run.env.store;
    let name = format!("{}-{}", run.plan.name, run.id.short(12));
    let folder = store.runs().join(&name);
    let scores = results::scores(run.plan, run.outcome);
    let results = results::results(run.plan, &scores);
    let (files, works) = rayon::join(
        || layout::files(run.plan, run.outcome, run.corpus, results.as_ref(), store),
        || gather::attribution(run),
    );
    let files = files?;
    let record = record(run, &name, &files, &scores);
    let mut texts = BTreeMap::from([(RECORD, record)]);
    if !run.withdrawn.tombstones.is_empty() {
        texts.insert(QUARANTINE, withdraw::quarantine(&run.withdrawn.tombstones));
    }
    let same = |(name, text): (&&str, &String)| fs::read_to_string(folder.join(name)).is_ok_and(|own| own == *text);
    let known = texts.iter().all(same) && whole(&folder, &files);
    if !known {
        run.env.event(Event::Publishing { run: name.clone() });
        let report = gather::report(run, results.as_ref(), works?, &name)?;
        let mut all = bundle::texts(run, &name, &files, &report)?;
        all.extend(texts.into_iter().map(|(name, text)| (PathBuf::from(name), text)));
        write_tree(store, &folder, &files, &report, &all)?;
    }
    let timing = timing(run.plan, &name, run.summary, run.workers, run.processes, run.started);
    write_timing(&folder, &timing)?;
    point_latest(&store.runs(), &name)?;
    Ok(Published { run: name, folder, known })
}

fn whole(folder: &Path, files: &BTreeMap<PathBuf, Digest>) -> bool {
    let mut written = ["report.html", "ATTRIBUTION.md"].map(PathBuf::from).to_vec();
    let models: BTreeSet<&Path> =
        files.keys().filter(|path| path.starts_with("model")).filter_map(|p| p.parent()).collect();
    for folder in models {
        written.extend([bundle::CARD, bundle::ATTRIBUTION, bundle::INDEX].map(|name| folder.join(name)));
    }
    files.keys().chain(&written).all(|path| folder.join(path).is_file())
}

fn write_tree(
    store: &Store,
    folder: &Path,
    files: &BTreeMap<PathBuf, Digest>,
    report: &report::Report,
    texts: &BTreeMap<PathBuf, String>,
) -> Result<(), StoreError> {
    let runs = store.runs();
    // A tree under way is hidden; what a killed run left of one is in nobody's way.
    let temp = runs.join(format!(".{}.tmp", process::id()));
    let _ = fs::remove_dir_all(&temp);
    let written = fill(store, &temp, files, report, texts).and_then(|()| settle(&runs, &temp, folder));
    if written.is_err() {
        let _ = fs::remove_dir_all(&temp);
    }
    written
}

fn fill(
    store: &Store,
    temp: &Path,
    files: &BTreeMap<PathBuf, Digest>,
    report: &report::Report,
    texts: &BTreeMap<PathBuf, String>,
) -> Result<(), StoreError> {
    create(temp)?;
    for (path, digest) in files {
        let target = temp.join(path);
        if let Some(parent) = target.parent() {
            create(parent)?;
        }
        link(&store.path(digest), &target)?;
    }
    let (page, works) = rayon::join(|| html(report), || attribution_md(report));
    write_atomic(&temp.join("report.html"), page.as_bytes())?;
    write_atomic(&temp.join("ATTRIBUTION.md"), works.as_bytes())?;
    // In the order of their names, in which the record comes last.
    texts.iter().try_for_each(|(path, text)| write_atomic(&temp.join(path), text.as_bytes()))
}

/// Gives a whole tree its name.
fn settle(runs: &Path, temp: &Path, folder: &Path) -> Result<(), StoreError> {
    if folder.exists() {
        // A damaged tree of the same run: out of the way first, so that at no time half of each is seen.
        let old = runs.join(format!(".{}.old", process::id()));
        // A killed process may have had this number: in a container most have.
        let _ = fs::remove_dir_all(&old);
        rename(folder, &old)?;
        rename(temp, folder)?;
        let _ = fs::remove_dir_all(&old);
    } else {
        rename(temp, folder)?;
    }
    sync_folder(runs)
}

fn create(folder: &Path) -> Result<(), StoreError> {
    datasets::fault::point("write").and_then(|()| fs::create_dir_all(folder)).map_err(StoreError::io("create", folder))
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    datasets::fault::point("rename").and_then(|()| fs::rename(from, to)).map_err(StoreError::io("rename", to))
}

/// A second name for an object; a copy where the disk has no second names.
fn link(object: &Path, target: &Path) -> Result<(), StoreError> {
    let linked = datasets::fault::point("write").and_then(|()| match fs::hard_link(object, target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => fs::copy(object, target).map(|_| ()),
        other => other,
    });
    linked.map_err(StoreError::io("write", target))
}

fn point_latest(runs: &Path, name: &str) -> Result<(), StoreError> {
    let latest = runs.join("latest");
    if fs::read_link(&latest).is_ok_and(|target| target == Path::new(name)) {
        return Ok(());
    }
    let temp = runs.join(format!(".{}.latest", process::id()));
    let _ = fs::remove_file(&temp);
    symlink(name, &temp).map_err(StoreError::io("write", &temp))?;
    rename(&temp, &latest)
}

fn pretty(value: &Value) -> String {
    // Keys are sorted by serde_json's map; a value of our own always prints.
    format!("{value:#}\n")
}

/// What follows from plan and inputs.
fn record(run: &Run<'_>, name: &str, files: &BTreeMap<PathBuf, Digest>, scores: &[Score]) -> String {
    let stages: Vec<Value> = run
        .plan
        .stages
        .iter()
        .zip(&run.outcome.stages)
        .map(|(stage, own)| {
            let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
            own.dropped.iter().for_each(|row| *reasons.entry(&row.code).or_default() += 1);
            let settings: BTreeMap<&str, String> = stage.settings().collect();
            json!({
                "name": stage.name,
                "verb": stage.entry.verb,
                "revision": stage.entry.revision,
                "from": stage.inputs.iter().flatten().map(|i| &run.plan.stages[*i].name).collect::<Vec<_>>(),
                "settings": settings,
                "salt": stage.salt,
                "kept": own.kept.len(),
                "dropped": own.dropped.len(),
                "reasons": reasons,
                "notes": own.ledger.notes,
            })
        })
        .collect();
    let told = run.withdrawn.silence();
    let dropped = run.plan.stages.iter().zip(&run.outcome.stages).flat_map(|(stage, own)| {
        // Withdrawn tracks are named in the quarantine table alone.
        let named = own.dropped.iter().filter(|row| !row.withdrawn());
        named.map(|row| Line { code: &row.code, id: &row.id, stage: &stage.name, why: told(row) })
    });
    let record = Record {
        dropped: dropped.collect(),
        files: files.iter().map(|(path, digest)| (path.display().to_string(), digest)).collect(),
        format: 2,
        made: json!(layout::made(run.plan, run.outcome)),
        name: &run.plan.name,
        numerics: datasets::effect::numerics(),
        refrain: env!("CARGO_PKG_VERSION"),
        run: name,
        scores: json!(scores),
        seed: run.plan.seed,
        stages,
        sweep: layout::points(run.plan),
        tainted: json!(run.withdrawn.tainted),
        views: layout::views(run.plan, run.outcome),
    };
    // Numbers, strings and lists of them: there is nothing that could fail.
    serde_json::to_string_pretty(&record).unwrap_or_default() + "\n"
}

/// `run.json`; its fields in the order of their names.
#[derive(Serialize)]
struct Record<'r> {
    dropped: Vec<Line<'r>>,
    files: BTreeMap<String, &'r Digest>,
    format: u32,
    made: Value,
    name: &'r str,
    numerics: &'r str,
    refrain: &'r str,
    run: &'r str,
    scores: Value,
    seed: u64,
    stages: Vec<Value>,
    sweep: Option<Value>,
    tainted: Value,
    views: BTreeMap<String, Digest>,
}

/// A dropped row.
#[derive(Serialize)]
struct Line<'r> {
    code: &'r str,
    id: &'r str,
    stage: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'r str>,
}

/// Not begun beside its place: a tree never holds what a killed process was writing.
fn write_timing(folder: &Path, text: &str) -> Result<(), StoreError> {
    let target = folder.join("timing.json");
    let mut temp = Temp::beside(folder)?;
    temp.write_all(text.as_bytes()).map_err(StoreError::io("write", &target))?;
    temp.commit(&target)
}

/// What this time was like.
fn timing(plan: &Plan, run: &str, summary: &Summary, workers: usize, processes: usize, started: Instant) -> String {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path).display().to_string();
    let sources = plan.stages.iter().filter(|stage| stage.entry.ports.is_empty());
    let sources = sources.map(|stage| {
        let places: Vec<String> = stage.ready.lies(&plan.base).into_iter().map(absolute).collect();
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

/// Makes a tree that is there the last one: what publishing does where nothing changed.
///
/// # Errors
/// When the store refuses.
pub fn again(
    plan: &Plan,
    store: &Store,
    published: &Published,
    summary: &Summary,
    workers: usize,
    started: Instant,
) -> Result<(), StoreError> {
    let text = timing(plan, &published.run, summary, workers, 1, started);
    write_timing(&published.folder, &text)?;
    point_latest(&store.runs(), &published.run)
}
