//! Publications of each kind of row: files, models and songs, scores, pins. One impl for each kind, and no other place
//! of `pipeline` asks of what kind a row is to know it.

use crate::{
    dataflow::outcome::Outcome,
    plan::{Plan, PlannedStage},
    record::{
        made::Made,
        scores::{Score, bits, measured},
    },
};
use datasets::{
    Digest, names,
    row::{Audio, Clip, Codes, Found, Metric, Prior, Shard, Track, Weights},
};
use stages::rows::{AnyRow, Kind, kept::Kept};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Files of a run's tree that are objects of the store: path under the tree, object.
pub type Files = BTreeMap<PathBuf, Digest>;

/// A model or a song that a row is.
#[derive(Clone, Debug)]
pub struct Product {
    /// Whether it is a model.
    pub model: bool,
    /// Name in the record: `codec`, `prior` or `song`.
    pub kind: &'static str,
    /// Title for people.
    pub title: String,
    /// The digest of its file.
    pub digest: Digest,
    /// The models that it was made with.
    pub models: Vec<Digest>,
    /// Objects of the store that list the samples that it was trained on; empty where these are not recorded.
    pub lineage: Vec<Digest>,
}

/// The things that a row of one kind publishes. By default a kind publishes none of them.
pub trait Publish {
    /// Whether rows of this kind are models, which are of use together only.
    fn is_model() -> bool
    where
        Self: Sized,
    {
        false
    }

    /// Adds its files to those of the rows before it.
    fn files(&self, _: &mut Files) {}

    /// The row as a model or a song.
    fn product(&self) -> Option<Product> {
        None
    }

    /// Figures of the row as scores of a stage.
    fn scores(&self, _: &PlannedStage) -> Vec<Score> {
        Vec::new()
    }

    /// The digest that a lock file pins its stage to.
    fn pin(&self) -> Option<Digest> {
        None
    }

    /// Id of the row and the digest of its rows, by which the record tells what of it changed.
    fn view(&self) -> Option<(String, Digest)> {
        None
    }

    /// The number of rows that it stands for.
    fn members(&self) -> usize {
        1
    }
}

/// Lists the kinds of rows, each once: a missing one does not compile.
macro_rules! kinds { ($($Row:ident),*) => {
    /// The `Publish` implementation of a row's kind.
    pub fn of(row: &AnyRow) -> &dyn Publish {
        match row { $(AnyRow::$Row(row) => row),* }
    }

    /// Whether rows of a kind are models.
    pub fn is_model(kind: Kind) -> bool {
        match kind { $(Kind::$Row => $Row::is_model()),* }
    }
} }
kinds!(Found, Track, Clip, Codes, Shard, Weights, Prior, Audio, Metric);

// Rows of the corpus itself: the list of tracks, the report and the history tell of them.
impl Publish for Found {}
impl Publish for Track {}
impl Publish for Clip {}
impl Publish for Codes {}

impl Publish for Shard {
    fn files(&self, files: &mut Files) {
        files.insert(Path::new("codes").join(format!("{}.parquet", self.id())), self.file);
    }

    fn view(&self) -> Option<(String, Digest)> {
        Some((self.id(), self.view))
    }

    fn members(&self) -> usize {
        self.clips as usize
    }
}

/// The path of a model: the first of its name has that name, another one its digest behind it.
fn model(files: &Files, stem: String, digest: &Digest) -> (PathBuf, String) {
    let folder = Path::new("model");
    let stem = match files.contains_key(&folder.join(format!("{stem}.safetensors"))) {
        false => stem,
        true => format!("{stem}-{}", digest.short(12)),
    };
    (folder.join(format!("{stem}.safetensors")), stem)
}

impl Publish for Weights {
    fn is_model() -> bool {
        true
    }

    fn files(&self, files: &mut Files) {
        let (path, stem) = model(files, "codec".into(), &self.digest);
        if let Some(curves) = self.curves {
            files.insert(path.with_file_name(format!("{stem}-curves.parquet")), curves);
        }
        files.insert(path, self.digest);
    }

    fn product(&self) -> Option<Product> {
        Some(Product {
            model: Self::is_model(),
            kind: "codec",
            title: "codec".into(),
            digest: self.digest,
            models: Vec::new(),
            lineage: self.lineage.into_iter().collect(),
        })
    }

    fn pin(&self) -> Option<Digest> {
        Some(self.digest)
    }
}

impl Publish for Prior {
    fn is_model() -> bool {
        true
    }

    fn files(&self, files: &mut Files) {
        let (path, stem) = model(files, format!("prior-{}", self.level), &self.digest);
        files.insert(path.with_file_name(format!("{stem}-curves.parquet")), self.curves);
        files.insert(path, self.digest);
    }

    fn product(&self) -> Option<Product> {
        Some(Product {
            model: Self::is_model(),
            kind: "prior",
            title: format!("prior of level {}", self.level),
            digest: self.digest,
            models: vec![self.codec],
            lineage: vec![self.lineage],
        })
    }

    fn scores(&self, stage: &PlannedStage) -> Vec<Score> {
        bits(stage, self)
    }

    fn pin(&self) -> Option<Digest> {
        Some(self.digest)
    }
}

impl Publish for Audio {
    fn files(&self, files: &mut Files) {
        let stem = names::stem(&self.name, |c| c.is_alphanumeric() || "-_. ".contains(c));
        let first = Path::new("audio").join(format!("{stem}.wav"));
        // Two stages may have songs of one name, and of two genres only capitals may differ.
        let meets = |path: &Path| names::meet(&path.to_string_lossy(), &first.to_string_lossy());
        let path = match files.iter().any(|(path, file)| meets(path) && (*path != first || *file != self.file)) {
            true => first.with_file_name(format!("{stem}-{}.wav", self.file.short(12))),
            false => first,
        };
        files.insert(path, self.file);
    }

    fn product(&self) -> Option<Product> {
        Some(Product {
            model: Self::is_model(),
            kind: "song",
            title: self.name.clone(),
            digest: self.file,
            models: std::iter::once(self.codec).chain(self.priors.iter().copied()).collect(),
            lineage: self.lineage.clone(),
        })
    }
}

impl Publish for Metric {
    fn scores(&self, stage: &PlannedStage) -> Vec<Score> {
        vec![measured(stage, self)]
    }
}

/// The files of some rows.
pub fn files(rows: &[AnyRow]) -> Files {
    rows.iter().fold(Files::new(), |mut files, row| {
        of(row).files(&mut files);
        files
    })
}

/// Rows that a run made of its corpus, each with its stage, in the order of the plan's stages.
fn rows<'a>(plan: &'a Plan, outcome: &'a Outcome) -> impl Iterator<Item = (&'a PlannedStage, AnyRow)> {
    let stages = plan.stages.iter().zip(&outcome.stages);
    stages.flat_map(|(stage, own)| own.kept.made().into_iter().map(move |row| (stage, row)))
}

/// All scores of a run, in the order of the plan's stages.
pub fn scores(plan: &Plan, outcome: &Outcome) -> Vec<Score> {
    rows(plan, outcome).flat_map(|(stage, row)| of(&row).scores(stage)).collect()
}

/// Models and songs of a run, each with its stage, in the order of the plan's stages.
pub fn products<'a>(plan: &'a Plan, outcome: &'a Outcome) -> impl Iterator<Item = (&'a PlannedStage, Product)> {
    rows(plan, outcome).filter_map(|(stage, row)| Some((stage, of(&row).product()?)))
}

/// The models among [`products`].
pub fn models<'a>(plan: &'a Plan, outcome: &'a Outcome) -> impl Iterator<Item = (&'a PlannedStage, Product)> {
    products(plan, outcome).filter(|(_, product)| product.model)
}

/// The songs among [`products`].
pub fn songs<'a>(plan: &'a Plan, outcome: &'a Outcome) -> impl Iterator<Item = (&'a PlannedStage, Product)> {
    products(plan, outcome).filter(|(_, product)| !product.model)
}

/// Models and songs as the record tells of them.
pub fn made(plan: &Plan, outcome: &Outcome) -> BTreeSet<Made> {
    let made = products(plan, outcome).map(|(stage, product)| {
        let Product { kind, digest, models, lineage, .. } = product;
        Made { kind: kind.to_owned(), stage: stage.name.clone(), digest, models, lineage }
    });
    made.collect()
}

/// The number of rows that kept rows stand for.
pub fn members(kept: &Kept) -> usize {
    match kept.made() {
        made if made.is_empty() => kept.len(),
        made => made.iter().map(|row| of(row).members()).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn codec(text: &str, curves: Option<&str>) -> AnyRow {
        let (hops, codewords) = (vec![8], vec![512]);
        AnyRow::Weights(Weights {
            digest: digest(text),
            rate: 22_050,
            hops,
            codewords,
            curves: curves.map(digest),
            lineage: Some(digest("lineage")),
            channels: 1,
            license: None,
            source: None,
        })
    }

    fn song(name: &str, file: &str) -> AnyRow {
        AnyRow::Audio(Audio {
            name: name.into(),
            file: digest(file),
            frames: 1,
            rate: 22_050,
            genre: None,
            seed: digest("seed"),
            codec: digest("a"),
            priors: vec![digest("p")],
            lineage: vec![digest("lineage")],
        })
    }

    #[test]
    fn files_of_one_name_are_told_apart_by_their_digests() {
        let songs = [song("x/1", "s"), song("x/1", "s"), song("x/1", "t"), song("X/1", "u")];
        let rows: Vec<AnyRow> = [codec("a", Some("curves")), codec("b", None)].into_iter().chain(songs).collect();
        let all = files(&rows);
        let paths: BTreeMap<String, Digest> =
            all.into_iter().map(|(path, digest)| (path.display().to_string(), digest)).collect();
        let other = |name: &str, text: &str, end: &str| format!("{name}-{}.{end}", digest(text).short(12));
        let expected = [
            ("model/codec.safetensors".to_owned(), digest("a")),
            ("model/codec-curves.parquet".to_owned(), digest("curves")),
            (other("model/codec", "b", "safetensors"), digest("b")),
            ("audio/x_1.wav".to_owned(), digest("s")),
            (other("audio/x_1", "t", "wav"), digest("t")),
            (other("audio/X_1", "u", "wav"), digest("u")),
        ];
        assert_eq!(paths, BTreeMap::from(expected));
    }

    #[test]
    fn a_genre_of_any_length_gives_a_file_name() {
        let rows = [song(&format!("{}-1", "rock; ".repeat(60)), "s"), song(&format!("{}-2", "rock; ".repeat(60)), "t")];
        let paths: Vec<PathBuf> = files(&rows).into_keys().collect();
        assert_eq!(paths.len(), 2);
        assert!(paths.iter().all(|path| path.file_name().is_some_and(|name| name.len() < 200)), "{paths:?}");
    }

    #[test]
    fn models_are_pinned_and_songs_name_their_models() {
        let (codec, song) = (codec("a", None), song("1", "s"));
        let product = |row: &AnyRow| of(row).product().expect("a product");
        assert_eq!((of(&codec).pin(), of(&song).pin()), (Some(digest("a")), None));
        assert_eq!((product(&codec).kind, product(&codec).model, product(&codec).lineage.len()), ("codec", true, 1));
        assert_eq!((product(&song).kind, product(&song).model), ("song", false));
        assert_eq!(product(&song).models, [digest("a"), digest("p")]);
        assert!(is_model(Kind::Weights) && is_model(Kind::Prior) && !is_model(Kind::Audio) && !is_model(Kind::Track));
    }
}
