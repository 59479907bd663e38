//! The section to look and listen: spectrograms and players of originals and their reconstructions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rayon::prelude::*;

use super::data::{Audio, Report, Sample};
use super::markup::{Text, clipped, figure, put};
use super::spectrogram::{self, LogMel, RANGE_DB};
use super::wav;

/// Seconds a player holds at most.
pub(super) const MOST_SECONDS: f64 = 6.0;
/// Bytes of sound in a page at most, before base64 makes four of three.
const SOUND_BYTES: f64 = 24.0 * 1024.0 * 1024.0;
/// Originals with players at most; all of them are in the table of figures.
const MOST_SAMPLES: usize = 16;

/// The section's content; `None` without samples.
pub(super) fn section(report: &Report) -> Option<String> {
    if report.players.is_empty() {
        return None;
    }
    let shown = &report.players[..report.players.len().min(MOST_SAMPLES)];
    let seconds = seconds_each(shown);
    let mut out = String::from("<p>");
    if shown.len() < report.players.len() {
        put!(out, "The first {} of {} recordings. ", shown.len(), report.players.len());
    }
    put!(
        out,
        "Each player holds at most the first {} seconds, as 16-bit mono PCM; each picture shows just that, as levels \
         of {} mel bands relative to the loudest of the original.</p>{}",
        figure(Some(seconds), usize::from(seconds.fract() != 0.0)),
        spectrogram::HEIGHT,
        color_scale()
    );
    out.push_str(&figures(report));
    let cards: Vec<String> = shown.par_iter().map(|sample| card(sample, seconds)).collect();
    out.push_str(&cards.concat());
    Some(out)
}

/// Maximum length of an excerpt in seconds, in steps of half a second (of a tenth below one).
fn seconds_each(samples: &[Sample]) -> f64 {
    let sounds =
        samples.iter().flat_map(|s| std::iter::once(&s.original).chain(s.reconstructions.iter().map(|r| &r.audio)));
    let bytes_a_second: f64 = sounds.map(|audio| 2.0 * f64::from(audio.rate)).sum();
    let fits = MOST_SECONDS.min(SOUND_BYTES / bytes_a_second.max(1.0));
    if fits >= 1.0 { (fits * 2.0).floor() / 2.0 } else { (fits * 10.0).floor() / 10.0 }
}

/// All figures of all samples in one table, a column per level and figure.
fn figures(report: &Report) -> String {
    let mut levels: Vec<(u32, u32)> =
        report.players.iter().flat_map(|s| &s.reconstructions).map(|r| (r.level, r.hop)).collect();
    levels.sort_unstable();
    levels.dedup();
    let stated = |f: fn(&super::data::Reconstruction) -> Option<f64>| {
        report.players.iter().flat_map(|s| &s.reconstructions).any(|r| f(r).is_some())
    };
    type Figure = fn(&super::data::Reconstruction) -> Option<f64>;
    let kinds: Vec<(&str, usize, Figure)> =
        [("SI-SDR in dB", 1, (|r| r.si_sdr_db) as Figure), ("log-mel distance", 2, (|r| r.log_mel) as Figure)]
            .into_iter()
            .filter(|kind| stated(kind.2))
            .collect();
    if levels.is_empty() || kinds.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\" rowspan=\"2\">Recording</th>\
         <th scope=\"col\" rowspan=\"2\">Genre</th><th scope=\"col\" rowspan=\"2\">Training</th>",
    );
    for (name, _, _) in &kinds {
        put!(out, "<th scope=\"colgroup\" colspan=\"{}\" class=\"number group\">{name}</th>", levels.len());
    }
    out.push_str("</tr><tr>");
    for _ in &kinds {
        for (level, hop) in &levels {
            put!(out, "<th scope=\"col\" class=\"number\">level {level} <span class=\"soft\">hop {hop}</span></th>");
        }
    }
    out.push_str("</tr></thead><tbody>");
    for sample in &report.players {
        put!(out, "<tr><th scope=\"row\">{}</th><td>", Text(&sample.track));
        put!(out, "{}</td>", Text(sample.genre.as_deref().unwrap_or("\u{2013}")));
        put!(out, "<td class=\"tight\">{}</td>", if sample.held_out { "held out" } else { "seen" });
        for (_, decimals, value) in &kinds {
            for level in &levels {
                let found = sample.reconstructions.iter().find(|r| (r.level, r.hop) == *level);
                put!(out, "<td class=\"number\">{}</td>", figure(found.and_then(value), *decimals));
            }
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}

fn card(sample: &Sample, seconds: f64) -> String {
    let mut out = String::from("<article class=\"sample\"><header>");
    put!(out, "<h3>{}</h3>", Text(&sample.track));
    if let Some(genre) = sample.genre.as_deref().filter(|g| !g.is_empty()) {
        put!(out, "<span class=\"tag\">{}</span>", Text(genre));
    }
    let tag = if sample.held_out { ("tag held", "held out") } else { ("tag", "seen in training") };
    put!(out, "<span class=\"{}\">{}</span>", tag.0, tag.1);
    if !sample.note.is_empty() {
        put!(out, "<p>{}</p>", Text(&sample.note));
    }
    out.push_str("</header><div class=\"pairs\">");
    let original = spectrogram::log_mel(sample.original.excerpt(seconds), sample.original.rate);
    let brightest = original.peak_db();
    let heading = "<strong>Original</strong>";
    out.push_str(&sound(&sample.track, "original", heading, &sample.original, seconds, &original, brightest));
    for made in &sample.reconstructions {
        let mut heading = format!("<strong>Level {}</strong> <span class=\"soft\">hop {}", made.level, made.hop);
        if let Some(db) = made.si_sdr_db {
            put!(heading, " \u{b7} SI-SDR {} dB", figure(Some(db), 1));
        }
        if let Some(distance) = made.log_mel {
            put!(heading, " \u{b7} log-mel {}", figure(Some(distance), 2));
        }
        heading.push_str("</span>");
        let picture = spectrogram::log_mel(made.audio.excerpt(seconds), made.audio.rate);
        let what = format!("level {} reconstruction", made.level);
        out.push_str(&sound(&sample.track, &what, &heading, &made.audio, seconds, &picture, brightest));
    }
    out.push_str("</div></article>");
    out
}

/// One picture with its axes and the player below it. `heading` is HTML.
pub(super) fn sound(
    track: &str,
    what: &str,
    heading: &str,
    audio: &Audio,
    seconds: f64,
    picture: &LogMel,
    brightest: f32,
) -> String {
    let excerpt = audio.excerpt(seconds);
    let mut out = format!("<figure class=\"sound\"><figcaption>{heading}</figcaption>");
    out.push_str(&spectrogram_svg(
        track,
        what,
        excerpt.len() as f64 / f64::from(audio.rate.max(1)),
        picture,
        brightest,
    ));
    if excerpt.is_empty() {
        out.push_str("<p class=\"soft\">No sound.</p></figure>");
        return out;
    }
    put!(
        out,
        "<audio controls preload=\"metadata\" aria-label=\"{}, {what}\" src=\"{}\"></audio></figure>",
        Text(&clipped(track, 80)),
        wav::data_uri(excerpt, audio.rate)
    );
    out
}

fn spectrogram_svg(track: &str, what: &str, seconds: f64, picture: &LogMel, brightest: f32) -> String {
    const LEFT: f64 = 38.0;
    const TOP: f64 = 6.0;
    const WIDTH: f64 = 466.0;
    const HEIGHT: f64 = 150.0;
    let (right, bottom) = (LEFT + WIDTH, TOP + HEIGHT);
    let mut out = format!(
        "<svg class=\"chart\" viewBox=\"0 0 512 186\" role=\"img\" aria-label=\"Log-mel spectrogram of {}, {what}, \
         {seconds:.1} seconds\">",
        Text(&clipped(track, 80))
    );
    if let Ok(file) = picture.png(brightest) {
        put!(
            out,
            "<image x=\"{LEFT}\" y=\"{TOP}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" preserveAspectRatio=\"none\" \
             href=\"data:image/png;base64,{}\"/>",
            STANDARD.encode(file)
        );
    }
    for (hz, name) in
        [(100.0, "100"), (500.0, "500"), (1e3, "1k"), (2e3, "2k"), (5e3, "5k"), (1e4, "10k"), (2e4, "20k")]
    {
        if let Some(share) = picture.position(hz) {
            let y = bottom - share * HEIGHT;
            put!(out, "<path class=\"axis\" d=\"M{:.1} {y:.1}h4\"/>", LEFT - 4.0);
            put!(out, "<text class=\"end tick\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>", LEFT - 7.0, y + 3.5);
        }
    }
    let time = super::charts::scale::Scale::linear(0.0, seconds.max(1e-3), LEFT, right);
    for tick in time.ticks(6) {
        let x = time.place(tick);
        put!(out, "<path class=\"axis\" d=\"M{x:.1} {bottom}v4\"/>");
        let label = super::charts::scale::tick_label(tick);
        put!(out, "<text class=\"mid tick\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>", bottom + 15.0);
    }
    put!(out, "<text class=\"soft\" x=\"0\" y=\"{:.1}\">Hz</text>", bottom + 27.0);
    put!(out, "<text class=\"end soft\" x=\"{right}\" y=\"{:.1}\">seconds</text></svg>", bottom + 27.0);
    out
}

/// Legend of the pictures' colors.
fn color_scale() -> String {
    let mut out = String::from(
        "<svg class=\"chart colors\" viewBox=\"0 0 300 34\" role=\"img\" aria-label=\"Color scale, from black at 80 dB \
         below the loudest level of the original to light yellow at that level\"><defs><linearGradient id=\"magma\">",
    );
    for i in 0..=16 {
        let share = f64::from(i) / 16.0;
        let [r, g, b] = spectrogram::color(share);
        put!(out, "<stop offset=\"{share}\" stop-color=\"#{r:02x}{g:02x}{b:02x}\"/>");
    }
    out.push_str("</linearGradient></defs><rect width=\"300\" height=\"12\" rx=\"2\" fill=\"url(#magma)\"/>");
    put!(out, "<text class=\"tick\" x=\"0\" y=\"27\">\u{2212}{RANGE_DB} dB</text>");
    put!(out, "<text class=\"mid tick\" x=\"150\" y=\"27\">\u{2212}{} dB</text>", RANGE_DB / 2.0);
    out.push_str("<text class=\"end tick\" x=\"300\" y=\"27\">0 dB</text></svg>");
    out
}
