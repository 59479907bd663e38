//! The content of a report as plain data: no dataflow, no store, no clock.

use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap};

/// The data of the page and of `ATTRIBUTION.md`. An empty list leaves its section out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report<'w> {
    /// The manifest's name.
    pub name: String,
    /// The run's id, as it is printed.
    pub run_id: String,
    /// The manifest as it was meant: the settings that are not the default.
    pub manifest: String,
    /// The manifest's seed.
    pub seed: u64,
    /// Clips cut by the run; `None` where no stage cuts any.
    pub clips: Option<u64>,
    /// Codes written by the run, all levels together; `None` where no stage encodes.
    pub codes: Option<u64>,
    /// The stages, in any order.
    pub stages: Vec<StageView>,
    /// The tracks that were kept to the end.
    pub corpus: CorpusView,
    /// Training curves of the codec, one entry per level.
    pub curves: Vec<CurveSet>,
    /// Training curves of the priors.
    pub priors: Vec<PriorCurve>,
    /// Use of the codebooks over the train split, one entry per level.
    pub codebooks: Vec<Codebook>,
    /// Originals and their reconstructions.
    pub players: Vec<Sample>,
    /// Songs that were sampled.
    pub songs: Vec<SongView>,
    /// The models that songs came from, and what they were trained on.
    pub models: Vec<ModelView>,
    /// The results of a sweep.
    pub sweep: Option<super::data::SweepView>,
    /// Figures in tables of any shape.
    pub scores: Vec<ScoreTable>,
    /// Works of the corpus with their authors and licenses.
    pub attribution: Vec<Attribution<'w>>,
    /// Sentences the reader must see first, such as "codec pinned, 12 tracks newer than it".
    pub notes: Vec<String>,
}

/// One stage of the plan and what became of its rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageView {
    /// The stage's name in the manifest.
    pub name: String,
    /// Verb of the stage: `ingest`, `license`, ...
    pub verb: String,
    /// The names of the stages it reads.
    pub from: Vec<String>,
    /// Rows that left it.
    pub kept: u64,
    /// Rows it dropped.
    pub dropped: u64,
    /// Unit of its kept rows: `tracks`, `clips`, `shards`, ...
    pub unit: String,
    /// Reasons of the dropped rows; the counts add up to `dropped`.
    pub reasons: Vec<DropReason>,
}

/// One reason for dropping rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DropReason {
    /// The reason's code, such as `license-denied`.
    pub code: String,
    /// Number of rows dropped for this reason.
    pub count: u64,
    /// One of those rows, as a sentence.
    pub example: String,
}

/// The corpus in numbers: tracks by each label; the empty text counts those without.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CorpusView {
    /// Tracks.
    pub tracks: u64,
    /// Tracks under each license, as an SPDX expression where it is one.
    pub licenses: BTreeMap<String, u64>,
    /// Tracks in each split.
    pub splits: BTreeMap<String, u64>,
    /// Tracks of each genre.
    pub genres: BTreeMap<String, u64>,
    /// Lengths in seconds of the tracks that were decoded.
    pub seconds: Vec<f64>,
}

impl CorpusView {
    /// Counts a track.
    pub fn add(&mut self, license: Option<&str>, split: Option<&str>, genre: Option<&str>, seconds: Option<f64>) {
        self.tracks += 1;
        let labels = [(&mut self.licenses, license), (&mut self.splits, split), (&mut self.genres, genre)];
        for (counts, label) in labels {
            let label = label.unwrap_or_default();
            match counts.get_mut(label) {
                Some(count) => *count += 1,
                None => drop(counts.insert(label.to_owned(), 1)),
            }
        }
        self.seconds.extend(seconds);
    }
}

/// The training of one level of a codec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurveSet {
    /// Level; 0 is the bottom.
    pub level: u32,
    /// Samples per code.
    pub hop: u32,
    /// The recorded steps, in order.
    pub points: Vec<CurvePoint>,
}

/// Figures of one training step. A figure that is not finite is left out of its chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Optimiser step.
    pub step: u64,
    /// Mean squared error of the samples, or the smooth distance of amplitudes where the level plays oscillators.
    pub reconstruction: f64,
    /// Distance of the STFT magnitudes.
    pub spectral: f64,
    /// Distance of their logarithms; 0 where it had no weight.
    pub log_spectral: f64,
    /// Mean squared distance of latents to their codewords.
    pub commitment: f64,
    /// Distinct codewords in use.
    pub used: u32,
    /// Exponential of the entropy of codeword use.
    pub perplexity: f64,
}

/// The training of a prior, in bits per code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PriorCurve {
    /// The stage that trained it.
    pub stage: String,
    /// Level whose codes it predicts; 0 is the bottom.
    pub level: u32,
    /// Samples per code.
    pub hop: u32,
    /// Bits per code of each step's batch: step, bits.
    pub points: Vec<(u64, f64)>,
    /// Bits per held-out code at the end of training. `None` if it was not measured.
    pub held_out: Option<f64>,
    /// Bits per held-out code of a unigram. `None` if it was not measured.
    pub unigram: Option<f64>,
    /// Bits per held-out code of a bigram. `None` if it was not measured.
    pub bigram: Option<f64>,
}

/// Use of one level's codebook over the train split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Codebook {
    /// Level; 0 is the bottom.
    pub level: u32,
    /// Samples per code.
    pub hop: u32,
    /// Number of uses of each codeword, `[codewords]`.
    pub counts: Vec<u64>,
}

impl Codebook {
    /// Codewords that occur at least once.
    #[must_use]
    pub fn used(&self) -> usize {
        self.counts.iter().filter(|&&count| count > 0).count()
    }

    /// All occurrences together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Exponential of the entropy of the codewords' shares: the number of equally likely codewords that would be
    /// as hard to guess. 0 for a codebook nobody used.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        let total = self.total() as f64;
        if total == 0.0 {
            return 0.0;
        }
        let entropy: f64 = self
            .counts
            .iter()
            .filter(|&&count| count > 0)
            .map(|&count| {
                let share = count as f64 / total;
                -share * libm::log(share)
            })
            .sum();
        libm::exp(entropy)
    }
}

/// Mono sound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Audio {
    /// Samples per second.
    pub rate: u32,
    /// The samples, nominally within -1..=1.
    pub samples: Vec<f32>,
}

impl Audio {
    /// Length in seconds; 0 where the rate is 0.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        if self.rate == 0 {
            return 0.0;
        }
        self.samples.len() as f64 / f64::from(self.rate)
    }

    /// The first `seconds` of it.
    #[must_use]
    pub fn excerpt(&self, seconds: f64) -> &[f32] {
        let frames = (seconds.max(0.0) * f64::from(self.rate)) as usize;
        &self.samples[..frames.min(self.samples.len())]
    }
}

/// One original with its reconstructions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Title of the track, or its id.
    pub track: String,
    /// Genre, where stated.
    pub genre: Option<String>,
    /// Whether training never saw it.
    pub held_out: bool,
    /// Anything else to say about it; empty for nothing.
    pub note: String,
    /// The original.
    pub original: Audio,
    /// Reconstruction of the original by each level.
    pub reconstructions: Vec<Reconstruction>,
}

/// One song that was sampled, and what it rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SongView {
    /// Name of the song within its stage.
    pub name: String,
    /// The stage that sampled it.
    pub stage: String,
    /// Path of the song's file, relative to the page.
    pub file: String,
    /// The genre that was asked for.
    pub genre: Option<String>,
    /// Seed of the song in hexadecimal.
    pub seed: String,
    /// The digest of its codec.
    pub codec: String,
    /// The digests of its priors, the bottom first.
    pub priors: Vec<String>,
    /// License and number of tracks that its models were trained on.
    pub licenses: Vec<(String, u64)>,
    /// Recordings that its models were trained on and that are no longer in the corpus.
    pub gone: u64,
    /// Sound of the song: samples and sample rate.
    pub audio: Audio,
}

/// A model that songs came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelView {
    /// The stage that made it.
    pub stage: String,
    /// Description of the model: `codec`, `prior of level 2`.
    pub what: String,
    /// The digest of its file.
    pub digest: String,
    /// License and number of tracks that it was trained on.
    pub licenses: Vec<(String, u64)>,
    /// Recordings that it was trained on and that are no longer in the corpus.
    pub gone: u64,
    /// Whether the training data of the model is recorded.
    pub recorded: bool,
}

/// Reconstruction of an original by one level of a codec, with its figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reconstruction {
    /// Level; 0 is the bottom.
    pub level: u32,
    /// Samples per code.
    pub hop: u32,
    /// The reconstruction.
    pub audio: Audio,
    /// Scale-invariant signal-to-distortion ratio in dB (higher is closer).
    pub si_sdr_db: Option<f64>,
    /// Distance of the log-mel spectra (lower is closer).
    pub log_mel: Option<f64>,
}

/// A table of figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreTable {
    /// Heading.
    pub title: String,
    /// Sentence on how to read the table; empty for none.
    pub note: String,
    /// Heading of the first column, which holds the rows' labels.
    pub rows_are: String,
    /// The other columns.
    pub columns: Vec<ScoreColumn>,
    /// The rows.
    pub rows: Vec<ScoreRow>,
}

/// A column of a table of figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreColumn {
    /// Heading, with its unit.
    pub name: String,
    /// Digits after the point.
    pub decimals: u8,
}

/// A row of a table of figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// Label of the row.
    pub label: String,
    /// Figures of the row, one per column; `None` if it does not have one.
    pub values: Vec<Option<f64>>,
}

/// One work that the corpus holds; its texts lie where the corpus has them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attribution<'w> {
    /// The work's title.
    pub title: Cow<'w, str>,
    /// Name of the author; empty if nobody is named.
    pub artist: Cow<'w, str>,
    /// License of the work as an SPDX expression; empty if none is stated.
    pub license: Cow<'w, str>,
    /// The license's text or deed, where the source names one.
    pub license_url: Option<Cow<'w, str>>,
    /// Origin of the work: an address or a sentence; empty if none is stated.
    pub source: Cow<'w, str>,
    /// Number of tracks of the corpus that this line covers.
    pub tracks: u64,
    /// Number of these tracks that a model of the run was trained on.
    pub trained_on: u64,
}

/// The table of results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepView {
    /// The settings that points differ in, but the seed.
    pub settings: Vec<String>,
    /// Names of the scores.
    pub scores: Vec<String>,
    /// Whether figures are means over seeds.
    pub seeds: bool,
    /// The points.
    pub rows: Vec<SweepRow>,
    /// Notes that a reader must know before comparing.
    pub notes: Vec<String>,
}

impl SweepView {
    /// Scores by whether points differ in them: those that do are what a sweep is for. Where none does, and of a single
    /// point, all count as differing.
    pub(crate) fn columns(&self) -> (Vec<usize>, Vec<usize>) {
        let differs =
            |column: &usize| self.rows.windows(2).any(|rows| rows[0].cells.get(*column) != rows[1].cells.get(*column));
        let (differing, same): (Vec<usize>, Vec<usize>) = (0..self.scores.len()).partition(differs);
        if differing.is_empty() { (same, differing) } else { (differing, same) }
    }
}

/// One point of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepRow {
    /// Name of the point.
    pub point: String,
    /// Values of the point, one for each of the settings; empty if the point leaves a setting as it is.
    pub values: Vec<String>,
    /// Seeds of the point.
    pub seeds: Vec<String>,
    /// Figures of the point, one for each of the scores; `None` if it does not have the score.
    pub cells: Vec<Option<SweepCell>>,
}

/// A figure of one point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepCell {
    /// The figure, over seeds their mean.
    pub mean: f64,
    /// The deviation over seeds.
    pub deviation: Option<f64>,
    /// Figures of one column with different letters do not compare.
    pub fingerprint: Option<char>,
}

/// Digits of a figure that count.
const DIGITS: i32 = 4;

impl SweepCell {
    /// Digits after the point, so that `DIGITS` of the figure are seen.
    pub(crate) fn decimals(&self) -> usize {
        let size = self.mean.abs().max(f64::MIN_POSITIVE);
        let before = libm::floor(libm::log10(size)) as i32 + 1;
        (DIGITS - before).clamp(0, 8) as usize
    }
}
