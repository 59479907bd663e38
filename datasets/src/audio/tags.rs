//! Tags of an audio file: title, artist, licence and the like, read without decoding sound.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::{MetadataRevision, RawTag, RawTagSubField, RawValue, StandardTag, Tag};

use super::source::Source;
use super::view::{Piece, View};
use crate::license;
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
    /// The licence: a licence tag, its URL, terms of use or, failing those, what a copyright notice says of one.
    pub license: Option<String>,
    /// URL of the track's page.
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

/// What symphonia 0.6.1 does not pass on of a WAV.
#[derive(Default)]
struct Riff {
    /// The fields of its `INFO` list (Multimedia Programming Interface and Data Specifications 1.0, 1991).
    info: Vec<(Field, String)>,
    /// Offset of the ID3v2 tag in its `id3 ` chunk.
    id3: Range<u64>,
}

fn riff<R: Read + Seek>(reader: &mut R) -> io::Result<Riff> {
    let mut head = [0; 12];
    reader.read_exact(&mut head)?;
    let mut found = Riff::default();
    if &head[..4] != b"RIFF" || &head[8..] != b"WAVE" {
        return Ok(found);
    }
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
                info_fields(fields, &mut found.info);
            }
            reader.seek(SeekFrom::Current(i64::from(size % 2)))?;
        } else {
            if chunk[..4].eq_ignore_ascii_case(b"id3 ") {
                let start = reader.stream_position()?;
                found.id3 = start..start + u64::from(size);
            }
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
        found.extend(field.map(|field| (field, latin(text))));
        rest = body.get(size + size % 2..).unwrap_or_default();
    }
}

/// Text in UTF-8 or, where it is none, in Latin-1, which the programs of the time of this format wrote.
fn latin(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

fn read_from<R: Read + Seek + Send + Sync>(mut reader: R, length: u64) -> io::Result<Tags> {
    let Riff { info, id3 } = match riff(&mut reader) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        found => found.unwrap_or_default(),
    };
    // A tag that stands before the file is one that symphonia reads.
    let tag = if id3.end <= length { Piece::File(id3) } else { Piece::Own(Vec::new()) };
    let view = View::default().and(tag).and(Piece::File(0..length));
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
        let Some(standard) = &tag.std else { return self.several(&tag.raw) };
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
            StandardTag::UrlCopyright(text) => (Field::License, 3, text.to_string()),
            StandardTag::UrlOfficial(text) => (Field::Url, 1, text.to_string()),
            StandardTag::UrlSource(text) => (Field::Url, 2, text.to_string()),
            StandardTag::Url(text) if is_license_url(&tag.raw) => (Field::License, 1, text.to_string()),
            StandardTag::Url(text) => (Field::Url, 3, text.to_string()),
            _ => return,
        };
        self.note(field, preference, &text);
    }

    /// Takes a text frame of ID3v2.4 with several values, of which symphonia 0.6.1 makes no standard tag.
    fn several(&mut self, raw: &RawTag) {
        let RawValue::StringList(values) = &raw.value else { return };
        let (field, preference) = match raw.key.as_str() {
            "TIT2" => (Field::Title, 0),
            "TPE1" => (Field::Artist, 0),
            "TPE2" => (Field::Artist, 2),
            "TALB" => (Field::Album, 0),
            "TCON" => (Field::Genre, 0),
            "TCOP" => (Field::License, 2),
            _ => return,
        };
        self.note(field, preference, &values.join("; "));
    }

    fn note(&mut self, field: Field, preference: u8, text: &str) {
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        // Whose work it is, and since when, is no license.
        let notice = field == Field::License && preference > 0 && license::is_notice(text);
        if !text.is_empty() && !notice {
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

/// Whether the description of a URL frame says that it leads to a license.
fn is_license_url(raw: &RawTag) -> bool {
    let described = |field: &RawTagSubField| match &field.value {
        RawValue::String(text) => ["license", "licence"].iter().any(|word| text.trim().eq_ignore_ascii_case(word)),
        _ => false,
    };
    raw.sub_fields.iter().flatten().any(described)
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

    /// A WAV with one chunk behind its format.
    fn wav(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x44\xac\0\0\x88\x58\x01\0\x02\0\x10\0".to_vec();
        for (name, body) in [(name, body), (b"data", &[0; 200][..])] {
            out.extend(name);
            out.extend((body.len() as u32).to_le_bytes());
            out.extend(body);
            out.extend(vec![0; body.len() % 2]);
        }
        let size = out.len() as u32 - 8;
        out[4..8].copy_from_slice(&size.to_le_bytes());
        out
    }

    /// An ID3v2.4 tag of frames.
    fn id3(frames: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, text) in frames {
            body.extend(*name);
            body.extend([0, 0, 0, text.len() as u8, 0, 0]);
            body.extend(*text);
        }
        [&[b'I', b'D', b'3', 4, 0, 0, 0, 0, (body.len() >> 7) as u8, (body.len() & 127) as u8][..], &body].concat()
    }

    #[test]
    fn tags_of_wav_are_in_chunks_and_in_the_letters_of_their_time() {
        let deed = b"\x03LICENSE\0http://creativecommons.org/licenses/by-sa/3.0/";
        let tags = read_bytes(&wav(b"id3 ", &id3(&[(b"TIT2", b"\x03In a chunk"), (b"TXXX", deed)])));
        assert_eq!(tags.title.as_deref(), Some("In a chunk"));
        assert_eq!(tags.license.as_deref(), Some("http://creativecommons.org/licenses/by-sa/3.0/"));
        let tags = read_bytes(&wav(b"LIST", b"INFOIART\x04\0\0\0M\xf6t\xf6"));
        assert_eq!(tags.artist.as_deref(), Some("M\u{f6}t\u{f6}"));
    }

    #[test]
    fn a_license_is_its_url_and_no_mere_notice() {
        let of = |frames: &[(&[u8; 4], &[u8])]| read_bytes(&wav(b"id3 ", &id3(frames)));
        let deed = b"http://creativecommons.org/licenses/by-sa/3.0/";
        let tags = of(&[(b"TCOP", b"\x032011 Some Label"), (b"WCOP", deed)]);
        assert_eq!((tags.license.as_deref(), tags.url), (Some("http://creativecommons.org/licenses/by-sa/3.0/"), None));
        let described = [b"\x03License\0", &deed[..]].concat();
        assert_eq!(of(&[(b"WXXX", &described)]), Tags { license: tags.license, ..Tags::default() });
        assert_eq!(of(&[(b"TCOP", b"\x032011 Some Label")]).license, None);
        let several = of(&[(b"TPE1", b"\x03A\0B"), (b"TCON", b"\x03Rock\0Pop")]);
        assert_eq!((several.artist.as_deref(), several.genre.as_deref()), (Some("A; B"), Some("Rock; Pop")));
        let reserved = "2011 Some Label, all rights reserved";
        let text = [b"\x03", reserved.as_bytes()].concat();
        assert_eq!(of(&[(b"TCOP", &text)]).license.as_deref(), Some(reserved));
    }
}
