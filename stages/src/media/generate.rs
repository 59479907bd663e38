//! Songs from models: what the stage `sample` and the command of that name have in common.
//!
//! A song is named by its genre and its number. Its seed follows from the seed of all, from both of these, and from
//! nothing else, so that neither the songs beside it nor where it is made change it.

use crate::model::{
    codec::Codec,
    infer::{Coder, DecodeError},
    prior::{
        config::{Prior, PriorConfig},
        sample::{Draw, Round, SampleError, Sampled, Sampler, Song},
    },
    probe,
    weights::WeightsError,
};
use datasets::{
    Digest, Key,
    audio::wav,
    store::{Log, StoreError},
};
use serde::{Deserialize, Serialize};
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

/// Songs as they are named by genre and number: those of each genre that is asked for, or of all that the priors know.
pub fn listed(genres: &[String], known: &[String], songs: u32) -> impl Iterator<Item = (Option<String>, u32)> + use<> {
    let asked = if genres.is_empty() { known } else { genres };
    let asked: Vec<Option<String>> =
        if asked.is_empty() { vec![None] } else { asked.iter().cloned().map(Some).collect() };
    asked.into_iter().flat_map(move |genre| (1..=songs).map(move |number| (genre.clone(), number)))
}

/// Name of a song.
pub fn name(genre: Option<&str>, number: u32) -> String {
    format!("{}-{number}", genre.unwrap_or(NO_GENRE))
}

/// Genre in the name and the seed of a song that has none.
const NO_GENRE: &str = "song";

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
    coder: Coder,
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
        let (rate, levels) = (codec.config().rate, codec.config().levels.len());
        let form = codec.config().levels.iter().map(|level| (level.hop() as u64, level.codewords as u64));
        let form: Vec<(u64, u64)> = form.collect();
        let same = |config: &PriorConfig| {
            let own =
                config.hops.iter().zip(&config.codewords).map(|(hop, words)| (u64::from(*hop), u64::from(*words)));
            config.codec == digest.hex() && config.rate == rate && own.eq(form.iter().copied())
        };
        let others = priors.iter().map(Prior::config).filter(|config| !same(config));
        if let Some(level) = others.map(|config| config.level).min() {
            return Err(SongError::Codec { level });
        }
        Ok(Models { sampler, coder: probe::ready(codec)?, rate, levels })
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
        let known = self.sampler.genres();
        listed(&ask.genres, &known, ask.songs).map(|(genre, number)| self.song(ask, seed, genre, number)).collect()
    }

    /// One of the songs that are asked for, by its genre and number.
    ///
    /// # Errors
    /// See [`Models::songs`].
    pub fn song(&self, ask: &Ask, seed: &Digest, genre: Option<String>, number: u32) -> Result<Named, SongError> {
        if ask.level >= self.levels {
            return Err(SongError::Level { level: ask.level, levels: self.levels });
        }
        let known = self.sampler.genres();
        if let Some(asked) = genre.as_ref().filter(|genre| !known.contains(genre)) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(SongError::Genre { asked: asked.clone(), known });
        }
        let frames = libm::round(ask.seconds * f64::from(self.rate)) as u64;
        let label = genre.as_deref().unwrap_or(NO_GENRE);
        let seed = Key::new("song").digest(seed).text(label).number(number.into()).finish();
        Ok(Named { name: name(genre.as_deref(), number), song: Song { genre, frames, seed: seed.0 } })
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
            let body = postcard::to_stdvec(&SavedRound::of(round, &songs)).map_err(io::Error::other)?;
            log.append(&body)?;
            codes += round.added.iter().map(|(_, codes)| codes.len() as u64).sum::<u64>();
            if each(codes) { Ok(()) } else { Err(SampleError::Stopped.into()) }
        })
    }

    /// Decodes a song by the decoder of a level and writes it as a WAV file of 16 bits. Samples are divided by
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
        let channels = self.coder.channels();
        let mut file = wav::Writer::new(out, song.frames, self.rate, channels as u16, wav::Encoding::Pcm16)?;
        let codes = sampled.levels.get(level).ok_or(SongError::Level { level, levels: self.levels })?;
        let (mut left, mut peak, mut written) = (song.frames as usize * channels, 0.0f32, Ok(()));
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

/// What one window added to the songs under way, on the disk: each song is known by its seed, so that any of them can go on
/// beside any others.
#[derive(Serialize, Deserialize)]
struct SavedRound {
    level: u32,
    /// Of each song: its seed, how many codes it had at the level, and those that came.
    added: Vec<([u8; 32], u64, Vec<u16>)>,
}

impl SavedRound {
    fn of(round: &Round, songs: &[Song]) -> SavedRound {
        let added = songs.iter().zip(&round.added).filter(|(_, (_, codes))| !codes.is_empty());
        let added = added.map(|(song, (from, codes))| (song.seed, *from, codes.clone()));
        SavedRound { level: round.level, added: added.collect() }
    }

    /// Adds to songs what goes on from where they are.
    fn add(self, songs: &[Named], sampled: &mut [Sampled]) {
        for (seed, from, codes) in self.added {
            let own = songs.iter().position(|named| named.song.seed == seed);
            let level = own.and_then(|own| sampled.get_mut(own)?.levels.get_mut(self.level as usize));
            if let Some(level) = level.filter(|level| level.len() as u64 == from) {
                level.extend_from_slice(&codes);
            }
        }
    }
}

/// The codes sampled so far, in memory and on the disk.
pub struct SavedSongs {
    log: Log,
    sampled: Vec<Sampled>,
}

impl SavedSongs {
    /// Opens what is kept at `path` of these songs, sampled as `identity` says.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(path: &Path, identity: &Digest, models: &Models, songs: &[Named]) -> Result<SavedSongs, StoreError> {
        let (log, rounds) = Log::open(path, identity)?;
        let mut sampled = models.sampler.silence(songs.len());
        for round in rounds.iter().filter_map(|body| postcard::from_bytes::<SavedRound>(body).ok()) {
            // Another process that samples the same adds the same: what is there already adds nothing.
            if round.added.iter().all(|(.., codes)| models.sampler.has(round.level, codes)) {
                round.add(songs, &mut sampled);
            }
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
