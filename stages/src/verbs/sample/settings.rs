//! The settings of `sample`.

use crate::{media::generate::Ask, model::prior::sample::Draw};
use std::collections::BTreeSet;

crate::settings! {
    /// Settings of `sample`.
    pub struct Sample {
        /// Genres to ask for; none takes every genre that all priors know.
        #[unkeyed]
        genres: BTreeSet<String> = BTreeSet::new(),
        /// Songs of each genre.
        #[unkeyed]
        songs: u32 = 1,
        /// Length of a song in seconds.
        seconds: f64 = 20.0,
        /// Logits are divided by this; at 0 the most likely code is taken.
        temperature: f64 = 1.0,
        /// Codes are drawn from the most likely ones that make up this share.
        top_p: f64 = 0.9,
        /// The share of a window of codes that it has in common with the one before it.
        overlap: f64 = 0.5,
        /// The level whose decoder makes the sound; 0, the bottom, is the closest.
        level: u32 = 0,
    }
}

impl Sample {
    /// The request to the models.
    pub(super) fn ask(&self) -> Ask {
        Ask {
            genres: self.genres.iter().cloned().collect(),
            songs: self.songs,
            seconds: self.seconds,
            draw: Draw { temperature: self.temperature, top_p: self.top_p, overlap: self.overlap },
            level: self.level as usize,
        }
    }
}
