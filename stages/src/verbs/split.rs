//! `split`: assigns each track to train, valid or test by a threshold on a hash.
//!
//! The hash is blake3(salt, key), so a track's split never depends on which other tracks there are;
//! the fractions are expected values. All tracks of one artist fall into one split; a track without
//! an artist goes by the digest of its samples, before `decode` by that of its file. The manifest's seed plays no part.

use crate::{
    rows::{Input, Kind},
    settings::Complaint,
    stage::{Cardinality, Context, Facts, Places, Port, Stage, StageOutput},
};
use datasets::{
    Key,
    row::{Track, Waiting},
};
use std::sync::Arc;

crate::choice! {
    /// What keeps tracks together.
    pub enum By {
        /// The artist.
        Artist = "artist",
        /// Nothing: each track is its own, by the digest of its samples (before `decode`: of its file).
        Track = "track",
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
        /// What keeps tracks together: all tracks of an artist fall into one split.
        by: By = By::Artist,
        /// Another salt gives another assignment.
        salt: String = String::new(),
    }
}

impl Split {
    /// The split of a track.
    fn of(&self, track: &Track) -> &'static str {
        self.early(track).unwrap_or_else(|| {
            let known = track.recording.as_ref().map_or(track.content, |recording| recording.samples);
            self.at(Key::new("split by track").text(&self.salt).digest(&known))
        })
    }

    /// The split of a track of which nothing but its labels may be known, where they decide.
    fn early(&self, track: &Track) -> Option<&'static str> {
        let artist = track.labels.artist.as_ref().filter(|_| self.by == By::Artist)?;
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

impl Stage for Split {
    const VERB: &'static str = "split";
    const ABOUT: &'static str = "assigns each track to train, valid or test by a salted hash of its artist";
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
    }

    fn render<'s>(self, _: &Context<'s>, input: Input<'s, Track>) -> StageOutput<'s, Track> {
        let waits = self.clone();
        StageOutput {
            kept: input.kept.map(move |track| Track { split: Some(self.of(&track).to_owned()), ..track }),
            dropped: crate::stage::none(&input.pending),
            pending: input.pending.map(move |waiting| Waiting {
                track: waiting.track.map(|track| {
                    let split = waits.early(&track).map(str::to_owned);
                    Arc::new(Track { split, ..Arc::unwrap_or_clone(track) })
                }),
                ..waiting
            }),
        }
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

    #[test]
    fn fractions_are_expected_values_and_artists_stay_together() {
        let split = Split { train: 0.7, valid: 0.1, test: 0.2, by: By::Artist, salt: "s".into() };
        let count = |name| (0..20_000).filter(|n| split.of(&track(None, *n)) == name).count() as f64 / 20_000.0;
        assert!((count("train") - 0.7).abs() < 0.02 && (count("valid") - 0.1).abs() < 0.01);
        let one = split.of(&track(Some("a"), 1));
        assert!((0..100).all(|n| split.of(&track(Some("a"), n)) == one));
        let salted = Split { salt: "other".into(), ..split.clone() };
        assert!((0..100).any(|n| split.of(&track(None, n)) != salted.of(&track(None, n))));
    }

    #[test]
    fn what_is_not_decoded_goes_by_its_file() {
        let split = Split { train: 0.5, valid: 0.0, test: 0.5, by: By::Artist, salt: String::new() };
        let other = |n: u32| Track { content: Digest::of(b"another file"), ..track(None, n) };
        let plain = |n: u32| Track { recording: None, ..track(None, n) };
        for n in 0..100 {
            assert_eq!(split.of(&track(None, n)), split.of(&other(n)), "decoded, the samples decide");
            assert_eq!(split.of(&plain(n)), split.of(&track(None, n)), "`track` digests its file as its samples");
            assert_eq!(split.early(&plain(n)), None);
            assert_eq!(split.early(&track(Some("a"), n)), Some(split.of(&track(Some("a"), 0))));
        }
    }
}
