//! `encode` and `decode` on plain files, without a manifest and without a store.
//!
//! Both do all they can: a file that cannot be used is named and left out, and the command ends with the code for that.

use crate::{
    error::Error,
    publish::bundle::{self, shipped},
    standalone::{left_out::LeftOut, sound::Sound, targets},
    terminal::output,
};
use datasets::{
    Digest,
    audio::{tags, wav},
    license::License,
    names::{self, Taken},
    row::Labels,
    shard::{self, ShardMeta, ShardReader, ShardRow},
    store::{StoreError, Temp},
};
use stages::{
    flow::Cancel,
    model::{
        codec::Codec,
        infer::{Coder, DecodeError},
        probe,
    },
};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A model ready to use.
struct Model {
    digest: Digest,
    codec: Codec,
    coder: Coder,
}

/// Loads a bundle's codec, a safetensors file, or the codec that comes with the program, and says that it is that.
fn model(path: Option<&Path>) -> Result<Model, Error> {
    if path.is_none() {
        output::note(&shipped::told()?);
    }
    let (file, bytes) = bundle::codec(path)?;
    let wrong = |why: String| Error::Source(format!("{} is no codec: {why}", file.display()));
    let codec = Codec::load(&bytes).map_err(|e| wrong(e.to_string()))?;
    let coder = probe::ready(&codec).map_err(|e| wrong(e.to_string()))?;
    Ok(Model { digest: Digest::of(&bytes), codec, coder })
}

/// Files that a command reads and the folder that it writes to.
#[derive(Clone, Copy, Debug)]
pub struct PlainFiles<'a> {
    /// The files.
    pub files: &'a [PathBuf],
    /// The folder.
    pub out: &'a Path,
    /// Whether files that are there already may be replaced.
    pub overwrite: bool,
}

impl PlainFiles<'_> {
    /// Refuses targets that may not be written.
    fn free(&self, targets: &[PathBuf], own: impl Fn(&Path) -> bool) -> Result<(), Error> {
        targets::free(targets, self.files, self.overwrite, own)
    }

    /// Makes the folder.
    fn create(&self) -> Result<(), Error> {
        Ok(fs::create_dir_all(self.out).map_err(StoreError::io("create", self.out))?)
    }
}

/// Digest of a file's bytes, a part of which is in memory at a time.
fn content(path: &Path) -> std::io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(datasets::untrusted::open(path)?)?;
    Ok(Digest(*hasher.finalize().as_bytes()))
}

/// Bytes of a stem that stay of a file's own name.
const STEM: usize = 200;

/// A file's own name without its ending.
fn stem(file: &Path) -> String {
    let stem = file.file_stem().map_or_else(|| "sound".into(), |stem| stem.to_string_lossy());
    names::within(&stem, |c| !c.is_control() && c != '/', STEM)
}

/// A clip's id as a file name.
fn clip(id: &str) -> String {
    names::stem(id, |c| c.is_alphanumeric() || "-_.@+".contains(c))
}

/// Whether `encode` wrote a file: a shard with the one clip of a plain file.
fn encoded(path: &Path) -> bool {
    let members = shard::members(path).unwrap_or_default();
    matches!(members.as_slice(), [one] if one.track.starts_with(PLAIN))
}

/// How ids of tracks start that are files and of no corpus.
const PLAIN: &str = "file/";

/// Encodes each file to a Parquet file of its own; prints a line for each.
///
/// # Errors
/// When the model cannot be used, a target is in the way, or the folder cannot be written; and, after all others are done,
/// when a file could not be encoded.
pub fn encode(files: PlainFiles<'_>, path: Option<&Path>, cancel: &Cancel, tell: &dyn Fn(&str)) -> Result<(), Error> {
    let mut taken = Taken::default();
    let targets: Vec<PathBuf> =
        files.files.iter().map(|file| files.out.join(taken.give(&stem(file), "parquet"))).collect();
    files.free(&targets, encoded)?;
    let model = model(path)?;
    files.create()?;
    let config = model.codec.config();
    let meta = ShardMeta {
        codec: model.digest.0,
        rate: config.rate,
        hops: config.levels.iter().map(|l| l.hop() as u32).collect(),
        codewords: config.levels.iter().map(|l| l.codewords as u32).collect(),
    };
    let mut left = LeftOut::default();
    for (file, target) in files.files.iter().zip(&targets) {
        let row = encode_one(&model, file, files.out, cancel);
        if cancel.cancelled() {
            return Err(Error::Interrupted);
        }
        let row = match row {
            Ok(row) => row,
            Err(why) => {
                left.file(file, &why);
                continue;
            }
        };
        let mut temp = Temp::at(target)?;
        shard::write(std::slice::from_ref(&row), &meta, &mut temp).map_err(|e| Error::Source(e.to_string()))?;
        temp.commit(target)?;
        left.done();
        let counts: Vec<String> = row.codes.iter().map(|level| level.len().to_string()).collect();
        let seconds = row.frames as f64 / f64::from(config.rate);
        tell(&format!("{}  {seconds:.2} s, {} codes\n", target.display(), counts.join(" + ")));
    }
    left.ended("encoded", files.files.len())
}

/// A file as the row of a shard; a sentence where it cannot be. Its samples lie in `folder` meanwhile: of a long file, only
/// the codes are in memory as a whole.
fn encode_one(model: &Model, file: &Path, folder: &Path, cancel: &Cancel) -> Result<ShardRow, String> {
    let rate = model.codec.config().rate;
    let content = content(file).map_err(|e| e.to_string())?;
    let sound = Sound::of(file, folder, rate, model.coder.channels() as u16, cancel)?;
    let mut codes = vec![Vec::new(); model.codec.config().levels.len()];
    let mut read = |first: u64, out: &mut [f32]| match cancel.cancelled() {
        true => Err("interrupted".to_owned()),
        false => sound.read(first, out).map_err(|e| format!("its samples in {} are lost: {e}", folder.display())),
    };
    let put = &mut |level: usize, more: &[u16]| codes[level].extend_from_slice(more);
    model.coder.encode(sound.frames, &mut read, put)?.map_err(|e| e.to_string())?;
    let tags = tags::read(file).map_err(|e| e.to_string())?;
    let frames = sound.frames;
    let stated = tags.license.unwrap_or_default();
    let labels = Labels {
        title: tags.title.or_else(|| file.file_stem().map(|s| s.to_string_lossy().into_owned())),
        artist: tags.artist,
        genre: tags.genre,
        source: tags.url,
        ..Labels::default()
    };
    let name = file.file_name().map_or_else(|| "sound".into(), |n| n.to_string_lossy().into_owned());
    let track = format!("{PLAIN}{name}");
    Ok(ShardRow {
        clip: format!("{track}@0+{frames}"),
        track,
        split: "all".to_owned(),
        start: 0,
        frames,
        rate,
        license: License::read(&stated).canonical(),
        attribution: labels.attribution(),
        labels,
        content: content.0,
        samples: sound.samples.0,
        codec: model.digest.0,
        codes,
    })
}

/// A file of codes with the targets of its clips.
struct Coded<'a> {
    file: &'a Path,
    targets: Vec<PathBuf>,
}

/// Decodes every clip of the Parquet files to a WAV file of its own, by the decoder of one level; prints a line for each.
///
/// # Errors
/// When the model cannot be used, a target is in the way, or the folder cannot be written; and, after all others are done,
/// when a file cannot be read or decoded, or holds the codes of another model.
pub fn decode(
    files: PlainFiles<'_>,
    path: Option<&Path>,
    level: usize,
    cancel: &Cancel,
    tell: &dyn Fn(&str),
) -> Result<(), Error> {
    let model = model(path)?;
    let levels = model.codec.config().levels.len();
    if level >= levels {
        return Err(Error::Usage(format!("--level {level}: the model has levels 0 to {}", levels - 1)));
    }
    let (mut left, mut taken, mut coded) = (LeftOut::default(), Taken::default(), Vec::new());
    for file in files.files {
        match clips(&model, file) {
            Ok(clips) => {
                let stems = if clips.len() == 1 { vec![stem(file)] } else { clips.iter().map(|id| clip(id)).collect() };
                let targets = stems.iter().map(|stem| files.out.join(taken.give(stem, "wav"))).collect();
                coded.push(Coded { file, targets });
            }
            Err(why) => left.file(file, &why),
        }
    }
    let targets: Vec<PathBuf> = coded.iter().flat_map(|coded| coded.targets.iter().cloned()).collect();
    files.free(&targets, |_| false)?;
    files.create()?;
    for coded in &coded {
        decode_one(&model, coded, level, cancel, tell, &mut left)?;
    }
    left.ended("decoded", files.files.len())
}

/// Ids of the clips of a file, in its order; codes are not read. A sentence where they cannot be decoded by the model.
fn clips(model: &Model, file: &Path) -> Result<Vec<String>, String> {
    let meta = ShardReader::open(file).map_err(|e| e.to_string())?.meta().clone();
    if meta.codec != model.digest.0 {
        return Err(format!(
            "it holds codes of the codec {}, the model is {}: name the model that they were made with",
            Digest(meta.codec).short(12),
            model.digest.short(12)
        ));
    }
    let members = shard::members(file).map_err(|e| e.to_string())?;
    Ok(members.into_iter().map(|member| member.clip).collect())
}

/// Decodes the clips of one file; what cannot be decoded is left out.
fn decode_one(
    model: &Model,
    coded: &Coded<'_>,
    level: usize,
    cancel: &Cancel,
    tell: &dyn Fn(&str),
    left: &mut LeftOut,
) -> Result<(), Error> {
    let mut rows = match ShardReader::open(coded.file) {
        Ok(rows) => rows,
        Err(error) => {
            left.file(coded.file, &error.to_string());
            return Ok(());
        }
    };
    for target in &coded.targets {
        if cancel.cancelled() {
            return Err(Error::Interrupted);
        }
        let row = match rows.next() {
            Some(Ok(row)) => row,
            Some(Err(error)) => {
                left.file(coded.file, &error.to_string());
                return Ok(());
            }
            None => {
                left.file(coded.file, "it was changed while it was read");
                return Ok(());
            }
        };
        if let Err(error) = rows.meta().whole(&row) {
            left.file(coded.file, &format!("clip {}: {error}", row.clip));
            continue;
        }
        let mut temp = Temp::at(target)?;
        let written = match write_one(model, &row, level, cancel, &mut temp) {
            Ok(written) => written.map_err(StoreError::io("write", target))?,
            Err(error) => {
                left.file(coded.file, &format!("clip {}: {error}", row.clip));
                continue;
            }
        };
        if cancel.cancelled() {
            return Err(Error::Interrupted);
        }
        temp.commit(target)?;
        left.done();
        let clipped =
            if written.clipped > 0 { format!(", {} samples clipped", written.clipped) } else { String::new() };
        let seconds = row.frames as f64 / f64::from(row.rate);
        tell(&format!("{}  {seconds:.2} s{clipped}\n", target.display()));
    }
    Ok(())
}

/// Decodes a clip, as long as it may be, into a WAV file.
fn write_one(
    model: &Model,
    row: &ShardRow,
    level: usize,
    cancel: &Cancel,
    out: &mut dyn Write,
) -> Result<io::Result<wav::WavSummary>, DecodeError> {
    let channels = model.coder.channels();
    let codes = row.codes.get(level).map(Vec::as_slice).unwrap_or_default();
    let mut file = match wav::Writer::new(out, row.frames, row.rate, channels as u16, wav::Encoding::Pcm16) {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let (mut left, mut written) = (row.frames.saturating_mul(channels as u64), Ok(()));
    model.coder.decode(level, codes, &mut |more| {
        // Codes reach to the end of the last frame of the top level.
        let inside = left.min(more.len() as u64) as usize;
        left -= inside as u64;
        if written.is_ok() && !cancel.cancelled() {
            written = file.push(&more[..inside]);
        }
    })?;
    if cancel.cancelled() {
        return Ok(Ok(wav::WavSummary { frames: 0, clipped: 0 }));
    }
    let written = written.and_then(|()| file.finish());
    Ok(written.and_then(|written| out.flush().map(|()| written)))
}
