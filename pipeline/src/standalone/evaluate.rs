//! `evaluate` on plain files: the Fréchet distance between the sounds of two folders.

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
        embedding::{Embedding, LogMelStatistics},
        gaussian::{self, Gaussian},
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
    gaussian: Gaussian,
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
    let vectors: Vec<f64> = sounds.iter().flat_map(|(_, vectors)| vectors.iter().copied()).collect();
    let gaussian = Gaussian::of(&vectors, embedding.dims());
    let measured = Measured { clips: sounds.len() as u64, frames: gaussian.count(), digest: key.finish() };
    Ok(Side { measured, gaussian, left_out })
}

/// Compares two folders; prints the result, as text or as one line of JSON.
///
/// # Errors
/// A folder that cannot be listed, too few sounds, and, after the result of all others has been printed, sound files
/// that could not be read.
pub fn evaluate(
    reference: &Path,
    candidate: &Path,
    json: bool,
    cancel: &Cancel,
    tell: &dyn Fn(&str),
) -> Result<(), Error> {
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
    let Some(distance) = own.gaussian.distance(&other.gaussian) else {
        return Err(Error::Bug("enough vectors gave no distance".into()));
    };
    let metric = Metric {
        metric: Metric::FAD.into(),
        version: gaussian::VERSION,
        subject: "candidate".into(),
        level: None,
        value: distance.into(),
        embedding: Some(row::Embedding { name: embedding.name().into(), version: embedding.version() }),
        rate: embedding.rate(),
        candidate: other.measured.clone(),
        reference: own.measured.clone(),
    };
    if json {
        let mut line = json!(metric);
        line["left_out"] = json!({ "reference": own.left_out, "candidate": other.left_out });
        tell(&format!("{line}\n"));
    } else {
        tell(&text(&metric, &own, &other));
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

fn text(metric: &Metric, own: &Side, other: &Side) -> String {
    let line = |what: &str, side: &Side| {
        let out = match side.left_out.len() {
            0 => String::new(),
            several => format!(", {several} left out"),
        };
        let Measured { clips, frames, digest } = &side.measured;
        format!("{what}  {clips} files, {frames} vectors, digest {}{out}\n", digest.short(12))
    };
    let embedding = metric.embedding.as_ref().map(|e| format!("{} version {}", e.name, e.version)).unwrap_or_default();
    format!(
        "{}{}embedding  {embedding}, {} Hz\nfad        {:.6}\n",
        line("reference", own),
        line("candidate", other),
        metric.rate,
        metric.value.get()
    )
}
