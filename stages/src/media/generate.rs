//! Songs from models: what the stage `sample` and the command of that name have in common.
//!
//! A song is named by its genre and its number. Its seed follows from the seed of all, from both of these, and from
//! nothing else, so that neither the songs beside it nor where it is made change it.

use crate::model::{
    codec::Codec,
    infer::{Coder, DecodeError},
    prior::{
        config::Prior,
        sample::{Draw, Round, SampleError, Sampled, Sampler, Song},
    },
    weights::WeightsError,
};
use burn_flex::Flex;
use datasets::{
    Digest, Key,
    audio::wav,
    store::{Log, StoreError},
};
use std::{
    io::{self, Write},
    path::Path,
};

/// A request for songs: genres, number, length, and how they are sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Genres, one after the other; empty takes every genre that all priors know.
    pub genres: Vec<String>,
    /// Songs of each genre.
    pub songs: u32,
    /// Length of a song in seconds.
    pub seconds: f64,
    /// Sampling parameters: temperature, `top_p` and overlap.
    pub draw: Draw,
    /// The level whose decoder makes the sound.
    pub level: usize,
}

impl Ask {
    /// Settings that are out of range: the name, what is wrong, and what would be right.
    pub fn complaints(&self) -> Vec<(&'static str, String, String)> {
        let mut wrong = Vec::new();
        if self.songs == 0 {
            wrong.push(("songs", "`songs` is 0".to_owned(), "at least 1".to_owned()));
        }
        let real = [
            ("seconds", self.seconds, 0.01, 3600.0),
            ("temperature", self.draw.temperature, 0.0, 100.0),
            ("top_p", self.draw.top_p, 0.0, 1.0),
            ("overlap", self.draw.overlap, 0.0, 0.95),
        ];
        for (field, value, least, most) in real.into_iter().filter(|(_, v, least, most)| !(*least..=*most).contains(v))
        {
            wrong.push((field, format!("`{field}` is {value}"), format!("from {least} to {most}")));
        }
        wrong
    }
}

/// A song to be, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Genre and number.
    pub name: String,
    /// The song.
    pub song: Song,
}

/// Errors of sampling and writing songs.
#[derive(Debug, thiserror::Error)]
pub enum SongError {
    /// The priors were not trained on the genre.
    #[error("the priors do not know the genre {asked:?}; they know {known}")]
    Genre {
        /// The genre asked for.
        asked: String,
        /// The genres that all of them know.
        known: String,
    },
    /// The codec has no such level.
    #[error("the codec has {levels} levels, numbered from 0; `level` is {level}")]
    Level {
        /// The level asked for.
        level: usize,
        /// Number of levels that the codec has.
        levels: usize,
    },
    /// A prior is not the codec's.
    #[error("the prior of level {level} was trained on the codes of another codec")]
    Codec {
        /// The prior's level.
        level: usize,
    },
    /// The models cannot be used, or sampling was stopped.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The codes cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The sampled codes cannot be saved.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sound cannot be written.
    #[error("the sound cannot be written: {0}")]
    Write(#[from] io::Error),
}

impl From<WeightsError> for SongError {
    fn from(error: WeightsError) -> Self {
        SongError::Sample(error.into())
    }
}

/// A codec and priors that belong together.
pub struct Models {
    sampler: Sampler,
    coder: Coder<Flex>,
    rate: u32,
    levels: usize,
}

impl Models {
    /// Takes a codec, its digest, and one prior for each of its levels, in any order.
    ///
    /// # Errors
    /// A level without a prior or with several, or priors of another codec.
    pub fn new(codec: &Codec, digest: &Digest, priors: &[Prior]) -> Result<Models, SongError> {
        let sampler = Sampler::new(priors)?;
        let others = priors.iter().map(Prior::config).filter(|config| config.codec != digest.hex());
        if let Some(level) = others.map(|config| config.level).min() {
            return Err(SongError::Codec { level });
        }
        let (rate, levels) = (codec.config().rate, codec.config().levels.len());
        Ok(Models { sampler, coder: Coder::new(codec, Default::default())?, rate, levels })
    }

    /// Sample rate of the songs.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// The songs that are asked for. `seed` is the seed of all of them.
    ///
    /// # Errors
    /// A genre that a prior does not know, or a level that the codec does not have.
    pub fn songs(&self, ask: &Ask, seed: &Digest) -> Result<Vec<Named>, SongError> {
        if ask.level >= self.levels {
            return Err(SongError::Level { level: ask.level, levels: self.levels });
        }
        let known = self.sampler.genres();
        if let Some(wrong) = ask.genres.iter().find(|genre| !known.contains(genre)) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(SongError::Genre { asked: wrong.clone(), known });
        }
        let asked = if ask.genres.is_empty() { known } else { ask.genres.clone() };
        let genres: Vec<Option<String>> =
            if asked.is_empty() { vec![None] } else { asked.into_iter().map(Some).collect() };
        let frames = libm::round(ask.seconds * f64::from(self.rate)) as u64;
        let song = |genre: &Option<String>, number: u32| {
            let label = genre.as_deref().unwrap_or("song");
            let seed = Key::new("song").digest(seed).text(label).number(number.into()).finish();
            Named { name: format!("{label}-{number}"), song: Song { genre: genre.clone(), frames, seed: seed.0 } }
        };
        Ok(genres.iter().flat_map(|genre| (1..=ask.songs).map(move |number| song(genre, number))).collect())
    }

    /// Codes of these songs at each level, the bottom first.
    pub fn codes(&self, songs: &[Named]) -> Vec<u64> {
        let of = |level| songs.iter().map(|named| self.sampler.codes(level, named.song.frames) as u64).sum();
        (0..self.levels).map(of).collect()
    }

    /// Samples the songs side by side. Every window is saved in `kept` as it is done; then `each` is told how many codes
    /// there are, and says whether to go on.
    ///
    /// # Errors
    /// What was done cannot be saved, or `each` said no.
    pub fn sample(
        &self,
        songs: &[Named],
        draw: Draw,
        kept: &mut SavedSongs,
        each: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), SongError> {
        let songs: Vec<Song> = songs.iter().map(|named| named.song.clone()).collect();
        let mut codes = kept.codes();
        let SavedSongs { log, sampled } = kept;
        self.sampler.sample(&songs, draw, sampled, &mut |round| {
            let body = postcard::to_stdvec(round).map_err(io::Error::other)?;
            log.append(&body)?;
            codes += round.added.iter().map(|(_, codes)| codes.len() as u64).sum::<u64>();
            if each(codes) { Ok(()) } else { Err(SampleError::Stopped.into()) }
        })
    }

    /// Decodes a song by the decoder of a level and writes it as a WAV file, 16-bit and mono. Samples are divided by
    /// `loudest`, which begins as 1; the greatest magnitude of them comes back, and where that is above 1 the file is to be
    /// written again with it, so that nothing clips. Memory does not grow with the song.
    ///
    /// # Errors
    /// Codes that are not the codec's, and those of `out`.
    pub fn write(
        &self,
        song: &Song,
        sampled: &Sampled,
        level: usize,
        loudest: f32,
        out: &mut dyn Write,
    ) -> Result<f32, SongError> {
        let mut file = wav::Writer::new(out, song.frames, self.rate, 1, wav::Encoding::Pcm16)?;
        let codes = sampled.levels.get(level).ok_or(SongError::Level { level, levels: self.levels })?;
        let (mut left, mut peak, mut written) = (song.frames as usize, 0.0f32, Ok(()));
        self.coder.decode(level, codes, &mut |more| {
            // Codes reach to the end of the last frame of the top level.
            let mut more = more[..more.len().min(left)].to_vec();
            left -= more.len();
            for sample in &mut more {
                peak = peak.max(sample.abs());
                *sample /= loudest;
            }
            if written.is_ok() {
                written = file.push(&more);
            }
        })?;
        written.and_then(|()| file.finish())?;
        Ok(peak)
    }
}

/// The codes sampled so far, in memory and on the disk.
pub struct SavedSongs {
    log: Log,
    sampled: Vec<Sampled>,
}

impl SavedSongs {
    /// Opens what is kept at `path` of the sampling of `songs` songs that `identity` names.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(path: &Path, identity: &Digest, models: &Models, songs: usize) -> Result<SavedSongs, StoreError> {
        let (log, rounds) = Log::open(path, identity)?;
        let mut sampled = models.sampler.silence(songs);
        for round in rounds.iter().filter_map(|body| postcard::from_bytes::<Round>(body).ok()) {
            // Another process that samples the same adds the same: what is there already adds nothing.
            round.add(&mut sampled);
        }
        Ok(SavedSongs { log, sampled })
    }

    /// Number of codes sampled so far.
    pub fn codes(&self) -> u64 {
        self.sampled.iter().flat_map(|song| &song.levels).map(|codes| codes.len() as u64).sum()
    }

    /// The songs with their codes so far.
    pub fn songs(&self) -> &[Sampled] {
        &self.sampled
    }

    /// Removes it from the disk: the songs are written.
    pub fn remove(self) {
        self.log.remove();
    }
}
