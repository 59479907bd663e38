//! Windows of codes: what training, scoring and sampling feed the network.
use kernels::ops::embedding::NO_ROW;

use super::config::PriorConfig;
use crate::model::random::Random;

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
    /// `[windows, context]`: what is to be predicted.
    pub(crate) codes: Vec<u16>,
    /// The same as the model is given it.
    pub(crate) given: Vec<u16>,
    /// First code of each window, counted from the start of its clip.
    pub(crate) first: Vec<u64>,
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
            given: Vec::new(),
            first: places.iter().map(|place| place.first).collect(),
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
        windows.given = windows.codes.clone();
        Ok(windows)
    }

    /// Puts in the place of this share of the codes that the model is given one from elsewhere in the batch.
    pub(crate) fn corrupt(&mut self, share: f64, random: &mut Random) {
        if share <= 0.0 {
            return;
        }
        let context = self.codes.len() / self.genres.len().max(1);
        // Codes that are there, so that each comes as often as it is used.
        let spans = self.live.iter().enumerate().map(|(window, (_, to))| window * context..window * context + to);
        let there: Vec<usize> = spans.flatten().collect();
        for at in &there {
            if random.uniform() < share {
                self.given[*at] = self.codes[there[random.below(there.len() as u64) as usize]];
            }
        }
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.genres.len()
    }

    /// The same windows, `size` at a time.
    pub(crate) fn parts(&self, size: usize) -> impl Iterator<Item = Windows> {
        let (context, above) = (self.codes.len() / self.genres.len().max(1), self.above());
        (0..self.genres.len()).step_by(size.max(1)).map(move |first| {
            let of = first..(first + size.max(1)).min(self.genres.len());
            Windows {
                genres: self.genres[of.clone()].to_vec(),
                codes: self.codes[of.start * context..of.end * context].to_vec(),
                given: self.given[of.start * context..of.end * context].to_vec(),
                first: self.first[of.clone()].to_vec(),
                live: self.live[of.clone()].to_vec(),
                upper: self.upper[of.start * above..of.end * above].to_vec(),
                upper_live: if above > 0 { self.upper_live[of].to_vec() } else { Vec::new() },
            }
        })
    }

    /// Positions that count, of all windows.
    pub(crate) fn counted(&self) -> u64 {
        self.live.iter().map(|(from, to)| (to - from) as u64).sum()
    }

    /// What each position is given, `[windows, context]`: the genre at the first, the code before it at every other. Rows
    /// of the table of codes, with those of genres behind them.
    pub(crate) fn rows(&self, config: &PriorConfig) -> Vec<u32> {
        let of = |(codes, genre): (&[u16], &usize)| {
            let before = codes[..config.context - 1].iter().map(|code| u32::from(*code));
            std::iter::once((config.vocabulary() + genre) as u32).chain(before).collect::<Vec<u32>>()
        };
        self.given.chunks_exact(config.context).zip(&self.genres).flat_map(of).collect()
    }

    /// The place of each position in its clip, `[windows, context]`, as rows of their table.
    pub(crate) fn positions(&self, config: &PriorConfig) -> Vec<u32> {
        let of = |first: &u64| (*first..first + config.context as u64).map(|at| (at % config.positions as u64) as u32);
        self.first.iter().flat_map(of).collect()
    }

    /// The codes of the level above, `[windows, codes]`, as rows of their table; none behind a clip's end.
    pub(crate) fn rows_above(&self) -> Vec<u32> {
        let above = self.above();
        let row = |(at, code): (usize, &u16)| match at % above < self.upper_live[at / above] {
            true => u32::from(*code),
            false => NO_ROW,
        };
        self.upper.iter().enumerate().map(row).collect()
    }

    /// Codes of the level above in each window.
    pub(crate) fn above(&self) -> usize {
        self.upper.len() / self.genres.len().max(1)
    }
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
