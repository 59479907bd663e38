//! The section on the stages: their graph and what each kept and dropped.

use super::data::{Report, StageView};
use super::graph;
use super::markup::{Text, count, put};

/// The section's content; `None` without stages.
pub(super) fn section(report: &Report) -> Option<String> {
    let picture = graph::graph(&report.stages)?;
    let mut out =
        format!("<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Graph of stages\">{picture}</div>");
    out.push_str(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Stage</th><th scope=\"col\">Reads</th>\
         <th scope=\"col\" class=\"number\">Kept</th><th scope=\"col\" class=\"number\">Dropped</th>\
         <th scope=\"col\" class=\"wide\">Why</th></tr></thead><tbody>",
    );
    for i in graph::reading_order(&report.stages) {
        row(&mut out, &report.stages[i]);
    }
    out.push_str("</tbody></table></div>");
    Some(out)
}

fn row(out: &mut String, stage: &StageView) {
    put!(
        out,
        "<tr><th scope=\"row\">{} <span class=\"soft verb\">{}</span></th>",
        Text(&stage.name),
        Text(&stage.verb)
    );
    let from = if stage.from.is_empty() { "\u{2013}".to_owned() } else { stage.from.join(", ") };
    put!(out, "<td>{}</td><td class=\"number\">{} ", Text(&from), count(stage.kept));
    put!(out, "<span class=\"soft\">{}</span></td>", Text(&stage.unit));
    let lost = if stage.dropped > 0 { " lost" } else { " soft" };
    put!(out, "<td class=\"number{lost}\">{}</td><td>", count(stage.dropped));
    if !stage.reasons.is_empty() {
        let mut reasons: Vec<_> = stage.reasons.iter().collect();
        reasons.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.code.cmp(&b.code)));
        let named: Vec<String> = reasons.iter().map(|r| format!("{} {}", count(r.count), r.code)).collect();
        put!(out, "<details><summary>{}</summary><dl>", Text(&named.join(", ")));
        for reason in reasons {
            put!(out, "<dt><code>{}</code> \u{d7} {}</dt>", Text(&reason.code), count(reason.count));
            put!(out, "<dd>{}</dd>", Text(&reason.example));
        }
        out.push_str("</dl></details>");
    }
    out.push_str("</td></tr>");
}
