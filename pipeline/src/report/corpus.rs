//! The section on the corpus: tracks by license, split and genre, and how long they are.

use std::collections::BTreeMap;

use super::charts::{Bar, bars, histogram};
use super::data::{Report, TrackView};
use super::markup::{counted, duration, put};

/// The section's content; `None` without tracks.
pub(super) fn section(report: &Report) -> Option<String> {
    if report.corpus.is_empty() {
        return None;
    }
    let mut out = String::from("<div class=\"panels\">");
    type Field = fn(&TrackView) -> Option<&str>;
    let fields: [(&str, &str, Field); 3] = [
        ("By license", "none stated", |track| track.license.as_deref()),
        ("By split", "no split", |track| track.split.as_deref()),
        ("By genre", "none stated", |track| track.genre.as_deref()),
    ];
    for (title, missing, field) in fields {
        if report.corpus.iter().all(|track| field(track).is_none()) && title != "By license" {
            continue;
        }
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for track in &report.corpus {
            *counts.entry(field(track).filter(|v| !v.is_empty()).unwrap_or(missing)).or_default() += 1;
        }
        let rows = counts.into_iter().map(|(label, value)| Bar { label: label.to_owned(), value }).collect();
        put!(out, "<figure><figcaption>{title}</figcaption>{}</figure>", bars(&format!("Tracks {title}"), rows));
    }
    out.push_str("</div>");
    let lengths: Vec<f64> = report.corpus.iter().filter_map(|track| track.seconds).filter(|s| s.is_finite()).collect();
    if let Some(picture) = histogram("Tracks by length", "seconds", &lengths) {
        let mut sorted = lengths.clone();
        sorted.sort_by(f64::total_cmp);
        put!(
            out,
            "<figure><figcaption>By length <span class=\"soft\">{}, {} together; shortest {}, median {}, longest {}\
             </span></figcaption><div class=\"scroll\">{picture}</div></figure>",
            counted(lengths.len() as u64, "tracks"),
            duration(lengths.iter().sum()),
            duration(sorted[0]),
            duration(sorted[sorted.len() / 2]),
            duration(sorted[sorted.len() - 1])
        );
    }
    Some(out)
}
