//! The section of songs that were sampled: spectrogram, player, and what each rests on.

use super::data::{ModelView, Report, SongView};
use super::listen::{MOST_SECONDS, sound};
use super::markup::{Text, count, counted, figure, put};
use super::spectrogram;
use rayon::prelude::*;

/// Songs with players at most.
const MOST_SONGS: usize = 12;
/// Digits of a digest that are shown; the whole is under the pointer.
const DIGITS: usize = 12;

/// The section's content; `None` without songs.
pub(super) fn section(report: &Report) -> Option<String> {
    if report.songs.is_empty() {
        return None;
    }
    let shown = &report.songs[..report.songs.len().min(MOST_SONGS)];
    let mut out = String::from("<p>");
    if shown.len() < report.songs.len() {
        put!(out, "The first {} of {} songs. ", shown.len(), report.songs.len());
    }
    put!(
        out,
        "Each player holds at most the first {} seconds; the whole songs are WAV files beside this page.</p>",
        figure(Some(MOST_SECONDS), 0)
    );
    let cards: Vec<String> = shown.par_iter().map(|song| card(song, report)).collect();
    out.push_str(&cards.concat());
    out.push_str(&models(report));
    Some(out)
}

fn card(song: &SongView, report: &Report) -> String {
    let mut out = String::new();
    put!(out, "<article class=\"sample\"><header><h3>{}</h3>", Text(&song.name));
    if let Some(genre) = song.genre.as_deref().filter(|genre| !genre.is_empty()) {
        put!(out, "<span class=\"tag\">{}</span>", Text(genre));
    }
    put!(out, "<p>{} seconds by <code>{}</code>", figure(Some(song.audio.seconds()), 1), Text(&song.stage));
    if !song.file.is_empty() {
        put!(out, " \u{b7} <a href=\"{}\">{}</a>", Text(&address(&song.file)), Text(&song.file));
    }
    out.push_str("</p></header><div class=\"pairs\">");
    let picture = spectrogram::log_mel(song.audio.excerpt(MOST_SECONDS), song.audio.rate);
    let heading = "<strong>Sampled</strong>";
    out.push_str(&sound(&song.name, "song", heading, &song.audio, MOST_SECONDS, &picture, picture.peak_db()));
    put!(out, "<dl class=\"facts\"><dt>Seed</dt><dd>{}</dd>", digest(&song.seed));
    put!(out, "<dt>Codec</dt><dd>{}</dd><dt>Priors</dt><dd>", linked(&song.codec, report));
    let levels = song.priors.iter().enumerate().rev();
    let priors: Vec<String> = levels.map(|(level, d)| format!("level {level} {}", linked(d, report))).collect();
    put!(out, "{}</dd><dt>Rests on</dt><dd>{}", priors.join("<br>"), licenses(&song.licenses, song.gone));
    if song.licenses.is_empty() && song.gone == 0 {
        out.push_str("nothing in this corpus");
    }
    if !song.licenses.is_empty() {
        out.push_str(": <a href=\"#attribution\">each is named</a> under \u{201c}Trained on\u{201d}");
    }
    out.push_str("</dd></dl></div></article>");
    out
}

/// A path as the address of a link.
fn address(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    path.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn digest(hex: &str) -> String {
    let short = hex.get(..DIGITS).unwrap_or(hex);
    format!("<code title=\"{}\">{}</code>", Text(hex), Text(short))
}

/// A model's digest, with a link to what is said of it.
fn linked(hex: &str, report: &Report) -> String {
    match report.models.iter().any(|model| model.digest == hex) {
        true => format!("<a href=\"#model-{}\">{}</a>", Text(hex), digest(hex)),
        false => digest(hex),
    }
}

fn licenses(licenses: &[(String, u64)], gone: u64) -> String {
    let mut parts: Vec<String> = licenses
        .iter()
        .map(|(license, tracks)| format!("{} ({})", Text(license), counted(*tracks, "tracks")))
        .collect();
    if gone > 0 {
        parts.push(format!("{} that are no longer in the corpus", counted(gone, "recordings")));
    }
    parts.join(", ")
}

/// The models that the songs came from.
fn models(report: &Report) -> String {
    if report.models.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<h3>Models of these songs</h3><p>A song rests on every track that its codec or one of its priors was trained on. \
         <code>model/ATTRIBUTION.md</code> names these tracks: pass it on with the songs.</p>\
         <div class=\"scroll\"><table><thead><tr><th scope=\"col\">Stage</th><th scope=\"col\">Model</th>\
         <th scope=\"col\">BLAKE3 digest</th><th scope=\"col\" class=\"number\">Tracks</th><th scope=\"col\">Trained on</th>\
         </tr></thead><tbody>",
    );
    for model in &report.models {
        let ModelView { stage, what, digest: hex, .. } = model;
        put!(out, "<tr id=\"model-{}\"><th scope=\"row\">{}</th><td>{}</td>", Text(hex), Text(stage), Text(what));
        let tracks = model.licenses.iter().map(|(_, tracks)| tracks).sum::<u64>();
        put!(out, "<td>{}</td><td class=\"number\">{}</td><td>", digest(hex), count(tracks));
        match (licenses(&model.licenses, model.gone), model.recorded) {
            (_, false) => out.push_str("not recorded: it was loaded from a file"),
            (none, true) if none.is_empty() => out.push_str("nothing in this corpus"),
            (some, true) => out.push_str(&some),
        }
        out.push_str("</td></tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}
