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

/// Order of a set of metrics: that in which their subjects should score, level by level.
fn ordered<'a>(metrics: &'a [Metric], name: &str) -> Vec<&'a Metric> {
    let mut own: Vec<&Metric> = metrics.iter().filter(|metric| metric.metric == name).collect();
    let place = |metric: &Metric| ORDER.iter().position(|subject| *subject == metric.subject);
    own.sort_by_key(|metric| (place(metric).unwrap_or(ORDER.len()), metric.level));
    own
}

/// The metric of this name on the same subject and level as `row`.
fn beside<'a>(metrics: &'a [Metric], name: &str, row: &Metric) -> Option<&'a Metric> {
    metrics.iter().find(|own| own.metric == name && own.subject == row.subject && own.level == row.level)
}

fn distances(stage: &str, metrics: &[Metric]) -> Option<ScoreTable> {
    let own = ordered(metrics, Metric::FAD);
    let first = *own.first()?;
    let embedding = first.embedding.as_ref()?;
    let others = [Metric::FAD_INFINITY, Metric::KAD, Metric::MAD, Metric::PRECISION, Metric::RECALL];
    let row = |metric: &&Metric| {
        let bound = |at: usize| metric.interval.map(|interval| interval[at].get());
        let beside = |name: &&str| beside(metrics, name, metric).map(|other| other.value.get());
        let counts = [metric.candidate.clips, metric.candidate.frames].map(|count| Some(count as f64));
        let values = [Some(metric.value.get()), bound(0), bound(1)].into_iter();
        ScoreRow { label: label(metric), values: values.chain(others.iter().map(beside)).chain(counts).collect() }
    };
    let columns = [
        ("FAD", 2),
        ("from", 2),
        ("to", 2),
        ("FAD\u{221e}", 2),
        ("KAD", 2),
        ("MAD", 2),
        ("precision", 2),
        ("recall", 2),
        ("clips", 0),
        ("vectors", 0),
    ];
    Some(ScoreTable {
        title: format!("Fréchet audio distance: {stage}"),
        note: format!(
            "Over {} (version {}) at {} Hz, against {} real clips with {} vectors (reference {}). Lower is closer; of \
             precision and recall, higher is. From and to: the interval that covers FAD with 95 %, over recordings; too few \
             tell none. FAD\u{221e}: without the bias of few vectors; too few tell none. KAD: by kernels, which assume no \
             Gaussian, 0 on the mean for equal sets. MAD: by clusters. Precision: how much of the candidate is like \
             something real; recall: how much of what is real is like something in the candidate. All candidates have \
             equally many clips of one length; figures over another embedding, another reference or another number of clips \
             do not compare.",
            embedding.name,
            embedding.version,
            first.rate,
            first.reference.clips,
            first.reference.frames,
            first.reference.digest.short(12)
        ),
        rows_are: "Candidate".into(),
        columns: columns.map(|(name, decimals)| column(name, decimals)).into(),
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
    let of = |row: &Metric, name: &str| beside(metrics, name, row).map(|metric| metric.value.get());
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
    let squared = ordered(metrics, Metric::SPECTRAL_MSE);
    let first = *squared.first()?;
    let others = [Metric::LOG_MEL, Metric::STFT, Metric::SNR];
    let versions: Vec<String> = (others.iter().filter_map(|name| beside(metrics, name, first)))
        .map(|metric| format!("{} version {}", metric.metric, metric.version))
        .collect();
    let row = |metric: &&Metric| {
        let beside = |name: &&str| beside(metrics, name, metric).map(|other| other.value.get());
        let counts = [metric.candidate.clips, metric.candidate.frames].map(|count| Some(count as f64));
        let values = std::iter::once(Some(metric.value.get())).chain(others.iter().map(beside)).chain(counts);
        ScoreRow { label: label(metric), values: values.collect() }
    };
    let columns = [("spectral MSE", 3), ("log-mel", 3), ("STFT", 3), ("SNR in dB", 1), ("clips", 0), ("spectra", 0)];
    Some(ScoreTable {
        title: format!("Spectra of reconstructions: {stage}"),
        note: format!(
            "Means over held-out clips at {} Hz against their originals (reference {}): squared error of STFT \
             magnitudes (version {}), absolute difference of log-mel spectra, multi-resolution STFT distance, and \
             signal-to-noise ratio ({}). Lower is closer; of the ratio, higher is.",
            first.rate,
            first.reference.digest.short(12),
            first.version,
            versions.join(", "),
        ),
        rows_are: "Candidate".into(),
        columns: columns.map(|(name, decimals)| column(name, decimals)).into(),
        rows: squared.iter().map(row).collect(),
    })
}
