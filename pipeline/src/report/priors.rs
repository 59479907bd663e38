//! The section on the priors' training: bits per code by step, beside those of held-out codes in the end.

use super::charts::{Axes, Series, legend, lines};
use super::data::{PriorCurve, Report};
use super::markup::{Text, put};

/// The content; `None` without priors.
pub(super) fn training(report: &Report) -> Option<String> {
    let curves: Vec<&PriorCurve> = report.priors.iter().filter(|curve| !curve.points.is_empty()).collect();
    if curves.is_empty() {
        return None;
    }
    let mut out = String::from("<h3>Priors</h3>");
    let names = ["batch of each step", "held out, in the end", "unigram", "bigram"];
    out.push_str(&legend(&names.map(String::from).into_iter().enumerate().collect::<Vec<_>>()));
    out.push_str("<div class=\"pairs\">");
    for curve in curves {
        let title = format!("{}: level {}", curve.stage, curve.level);
        let axes = Axes { title: &format!("Bits per code of {title}"), x_unit: "step", x_log: false, y_log: false };
        if let Some(picture) = lines(&axes, &series(curve)) {
            put!(
                out,
                "<figure><figcaption>{} <span class=\"soft\">hop {}, bits per code</span></figcaption>{picture}</figure>",
                Text(&title),
                curve.hop
            );
        }
    }
    out.push_str(
        "</div><p class=\"soft aside\">Fewer bits are better. Unigram and bigram were counted on the training split and \
         score the same held-out codes as the prior does.</p>",
    );
    Some(out)
}

/// The curve, and a level line for each figure of held-out codes.
fn series(curve: &PriorCurve) -> Vec<Series> {
    let (first, last) = match (curve.points.first(), curve.points.last()) {
        (Some(first), Some(last)) => (first.0 as f64, last.0 as f64),
        _ => (0.0, 0.0),
    };
    let batch = Series {
        label: "batch".to_owned(),
        tone: 0,
        points: curve.points.iter().map(|(step, bits)| (*step as f64, *bits)).collect(),
    };
    let level = [("held out", curve.held_out), ("unigram", curve.unigram), ("bigram", curve.bigram)];
    let level = level.into_iter().enumerate().filter_map(|(i, (label, bits))| {
        let bits = bits?;
        Some(Series { label: label.to_owned(), tone: i + 1, points: vec![(first, bits), (last, bits)] })
    });
    std::iter::once(batch).chain(level).collect()
}
