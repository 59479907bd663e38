//! `split`: assigns each track to train, valid or test by a threshold on a hash.
//!
//! The hash is blake3(salt, key), so a track's split never depends on which other tracks there are;
//! the fractions are expected values. All tracks of one artist fall into one split; a track without
//! an artist goes by the digest of its samples, before `decode` by that of its file. The manifest's seed plays no part.
//!
//! | `by` | keeps together | a track without it |
//! |---|---|---|
//! | `"artist"` | tracks of one artist | goes by its samples |
//! | `"track"` | nothing | |
//! | `"column"` | tracks with one text in `column`, such as an album or a cluster | goes by its samples |
//! | `"official"` | what the data set itself puts into a split | as `unassigned` says |

use crate::{
    flow::{Either, divide},
    rows::{Input, Kind},
    settings::Complaint,
    stage::{
        Cardinality, Context, Facts, Places, Port, Stage, StageOutput,
        memory::{Known, Memory},
    },
};
use datasets::{
    Key,
    corpus::data_sets::OFFICIAL_SPLIT,
    row::{Dropped, Track, Waiting},
};
use std::sync::Arc;

crate::choice! {
    /// What keeps tracks together.
    pub enum By {
        /// The artist.
        Artist = "artist",
        /// Nothing: each track is its own, by the digest of its samples (before `decode`: of its file).
        Track = "track",
        /// The text in a column.
        Column = "column",
        /// Nothing: each track has the split that its data set gives it.
        Official = "official",
    }
}

crate::choice! {
    /// What becomes of tracks to which their data set gives no split.
    pub enum Unassigned {
        /// They are dropped.
        Drop = "drop",
        /// They are trained on.
        Train = "train",
        /// They are assigned as with `by = "artist"`.
        Hash = "hash",
    }
}

crate::settings! {
    /// Settings of `split`.
    pub struct Split {
        /// Expected fraction of the training split.
        train: f64 = 0.9,
        /// Expected fraction of the validation split.
        valid: f64 = 0.05,
        /// Expected fraction of the test split.
        test: f64 = 0.05,
        /// What keeps tracks together: all tracks of an artist, or with one text in `column`, fall into one split; `official`
        /// takes the split that the data set itself gives to each track.
        by: By = By::Artist,
        /// With `by = "column"`, the label or the corpus's own column that keeps tracks together; with `by = "official"`, the
        /// one with the split (default: `split`).
        column: Option<String> = None,
        /// With `by = "official"`, what becomes of tracks to which the data set gives no split: `hash` assigns them by artist.
        unassigned: Unassigned = Unassigned::Drop,
        /// Another salt gives another assignment.
        salt: String = String::new(),
    }
}

impl Split {
    /// The split of a track, or why it has none.
    fn of(&self, track: &Track) -> Result<&'static str, Dropped> {
        self.early(track).unwrap_or_else(|| {
            let known = track.recording.as_ref().map_or(track.content, |recording| recording.samples);
            Ok(self.at(Key::new("split by track").text(&self.salt).digest(&known)))
        })
    }

    /// The split of a track of which nothing but its labels may be known, where they decide.
    fn early(&self, track: &Track) -> Option<Result<&'static str, Dropped>> {
        match self.by {
            By::Track => None,
            By::Artist => self.by_artist(track).map(Ok),
            By::Column => {
                let column = self.column.as_deref()?;
                let text = text(track, column)?;
                Some(Ok(self.at(Key::new("split by column").text(&self.salt).text(text))))
            }
            By::Official => {
                let column = self.column.as_deref().unwrap_or(OFFICIAL_SPLIT);
                let stated = text(track, column);
                match (stated.and_then(official), self.unassigned) {
                    (Some(split), _) => Some(Ok(split)),
                    (None, Unassigned::Train) => Some(Ok("train")),
                    (None, Unassigned::Hash) => self.by_artist(track).map(Ok),
                    (None, Unassigned::Drop) => Some(Err(undecided(track, column, stated))),
                }
            }
        }
    }

    fn by_artist(&self, track: &Track) -> Option<&'static str> {
        let artist = track.labels.artist.as_ref()?;
        Some(self.at(Key::new("split by artist").text(&self.salt).text(artist)))
    }

    fn at(&self, key: Key) -> &'static str {
        let point = key.finish().prefix() as f64 / 2f64.powi(64);
        match point {
            p if p < self.train => "train",
            p if p < self.train + self.valid => "valid",
            _ => "test",
        }
    }
}

/// The text of a label or of a column of the corpus's own.
fn text<'t>(track: &'t Track, column: &str) -> Option<&'t str> {
    track.labels.get(column).or_else(|| track.labels.extra.get(column).map(String::as_str))
}

/// The split that a word of a data set means.
fn official(word: &str) -> Option<&'static str> {
    match word.trim().to_lowercase().as_str() {
        "train" | "training" => Some("train"),
        "valid" | "validation" | "val" | "dev" | "development" => Some("valid"),
        "test" | "testing" | "eval" | "evaluation" => Some("test"),
        _ => None,
    }
}

fn undecided(track: &Track, column: &str, stated: Option<&str>) -> Dropped {
    let why = match stated {
        Some(stated) => format!("`{column}` says {stated:?}, which is no split"),
        None => format!("`{column}`, where its data set states a split, is empty"),
    };
    Dropped { id: track.id.clone(), code: "no-official-split".into(), why: why.into(), failed: false }
}

impl Stage for Split {
    const VERB: &'static str = "split";
    const ABOUT: &'static str =
        "assigns each track to train, valid or test by a salted hash of its artist, or as its data set does";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port::many("tracks", Kind::Track)];
    const CARDINALITY: Cardinality = Cardinality::OneToOne;
    const UNIT: &'static str = "tracks";
    const FACTS: Facts = Facts { splits: true, light: true, ..Facts::NONE };
    type In = Track;
    type Out = Track;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        for (name, fraction) in [("train", self.train), ("valid", self.valid), ("test", self.test)] {
            if !(0.0..=1.0).contains(&fraction) {
                let message = format!("`{name}`: {fraction} is not a fraction from 0 to 1");
                complaints.push(Complaint::new(at.of(name), message));
            }
        }
        let sum = self.train + self.valid + self.test;
        if (sum - 1.0).abs() > 1e-9 {
            let given = ["train", "valid", "test"].into_iter().find(|f| at.table.get(f).is_some()).unwrap_or("train");
            let message = format!("`train`, `valid` and `test` add up to {sum}, not 1");
            complaints.push(Complaint::new(at.of(given), message).help("give all three; a fraction may be 0"));
        }
        if self.by == By::Column && self.column.is_none() {
            let message = "`by = \"column\"` needs `column`, the column that keeps tracks together";
            complaints.push(Complaint::new(at.of("by"), message).help("add `column = \"..\"`"));
        }
        let idle = [
            ("column", self.column.is_some() && !matches!(self.by, By::Column | By::Official)),
            ("unassigned", self.unassigned != Unassigned::Drop && self.by != By::Official),
        ];
        for (name, _) in idle.into_iter().filter(|(_, idle)| *idle) {
            let message = format!("`{name}` means nothing for `by = {:?}`", self.by.word());
            complaints.push(Complaint::new(at.of(name), message));
        }
    }

    fn splits(&self) -> Option<Vec<&'static str>> {
        let all = [("train", self.train), ("valid", self.valid), ("test", self.test)];
        Some(all.into_iter().filter(|(_, share)| *share > 0.0).map(|(name, _)| name).collect())
    }

    fn memory(&self, known: &mut Known, _: u64) -> Memory {
        known.splits = self.splits().map(|names| names.into_iter().map(str::to_owned).collect());
        Memory::default()
    }

    fn render<'s>(self, _: &Context<'s>, input: Input<'s, Track>) -> StageOutput<'s, Track> {
        let waits = self.clone();
        let (kept, dropped) = divide(input.kept, move |track| match self.of(&track) {
            Ok(split) => Either::One(Track { split: Some(split.to_owned()), ..track }),
            Err(dropped) => Either::Other(dropped),
        });
        let (pending, early) = divide(input.pending, move |waiting| {
            let Some(track) = &waiting.track else { return Either::One(waiting) };
            match waits.early(track).transpose() {
                Ok(split) => {
                    let track = Track { split: split.map(str::to_owned), ..Track::clone(track) };
                    Either::One(Waiting { track: Some(Arc::new(track)), ..waiting })
                }
                Err(dropped) => Either::Other(dropped),
            }
        });
        StageOutput { kept, dropped: dropped.concat(early), pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datasets::{
        Digest,
        row::{Labels, Recording},
    };

    fn track(artist: Option<&str>, n: u32) -> Track {
        let samples = Digest::of(&n.to_le_bytes());
        Track {
            id: format!("t/{n}"),
            content: samples,
            bytes: 0,
            license: None,
            labels: Labels {
                title: None,
                artist: artist.map(Into::into),
                genre: None,
                source: None,
                extra: Default::default(),
            },
            recording: Some(Recording { frames: 1, rate: 1, channels: 1, samples }),
            chain: None,
            split: None,
        }
    }

    fn split(by: By) -> Split {
        let (train, valid, test, salt) = (0.5, 0.0, 0.5, String::new());
        Split { train, valid, test, by, column: None, unassigned: Unassigned::Drop, salt }
    }

    #[test]
    fn fractions_are_expected_values_and_artists_stay_together() {
        let split = Split { train: 0.7, valid: 0.1, test: 0.2, salt: "s".into(), ..split(By::Artist) };
        let count = |name| (0..20_000).filter(|n| split.of(&track(None, *n)) == Ok(name)).count() as f64 / 20_000.0;
        assert!((count("train") - 0.7).abs() < 0.02 && (count("valid") - 0.1).abs() < 0.01);
        let one = split.of(&track(Some("a"), 1));
        assert!((0..100).all(|n| split.of(&track(Some("a"), n)) == one));
        let salted = Split { salt: "other".into(), ..split.clone() };
        assert!((0..100).any(|n| split.of(&track(None, n)) != salted.of(&track(None, n))));
    }

    #[test]
    fn what_is_not_decoded_goes_by_its_file() {
        let split = split(By::Artist);
        let other = |n: u32| Track { content: Digest::of(b"another file"), ..track(None, n) };
        let plain = |n: u32| Track { recording: None, ..track(None, n) };
        for n in 0..100 {
            assert_eq!(split.of(&track(None, n)), split.of(&other(n)), "decoded, the samples decide");
            assert_eq!(split.of(&plain(n)), split.of(&track(None, n)), "`track` digests its file as its samples");
            assert_eq!(split.early(&plain(n)), None);
            assert_eq!(split.early(&track(Some("a"), n)), Some(split.of(&track(Some("a"), 0))));
        }
    }

    #[test]
    fn what_a_data_set_says_is_taken_and_the_rest_by_a_rule() {
        let official = split(By::Official);
        let says = |text: &str| {
            let mut track = track(Some("a"), 1);
            track.labels.set("split", text);
            track.labels.set("fold", "train");
            track
        };
        for (text, name) in
            [("train", "train"), (" Training ", "train"), ("validation", "valid"), ("dev", "valid"), ("TEST", "test")]
        {
            assert_eq!(official.of(&says(text)), Ok(name), "{text}");
            assert_eq!(official.early(&says(text)), Some(Ok(name)), "{text}");
        }
        let why = |split: &Split, text: &str| split.of(&says(text)).map_err(|row| row.to_string());
        let said = |why: &str| Err(format!("t/1: `split`{why} (no-official-split)"));
        assert_eq!(why(&official, ""), said(", where its data set states a split, is empty"));
        assert_eq!(why(&official, "fold 3"), said(" says \"fold 3\", which is no split"));
        let train = Split { unassigned: Unassigned::Train, ..official.clone() };
        assert_eq!((why(&train, "fold 3"), why(&train, "test")), (Ok("train"), Ok("test")));
        let hash = Split { unassigned: Unassigned::Hash, ..official.clone() };
        assert_eq!(hash.of(&says("")), split(By::Artist).of(&says("")));
        let fold = Split { column: Some("fold".into()), ..official };
        assert_eq!(fold.of(&says("test")), Ok("train"));
    }

    #[test]
    fn a_column_keeps_tracks_together() {
        let album = Split { column: Some("album".into()), ..split(By::Column) };
        let on = |album: &str, n: u32| {
            let mut track = track(Some("a"), n);
            track.labels.set("album", album);
            track
        };
        let of = |name: &str, n: u32| album.of(&on(name, n)).expect("a split");
        assert!((0..100).all(|n| of("one", n) == of("one", 0)));
        let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        assert!(names.iter().any(|name| of(name, 0) != of("one", 0)));
        assert!((0..100).any(|n| of("", n) != of("", 0)), "without a text each goes by its samples");
        let title = Split { column: Some("title".into()), ..album.clone() };
        let mut named = track(None, 3);
        named.labels.title = Some("t".into());
        assert!(title.early(&named).is_some());
    }
}
