//! The bundle: the folder `model` of a run, with all that `encode`, `decode` and `sample` need.
//!
//! `bundle.json` says which files belong to it, with their digests; what is read is checked against these first.

mod card;
mod index;
pub mod shipped;

use crate::{
    error::Error,
    publish::{
        layout::{self, Part},
        publication::Run,
    },
    record::lineage::Lineage,
    report::{data::Report, trained_on_md},
};
use datasets::{
    Digest,
    effect::networks,
    row::{Prior, Weights},
};
use stages::{model::prior::config, rows::kept::Kept};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

pub use index::{ATTRIBUTION, BitsEntry, Bundle, CARD, CodecEntry, FORMAT, INDEX, PriorEntry};

/// The bundle of a part of a run; `None` where that has no model. `files` are those of the published tree.
///
/// # Errors
/// When an object is missing from the store.
fn of(run: &Run<'_>, part: &Part<'_>, name: &str, files: &BTreeMap<PathBuf, Digest>) -> Result<Option<Bundle>, Error> {
    let folder = part.place(Path::new("model"));
    let inside = files.iter().filter(|(path, _)| path.parent() == Some(&folder));
    let inside = inside.filter_map(|(path, digest)| Some((path.file_name()?.to_string_lossy().into_owned(), *digest)));
    let files: BTreeMap<String, Digest> = inside.collect();
    let kept = || part.stages.iter().map(|&stage| &run.outcome.stages[stage].kept);
    let codecs: Vec<Weights> = kept().flat_map(Kept::rows).collect();
    let priors: Vec<Prior> = kept().flat_map(Kept::rows).collect();
    // Of several codecs, that of the first prior.
    let wanted = priors.first().map(|prior| prior.codec);
    let codec = codecs.iter().find(|codec| Some(codec.digest) == wanted).or(codecs.first());
    let Some(codec) = codec else { return Ok(None) };
    let mut chosen: BTreeMap<u32, &Prior> = BTreeMap::new();
    for prior in priors.iter().filter(|prior| prior.codec == codec.digest) {
        chosen.entry(prior.level).or_insert(prior);
    }
    let file = |digest: &Digest| files.iter().find(|(_, own)| *own == digest).map(|(file, _)| file.clone());
    let lost = || Error::Bug("a model of the run has no file in its bundle".into());
    let lineage = Lineage::read(&run.env.store, chosen.values().map(|prior| &prior.lineage).chain(&codec.lineage))?;
    let entry = CodecEntry {
        file: file(&codec.digest).ok_or_else(lost)?,
        digest: codec.digest,
        rate: codec.rate,
        hops: codec.hops.clone(),
        codewords: codec.codewords.clone(),
        channels: codec.channels,
        license: codec.license.clone(),
        source: codec.source.clone(),
    };
    let unrecorded = if codec.lineage.is_none() { vec![entry.file.clone()] } else { Vec::new() };
    let priors = chosen.values().map(|prior| {
        let bits = |millionths: u64| millionths as f64 / 1e6;
        let known = &prior.bits;
        let bits = BitsEntry {
            train: bits(known.train),
            held_out: known.held_out.map(bits),
            unigram: known.unigram.map(bits),
            bigram: known.bigram.map(bits),
        };
        Ok(PriorEntry { level: prior.level, file: file(&prior.digest).ok_or_else(lost)?, digest: prior.digest, bits })
    });
    Ok(Some(Bundle {
        format: FORMAT,
        refrain: env!("CARGO_PKG_VERSION").to_owned(),
        run: name.to_owned(),
        numerics: networks().to_owned(),
        codec: entry,
        priors: priors.collect::<Result<_, Error>>()?,
        genres: shared(chosen.values().map(|prior| prior.genres.as_slice())),
        trained_on: lineage.rests_on(run.corpus),
        unrecorded,
        files,
    }))
}

/// The genres that are in every list, in their order.
fn shared<'a>(mut lists: impl Iterator<Item = &'a [String]>) -> Vec<String> {
    let Some(first) = lists.next() else { return Vec::new() };
    let others: Vec<BTreeSet<&String>> = lists.map(|list| list.iter().collect()).collect();
    first.iter().filter(|genre| others.iter().all(|list| list.contains(genre))).cloned().collect()
}

/// Files of the run's bundles that are not objects of the store, by path: the card, the attribution, `bundle.json`.
///
/// # Errors
/// When an object is missing from the store.
pub fn texts(
    run: &Run<'_>,
    name: &str,
    files: &BTreeMap<PathBuf, Digest>,
    report: &Report,
) -> Result<BTreeMap<PathBuf, String>, Error> {
    let mut texts = BTreeMap::new();
    for part in layout::parts(run.plan) {
        let Some(mut bundle) = of(run, &part, name, files)? else { continue };
        let folder = part.place(Path::new("model"));
        let terms = match bundle.codec.terms() {
            terms if terms.is_empty() => terms,
            terms => format!("\n## Imported weights\n\n{terms}\n"),
        };
        let attribution = trained_on_md(report) + &terms;
        for (name, text) in [(CARD, card::card(&bundle, run.plan)), (ATTRIBUTION, attribution)] {
            bundle.files.insert(name.to_owned(), Digest::of(text.as_bytes()));
            texts.insert(folder.join(name), text);
        }
        let index = serde_json::to_string_pretty(&bundle).map_err(|e| Error::Bug(e.to_string()))?;
        texts.insert(folder.join(INDEX), index + "\n");
    }
    Ok(texts)
}

/// Reads the `bundle.json` of a folder.
///
/// # Errors
/// It is missing, damaged or of a newer version.
pub fn open(folder: &Path) -> Result<Bundle, Error> {
    let path = folder.join(INDEX);
    let text = datasets::untrusted::text(&path, datasets::untrusted::LARGEST_TEXT).map_err(|error| {
        Error::Source(format!(
            "{} is no bundle: cannot read {INDEX}: {error}; a bundle is the folder `model` of a run",
            folder.display()
        ))
    })?;
    let damaged = |why: &dyn std::fmt::Display| {
        Error::Source(format!("{} is damaged: {why}; publish the run again", path.display()))
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| damaged(&error))?;
    let format = value["format"].as_u64().ok_or_else(|| damaged(&"it states no format"))?;
    if format > u64::from(FORMAT) {
        return Err(Error::Source(format!(
            "the bundle {} has format {format}; this version of refrain reads up to {FORMAT}: use the newer refrain",
            folder.display()
        )));
    }
    let bundle: Bundle = serde_json::from_value(value).map_err(|error| damaged(&error))?;
    match (bundle.priors.len(), bundle.codec.hops.len()) {
        (priors, levels) if priors > levels => Err(damaged(&format!("{priors} priors for {levels} levels"))),
        _ => Ok(bundle),
    }
}

impl Bundle {
    /// Reads a file of the bundle in a folder and checks its bytes.
    ///
    /// # Errors
    /// It is missing, or its bytes are not those of the bundle.
    pub fn read(&self, folder: &Path, name: &str) -> Result<Vec<u8>, Error> {
        let path = folder.join(name);
        let plain = matches!(Path::new(name).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
        let Some(digest) = self.files.get(name).filter(|_| plain) else {
            return Err(Error::Source(format!("{INDEX} of the bundle {} does not list {name}", folder.display())));
        };
        let bytes = datasets::untrusted::read(&path, datasets::untrusted::model::LARGEST).map_err(|error| {
            Error::Source(format!("the bundle {} lacks its file {name}: {error}", folder.display()))
        })?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(Error::Source(format!(
                "{} is damaged: its bytes have the digest {}, {INDEX} says {}; publish the run again",
                path.display(),
                found.short(12),
                digest.short(12)
            )));
        }
        Ok(bytes)
    }

    /// Reads its priors.
    ///
    /// # Errors
    /// One is missing, damaged, or of a newer version.
    pub fn priors(&self, folder: &Path) -> Result<Vec<config::Prior>, Error> {
        let load = |entry: &PriorEntry| {
            let wrong = |why| Error::Source(format!("{} is no prior: {why}", folder.join(&entry.file).display()));
            config::Prior::load(&self.read(folder, &entry.file)?).map_err(wrong)
        };
        self.priors.iter().map(load).collect()
    }
}

/// The card of a bundle and the works that it is owed to; without a folder, of the one that comes with the program.
///
/// # Errors
/// It cannot be read, or is damaged or of a newer version.
pub fn about(folder: Option<&Path>) -> Result<String, Error> {
    let Some(folder) = folder else { return Ok(shipped::text()) };
    let bundle = open(folder)?;
    let text = |name| bundle.read(folder, name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(format!("{}\n{}", text(CARD)?, text(ATTRIBUTION)?))
}

/// The file of a codec with its bytes: that of a bundle, a safetensors file, or without a path the one that comes with the
/// program.
///
/// # Errors
/// It cannot be read, or the bundle is damaged or of a newer version.
pub fn codec(path: Option<&Path>) -> Result<(PathBuf, Vec<u8>), Error> {
    let Some(path) = path else { return Ok((shipped::NAME.into(), shipped::CODEC.to_vec())) };
    if path.is_dir() {
        let bundle = open(path)?;
        let bytes = bundle.read(path, &bundle.codec.file)?;
        return Ok((path.join(&bundle.codec.file), bytes));
    }
    let bytes = datasets::untrusted::model::read(path)
        .map_err(|e| Error::Source(format!("cannot read the model {}: {e}", path.display())))?;
    Ok((path.to_owned(), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::lineage::RestsOn;
    use std::fs;

    fn bundle() -> Bundle {
        Bundle {
            format: FORMAT,
            refrain: "1.2.3".into(),
            run: "quickstart-0123456789ab".into(),
            numerics: "cpu-x86-v3".into(),
            codec: CodecEntry {
                file: "codec.safetensors".into(),
                digest: Digest::of(b"codec"),
                rate: 44_100,
                hops: vec![8, 32],
                codewords: vec![512, 512],
                channels: 1,
                license: None,
                source: None,
            },
            priors: Vec::new(),
            genres: vec!["jig".into()],
            trained_on: RestsOn::default(),
            unrecorded: Vec::new(),
            files: BTreeMap::from([("codec.safetensors".into(), Digest::of(b"codec"))]),
        }
    }

    fn sentence<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        let error = result.expect_err("refused");
        assert_eq!(error.code(), 3, "{error}");
        error.to_string()
    }

    #[test]
    fn the_one_that_comes_along_is_whole() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(shipped::NAME);
        let bundle = open(&folder).expect("a bundle");
        for name in bundle.files.keys() {
            bundle.read(&folder, name).expect("the file that it lists");
        }
        let (_, bytes) = codec(None).expect("a codec");
        assert_eq!(codec(Some(&folder)).expect("a codec").1, bytes);
        assert!(shipped::is(&bundle.codec.digest) && bytes.len() < 10_000_000);
        assert_eq!(about(None).expect("text"), about(Some(&folder)).expect("text"));
        // Nothing whose license asks for more than its name.
        let free = ["CC-BY-3.0", "CC-BY-4.0", "CC0-1.0", "CC-PDM-1.0"];
        let licenses: Vec<&String> = bundle.trained_on.licenses.keys().collect();
        assert!(licenses.iter().all(|license| free.contains(&license.as_str())), "{licenses:?}");
        assert!(bundle.unrecorded.is_empty() && bundle.trained_on.gone == 0 && bundle.trained_on.tracks > 0);
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written_and_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let index = |value: &serde_json::Value| fs::write(at.join(INDEX), value.to_string()).expect("written");
        let mut value = serde_json::to_value(bundle()).expect("JSON");
        assert!(sentence(open(at)).contains("is no bundle: cannot read bundle.json"));
        index(&value);
        assert_eq!(open(at).expect("a bundle"), bundle());
        assert!(sentence(codec(Some(at))).contains("lacks its file codec.safetensors"));
        fs::write(at.join("codec.safetensors"), b"codec").expect("written");
        assert_eq!(codec(Some(at)).expect("a codec").1, b"codec");
        fs::write(at.join("codec.safetensors"), b"kodec").expect("written");
        assert!(sentence(codec(Some(at))).contains("codec.safetensors is damaged: its bytes have the digest"));
        value["format"] = 2.into();
        value["more"] = true.into();
        index(&value);
        let why = sentence(open(at));
        assert!(why.ends_with("has format 2; this version of refrain reads up to 1: use the newer refrain"), "{why}");
        value["format"] = 1.into();
        index(&value);
        assert!(sentence(open(at)).contains("is damaged: unknown field `more`"));
        let outside = Bundle { files: BTreeMap::from([("../x".into(), Digest::of(b""))]), ..bundle() };
        assert!(sentence(outside.read(at, "../x")).contains("does not list ../x"));
    }

    #[test]
    fn genres_are_those_that_all_know() {
        let lists = [["a", "b", "c"].map(String::from).to_vec(), ["b", "c", "d"].map(String::from).to_vec()];
        assert_eq!(shared(lists.iter().map(Vec::as_slice)), ["b", "c"]);
        assert!(shared(std::iter::empty()).is_empty());
    }
}
