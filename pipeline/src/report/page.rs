//! The page as a whole: head, summary, sections in order, manifest.

use super::data::Report;
use super::markup::{Text, counted, duration, put};
use super::{attribution, codec, corpus, listen, priors, songs, stages, sweep};

/// Nothing may be loaded and nothing may run: what the page needs is inside it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:";

/// The page: one self-contained HTML document, the same bytes for the same report.
#[must_use]
pub fn html(report: &Report) -> String {
    let sections: Vec<(&str, &str, String)> = [
        ("sweep", "Sweep", sweep::section(report)),
        ("stages", "Stages", stages::section(report)),
        ("corpus", "Corpus", corpus::section(report)),
        ("training", "Training", training(report)),
        ("codebooks", "Codebooks", codec::codebooks(report)),
        ("scores", "Scores", codec::scores(report)),
        ("listen", "Look and listen", listen::section(report)),
        ("songs", "Songs", songs::section(report)),
        ("attribution", "Attribution", attribution::section(report)),
        ("manifest", "Manifest", manifest(report)),
    ]
    .into_iter()
    .filter_map(|(id, title, content)| Some((id, title, content?)))
    .collect();

    let mut out = String::with_capacity(64 * 1024 + sections.iter().map(|s| s.2.len()).sum::<usize>());
    put!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"{POLICY}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"refrain\">\n\
         <title>{} \u{b7} {}</title>\n<style>\n{}</style>\n</head>\n<body>\n",
        Text(&report.name),
        Text(&report.run_id),
        include_str!("style.css")
    );
    put!(out, "<header class=\"top\"><h1>{}</h1>", Text(&report.name));
    put!(out, "<p class=\"run\">run <code>{}</code> \u{b7} seed {}</p>", Text(&report.run_id), report.seed);
    put!(out, "<p class=\"lead\">{}</p>", Text(&summary(report)));
    if !report.notes.is_empty() {
        out.push_str("<ul class=\"notes\" aria-label=\"Notes\">");
        for note in &report.notes {
            put!(out, "<li>{}</li>", Text(note));
        }
        out.push_str("</ul>");
    }
    out.push_str("<nav aria-label=\"Sections\"><ul>");
    for (id, title, _) in &sections {
        put!(out, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    out.push_str("</ul></nav></header>\n<main>\n");
    for (id, title, content) in &sections {
        put!(out, "<section id=\"{id}\" aria-labelledby=\"{id}-title\"><h2 id=\"{id}-title\">{title}</h2>\n");
        out.push_str(content);
        out.push_str("\n</section>\n");
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// Section on the training of codec and priors. `None` if nothing was trained.
fn training(report: &Report) -> Option<String> {
    let parts: Vec<String> = [codec::training(report), priors::training(report)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.concat())
}

/// Summary of the run in one sentence.
fn summary(report: &Report) -> String {
    let tracks = report.corpus.tracks;
    let seconds: f64 = report.corpus.seconds.iter().filter(|s| s.is_finite()).sum();
    let mut out = counted(tracks, "tracks");
    if seconds > 0.0 {
        put!(out, ", {} of audio,", duration(seconds));
    }
    match (report.clips, report.codes) {
        (Some(clips), Some(codes)) => {
            put!(out, " became {} and {}", counted(clips, "clips"), counted(codes, "codes"));
        }
        (Some(clips), None) => put!(out, " became {}", counted(clips, "clips")),
        (None, Some(codes)) => put!(out, " became {}", counted(codes, "codes")),
        (None, None) => out.push_str(if tracks == 1 { " was kept" } else { " were kept" }),
    }
    let mut levels: Vec<(u32, u32)> = report.codebooks.iter().map(|book| (book.level, book.hop)).collect();
    levels.sort_unstable();
    levels.dedup();
    if let (Some(_), Some(((_, last), others))) = (report.codes, levels.split_last()) {
        let others: Vec<String> = others.iter().map(|(_, hop)| hop.to_string()).collect();
        match others.as_slice() {
            [] => put!(out, ", at hop {last}"),
            others => put!(out, ", at hops {} and {last}", others.join(", ")),
        }
    }
    let dropped: u64 = report.stages.iter().fold(0, |sum, stage| sum.saturating_add(stage.dropped));
    if dropped > 0 {
        put!(out, "; {} dropped, each with its reason", counted(dropped, "rows"));
    }
    out.push('.');
    out
}

fn manifest(report: &Report) -> Option<String> {
    (!report.manifest.is_empty()).then(|| {
        format!(
            "<details><summary>As it was meant: what is not the default, but for where files lie</summary>\
             <pre><code>{}</code></pre></details>",
            Text(&report.manifest)
        )
    })
}
