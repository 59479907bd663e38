//! The section on the corpus: tracks by license, split and genre, and how long they are.

use super::charts::{Bar, bars, histogram};
use super::data::Report;
use super::markup::{counted, duration, put};

/// The section's content; `None` without tracks.
pub(super) fn section(report: &Report) -> Option<String> {
    let corpus = &report.corpus;
    if corpus.tracks == 0 {
        return None;
    }
    let mut out = String::from("<div class=\"panels\">");
    let fields = [
        ("By license", "none stated", &corpus.licenses),
        ("By split", "no split", &corpus.splits),
        ("By genre", "none stated", &corpus.genres),
    ];
    for (title, missing, counts) in fields {
        if counts.keys().all(String::is_empty) && title != "By license" {
            continue;
        }
        let label = |label: &str| if label.is_empty() { missing } else { label }.to_owned();
        let mut rows: Vec<Bar> = counts.iter().map(|(own, value)| Bar { label: label(own), value: *value }).collect();
        rows.sort_by(|a, b| a.label.cmp(&b.label));
        put!(out, "<figure><figcaption>{title}</figcaption>{}</figure>", bars(&format!("Tracks {title}"), rows));
    }
    out.push_str("</div>");
    let lengths: Vec<f64> = corpus.seconds.iter().copied().filter(|s| s.is_finite()).collect();
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
