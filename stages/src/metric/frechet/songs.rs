//! Fréchet distances song by song: which songs a distance comes from, and how sure it is.
//!
//! Vectors of one song are alike, so songs are what is resampled and what is left out, never single vectors.

use super::gaussian::Gaussian;
use crate::metric::bootstrap::Replicates;
use rayon::prelude::*;

/// Songs of one system against a reference, each as the statistics of its vectors.
#[derive(Clone, Copy, Debug)]
pub struct Songs<'a> {
    /// What they are measured against.
    pub reference: &'a Gaussian,
    /// The songs.
    pub songs: &'a [Gaussian],
}

impl Songs<'_> {
    /// The distance of all songs together; `None` where there are fewer than two vectors.
    pub fn distance(&self) -> Option<f64> {
        Gaussian::pooled(self.songs.iter().map(|song| (song, 1)))?.distance(self.reference)
    }

    /// The distance of each song alone (Gui and others 2024); `None` for a song of fewer than two vectors.
    pub fn each(&self) -> Vec<Option<f64>> {
        self.songs.par_iter().map(|song| song.distance(self.reference)).collect()
    }

    /// What each song adds to the distance: that of all less that of all others; `None` where either does not exist.
    /// Below 0 are songs that bring the set closer.
    pub fn contributions(&self) -> Vec<Option<f64>> {
        let Some((all, first)) = self.distance().zip(self.songs.first()) else { return vec![None; self.songs.len()] };
        // Statistics of all before each song, and of all after it: two merges for each in place of one for every pair.
        let none = Gaussian::of(&[], first.mean().len());
        let before = running(none.clone(), self.songs.iter());
        let after = running(none, self.songs.iter().rev());
        let count = self.songs.len();
        let rest = |song: usize| before[song].merge(&after[count - 1 - song]).distance(self.reference);
        (0..count).into_par_iter().map(|song| rest(song).map(|rest| all - rest)).collect()
    }

    /// The distances of `times` resamples of the songs. See [`Replicates::bias_corrected`] for the interval.
    pub fn bootstrap(&self, times: usize, seed: u64) -> Replicates {
        Replicates::of(self.songs.len(), times, seed, |drawn| self.resampled(drawn))
    }

    fn resampled(&self, drawn: &[usize]) -> Option<f64> {
        let mut times = vec![0; self.songs.len()];
        drawn.iter().for_each(|song| times[*song] += 1);
        let chosen = self.songs.iter().zip(times).filter(|(_, times)| *times > 0);
        Gaussian::pooled(chosen)?.distance(self.reference)
    }
}

/// Statistics of the first songs: of none, of one, of two, and so on.
fn running<'a>(none: Gaussian, songs: impl Iterator<Item = &'a Gaussian>) -> Vec<Gaussian> {
    let mut sums = vec![none];
    for song in songs {
        sums.push(sums[sums.len() - 1].merge(song));
    }
    sums
}

/// The difference of the distances of two systems, first less second, with its replicates: song `i` of either was made
/// for one task, and a resample takes both or neither. `None` where the numbers of songs differ, or a distance does not
/// exist. An interval without 0 ([`Replicates::bias_corrected`]) says which system is closer.
pub fn paired_difference(first: Songs<'_>, second: Songs<'_>, times: usize, seed: u64) -> Option<(f64, Replicates)> {
    if first.songs.len() != second.songs.len() {
        return None;
    }
    let estimate = first.distance()? - second.distance()?;
    let difference = |drawn: &[usize]| Some(first.resampled(drawn)? - second.resampled(drawn)?);
    Some((estimate, Replicates::of(first.songs.len(), times, seed, difference)))
}
