//! `evaluate` on plain files: distances between the sounds of two folders.

use crate::{error::Error, standalone::sound::samples, terminal::output};
use datasets::{
    Digest, Key,
    corpus::{self, Oddity},
    row::{self, Measured, Metric},
};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;
use stages::{
    flow::Cancel,
    metric::{
        compare::{Compared, Distance, SongVectors},
        embedding::{Embedding, LogMelStatistics},
    },
};
use std::path::Path;

/// Files with such names are meant to be sound: one that cannot be read is missing from the result.
const SOUND: [&str; 36] = [
    "aac", "ac3", "adts", "aif", "aifc", "aiff", "amr", "ape", "au", "caf", "dts", "flac", "m4a", "m4b", "mka", "mp1",
    "mp2", "mp3", "mp4", "mpa", "mpc", "oga", "ogg", "opus", "ra", "snd", "spx", "tta", "w64", "wav", "wave", "weba",
    "webm", "wma", "wv", "wvx",
];

/// A file that is in no result.
#[derive(Clone, Debug, Serialize)]
struct LeftOut {
    file: String,
    why: String,
    /// An audio file that cannot be read.
    unreadable: bool,
}

/// The sounds of a folder.
struct Side {
    measured: Measured,
    vectors: SongVectors,
    left_out: Vec<LeftOut>,
}

impl Side {
    fn unreadable(&self) -> Vec<&LeftOut> {
        self.left_out.iter().filter(|file| file.unreadable).collect()
    }
}

/// Result of one file: digest of its sound, and its embedding vectors.
type Read = Result<(Digest, Vec<f64>), LeftOut>;

fn read(path: &Path, key: &str, embedding: &dyn Embedding, cancel: &Cancel) -> Read {
    let out = |why: String, unreadable| LeftOut { file: key.to_owned(), why, unreadable };
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
    let sound = extension.is_some_and(|extension| SOUND.contains(&extension.as_str()));
    let (samples, digest) = samples(path, embedding.rate(), cancel).map_err(|why| out(why, sound))?;
    let vectors = embedding.embed(&samples);
    if vectors.is_empty() {
        let seconds = |frames: usize| frames as f64 / f64::from(embedding.rate());
        let (has, takes) = (seconds(samples.len()), seconds(embedding.least()));
        return Err(out(format!("its {has:.4} s are shorter than the {takes:.4} s of a vector"), false));
    }
    Ok((digest, vectors))
}

/// Reads every sound under a folder.
fn side(what: &str, root: &Path, embedding: &dyn Embedding, cancel: &Cancel) -> Result<Side, Error> {
    let scan = corpus::scan(root).map_err(|e| Error::Source(format!("the {what}: {e}")))?;
    let each: Vec<Read> =
        scan.entries.par_iter().map(|entry| read(&entry.path, &entry.key, embedding, cancel)).collect();
    if cancel.cancelled() {
        return Err(Error::Interrupted);
    }
    let (mut sounds, mut left_out) = (Vec::new(), Vec::new());
    for read in each {
        match read {
            Ok(sound) => sounds.push(sound),
            Err(file) => left_out.push(file),
        }
    }
    // What sidecars say is not asked here.
    let lost = |oddity| matches!(oddity, Oddity::UnreadableFolder | Oddity::BrokenLink);
    left_out.extend(scan.complaints.into_iter().filter(|c| lost(c.oddity)).map(|complaint| LeftOut {
        file: complaint.key,
        why: complaint.sentence,
        unreadable: true,
    }));
    // Names are not what is measured.
    sounds.sort_by_key(|(digest, _)| *digest);
    let key = sounds.iter().fold(Key::new("files"), |key, (digest, _)| key.digest(digest));
    let vectors = SongVectors::new(embedding.dims(), sounds.iter().map(|(_, vectors)| vectors.as_slice()));
    let measured = Measured { clips: sounds.len() as u64, frames: vectors.count() as u64, digest: key.finish() };
    Ok(Side { measured, vectors, left_out })
}

/// The seed of what is drawn where there is no manifest to state one.
const SEED: u64 = 0;

/// Two folders, and what of them is to be compared.
pub struct Folders<'a> {
    /// Names of the distances; empty asks for all that there are vectors enough for.
    pub distances: &'a [Distance],
    /// The folder with the sounds to measure against.
    pub reference: &'a Path,
    /// The folder with the sounds to measure.
    pub candidate: &'a Path,
    /// A line of JSON for each figure instead of text.
    pub json: bool,
}

/// Compares two folders; prints the result, as text or as a line of JSON for each figure.
///
/// # Errors
/// A folder that cannot be listed, too few sounds, and, after the result of all others has been printed, sound files
/// that could not be read.
pub fn evaluate(asked: &Folders<'_>, cancel: &Cancel, tell: &dyn Fn(&str)) -> Result<(), Error> {
    let Folders { reference, candidate, json, .. } = *asked;
    let embedding = LogMelStatistics;
    let sides = [("reference", reference), ("candidate", candidate)];
    let [own, other] = sides.map(|(what, root)| side(what, root, &embedding, cancel));
    let (own, other) = match (own, other) {
        (Ok(own), Ok(other)) => (own, other),
        // Both are told at once.
        (Err(Error::Source(own)), Err(Error::Source(other))) => return Err(Error::Source(format!("{own}\n{other}"))),
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    for (side, (what, root)) in [&own, &other].into_iter().zip(sides) {
        for file in &side.left_out {
            output::warning(&format!("{what} {}: left out: {}", root.join(&file.file).display(), file.why));
        }
    }
    for (side, (what, root)) in [&own, &other].into_iter().zip(sides) {
        enough(side, what, root, &embedding)?;
    }
    let wanted = if asked.distances.is_empty() { &Distance::ALL } else { asked.distances };
    let figures = other.vectors.measure(&own.vectors, wanted, SEED);
    if let Some(missing) = asked.distances.iter().find(|distance| figures.iter().all(|own| own.distance != **distance))
    {
        return Err(Error::Stage(format!(
            "`{}` needs at least {} vectors on either side: the reference gives {}, the candidate {}",
            missing.name(),
            missing.least(embedding.dims()),
            own.measured.frames,
            other.measured.frames
        )));
    }
    let metrics: Vec<Metric> = figures.iter().map(|figure| metric(figure, &embedding, &own, &other)).collect();
    if json {
        for metric in &metrics {
            let mut line = json!(metric);
            line["left_out"] = json!({ "reference": own.left_out, "candidate": other.left_out });
            tell(&format!("{line}\n"));
        }
    } else {
        tell(&text(&metrics, &embedding, &own, &other));
    }
    let missing: Vec<String> = [&own, &other]
        .into_iter()
        .zip(sides)
        .filter(|(side, _)| !side.unreadable().is_empty())
        .map(|(side, (what, _))| match side.unreadable().as_slice() {
            [one] => format!("1 file of the {what} ({})", one.file),
            several => format!("{} files of the {what}, such as {}", several.len(), several[0].file),
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Source(format!("the result is without {}, which could not be read", missing.join(" and "))))
}

fn metric(figure: &Compared, embedding: &dyn Embedding, own: &Side, other: &Side) -> Metric {
    let measured = |side: &Side, vectors: usize| Measured { frames: vectors as u64, ..side.measured.clone() };
    Metric {
        metric: figure.distance.name().into(),
        version: figure.distance.version(),
        subject: "candidate".into(),
        level: None,
        value: figure.value.into(),
        interval: figure.interval.map(|interval| interval.map(row::Real::from)),
        embedding: Some(row::Embedding { name: embedding.name().into(), version: embedding.version() }),
        rate: embedding.rate(),
        candidate: measured(other, figure.candidate),
        reference: measured(own, figure.reference),
    }
}

fn enough(side: &Side, what: &str, root: &Path, embedding: &dyn Embedding) -> Result<(), Error> {
    let (clips, vectors, needed) = (side.measured.clips, side.measured.frames, embedding.dims() as u64 + 1);
    if clips == 0 {
        let out = match side.left_out.len() {
            0 => String::new(),
            several => format!(" but {several} that cannot be used"),
        };
        return Err(Error::Source(format!("the {what} {} holds no sound file{out}", root.display())));
    }
    if vectors >= needed {
        return Ok(());
    }
    Err(Error::Stage(format!(
        "the {what} {} is too small: {} (version {}) needs {needed} vectors, about {:.0} s of sound, and {} \
         {vectors}",
        root.display(),
        embedding.name(),
        embedding.version(),
        // Files of half a minute and more: one vector for each step.
        needed as f64 * embedding.step() as f64 / f64::from(embedding.rate()),
        if clips == 1 { "1 file gives".to_owned() } else { format!("{clips} files give") },
    )))
}

fn text(metrics: &[Metric], embedding: &dyn Embedding, own: &Side, other: &Side) -> String {
    let line = |what: &str, side: &Side| {
        let out = match side.left_out.len() {
            0 => String::new(),
            several => format!(", {several} left out"),
        };
        let Measured { clips, frames, digest } = &side.measured;
        format!("{what:<12}  {clips} files, {frames} vectors, digest {}{out}\n", digest.short(12))
    };
    let figure = |metric: &Metric| {
        let interval = metric.interval.map(|[low, high]| format!("  95 % from {:.6} to {:.6}", low.get(), high.get()));
        format!("{:<12}  {:.6}{}\n", metric.metric, metric.value.get(), interval.unwrap_or_default())
    };
    format!(
        "{}{}{:<12}  {} version {}, {} Hz\n{}",
        line("reference", own),
        line("candidate", other),
        "embedding",
        embedding.name(),
        embedding.version(),
        embedding.rate(),
        metrics.iter().map(figure).collect::<String>()
    )
}
