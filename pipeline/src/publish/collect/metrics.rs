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
        .flat_map(|(stage, metrics)| [distances(stage, &metrics), notes(stage, &metrics), spectra(stage, &metrics)])
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

fn notes(stage: &str, metrics: &[Metric]) -> Option<ScoreTable> {
    let columns = [Metric::SOUNDING, Metric::ONSETS, Metric::PULSE, Metric::SALIENCE];
    let mut own: Vec<&Metric> = metrics.iter().filter(|metric| metric.metric == columns[0]).collect();
    // The reference stands above what is compared with it.
    let place = |metric: &Metric| ORDER.iter().position(|subject| *subject == metric.subject).map(|at| at + 1);
    own.sort_by_key(|metric| (place(metric).unwrap_or(0), metric.level));
    own.first()?;
    let of = |row: &Metric, name: &str| {
        let same = metrics.iter().find(|m| m.metric == name && m.subject == row.subject && m.level == row.level);
        same.map(|metric| metric.value.get())
    };
    let row = |metric: &&Metric| ScoreRow {
        label: label(metric),
        values: columns.iter().map(|name| of(metric, name)).chain([Some(metric.candidate.clips as f64)]).collect(),
    };
    Some(ScoreTable {
        title: format!("Notes: {stage}"),
        note: "Means over the clips. Sounding: the share of the time within 40 dB of the loudest. Onsets: beginnings of notes, \
               a second. Pulse: how alike these are to themselves one beat later; 1 is a machine's, noise has 0.1 to 0.2. \
               Salience: the share of the energy from 80 to 2,000 Hz in the strongest 5 % of frequencies; clear pitches \
               have over 0.8, noise 0.4. Songs like the music they come of have its figures."
            .into(),
        rows_are: "Sound".into(),
        columns: columns.iter().map(|name| column(name, 2)).chain([column("clips", 0)]).collect(),
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
