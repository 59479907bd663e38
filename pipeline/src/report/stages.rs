//! The section on the stages: their graph and what each kept and dropped.

use super::charts::graph;
use super::data::{Report, StageView};
use super::markup::{Text, count, put};
use std::collections::BTreeMap;

/// The section's content; `None` without stages.
pub(super) fn section(report: &Report) -> Option<String> {
    let picture = graph::graph(&together(&report.stages))?;
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

/// The stages with the variants of each as one: a sweep of many points stays a picture.
fn together(stages: &[StageView]) -> Vec<StageView> {
    let of = |name: &str| name.split('[').next().unwrap_or(name).to_owned();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    stages.iter().for_each(|stage| *counts.entry(of(&stage.name)).or_default() += 1);
    let shown = |name: &str| match counts.get(&of(name)) {
        Some(&many) if many > 1 => format!("{} \u{d7} {many}", of(name)),
        _ => of(name),
    };
    let mut all: Vec<StageView> = Vec::new();
    for stage in stages {
        let name = shown(&stage.name);
        let from = stage.from.iter().map(|name| shown(name));
        match all.iter_mut().find(|known| known.name == name) {
            Some(known) => {
                known.kept = known.kept.saturating_add(stage.kept);
                known.dropped = known.dropped.saturating_add(stage.dropped);
                known.from.extend(from);
            }
            None => all.push(StageView { name, from: from.collect(), ..stage.clone() }),
        }
    }
    all
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_one_box_and_a_row_each() {
        let stage = |name: &str, from: &[&str], kept: u64| StageView {
            name: name.to_owned(),
            from: from.iter().map(|&name| name.to_owned()).collect(),
            kept,
            ..StageView::default()
        };
        let stages = [
            stage("codec", &[], 1),
            stage("songs[top_p=0.9]", &["codec"], 2),
            stage("songs[top_p=1.0]", &["codec"], 3),
            stage("fad[top_p=0.9]", &["songs[top_p=0.9]"], 1),
        ];
        let drawn = together(&stages);
        let told = |stage: &StageView| (stage.name.clone(), stage.from.clone(), stage.kept);
        let text = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            drawn.iter().map(told).collect::<Vec<_>>(),
            [
                ("codec".to_owned(), text(&[]), 1),
                ("songs \u{d7} 2".to_owned(), text(&["codec", "codec"]), 5),
                ("fad".to_owned(), text(&["songs \u{d7} 2"]), 1),
            ]
        );
        let page = section(&Report { stages: stages.to_vec(), ..Report::default() }).expect("a section");
        assert_eq!((page.matches("class=\"node\"").count(), page.matches("<th scope=\"row\">").count()), (3, 4));
    }
}
