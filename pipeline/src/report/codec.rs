//! The sections on the codec: how training went, how the codebooks are used, and tables of figures.

use super::charts::{Axes, Series, legend, lines};
use super::data::{Codebook, CurvePoint, Report};
use super::markup::{Text, count, figure, percent, put};

/// How training went, one chart per figure with a line per level; `None` without curves.
pub(super) fn training(report: &Report) -> Option<String> {
    type Field = fn(&CurvePoint) -> f64;
    let charts: [(&str, &str, bool, Field); 5] = [
        ("Reconstruction", "mean squared error of the waveform", true, |p| p.reconstruction),
        ("Spectral", "distance of STFT magnitudes", true, |p| p.spectral),
        ("Commitment", "squared distance of latents to codewords", true, |p| p.commitment),
        ("Codewords in use", "of each level's codebook", false, |p| f64::from(p.used)),
        ("Perplexity", "of codeword use", false, |p| p.perplexity),
    ];
    let sets: Vec<_> = report.curves.iter().filter(|set| !set.points.is_empty()).collect();
    if sets.is_empty() {
        return None;
    }
    let named: Vec<(usize, String)> =
        sets.iter().map(|set| (set.level as usize, format!("level {} (hop {})", set.level, set.hop))).collect();
    let mut out = legend(&named);
    out.push_str("<div class=\"pairs\">");
    for (title, unit, y_log, field) in charts {
        let series: Vec<Series> = sets
            .iter()
            .map(|set| Series {
                label: format!("level {}", set.level),
                tone: set.level as usize,
                points: set.points.iter().map(|p| (p.step as f64, field(p))).collect(),
            })
            .collect();
        if let Some(picture) = lines(&Axes { title, x_unit: "step", x_log: false, y_log }, &series) {
            put!(out, "<figure><figcaption>{title} <span class=\"soft\">{unit}</span></figcaption>{picture}</figure>");
        }
    }
    out.push_str("</div>");
    Some(out)
}

/// How the codebooks are used over the train split; `None` without any.
pub(super) fn codebooks(report: &Report) -> Option<String> {
    if report.codebooks.is_empty() {
        return None;
    }
    let mut out = String::from(
        "<div class=\"pairs\"><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Level</th>\
         <th scope=\"col\" class=\"number\">Hop</th><th scope=\"col\" class=\"number\">Used</th>\
         <th scope=\"col\" class=\"number\">Perplexity</th><th scope=\"col\" class=\"number\">Codes</th>\
         </tr></thead><tbody>",
    );
    for book in &report.codebooks {
        let (used, size) = (book.used() as u64, book.counts.len() as u64);
        put!(out, "<tr><th scope=\"row\"><span class=\"swatch t{}\"></span>{}</th>", book.level % 6, book.level);
        put!(out, "<td class=\"number\">{}</td>", book.hop);
        put!(out, "<td class=\"number\">{} of {} ", count(used), count(size));
        put!(out, "<span class=\"soft\">{}</span></td>", percent(used, size));
        put!(out, "<td class=\"number\">{}</td>", figure(Some(book.perplexity()), 0));
        put!(out, "<td class=\"number\">{}</td></tr>", count(book.total()));
    }
    out.push_str(
        "</tbody></table><p class=\"soft\">Counted over the train split. Perplexity is the number of equally likely \
         codewords that would be as hard to guess.</p></div>",
    );
    let series: Vec<Series> = report.codebooks.iter().map(ranked).collect();
    let axes = Axes { title: "Share of codes by rank of codeword", x_unit: "rank", x_log: true, y_log: true };
    if let Some(picture) = lines(&axes, &series) {
        put!(
            out,
            "<figure><figcaption>Share of codes <span class=\"soft\">by a codeword's rank, both axes logarithmic\
             </span></figcaption>{picture}</figure>"
        );
    }
    out.push_str("</div>");
    Some(out)
}

/// The share of each used codeword, most used first, at ranks about evenly spaced on a logarithmic axis.
fn ranked(book: &Codebook) -> Series {
    let mut counts: Vec<u64> = book.counts.iter().copied().filter(|&n| n > 0).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let total = book.total().max(1) as f64;
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut rank = 1usize;
    while rank <= counts.len() {
        points.push((rank as f64, counts[rank - 1] as f64 / total));
        rank = (rank + 1).max(rank * 21 / 20);
    }
    if let Some(&last) = counts.last() {
        points.push((counts.len() as f64, last as f64 / total));
    }
    Series { label: format!("level {}", book.level), tone: book.level as usize, points }
}

/// Tables of figures; `None` without any.
pub(super) fn scores(report: &Report) -> Option<String> {
    if report.scores.is_empty() {
        return None;
    }
    let mut out = String::new();
    for table in &report.scores {
        put!(out, "<h3>{}</h3>", Text(&table.title));
        if !table.note.is_empty() {
            put!(out, "<p>{}</p>", Text(&table.note));
        }
        put!(out, "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">{}</th>", Text(&table.rows_are));
        for column in &table.columns {
            put!(out, "<th scope=\"col\" class=\"number\">{}</th>", Text(&column.name));
        }
        out.push_str("</tr></thead><tbody>");
        for row in &table.rows {
            put!(out, "<tr><th scope=\"row\">{}</th>", Text(&row.label));
            for (i, column) in table.columns.iter().enumerate() {
                let value = row.values.get(i).copied().flatten();
                put!(out, "<td class=\"number\">{}</td>", figure(value, usize::from(column.decimals)));
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table></div>");
    }
    Some(out)
}
