//! The sections on the codec: training curves, use of the codebooks, and tables of figures.

use super::charts::{Axes, Series, legend, lines};
use super::data::{Codebook, CurvePoint, CurveSet, Report};
use super::markup::{Text, count, figure, percent, put};

type Field = fn(&CurvePoint) -> f64;

/// Section on the codec's training: one chart per loss with a line per level. `None` without curves.
pub(super) fn training(report: &Report) -> Option<String> {
    let sets: Vec<&CurveSet> = report.curves.iter().filter(|set| !set.points.is_empty()).collect();
    if sets.is_empty() {
        return None;
    }
    let named: Vec<(usize, String)> =
        sets.iter().map(|set| (set.level as usize, format!("level {} (hop {})", set.level, set.hop))).collect();
    let mut out = legend(&named);
    out.push_str("<div class=\"pairs\">");
    let losses: [(&str, &str, Field); 4] = [
        ("Reconstruction", "mean squared error of samples; with oscillators, distance of amplitudes", |p| {
            p.reconstruction
        }),
        ("Spectral", "distance of STFT magnitudes", |p| p.spectral),
        ("Log-spectral", "distance of their logarithms; with oscillators, of amplitudes", |p| p.log_spectral),
        ("Commitment", "squared distance of latents to codewords", |p| p.commitment),
    ];
    for (title, note, field) in losses {
        out.push_str(&curve(report, title, note, true, field));
    }
    out.push_str(
        "<div><div class=\"scroll\"><table><thead><tr><th scope=\"col\">At the end</th>\
         <th scope=\"col\" class=\"number\">Step</th>",
    );
    for (title, _, _) in losses {
        put!(out, "<th scope=\"col\" class=\"number\">{title}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for set in sets {
        let Some(last) = set.points.last() else { continue };
        put!(out, "<tr><th scope=\"row\"><span class=\"swatch t{}\"></span>level {}</th>", set.level % 6, set.level);
        put!(out, "<td class=\"number\">{}</td>", count(last.step));
        for (_, _, field) in losses {
            put!(out, "<td class=\"number\">{}</td>", figure(Some(field(last)), 4));
        }
        out.push_str("</tr>");
    }
    out.push_str(
        "</tbody></table></div><p class=\"soft aside\">A line is the mean of neighboring steps, its band their least \
         and greatest.</p></div></div>",
    );
    Some(out)
}

/// One figure of training over its steps, with a line per level; empty where nothing was recorded.
fn curve(report: &Report, title: &str, note: &str, y_log: bool, field: Field) -> String {
    let series: Vec<Series> = report
        .curves
        .iter()
        .map(|set| Series {
            label: format!("level {}", set.level),
            tone: set.level as usize,
            points: set.points.iter().map(|p| (p.step as f64, field(p))).collect(),
        })
        .collect();
    match lines(&Axes { title, x_unit: "step", x_log: false, y_log }, &series) {
        Some(picture) => {
            format!("<figure><figcaption>{title} <span class=\"soft\">{note}</span></figcaption>{picture}</figure>")
        }
        None => String::new(),
    }
}

/// Section on the use of the codebooks over the train split. `None` without any.
pub(super) fn codebooks(report: &Report) -> Option<String> {
    if report.codebooks.is_empty() {
        return None;
    }
    let mut out = String::from(
        "<div class=\"pairs\"><div><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Level</th>\
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
        put!(out, "<td class=\"number\">{}</td>", count(book.perplexity().round() as u64));
        put!(out, "<td class=\"number\">{}</td></tr>", count(book.total()));
    }
    out.push_str(
        "</tbody></table></div><p class=\"soft aside\">Counted over the train split. Perplexity is the number of equally likely \
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
    out.push_str(&curve(report, "Codewords in use", "as training went", false, |p| f64::from(p.used)));
    out.push_str(&curve(report, "Perplexity", "as training went", false, |p| p.perplexity));
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
        put!(
            out,
            "<div class=\"scroll\"><table class=\"snug\"><thead><tr><th scope=\"col\">{}</th>",
            Text(&table.rows_are)
        );
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
