//! The section of songs that were sampled: spectrogram, player, and what each rests on.

use super::data::Report;
use super::listen::{MOST_SECONDS, sound};
use super::markup::{Text, counted, figure, put};
use super::spectrogram;

/// Songs with players at most.
const MOST_SONGS: usize = 12;

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
        "Each player holds at most the first {} seconds; the whole songs are WAV files beside this page. A song rests on \
         every track that its codec or its priors were trained on: those are listed under Attribution.</p>",
        figure(Some(MOST_SECONDS), 0)
    );
    for song in shown {
        put!(out, "<article class=\"sample\"><header><h3>{}</h3>", Text(&song.name));
        if let Some(genre) = song.genre.as_deref().filter(|genre| !genre.is_empty()) {
            put!(out, "<span class=\"tag\">{}</span>", Text(genre));
        }
        put!(
            out,
            "<p>{} \u{b7} {} seconds \u{b7} seed <code>{}</code> \u{b7} codec <code>{}</code> \u{b7} priors {}</p><p>",
            Text(&song.stage),
            figure(Some(song.audio.seconds()), 1),
            Text(&song.seed),
            Text(&song.codec),
            song.priors.iter().map(|prior| format!("<code>{}</code>", Text(prior))).collect::<Vec<_>>().join(", ")
        );
        let licenses: Vec<String> = song
            .licenses
            .iter()
            .map(|(license, tracks)| format!("{} ({})", Text(license), counted(*tracks, "tracks")))
            .collect();
        match licenses.as_slice() {
            [] => out.push_str("What it rests on is not in this corpus."),
            licenses => put!(out, "Its models were trained on {}.", licenses.join(", ")),
        }
        out.push_str("</p></header><div class=\"pairs\">");
        let picture = spectrogram::log_mel(song.audio.excerpt(MOST_SECONDS), song.audio.rate);
        let heading = "<strong>Sampled</strong>";
        out.push_str(&sound(&song.name, "song", heading, &song.audio, MOST_SECONDS, &picture, picture.peak_db()));
        out.push_str("</div></article>");
    }
    Some(out)
}
