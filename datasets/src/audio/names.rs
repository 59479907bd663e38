//! Names for what cannot be decoded: codecs that a container states, and formats known by their first bytes.

use std::io::{self, ErrorKind, Read};

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known as id;

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
];

/// The name of the format without reader that begins like this.
pub(super) fn foreign(head: &[u8]) -> Option<&'static str> {
    FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name)
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
