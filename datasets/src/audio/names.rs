//! Names for what cannot be decoded: codecs that a container states, and formats known by their first bytes.

use std::io::{self, ErrorKind, Read};

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known as id;

/// Chunks, boxes and tags in a row that are looked through before giving up.
pub(super) const STEPS: usize = 4096;

/// The name of a codec: its registered one, that of a codec without decoder, or its number.
pub(super) fn codec(codec: AudioCodecId) -> String {
    if let Some(known) = symphonia::default::get_codecs().get_audio_decoder(codec) {
        return known.codec.info.long_name.to_owned();
    }
    let name = match codec {
        id::CODEC_ID_OPUS => "Opus",
        id::CODEC_ID_SPEEX => "Speex",
        id::CODEC_ID_MUSEPACK => "Musepack",
        id::CODEC_ID_AC3 => "AC-3",
        id::CODEC_ID_EAC3 => "E-AC-3",
        id::CODEC_ID_AC4 => "AC-4",
        id::CODEC_ID_DCA => "DTS",
        id::CODEC_ID_WMA => "Windows Media Audio",
        id::CODEC_ID_WAVPACK => "WavPack",
        id::CODEC_ID_MONKEYS_AUDIO => "Monkey's Audio",
        id::CODEC_ID_TTA => "True Audio",
        id::CODEC_ID_TRUEHD => "TrueHD",
        other => return format!("codec {other}"),
    };
    name.to_owned()
}

/// Formats without a reader here, by the bytes at their start. Without this list the search for a frame of
/// MPEG audio, which has no header of its own, can find one by chance inside them.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF (Windows Media)"),
    (b"TTA1", "True Audio"),
    (b"TTA2", "True Audio"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"DSD ", "DSF (DSD stream)"),
    (b"FRM8", "DSDIFF (DSD stream)"),
    (b"tBaK", "TAK"),
    (b"OFR ", "OptimFROG"),
    (b"\x0b\x77", "AC-3 or E-AC-3"),
    (b"ADIF", "AAC in ADIF"),
    (b"#!AMR", "AMR"),
    (b"MThd", "MIDI"),
    (b"%PDF-", "PDF"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!", "RAR"),
    (b"NIST_1A", "NIST SPHERE"),
    (b"FLV\x01", "Flash video"),
    (b"version https://git-lfs.github.com/", "a Git LFS pointer, which stands for the file: run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer, which stands for the file: run `git annex get`"),
    (b"../.git/annex/", "a git-annex pointer, which stands for the file: run `git annex get`"),
];

/// The name of the format without reader that begins like this.
pub(super) fn foreign(head: &[u8]) -> Option<&'static str> {
    let named = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name);
    let holds = |at: usize, magic: &[u8]| head.get(at..at + magic.len()) == Some(magic);
    let elsewhere = || match () {
        () if holds(257, b"ustar") => Some("a tar archive: unpack it, or ingest its table"),
        () if holds(0, b"RIFF") && holds(8, b"AVI ") => Some("AVI"),
        () if holds(0, b"G") && holds(188, b"G") && holds(376, b"G") => Some("an MPEG transport stream"),
        () => None,
    };
    named.or_else(elsewhere)
}

/// What text that stands in the place of sound is, if the start of the file is text.
pub(super) fn text(head: &[u8]) -> Option<&'static str> {
    let printable = |byte: &u8| (b' '..=b'~').contains(byte) || b"\t\n\r\x0c".contains(byte) || *byte >= 0x80;
    let ascii = head.iter().filter(|byte| byte.is_ascii()).count();
    if head.len() < 16 || !head.iter().all(printable) || ascii * 2 < head.len() {
        return None;
    }
    let start = head.trim_ascii_start();
    let begins = |word: &[u8]| start.get(..word.len()).is_some_and(|own| own.eq_ignore_ascii_case(word));
    Some(match () {
        () if begins(b"<!doctype html") || begins(b"<html") => "a page of HTML",
        () if begins(b"<?xml") => "XML",
        () if begins(b"{") || begins(b"[") => "JSON",
        () => "text",
    })
}

/// The name of a format tag of WAV (Microsoft, mmreg.h).
pub(super) fn wave_format(tag: u16) -> String {
    let name = match tag {
        0x0031 => "GSM 6.10",
        0x0040 => "G.721 ADPCM",
        0x0092 | 0x2000 => "AC-3",
        0x2001 => "DTS",
        0x0160..=0x0163 => "Windows Media Audio",
        0x00ff | 0x1600..=0x1602 => "AAC",
        0x0270 => "ATRAC3",
        0x0674 | 0x0675 | 0x0676 | 0x674f | 0x6750 | 0x6751 | 0x676f | 0x6770 | 0x6771 => "Vorbis",
        0xf1ac => "FLAC",
        0x704f => "Opus",
        0xa109 => "Speex",
        tag => return format!("format 0x{tag:04x}"),
    };
    name.to_owned()
}

/// Reads until the buffer is full or the source ends; returns how much was read.
pub(super) fn read_up_to<R: Read>(reader: &mut R, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
