//! What a file holds, by its bytes alone: the first look, which finds the sound and chooses who reads it.
//!
//! symphonia reads most containers. Where it gives other sound than the file holds, or refuses what others read, a module
//! here reads the container in its place, and says why.

mod aiff;
mod caf;
pub(super) mod flac;
mod matroska;
pub(super) mod mp4;
mod mpeg;
mod packets;
mod samples;
mod sound;
mod wav;

use std::io::{Read, Seek};
use std::ops::Range;

use super::names;
use super::refusal::{DecodeError, Reason};
use super::view::{View, between};
use mp4::Movie;
pub(super) use sound::Sound;

/// Sound in a file, and what an MP4 file says around it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) sound: Sound,
    pub(super) movie: Option<Movie>,
    /// The track of the movie that the sound is, unless symphonia chooses it.
    pub(super) track: Option<u32>,
}

/// Finds the sound in a file of `length` bytes, and refuses what is known by its first bytes to have no reader.
///
/// # Errors
/// [`Reason::UnsupportedFormat`], [`Reason::UnsupportedCodec`] or [`Reason::Corrupt`] by the headers; failed where the source
/// is.
pub(super) fn survey<R: Read + Seek>(reader: &mut R, length: u64) -> Result<Found, DecodeError> {
    // Tags and pictures before the sound: a damaged tag is no reason to refuse a sound file.
    let start = mpeg::first(reader, 0..length).map_err(DecodeError::Failed)?;
    let read = between(reader, start..length, 512).map_err(DecodeError::Failed)?;
    if let Some(name) = names::foreign(&read) {
        return Err(DecodeError::refuse(Reason::UnsupportedFormat, format!("no reader for {name}")));
    }
    if let Some(name) = names::text(&read) {
        return Err(DecodeError::refuse(Reason::UnknownFormat, format!("the contents are {name}, no sound")));
    }
    let mut head = read;
    head.resize(512, 0);
    // The reader of Ogg pages passes over streams that it cannot map, down to the end of the file.
    if head.starts_with(b"OggS") && head[28..].starts_with(b"Speex   ") {
        return Err(DecodeError::refuse(Reason::UnsupportedCodec, "no decoder for Speex"));
    }
    if is_mp4(&head) {
        return movie(reader, start..length);
    }
    let sound = if wav::is(&head) {
        wav::survey(reader, start, length)?
    } else if aiff::is(&head) {
        aiff::survey(reader, start, length)?
    } else if aiff::is_au(&head) {
        aiff::survey_au(reader, start, length)?
    } else if caf::is(&head) {
        caf::survey(reader, start, length)?
    } else if head.starts_with(b"fLaC") {
        let stream = flac::Stream::find(reader, start, length).map_err(DecodeError::Failed)?;
        stream.map_or_else(|| Sound::Stream(View::part(start..length)), Sound::Flac)
    } else if matroska::is(&head) {
        Sound::Stream(matroska::view(reader, start..length).map_err(DecodeError::Failed)?)
    } else {
        let frames = mpeg::survey(reader, start..length)?;
        Sound::Stream(frames.unwrap_or_else(|| View::part(start..length)))
    };
    Ok(Found { sound, movie: None, track: None })
}

/// Whether a file that begins like this is made of the boxes of MP4 or QuickTime.
fn is_mp4(head: &[u8]) -> bool {
    [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"].iter().any(|kind| &head[4..8] == *kind)
}

fn movie<R: Read + Seek>(reader: &mut R, range: Range<u64>) -> Result<Found, DecodeError> {
    let movie = Movie::read(reader, range.start, range.end).map_err(DecodeError::Failed)?;
    match movie.sound(range.end)? {
        Some((track, sound)) => Ok(Found { sound, movie: Some(movie), track: Some(track) }),
        None => Ok(Found { sound: Sound::Stream(movie.view(range)), movie: Some(movie), track: None }),
    }
}
