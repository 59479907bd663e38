//! To whom the corpus is owed: the page's section and `ATTRIBUTION.md`, from one grouping.

use rayon::prelude::*;
use std::collections::BTreeMap;

use super::data::{Attribution, Report};
use super::markup::{Text, count, counted, license_links, linked, put, spdx_page, web_address};

/// Lines the page shows of one license; the file has all.
const MOST_LINES: usize = 400;

/// Works by license. Equal works are one line with their tracks added up; lines are in order of artist and title,
/// so that the order of the input does not matter.
fn by_license(works: &[Attribution]) -> BTreeMap<&str, Vec<Attribution>> {
    let mut sorted: Vec<_> =
        works.par_iter().map(|work| (work.artist.to_lowercase(), work.title.to_lowercase(), work)).collect();
    let exact = |a: &Attribution, b: &Attribution| {
        let names = (&a.artist, &a.title, &a.source).cmp(&(&b.artist, &b.title, &b.source));
        names.then_with(|| a.license_url.cmp(&b.license_url))
    };
    sorted.par_sort_by(|a, b| {
        let license = a.2.license.trim().cmp(b.2.license.trim());
        license.then_with(|| (&a.0, &a.1).cmp(&(&b.0, &b.1))).then_with(|| exact(a.2, b.2))
    });
    let mut merged: BTreeMap<&str, Vec<Attribution>> = BTreeMap::new();
    for (_, _, work) in sorted {
        let lines = merged.entry(work.license.trim()).or_default();
        match lines.last_mut() {
            Some(line) if exact(line, work).is_eq() => {
                line.tracks = line.tracks.saturating_add(work.tracks);
                line.trained_on = line.trained_on.saturating_add(work.trained_on);
            }
            _ => lines.push(work.clone()),
        }
    }
    merged
}

fn tracks(works: &[Attribution]) -> u64 {
    works.iter().fold(0, |sum, work| sum.saturating_add(work.tracks))
}

/// What was done to the recordings, which licenses such as CC-BY ask to be said.
fn changes(report: &Report) -> String {
    let known = [
        ("decode", "decoded"),
        ("resample", "resampled"),
        ("loudness", "leveled"),
        ("segment", "cut"),
        ("encode", "encoded to discrete codes"),
    ];
    let done: Vec<&str> = known
        .into_iter()
        .filter(|(verb, _)| report.stages.iter().any(|stage| stage.verb == *verb))
        .map(|(_, done)| done)
        .collect();
    match done.split_last() {
        None => "The recordings were not changed.".to_owned(),
        Some((only, [])) => format!("The recordings were {only}."),
        Some((last, others)) => format!("The recordings were {} and {last}.", others.join(", ")),
    }
}

/// The section's content; `None` where nothing is owed to anybody.
pub(super) fn section(report: &Report) -> Option<String> {
    if report.attribution.is_empty() {
        return None;
    }
    let groups = by_license(&report.attribution);
    let mut out =
        format!("<p>{} <code>ATTRIBUTION.md</code> beside this page holds the same list as text", changes(report));
    let trained_on = report.attribution.iter().any(|work| work.trained_on > 0);
    out.push_str(match trained_on {
        true => {
            ", <code>model/ATTRIBUTION.md</code> the works that the models were trained on: whatever is made with them \
             rests on those.</p>"
        }
        false => ".</p>",
    });
    for (license, works) in groups {
        let name = if license.is_empty() { "No license stated".to_owned() } else { license_links(license) };
        let open = if works.len() <= 12 { " open" } else { "" };
        put!(out, "<details class=\"license\"{open}><summary><h3>{name}</h3> <span class=\"soft\">");
        put!(out, "{}</span></summary>", counted(tracks(&works), "tracks"));
        put!(
            out,
            "<div class=\"scroll\"><table class=\"works\"><thead><tr><th scope=\"col\">Title</th><th scope=\"col\">By</th>\
             <th scope=\"col\">Source</th><th scope=\"col\" class=\"number\">Tracks</th>{}</tr></thead><tbody>",
            if trained_on { "<th scope=\"col\" class=\"number\">Trained on</th>" } else { "" }
        );
        for work in works.iter().take(MOST_LINES) {
            let title = if work.title.is_empty() { "untitled" } else { &work.title };
            let artist = if work.artist.is_empty() { "unknown" } else { &work.artist };
            put!(out, "<tr><th scope=\"row\">{}</th><td>{}</td><td>", Text(title), Text(artist));
            out.push_str(&if work.source.is_empty() { "\u{2013}".to_owned() } else { linked(&work.source) });
            if let Some(address) = work.license_url.as_deref().and_then(web_address) {
                put!(
                    out,
                    " <a class=\"soft\" href=\"{}\" rel=\"license noopener noreferrer\">license</a>",
                    Text(address)
                );
            }
            put!(out, "</td><td class=\"number\">{}</td>", count(work.tracks));
            if trained_on {
                put!(out, "<td class=\"number\">{}</td>", count(work.trained_on));
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table></div>");
        if works.len() > MOST_LINES {
            let rest = count((works.len() - MOST_LINES) as u64);
            put!(out, "<p>And {rest} more, all of them in <code>ATTRIBUTION.md</code>.</p>");
        }
        out.push_str("</details>");
    }
    Some(out)
}

/// `ATTRIBUTION.md`: every work with its title, author, source and license, grouped by license, in an order that
/// does not depend on the input's. Markdown in titles is taken literally.
#[must_use]
pub fn attribution_md(report: &Report) -> String {
    let mut out = format!("# Attribution: {}\n\n", Plain(&report.name));
    put!(out, "Run `{}`. ", report.run_id.replace('`', ""));
    if report.attribution.is_empty() {
        out.push_str("It rests on no recordings.\n");
        return out;
    }
    list(&mut out, "It rests", &report.attribution, report);
    out
}

/// `ATTRIBUTION.md` of a bundle: every work that its models were trained on, in the same form.
#[must_use]
pub fn trained_on_md(report: &Report) -> String {
    let mut out = format!("# Attribution: models of {}\n\n", Plain(&report.name));
    put!(out, "Run `{}`. ", report.run_id.replace('`', ""));
    let trained_on = report.attribution.iter().filter(|work| work.trained_on > 0);
    let works: Vec<Attribution> =
        trained_on.map(|work| Attribution { tracks: work.trained_on, ..work.clone() }).collect();
    if works.is_empty() {
        out.push_str("No recording of this corpus is known to have been in the training of its models.\n");
        return out;
    }
    list(&mut out, "Its models, and whatever is made with them, rest", &works, report);
    out
}

fn list(out: &mut String, rest: &str, works: &[Attribution], report: &Report) {
    let groups = by_license(works);
    put!(
        out,
        "{rest} on {} under {}. {}\n",
        counted(tracks(works), "tracks"),
        counted(groups.len() as u64, "licenses"),
        changes(report)
    );
    for (license, works) in groups {
        let name = if license.is_empty() { "No license stated" } else { license };
        put!(out, "\n## {}\n\n", Plain(name));
        let pages: Vec<String> = license
            .split(|c: char| c.is_whitespace() || c == '(' || c == ')')
            .filter_map(spdx_page)
            .map(|page| format!("<{page}>"))
            .collect();
        if !pages.is_empty() {
            put!(out, "{}\n\n", pages.join(" "));
        }
        for work in &works {
            line(out, work, license);
        }
    }
}

fn line(out: &mut String, work: &Attribution, license: &str) {
    let title = if work.title.is_empty() { "untitled" } else { &work.title };
    let artist = if work.artist.is_empty() { "unknown" } else { &work.artist };
    put!(out, "- \"{}\" by {}.", Plain(title), Plain(artist));
    if !work.source.is_empty() {
        put!(out, " Source: {}.", address(&work.source));
    }
    let stated = if license.is_empty() { "none stated" } else { license };
    put!(out, " License: {}", Plain(stated));
    if let Some(url) = &work.license_url {
        put!(out, " ({})", address(url));
    }
    out.push('.');
    if work.tracks != 1 {
        put!(out, " {}.", counted(work.tracks, "tracks"));
    }
    out.push('\n');
}

/// A web address as a Markdown link to itself; anything else as plain text.
fn address(text: &str) -> String {
    match web_address(text) {
        Some(address) => format!("<{}>", address.replace('<', "%3C").replace('>', "%3E")),
        None => Plain(text).to_string(),
    }
}

/// Text that Markdown shows as it is, on one line.
struct Plain<'a>(&'a str);

impl std::fmt::Display for Plain<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write as _;
        for c in self.0.trim().chars() {
            match c {
                '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '#' | '|' | '~' | '$' => {
                    out.write_char('\\')?;
                    out.write_char(c)?;
                }
                c if c.is_control() => out.write_char(' ')?,
                c => out.write_char(c)?,
            }
        }
        Ok(())
    }
}
