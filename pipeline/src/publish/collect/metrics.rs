//! The figures of `evaluate` as tables of the report.

use crate::{
    dataflow::outcome::Outcome,
    plan::Plan,
    report::data::{ScoreColumn, ScoreRow, ScoreTable},
};
use datasets::row::Metric;

/// The figures of every stage that has some, with the stage's name.
fn of<'a>(plan: &'a Plan, outcome: &'a Outcome) -> impl Iterator<Item = (&'a str, Vec<Metric>)> {
    plan.stages.iter().zip(&outcome.stages).filter_map(|(stage, own)| {
        let metrics = own.kept.rows::<Metric>();
        (!metrics.is_empty()).then_some((stage.name.as_str(), metrics))
    })
}

/// Tables of the report for the figures of `evaluate`. Bits per code stand in the table of the priors.
pub fn tables(plan: &Plan, outcome: &Outcome) -> Vec<ScoreTable> {
    of(plan, outcome)
        .flat_map(|(stage, metrics)| [distances(stage, &metrics), spectra(stage, &metrics)])
        .flatten()
        .collect()
}

/// Subjects in the order in which they should score.
const ORDER: [&str; 5] = ["held out", "reconstruction", "songs", "unigram codes", "white noise"];

fn label(metric: &Metric) -> String {
    match metric.level {
        Some(level) => format!("{}, level {level}", metric.subject),
        None => metric.subject.clone(),
    }
}

fn column(name: &str, decimals: u8) -> ScoreColumn {
    ScoreColumn { name: name.into(), decimals }
}

fn distances(stage: &str, metrics: &[Metric]) -> Option<ScoreTable> {
    let mut own: Vec<&Metric> = metrics.iter().filter(|metric| metric.metric == Metric::FAD).collect();
    let place = |metric: &Metric| ORDER.iter().position(|subject| *subject == metric.subject);
    own.sort_by_key(|metric| (place(metric).unwrap_or(ORDER.len()), metric.level));
    let first = *own.first()?;
    let embedding = first.embedding.as_ref()?;
    let row = |metric: &&Metric| ScoreRow {
        label: label(metric),
        values: vec![
            Some(metric.value.get()),
            Some(metric.candidate.clips as f64),
            Some(metric.candidate.frames as f64),
        ],
    };
    Some(ScoreTable {
        title: format!("Fréchet audio distance: {stage}"),
        note: format!(
            "Over {} (version {}) at {} Hz, against {} real clips with {} vectors (reference {}). Lower is closer. All \
             candidates have equally many clips of one length; figures over another embedding, another reference or \
             another number of clips do not compare.",
            embedding.name,
            embedding.version,
            first.rate,
            first.reference.clips,
            first.reference.frames,
            first.reference.digest.short(12)
        ),
        rows_are: "Candidate".into(),
        columns: vec![column("FAD", 2), column("clips", 0), column("vectors", 0)],
        rows: own.iter().map(row).collect(),
    })
}

fn spectra(stage: &str, metrics: &[Metric]) -> Option<ScoreTable> {
    let own = |name: &str| metrics.iter().filter(|metric| metric.metric == name).collect::<Vec<_>>();
    let (mut squared, log_mel) = (own(Metric::SPECTRAL_MSE), own(Metric::LOG_MEL));
    squared.sort_by_key(|metric| metric.level);
    let first = *squared.first()?;
    let row = |metric: &&Metric| {
        let other = log_mel.iter().find(|other| (&other.subject, other.level) == (&metric.subject, metric.level));
        ScoreRow {
            label: label(metric),
            values: vec![
                Some(metric.value.get()),
                other.map(|other| other.value.get()),
                Some(metric.candidate.clips as f64),
                Some(metric.candidate.frames as f64),
            ],
        }
    };
    Some(ScoreTable {
        title: format!("Spectra of reconstructions: {stage}"),
        note: format!(
            "Means over held-out clips at {} Hz against their originals (reference {}): squared error of STFT \
             magnitudes (version {}), and absolute difference of log-mel spectra{}. Lower is closer.",
            first.rate,
            first.reference.digest.short(12),
            first.version,
            log_mel.first().map(|metric| format!(" (version {})", metric.version)).unwrap_or_default(),
        ),
        rows_are: "Candidate".into(),
        columns: vec![column("spectral MSE", 3), column("log-mel", 3), column("clips", 0), column("spectra", 0)],
        rows: squared.iter().map(row).collect(),
    })
}
