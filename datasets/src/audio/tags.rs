//! Tags of an audio file: title, artist, licence and the like, read without decoding sound.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::{MetadataRevision, StandardTag, Tag};

use super::source::Source;
use super::view::View;
use crate::untrusted::{self, guarded};

/// The tags of a file, as written there but for surrounding space; `None` where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tags {
    /// Title of the track.
    pub title: Option<String>,
    /// Performer of the track or, failing that, of the album.
    pub artist: Option<String>,
    /// Title of the album.
    pub album: Option<String>,
    /// Genre as text.
    pub genre: Option<String>,
    /// Date of release or recording: a year, or a date as written.
    pub date: Option<String>,
    /// The licence: a licence tag, terms of use or, failing those, the copyright notice.
    pub license: Option<String>,
    /// URL of the license or, failing that, of the track's page.
    pub url: Option<String>,
}

/// Reads the tags of the file at `path`: ID3, APE, Vorbis comments, MP4 and RIFF. Damaged tags are empty.
///
/// # Errors
/// When the file cannot be read: then nothing is known of its tags.
pub fn read(path: &Path) -> io::Result<Tags> {
    read_file(&untrusted::open(path)?)
}

/// [`read`] from an open file, wherever it stands.
///
/// # Errors
/// See [`read`].
pub fn read_file(file: &File) -> io::Result<Tags> {
    let length = file.metadata()?.len();
    // A handle of its own, with the same place in the file.
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(0))?;
    read_from(file, length)
}

/// Reads the tags of a file that lies in memory, like [`read`].
pub fn read_bytes(bytes: &[u8]) -> Tags {
    // Memory does not fail.
    read_from(Cursor::new(bytes), bytes.len() as u64).unwrap_or_default()
}

/// The bytes of an `INFO` list that are read at most.
const INFO_BYTES: u32 = 1 << 16;
/// The chunks of a file that are looked at in search of one.
const CHUNKS: usize = 64;

/// The fields of a WAV's `INFO` list (Multimedia Programming Interface and Data Specifications 1.0, 1991), which
/// symphonia 0.6.1 does not pass on.
fn riff_info<R: Read + Seek>(reader: &mut R) -> io::Result<Vec<(Field, String)>> {
    let mut head = [0; 12];
    reader.read_exact(&mut head)?;
    if &head[..4] != b"RIFF" || &head[8..] != b"WAVE" {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut chunk = [0; 8];
    for _ in 0..CHUNKS {
        match reader.read_exact(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            read => read?,
        }
        let size = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        if &chunk[..4] == b"LIST" && size <= INFO_BYTES {
            let mut list = vec![0; size as usize];
            reader.read_exact(&mut list)?;
            if let Some(fields) = list.strip_prefix(b"INFO") {
                info_fields(fields, &mut found);
            }
            reader.seek(SeekFrom::Current(i64::from(size % 2)))?;
        } else {
            reader.seek(SeekFrom::Current(i64::from(size) + i64::from(size % 2)))?;
        }
    }
    Ok(found)
}

fn info_fields(mut rest: &[u8], found: &mut Vec<(Field, String)>) {
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let Some(text) = body.get(..size) else { return };
        let field = match &head[..4] {
            b"INAM" => Some(Field::Title),
            b"IART" => Some(Field::Artist),
            b"IPRD" => Some(Field::Album),
            b"IGNR" => Some(Field::Genre),
            b"ICRD" => Some(Field::Date),
            b"ICOP" => Some(Field::License),
            _ => None,
        };
        found.extend(field.map(|field| (field, String::from_utf8_lossy(text).into_owned())));
        rest = body.get(size + size % 2..).unwrap_or_default();
    }
}

fn read_from<R: Read + Seek + Send + Sync>(mut reader: R, length: u64) -> io::Result<Tags> {
    let info = match riff_info(&mut reader) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        info => info.unwrap_or_default(),
    };
    let view = View { prefix: Vec::new(), start: 0, end: length };
    let (source, health) = Source::new(reader, view);
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    // A panic over a damaged tag leaves the file without tags.
    let found = guarded(move || {
        let probe = symphonia::default::get_probe();
        let mut found = Found::default();
        if let Ok(mut format) = probe.probe(&Default::default(), stream, Default::default(), Default::default()) {
            let mut log = format.metadata();
            loop {
                if let Some(revision) = log.current() {
                    found.revision(revision);
                }
                if log.pop().is_none() {
                    break;
                }
            }
        }
        found
    });
    let mut found = found.unwrap_or_default();
    for (field, text) in info {
        found.note(field, u8::MAX, &text);
    }
    // What the reader makes of a source that fails is no property of the bytes.
    health.failure().map_or(Ok(found.tags()), Err)
}

/// The values found for each field, by preference: of one preference the first found stays.
#[derive(Default)]
struct Found(BTreeMap<(Field, u8), String>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Title,
    Artist,
    Album,
    Genre,
    Date,
    License,
    Url,
}

impl Found {
    fn revision(&mut self, revision: &MetadataRevision) {
        let per_track = revision.per_track.iter().flat_map(|track| &track.metadata.tags);
        for tag in revision.media.tags.iter().chain(per_track) {
            self.tag(tag);
        }
    }

    fn tag(&mut self, tag: &Tag) {
        let Some(standard) = &tag.std else { return };
        let year = |year: &u16| year.to_string();
        let (field, preference, text) = match standard {
            StandardTag::TrackTitle(text) => (Field::Title, 0, text.to_string()),
            StandardTag::Artist(text) => (Field::Artist, 0, text.to_string()),
            StandardTag::Performer(text) => (Field::Artist, 1, text.to_string()),
            StandardTag::AlbumArtist(text) => (Field::Artist, 2, text.to_string()),
            StandardTag::Album(text) => (Field::Album, 0, text.to_string()),
            StandardTag::Genre(text) => (Field::Genre, 0, text.to_string()),
            StandardTag::ReleaseDate(text) => (Field::Date, 0, text.to_string()),
            StandardTag::ReleaseYear(number) => (Field::Date, 1, year(number)),
            StandardTag::RecordingDate(text) => (Field::Date, 2, text.to_string()),
            StandardTag::RecordingYear(number) => (Field::Date, 3, year(number)),
            StandardTag::OriginalReleaseDate(text) => (Field::Date, 4, text.to_string()),
            StandardTag::OriginalReleaseYear(number) => (Field::Date, 5, year(number)),
            StandardTag::License(text) => (Field::License, 0, text.to_string()),
            StandardTag::TermsOfUse(text) => (Field::License, 1, text.to_string()),
            StandardTag::Copyright(text) => (Field::License, 2, text.to_string()),
            StandardTag::UrlCopyright(text) => (Field::Url, 0, text.to_string()),
            StandardTag::UrlOfficial(text) => (Field::Url, 1, text.to_string()),
            StandardTag::UrlSource(text) => (Field::Url, 2, text.to_string()),
            StandardTag::Url(text) => (Field::Url, 3, text.to_string()),
            _ => return,
        };
        self.note(field, preference, &text);
    }

    fn note(&mut self, field: Field, preference: u8, text: &str) {
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if !text.is_empty() {
            self.0.entry((field, preference)).or_insert_with(|| text.to_owned());
        }
    }

    fn tags(self) -> Tags {
        let best = |field| self.0.iter().find(|((of, _), _)| *of == field).map(|(_, text)| text.clone());
        Tags {
            title: best(Field::Title),
            artist: best(Field::Artist),
            album: best(Field::Album),
            genre: best(Field::Genre),
            date: best(Field::Date),
            license: best(Field::License),
            url: best(Field::Url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::Synth;

    /// Bytes of which one read fails, by its number.
    struct Failing<'b>(Cursor<&'b [u8]>, u64);

    impl Read for Failing<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1.checked_sub(1).ok_or_else(|| io::Error::from_raw_os_error(5))?;
            self.0.read(out)
        }
    }

    impl Seek for Failing<'_> {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn a_disk_that_fails_says_nothing_of_the_tags() {
        let wav = Synth { pieces: 4, seed: 1, seconds: 2.0, grid: 0 }.wav(1);
        let bytes: &'static [u8] = wav.leak();
        let read = |left| read_from(Failing(Cursor::new(bytes), left), bytes.len() as u64);
        let reads = (0..1000).find(|left| read(*left).is_ok()).expect("so many reads");
        assert!(reads > 2);
        assert_eq!(read(reads).expect("tags"), read_bytes(bytes));
    }

    #[test]
    fn a_wav_of_our_own_says_what_it_is() {
        let synth = Synth { pieces: 4, seed: 1, seconds: 2.0, grid: 0 };
        let piece = synth.piece(1);
        let tags = read_bytes(&synth.wav(1));
        assert_eq!(tags.title, Some(piece.title));
        assert_eq!(tags.artist, Some(piece.artist));
        assert_eq!(tags.genre, Some(piece.genre));
        assert_eq!(tags.license.as_deref(), Some("CC0-1.0"));
    }
}
