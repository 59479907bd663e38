//! Attribution of the corpus: the page's section and `ATTRIBUTION.md`, from one grouping.

use rayon::{iter::Either, prelude::*};
use stages::STAGES;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::data::{Attribution, Report};
use super::markup::{Text, count, counted, license_links, linked, put, spdx_page, web_address};

/// Lines the page shows of one license; the file has all.
const MOST_LINES: usize = 400;
/// Lines of the file that are written on one thread.
const AT_ONCE: usize = 1 << 14;

/// A text in lower case, character by character.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(|c| match c.is_ascii() {
        true => Either::Left(std::iter::once(c.to_ascii_lowercase())),
        false => Either::Right(c.to_lowercase()),
    })
}

/// First 16 bytes of a text in lower case, as a number that sorts as the text does.
fn start(text: &str) -> u128 {
    let mut start = [0; 16];
    let mut rest = start.as_mut_slice();
    for c in folded(text) {
        let mut utf8 = [0; 4];
        let bytes = c.encode_utf8(&mut utf8).as_bytes();
        let fits = bytes.len().min(rest.len());
        rest[..fits].copy_from_slice(&bytes[..fits]);
        rest = &mut rest[fits..];
        if rest.is_empty() {
            break;
        }
    }
    u128::from_be_bytes(start)
}

/// The order of two texts in lower case.
fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    if !a.is_ascii() || !b.is_ascii() {
        return folded(a).cmp(folded(b));
    }
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    match (a.as_bytes().get(same), b.as_bytes().get(same)) {
        (Some(a), Some(b)) => a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()),
        _ => a.len().cmp(&b.len()),
    }
}

/// The order of lines: by license, artist and title whatever their case, and by everything that makes them one.
fn order(a: &Attribution, b: &Attribution) -> Ordering {
    let license = if a.license == b.license { Ordering::Equal } else { a.license.trim().cmp(b.license.trim()) };
    license
        .then_with(|| compare(&a.artist, &b.artist))
        .then_with(|| compare(&a.title, &b.title))
        .then_with(|| (&a.artist, &a.title, &a.source).cmp(&(&b.artist, &b.title, &b.source)))
        .then_with(|| a.license_url.cmp(&b.license_url))
}

/// Whether two works are one line: [`order`] finds them equal.
fn one_line(a: &Attribution, b: &Attribution) -> bool {
    a.title == b.title
        && a.artist == b.artist
        && a.source == b.source
        && a.license_url == b.license_url
        && (a.license == b.license || a.license.trim() == b.license.trim())
}

/// Most pairs are told apart by numbers, without a look at the texts: license, start of the artist and of the title.
type Start = (u32, u128, u128);

/// Works in the order of lines. Equal works are one line with their tracks added up, so that the order in which works come
/// does not matter.
#[must_use]
pub fn merged(mut works: Vec<Attribution<'_>>) -> Vec<Attribution<'_>> {
    let licenses: BTreeSet<&str> = works.par_iter().map(|work| work.license.trim()).collect();
    let ranks: BTreeMap<&str, u32> = licenses.into_iter().zip(0..).collect();
    let key = |(index, work): (usize, &Attribution)| {
        ((ranks[work.license.trim()], start(&work.artist), start(&work.title)), index as u32)
    };
    let mut keyed: Vec<(Start, u32)> = works.par_iter().enumerate().map(key).collect();
    keyed.par_sort_unstable_by(|(a, one), (b, other)| {
        let (own, others) = (&works[*one as usize], &works[*other as usize]);
        let artists = || if a.1 == b.1 { compare(&own.artist, &others.artist) } else { a.1.cmp(&b.1) };
        let titles = || a.2.cmp(&b.2).then_with(|| order(own, others));
        a.0.cmp(&b.0).then_with(artists).then_with(titles).then(one.cmp(other))
    });
    // In place, as there may be millions: each work that is in another's place makes way for it, and so on in a circle.
    for start in 0..keyed.len() {
        let mut here = start;
        loop {
            let there = std::mem::replace(&mut keyed[here].1, here as u32) as usize;
            if there == start {
                break;
            }
            works.swap(here, there);
            here = there;
        }
    }
    works.dedup_by(|work, line| {
        let same = one_line(line, work);
        if same {
            line.tracks = line.tracks.saturating_add(work.tracks);
            line.trained_on = line.trained_on.saturating_add(work.trained_on);
        }
        same
    });
    works
}

/// [`merged`], where they are not already.
fn in_order<'a, 'w>(works: &'a [Attribution<'w>]) -> Cow<'a, [Attribution<'w>]> {
    match works.par_windows(2).all(|pair| order(&pair[0], &pair[1]).is_lt()) {
        true => Cow::Borrowed(works),
        false => Cow::Owned(merged(works.to_vec())),
    }
}

/// Works in order, by license.
fn by_license<'a, 'w>(works: &'a [Attribution<'w>]) -> Vec<(&'a str, &'a [Attribution<'w>])> {
    let same = works.chunk_by(|a, b| a.license == b.license || a.license.trim() == b.license.trim());
    same.map(|works| (works[0].license.trim(), works)).collect()
}

fn tracks(works: &[Attribution]) -> u64 {
    works.iter().fold(0, |sum, work| sum.saturating_add(work.tracks))
}

/// Sentence on the changes made to the recordings, which licenses such as CC-BY ask for.
fn changes(report: &Report) -> String {
    let done: Vec<&str> = STAGES
        .iter()
        .filter(|spec| report.stages.iter().any(|stage| stage.verb == spec.verb))
        .filter_map(|spec| spec.facts.changes)
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
    let works = in_order(&report.attribution);
    let groups = by_license(&works);
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
        put!(out, "{}</span></summary>", counted(tracks(works), "tracks"));
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
    let works = in_order(works);
    let groups = by_license(&works);
    put!(
        out,
        "{rest} on {} under {}. {}\n",
        counted(tracks(&works), "tracks"),
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
        let lines = |works: &[Attribution]| {
            works.iter().fold(String::new(), |mut out, work| {
                line(&mut out, work, license);
                out
            })
        };
        works.par_chunks(AT_ONCE).map(lines).collect::<Vec<_>>().iter().for_each(|lines| out.push_str(lines));
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
        let text = self.0.trim();
        if text.bytes().all(|b| b.is_ascii_alphanumeric() || b" .,:;-+/()'\"!?=".contains(&b)) {
            return out.write_str(text);
        }
        for c in text.chars() {
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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 14] = [
        "",
        "a",
        "A",
        "a\0",
        "ab",
        "Zz [_",
        "zz [_",
        "artist number 1",
        "Artist number 10",
        "artist number 100000 and more",
        "ARTIST number 100000 and less",
        "\u{c9}mile",
        "\u{e9}mile",
        "\u{130}",
    ];

    #[test]
    fn texts_are_compared_as_their_lower_case() {
        for a in TEXTS {
            for b in TEXTS {
                assert_eq!(compare(a, b), folded(a).cmp(folded(b)), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn works_are_sorted_by_numbers_as_by_their_texts() {
        let mut works = Vec::new();
        for (n, artist) in TEXTS.iter().enumerate() {
            for title in TEXTS {
                let license = ["CC0-1.0", " CC0-1.0", "CC-BY-4.0"][(n + title.len()) % 3];
                let work = Attribution {
                    title: title.into(),
                    artist: (*artist).into(),
                    license: license.into(),
                    tracks: 1,
                    ..Attribution::default()
                };
                works.extend([work.clone(), work]);
            }
        }
        let mut plain = works.clone();
        plain.sort_by(order);
        plain.dedup_by(|work, line| {
            let same = order(line, work).is_eq();
            line.tracks += if same { work.tracks } else { 0 };
            same
        });
        works.reverse();
        let sorted = merged(works);
        assert!(sorted.is_sorted_by(|a, b| order(a, b).is_lt()));
        let lines = |works: &[Attribution]| -> Vec<(String, String, u64)> {
            works.iter().map(|work| (work.artist.to_string(), work.title.to_string(), work.tracks)).collect()
        };
        assert_eq!(lines(&sorted), lines(&plain));
    }
}
