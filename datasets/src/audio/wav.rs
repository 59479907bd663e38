//! WAV files out: 16-bit PCM for players, 32-bit float for further work. The bytes follow from the samples alone.

use std::io::{self, ErrorKind, Write};

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Signed 16-bit integers; ±1 maps to ±32767, halves round away from zero, without dither.
    Pcm16,
    /// 32-bit IEEE floats, unchanged.
    Float32,
}

/// What [`write`] had to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Frames written.
    pub frames: u64,
    /// Samples beyond ±1 that were clipped, and samples that are not a number, stored as 0. None for floats.
    pub clipped: u64,
}

/// Bytes of the header before the samples, by encoding.
const HEADER: [u32; 2] = [44, 58];

/// Writes interleaved `samples` as one WAV file: RIFF, `fmt `, for floats `fact`, `data`.
///
/// # Errors
/// Those of `out`, and `InvalidInput` if the samples are no whole number of frames, `channels` or `rate` is 0, or
/// the file would exceed the 4 GiB of the format.
pub fn write(
    out: &mut dyn Write,
    samples: &[f32],
    rate: u32,
    channels: u16,
    encoding: Encoding,
) -> io::Result<Written> {
    let invalid = |message: &str| io::Error::new(ErrorKind::InvalidInput, message.to_owned());
    if channels == 0 || rate == 0 || !samples.len().is_multiple_of(usize::from(channels)) {
        return Err(invalid("a WAV file holds whole frames of one channel or more, at a rate above 0"));
    }
    let (width, header) = match encoding {
        Encoding::Pcm16 => (2_u16, HEADER[0]),
        Encoding::Float32 => (4, HEADER[1]),
    };
    let data = samples.len() as u64 * u64::from(width);
    let too_long = || invalid("a WAV file is at most 4 GiB long");
    let data = u32::try_from(data).ok().filter(|data| data.checked_add(header).is_some()).ok_or_else(too_long)?;
    let frame = width.checked_mul(channels).ok_or_else(|| invalid("too many channels for a WAV file"))?;
    let second = rate.checked_mul(u32::from(frame)).ok_or_else(|| invalid("the rate is too high for a WAV file"))?;
    let frames = (samples.len() / usize::from(channels)) as u64;

    let mut head = Vec::with_capacity(header as usize);
    head.extend(b"RIFF");
    head.extend((header - 8 + data).to_le_bytes());
    head.extend(b"WAVEfmt ");
    let (size, tag) = match encoding {
        Encoding::Pcm16 => (16_u32, 1_u16),
        Encoding::Float32 => (18, 3),
    };
    head.extend(size.to_le_bytes());
    head.extend(tag.to_le_bytes());
    head.extend(channels.to_le_bytes());
    head.extend(rate.to_le_bytes());
    head.extend(second.to_le_bytes());
    head.extend(frame.to_le_bytes());
    head.extend((width * 8).to_le_bytes());
    if encoding == Encoding::Float32 {
        // Formats other than PCM state the size of their extension and, in `fact`, their length in frames.
        head.extend(0_u16.to_le_bytes());
        head.extend(b"fact");
        head.extend(4_u32.to_le_bytes());
        head.extend((data / u32::from(frame)).to_le_bytes());
    }
    head.extend(b"data");
    head.extend(data.to_le_bytes());
    out.write_all(&head)?;

    let mut clipped = 0;
    let mut bytes = Vec::with_capacity(samples.len().min(BLOCK) * usize::from(width));
    for block in samples.chunks(BLOCK) {
        bytes.clear();
        match encoding {
            Encoding::Float32 => bytes.extend(block.iter().flat_map(|sample| sample.to_le_bytes())),
            Encoding::Pcm16 => {
                clipped += block.iter().filter(|sample| !(-1.0..=1.0).contains(*sample)).count() as u64;
                bytes.extend(block.iter().flat_map(|sample| pcm16(*sample).to_le_bytes()));
            }
        }
        out.write_all(&bytes)?;
    }
    Ok(Written { frames, clipped })
}

/// Samples written at a time.
const BLOCK: usize = 16 * 1024;

/// Rounds a sample to 16 bits; a cast saturates, and takes what is not a number to 0.
fn pcm16(sample: f32) -> i16 {
    (sample.clamp(-1.0, 1.0) * 32767.0).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::decode::decode_bytes;

    fn wav(samples: &[f32], channels: u16, encoding: Encoding) -> (Vec<u8>, Written) {
        let mut out = Vec::new();
        let written = write(&mut out, samples, 22_050, channels, encoding).unwrap();
        (out, written)
    }

    #[test]
    fn the_header_states_the_canonical_fields() {
        let (bytes, _) = wav(&[0.0; 6], 2, Encoding::Pcm16);
        assert_eq!(bytes.len(), 44 + 12);
        assert_eq!(&bytes[..4], b"RIFF");
        assert_eq!(bytes[4..8], 48_u32.to_le_bytes());
        assert_eq!(bytes[20..24], [1, 0, 2, 0]);
        assert_eq!(bytes[24..28], 22_050_u32.to_le_bytes());
        assert_eq!(bytes[28..32], 88_200_u32.to_le_bytes());
        assert_eq!(bytes[32..36], [4, 0, 16, 0]);
        assert_eq!(bytes[40..44], 12_u32.to_le_bytes());
        let (bytes, _) = wav(&[0.0; 6], 2, Encoding::Float32);
        assert_eq!(bytes.len(), 58 + 24);
        assert_eq!(bytes[4..8], 74_u32.to_le_bytes());
        assert_eq!(bytes[46..50], 3_u32.to_le_bytes());
    }

    #[test]
    fn sixteen_bits_round_and_clip() {
        let samples = [0.0, 1.0, -1.0, 1.5, -7.0, f32::NAN, 0.5 / 32767.0, 0.49 / 32767.0];
        let (bytes, written) = wav(&samples, 1, Encoding::Pcm16);
        let stored: Vec<i16> = bytes[44..].as_chunks::<2>().0.iter().map(|b| i16::from_le_bytes(*b)).collect();
        assert_eq!(stored, [0, 32767, -32767, 32767, -32767, 0, 1, 0]);
        assert_eq!(written, Written { frames: 8, clipped: 3 });
    }

    #[test]
    fn floats_decode_to_the_same_bits() {
        let samples: Vec<f32> = (0..3_000).map(|i| (i as f32 * 0.37).fract() * 1.7 - 0.8).collect();
        let (bytes, written) = wav(&samples, 3, Encoding::Float32);
        let mut back = Vec::new();
        let decoded = decode_bytes(&bytes, &mut |block, _, _| {
            back.extend_from_slice(block);
            Ok(())
        })
        .unwrap();
        assert_eq!((decoded.frames, decoded.rate, decoded.channels), (1_000, 22_050, 3));
        assert_eq!(written, Written { frames: 1_000, clipped: 0 });
        assert_eq!(back, samples);
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let mut out = Vec::new();
        for (samples, rate, channels) in [(3, 44_100, 2), (2, 0, 1), (2, 44_100, 0), (4, u32::MAX, 2)] {
            let error = write(&mut out, &vec![0.0; samples], rate, channels, Encoding::Pcm16).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        assert!(out.is_empty());
    }
}
