//! The results of a sweep: a row for each point, a column for each score.

use super::{
    data::Report,
    markup::{Text, counted, figure, put},
};
use crate::{
    report::data::{SweepCell, SweepView},
    terminal::table::aligned,
};

/// The section's content; `None` without a sweep.
pub(super) fn section(report: &Report) -> Option<String> {
    let sweep = report.sweep.as_ref()?;
    let mut out = format!("<p>{}", counted(sweep.rows.len() as u64, "points"));
    if sweep.seeds {
        out.push_str(", each with several seeds: figures are means \u{b1} the deviation of a sample over the seeds");
    }
    out.push_str(
        ". <code>results.csv</code> and <code>results.parquet</code> beside this page hold the same table. Scores of \
         stages that are the same at all points are in the other sections.</p>",
    );
    if sweep.scores.is_empty() {
        out.push_str("<p>No stage that the points differ in gives a score.</p>");
    }
    out.push_str("<div class=\"scroll\"><table class=\"snug\"><thead><tr><th scope=\"col\">Point</th>");
    for setting in &sweep.settings {
        put!(out, "<th scope=\"col\">{}</th>", Text(setting.trim_start_matches("stage.")));
    }
    if sweep.seeds {
        out.push_str("<th scope=\"col\">Seeds</th>");
    }
    let (differing, same) = sweep.columns();
    for &column in &differing {
        put!(out, "<th scope=\"col\" class=\"number\">{}</th>", Text(&sweep.scores[column]));
    }
    out.push_str("</tr></thead><tbody>");
    for row in &sweep.rows {
        put!(out, "<tr><th scope=\"row\">{}</th>", Text(&row.point));
        for value in &row.values {
            put!(out, "<td>{}</td>", if value.is_empty() { "\u{2013}".to_owned() } else { Text(value).to_string() });
        }
        if sweep.seeds {
            put!(out, "<td>{}</td>", Text(&row.seeds.join(", ")));
        }
        for &column in &differing {
            out.push_str(&match row.cells.get(column).and_then(Option::as_ref) {
                Some(cell) => format!("<td class=\"number\">{}</td>", figures(cell)),
                None => "<td class=\"number\">\u{2013}</td>".to_owned(),
            });
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    if let Some(first) = sweep.rows.first().filter(|_| !same.is_empty()) {
        put!(
            out,
            "<details><summary>{} that are the same at all points</summary>\
             <div class=\"scroll\"><table class=\"snug\"><tbody>",
            counted(same.len() as u64, "scores")
        );
        for column in same {
            let cell = first.cells.get(column).and_then(Option::as_ref).map_or_else(|| "\u{2013}".to_owned(), figures);
            put!(out, "<tr><th scope=\"row\">{}</th>", Text(&sweep.scores[column]));
            put!(out, "<td class=\"number\">{cell}</td></tr>");
        }
        out.push_str("</tbody></table></div></details>");
    }
    if !sweep.notes.is_empty() {
        out.push_str("<ul class=\"notes\" aria-label=\"Notes on the sweep\">");
        for note in &sweep.notes {
            put!(out, "<li>{}</li>", Text(note));
        }
        out.push_str("</ul>");
    }
    Some(out)
}

pub(crate) fn figures(cell: &SweepCell) -> String {
    let mut out = figure(Some(cell.mean), cell.decimals());
    if let Some(deviation) = cell.deviation {
        put!(out, " <span class=\"soft\">\u{b1} {}</span>", figure(Some(deviation), cell.decimals()));
    }
    if let Some(fingerprint) = cell.fingerprint {
        put!(out, " <sup>{fingerprint}</sup>");
    }
    out
}

/// The same table as plain text, for the screen.
pub fn text(sweep: &SweepView) -> String {
    let mut head = vec!["point".to_owned()];
    let (differing, same) = sweep.columns();
    head.extend(differing.iter().map(|&column| sweep.scores[column].clone()));
    let cell = |cell: Option<&SweepCell>| match cell {
        None => "-".to_owned(),
        Some(cell) => {
            let digits = cell.decimals();
            let spread = cell.deviation.map_or_else(String::new, |deviation| format!(" ± {deviation:.digits$}"));
            let fingerprint = cell.fingerprint.map_or_else(String::new, |fingerprint| format!(" ({fingerprint})"));
            format!("{:.digits$}{spread}{fingerprint}", cell.mean)
        }
    };
    let mut lines = vec![head];
    for row in &sweep.rows {
        let cells = differing.iter().map(|&column| cell(row.cells.get(column).and_then(Option::as_ref)));
        lines.push(std::iter::once(row.point.clone()).chain(cells).collect());
    }
    let mut out = aligned(&lines);
    if !same.is_empty() {
        put!(out, "the same at all points: {}\n", counted(same.len() as u64, "other scores"));
    }
    for note in &sweep.notes {
        put!(out, "note: {note}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::data::SweepRow;

    fn view() -> SweepView {
        let cell = |mean, deviation, fingerprint| Some(SweepCell { mean, deviation, fingerprint });
        SweepView {
            settings: vec!["stage.songs.top_p".into()],
            scores: vec!["fad.fad".into()],
            seeds: true,
            rows: vec![
                SweepRow {
                    point: "top_p=0.9".into(),
                    values: vec!["0.9".into()],
                    seeds: vec!["1".into(), "2".into()],
                    cells: vec![cell(12.3456, Some(0.25), Some('a'))],
                },
                SweepRow { point: "<b>".into(), values: vec![String::new()], cells: vec![None], ..SweepRow::default() },
            ],
            notes: vec!["a & b do not compare".into()],
        }
    }

    #[test]
    fn the_section_shows_every_point_escaped() {
        assert_eq!(section(&Report::default()), None);
        let page = section(&Report { sweep: Some(view()), ..Report::default() }).expect("a section");
        assert!(page.contains("12.35 <span class=\"soft\">± 0.25</span> <sup>a</sup>"), "{page}");
        assert!(page.contains("<th scope=\"row\">&lt;b&gt;</th><td>\u{2013}</td>"), "{page}");
        assert!(page.contains("a &amp; b do not compare"));
    }

    #[test]
    fn what_is_the_same_at_all_points_is_told_once() {
        let mut sweep = view();
        sweep.scores.push("fad.held out".into());
        sweep.rows.iter_mut().for_each(|row| {
            row.cells.push(Some(SweepCell { mean: 0.75, ..SweepCell::default() }));
        });
        let text = text(&sweep);
        assert!(!text.contains("held out") && text.contains("the same at all points: 1 other score\n"), "{text}");
        let page = section(&Report { sweep: Some(sweep), ..Report::default() }).expect("a section");
        assert_eq!(page.matches("fad.held out").count(), 1, "{page}");
        assert!(page.contains("0.7500"), "{page}");
    }

    #[test]
    fn the_text_lines_up() {
        let expected = "point               fad.fad\ntop_p=0.9  12.35 ± 0.25 (a)\n<b>                       -\nnote: a & b do not compare\n";
        assert_eq!(text(&view()), expected);
    }
}
