//! Windows of codes: what training, scoring and sampling feed the network.
use rayon::prelude::*;

use super::config::PriorConfig;
use super::network::{CODES, GENRES, UPPER};
use crate::model::random::Random;
use crate::model::weights::Arrays;

/// The codes to learn from, clip by clip in an order that is a function of their content.
pub trait Tokens: Sync {
    /// The number of clips.
    fn clips(&self) -> usize;
    /// The codes of a clip at the prior's level.
    fn codes(&self, clip: usize) -> u64;
    /// The clip's genre.
    fn genre(&self, clip: usize) -> Option<&str>;
    /// Fills `out` with codes of the prior's level from `first` on; never asked for codes beyond the clip's end.
    ///
    /// Errors: a sentence where they cannot be read.
    fn read(&self, clip: usize, first: u64, out: &mut [u16]) -> Result<(), String>;
    /// The same for the level above; says how many of `out` there were before the clip's end.
    ///
    /// Errors: a sentence where they cannot be read.
    fn read_upper(&self, clip: usize, first: u64, out: &mut [u16]) -> Result<usize, String>;
}

/// A batch of windows of `context` codes each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Windows {
    /// The number of each window's genre.
    pub(crate) genres: Vec<usize>,
    /// `[windows, context]`.
    pub(crate) codes: Vec<u16>,
    /// Of each window, the range of positions that count.
    pub(crate) live: Vec<(usize, usize)>,
    /// `[windows, context / ratio]`, with how many of each window's are there.
    pub(crate) upper: Vec<u16>,
    pub(crate) upper_live: Vec<usize>,
}

/// Where a window lies and which of its positions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) clip: usize,
    pub(crate) first: u64,
    /// Positions before this one are context only.
    pub(crate) from: usize,
}

impl Windows {
    /// Reads the windows at `places`.
    pub(crate) fn read(config: &PriorConfig, tokens: &dyn Tokens, places: &[Place]) -> Result<Self, String> {
        let context = config.context;
        let ratio = config.upper.as_ref().map_or(context, |u| u.ratio);
        let above = if config.upper.is_some() { context / ratio } else { 0 };
        let mut windows = Windows {
            genres: Vec::new(),
            codes: vec![0; places.len() * context],
            live: Vec::new(),
            upper: vec![0; places.len() * above],
            upper_live: Vec::new(),
        };
        for (i, place) in places.iter().enumerate() {
            windows.genres.push(config.genre(tokens.genre(place.clip)));
            let there = tokens.codes(place.clip).saturating_sub(place.first).min(context as u64) as usize;
            tokens.read(place.clip, place.first, &mut windows.codes[i * context..][..there])?;
            windows.live.push((place.from.min(there), there));
            if above > 0 {
                let out = &mut windows.upper[i * above..][..above];
                windows.upper_live.push(tokens.read_upper(place.clip, place.first / ratio as u64, out)?);
            }
        }
        if let Some(wrong) = windows.codes.iter().find(|c| usize::from(**c) >= config.vocabulary()) {
            return Err(format!("code {wrong} of {} codewords", config.vocabulary()));
        }
        Ok(windows)
    }

    /// What each position is given: the genre at the first, the code before it at every other; as `[windows, width,
    /// context]`.
    pub(crate) fn embed(&self, config: &PriorConfig, arrays: &Arrays) -> Vec<f32> {
        let rows = (0..self.genres.len()).flat_map(|i| {
            let codes = &self.codes[i * config.context..][..config.context];
            let first = row(arrays, GENRES, self.genres[i], config.width);
            std::iter::once(first)
                .chain(codes[..config.context - 1].iter().map(|c| row(arrays, CODES, usize::from(*c), config.width)))
        });
        transpose(rows, config.width, config.context)
    }

    /// The embedded codes of the level above, `[windows, width, codes]`; zeros behind a clip's end.
    pub(crate) fn embed_upper(&self, config: &PriorConfig, arrays: &Arrays) -> Vec<f32> {
        let above = self.upper.len() / self.genres.len().max(1);
        let silent = vec![0.0; config.width];
        let rows = self.upper.iter().enumerate().map(|(at, code)| match at % above < self.upper_live[at / above] {
            true => row(arrays, UPPER, usize::from(*code), config.width),
            false => &silent,
        });
        transpose(rows, config.width, above)
    }

    /// Adds the gradient of [`Windows::embed`] to the tables' gradients.
    pub(crate) fn scatter(&self, config: &PriorConfig, gradient: &[f32], codes: &mut [f32], genres: &mut [f32]) {
        let (width, context) = (config.width, config.context);
        for (i, item) in gradient.chunks_exact(width * context).enumerate() {
            for at in 0..context {
                let (table, row) = match at {
                    0 => (&mut *genres, self.genres[i]),
                    _ => (&mut *codes, usize::from(self.codes[i * context + at - 1])),
                };
                for (c, sum) in table[row * width..][..width].iter_mut().enumerate() {
                    *sum += item[c * context + at];
                }
            }
        }
    }

    /// Adds the gradient of [`Windows::embed_upper`] to the table's gradient.
    pub(crate) fn scatter_upper(&self, config: &PriorConfig, gradient: &[f32], table: &mut [f32]) {
        let above = self.upper.len() / self.genres.len().max(1);
        for (i, item) in gradient.chunks_exact(config.width * above).enumerate() {
            for at in 0..self.upper_live[i] {
                let code = usize::from(self.upper[i * above + at]);
                for (c, sum) in table[code * config.width..][..config.width].iter_mut().enumerate() {
                    *sum += item[c * above + at];
                }
            }
        }
    }
}

fn row<'a>(arrays: &'a Arrays, table: &str, at: usize, width: usize) -> &'a [f32] {
    &arrays[table].data[at * width..][..width]
}

/// Rows of `width`, `positions` for each item, as `[items, width, positions]`.
fn transpose<'a>(rows: impl Iterator<Item = &'a [f32]>, width: usize, positions: usize) -> Vec<f32> {
    let rows: Vec<&[f32]> = rows.collect();
    let mut out = vec![0.0; rows.len() * width];
    let items = out.par_chunks_mut((width * positions).max(1)).zip(rows.par_chunks(positions.max(1)));
    items.for_each(|(out, rows)| {
        for (c, out) in out.chunks_exact_mut(positions).enumerate() {
            out.iter_mut().zip(rows).for_each(|(v, row)| *v = row[c]);
        }
    });
    out
}

/// Random places: clips by their length, windows that begin with a code of the level above.
pub(crate) fn draw(
    config: &PriorConfig,
    tokens: &dyn Tokens,
    ends: &[u64],
    items: usize,
    random: &mut Random,
) -> Vec<Place> {
    let ratio = config.upper.as_ref().map_or(1, |u| u.ratio as u64);
    let total = ends.last().copied().unwrap_or(0);
    (0..items)
        .map(|_| {
            let at = random.below(total.max(1));
            let clip = ends.partition_point(|end| *end <= at);
            let room = tokens.codes(clip).saturating_sub(config.context as u64) / ratio;
            Place { clip, first: random.below(room + 1) * ratio, from: 0 }
        })
        .collect()
}

/// Windows over every clip, each half a context after the one before it, in which every code counts once and all but a
/// clip's first have at least half a context before them.
pub(crate) fn cover(config: &PriorConfig, tokens: &dyn Tokens) -> Vec<Place> {
    let ratio = config.upper.as_ref().map_or(1, |u| u.ratio);
    let stride = (config.context / 2 / ratio).max(1) * ratio;
    let mut places = Vec::new();
    for clip in 0..tokens.clips() {
        let codes = tokens.codes(clip);
        for first in (0..codes).step_by(stride) {
            let from = if first == 0 { 0 } else { config.context - stride };
            places.push(Place { clip, first, from });
            if first + config.context as u64 >= codes {
                break;
            }
        }
    }
    places
}
