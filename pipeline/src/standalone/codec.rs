//! `encode` and `decode` on plain files, without a manifest and without a store.

use crate::{error::Error, publish::bundle, standalone::sound::samples, terminal::output};
use burn_flex::Flex;
use datasets::{
    Digest,
    audio::{tags, wav},
    license::License,
    shard::{self, ShardMeta, ShardRow},
    store::{StoreError, Temp},
};
use stages::{
    flow::Cancel,
    model::{codec::Codec, infer::Coder},
};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// A model ready to use.
struct Model {
    digest: Digest,
    codec: Codec,
    coder: Coder<Flex>,
}

/// Loads a bundle's codec, or a safetensors file.
fn model(path: &Path) -> Result<Model, Error> {
    let (file, bytes) = bundle::codec(path)?;
    let wrong = |why: String| Error::Source(format!("{} is no codec: {why}", file.display()));
    let codec = Codec::load(&bytes).map_err(|e| wrong(e.to_string()))?;
    let coder = Coder::new(&codec, Default::default()).map_err(|e| wrong(e.to_string()))?;
    Ok(Model { digest: Digest::of(&bytes), codec, coder })
}

fn create(out: &Path) -> Result<(), Error> {
    Ok(fs::create_dir_all(out).map_err(StoreError::io("create", out))?)
}

/// Output names: the file's stem; where two are alike, numbered in the order given.
fn names(files: &[PathBuf], extension: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    files
        .iter()
        .map(|file| {
            let stem = file.file_stem().map_or_else(|| "sound".into(), |s| s.to_string_lossy().into_owned());
            let count = seen.entry(stem.clone()).or_default();
            *count += 1;
            if *count == 1 { format!("{stem}.{extension}") } else { format!("{stem}-{count}.{extension}") }
        })
        .collect()
}

/// Encodes each file to a Parquet file of its own.
///
/// # Errors
/// When the model cannot be used, the folder cannot be written, or no file could be encoded; a file that cannot
/// be decoded is told and left out.
pub fn encode(files: &[PathBuf], path: &Path, out: &Path, cancel: &Cancel) -> Result<String, Error> {
    let model = model(path)?;
    create(out)?;
    let config = model.codec.config();
    let meta = ShardMeta {
        codec: model.digest.0,
        rate: config.rate,
        hops: config.levels.iter().map(|l| l.hop() as u32).collect(),
        codewords: config.levels.iter().map(|l| l.codewords as u32).collect(),
    };
    let (mut text, mut refused) = (String::new(), Vec::new());
    for (file, name) in files.iter().zip(names(files, "parquet")) {
        let read = fs::read(file).map_err(|e| e.to_string()).map(|bytes| Digest::of(&bytes));
        let made = read.and_then(|content| Ok((content, samples(file, config.rate, cancel)?)));
        if cancel.cancelled() {
            return Err(Error::Interrupted);
        }
        let (content, (samples, digest)) = match made {
            Ok(made) => made,
            Err(why) => {
                output::errors(&format!("{}: {why}\n", file.display()));
                refused.push(file);
                continue;
            }
        };
        let codes = model.coder.encode_samples(&samples);
        let tags = tags::read(file);
        let frames = samples.len() as u64;
        let stated = tags.license.unwrap_or_default();
        let labels = datasets::row::Labels {
            title: tags.title.or_else(|| file.file_stem().map(|s| s.to_string_lossy().into_owned())),
            artist: tags.artist,
            genre: tags.genre,
            source: tags.url,
            ..datasets::row::Labels::default()
        };
        let track =
            format!("file/{}", file.file_name().map_or_else(|| "sound".into(), |n| n.to_string_lossy().into_owned()));
        let row = ShardRow {
            clip: format!("{track}@0+{frames}"),
            track,
            split: "all".to_owned(),
            start: 0,
            frames,
            rate: config.rate,
            license: License::read(&stated).canonical(),
            attribution: labels.attribution(),
            labels,
            content: content.0,
            samples: digest.0,
            codec: model.digest.0,
            codes,
        };
        let target = out.join(name);
        let mut temp = Temp::beside(&target)?;
        shard::write(std::slice::from_ref(&row), &meta, &mut temp).map_err(|e| Error::Source(e.to_string()))?;
        temp.commit(&target)?;
        let counts: Vec<String> = row.codes.iter().map(|level| level.len().to_string()).collect();
        let seconds = frames as f64 / f64::from(config.rate);
        text += &format!("{}  {seconds:.2} s, {} codes\n", target.display(), counts.join(" + "));
    }
    if refused.len() == files.len() {
        return Err(Error::Source("no file could be encoded".into()));
    }
    Ok(text)
}

/// Decodes every clip of the Parquet files to a WAV file of its own, by the decoder of one level.
///
/// # Errors
/// When the model or a file cannot be used, or the codes are another model's.
pub fn decode(files: &[PathBuf], path: &Path, out: &Path, level: usize, cancel: &Cancel) -> Result<String, Error> {
    let model = model(path)?;
    create(out)?;
    let levels = model.codec.config().levels.len();
    if level >= levels {
        return Err(Error::Usage(format!("--level {level}: the model has levels 0 to {}", levels - 1)));
    }
    let mut text = String::new();
    for (file, stem) in files.iter().zip(names(files, "wav")) {
        let (meta, rows) = shard::read(file).map_err(|e| Error::Source(format!("{}: {e}", file.display())))?;
        if meta.codec != model.digest.0 {
            return Err(Error::Source(format!(
                "{} holds codes of the codec {}, the model is {}: name the model that they were made with",
                file.display(),
                Digest(meta.codec).short(12),
                model.digest.short(12)
            )));
        }
        let single = rows.len() == 1;
        for row in rows {
            if cancel.cancelled() {
                return Err(Error::Interrupted);
            }
            let codes = row.codes.get(level).map(Vec::as_slice).unwrap_or_default();
            let sound = model.coder.decode_samples(level, codes, row.frames);
            let sound = sound.map_err(|e| Error::Source(format!("{}: {e}", file.display())))?;
            let name = if single { stem.clone() } else { format!("{}.wav", clean(&row.clip)) };
            let target = out.join(name);
            let mut temp = Temp::beside(&target)?;
            let written = wav::write(&mut temp, &sound, row.rate, 1, wav::Encoding::Pcm16);
            let written = written.and_then(|w| temp.flush().map(|()| w)).map_err(StoreError::io("write", &target))?;
            temp.commit(&target)?;
            let clipped =
                if written.clipped > 0 { format!(", {} samples clipped", written.clipped) } else { String::new() };
            let seconds = row.frames as f64 / f64::from(row.rate);
            text += &format!("{}  {seconds:.2} s{clipped}\n", target.display());
        }
    }
    Ok(text)
}

/// A clip's id as a file name.
fn clean(id: &str) -> String {
    id.chars().map(|c| if c.is_alphanumeric() || "-_.@+".contains(c) { c } else { '_' }).collect()
}
