//! WAV files out: 16-bit PCM for players, 32-bit float for further work. The bytes follow from the samples alone.

use std::io::{self, ErrorKind, Write};

/// Sample encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Signed 16-bit integers; ±1 maps to ±32767, halves round away from zero, without dither.
    Pcm16,
    /// 32-bit IEEE floats, unchanged.
    Float32,
}

/// Samples that [`write`] clipped or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WavSummary {
    /// Frames written.
    pub frames: u64,
    /// Samples beyond ±1 that were clipped, and samples that are not a number, stored as 0. None for floats.
    pub clipped: u64,
}

/// Bytes of the header before the samples, by encoding.
const HEADER: [u32; 2] = [44, 58];

/// A WAV file under way, for sound that is never in memory as a whole.
pub struct Writer<'a> {
    out: &'a mut dyn Write,
    encoding: Encoding,
    /// Samples still to come.
    left: u64,
    written: WavSummary,
    bytes: Vec<u8>,
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, message.to_owned())
}

impl<'a> Writer<'a> {
    /// Writes the head of a file of `frames` frames: RIFF, `fmt `, for floats `fact`, `data`.
    ///
    /// # Errors
    /// Those of `out`, and `InvalidInput` if `channels` or `rate` is 0 or the file would exceed the 4 GiB of the format.
    pub fn new(
        out: &'a mut dyn Write,
        frames: u64,
        rate: u32,
        channels: u16,
        encoding: Encoding,
    ) -> io::Result<Writer<'a>> {
        if channels == 0 || rate == 0 {
            return Err(invalid("a WAV file holds whole frames of one channel or more, at a rate above 0"));
        }
        out.write_all(&head(frames, rate, channels, encoding)?)?;
        let left = frames * u64::from(channels);
        Ok(Writer { out, encoding, left, written: WavSummary { frames, clipped: 0 }, bytes: Vec::new() })
    }

    /// Writes the next interleaved samples.
    ///
    /// # Errors
    /// Those of `out`, and `InvalidInput` for more samples than the head announced.
    pub fn push(&mut self, samples: &[f32]) -> io::Result<()> {
        let count = samples.len() as u64;
        self.left = self.left.checked_sub(count).ok_or_else(|| invalid("more samples than the file was to hold"))?;
        for block in samples.chunks(BLOCK) {
            self.bytes.clear();
            match self.encoding {
                Encoding::Float32 => self.bytes.extend(block.iter().flat_map(|sample| sample.to_le_bytes())),
                Encoding::Pcm16 => {
                    let clipped = block.iter().filter(|sample| !(-1.0..=1.0).contains(*sample)).count();
                    self.written.clipped += clipped as u64;
                    self.bytes.extend(block.iter().flat_map(|sample| pcm16(*sample).to_le_bytes()));
                }
            }
            self.out.write_all(&self.bytes)?;
        }
        Ok(())
    }

    /// Finishes the file and returns the samples that were changed.
    ///
    /// # Errors
    /// `InvalidInput` for fewer samples than the head announced.
    pub fn finish(self) -> io::Result<WavSummary> {
        match self.left {
            0 => Ok(self.written),
            left => Err(invalid(&format!("{left} samples less than the file was to hold"))),
        }
    }
}

/// Writes interleaved `samples` as one WAV file.
///
/// # Errors
/// Those of [`Writer::new`], and `InvalidInput` if the samples are no whole number of frames.
pub fn write(
    out: &mut dyn Write,
    samples: &[f32],
    rate: u32,
    channels: u16,
    encoding: Encoding,
) -> io::Result<WavSummary> {
    if channels == 0 || !samples.len().is_multiple_of(usize::from(channels)) {
        return Err(invalid("a WAV file holds whole frames of one channel or more, at a rate above 0"));
    }
    let mut writer = Writer::new(out, samples.len() as u64 / u64::from(channels), rate, channels, encoding)?;
    writer.push(samples)?;
    writer.finish()
}

/// The bytes before the samples.
fn head(frames: u64, rate: u32, channels: u16, encoding: Encoding) -> io::Result<Vec<u8>> {
    let (width, header) = match encoding {
        Encoding::Pcm16 => (2_u16, HEADER[0]),
        Encoding::Float32 => (4, HEADER[1]),
    };
    let frame = width.checked_mul(channels).ok_or_else(|| invalid("too many channels for a WAV file"))?;
    let too_long = || invalid("a WAV file is at most 4 GiB long");
    let data = frames.checked_mul(u64::from(frame)).and_then(|data| u32::try_from(data).ok()).ok_or_else(too_long)?;
    data.checked_add(header).ok_or_else(too_long)?;
    let second = rate.checked_mul(u32::from(frame)).ok_or_else(|| invalid("the rate is too high for a WAV file"))?;
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
    Ok(head)
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

    fn wav(samples: &[f32], channels: u16, encoding: Encoding) -> (Vec<u8>, WavSummary) {
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
        assert_eq!(written, WavSummary { frames: 8, clipped: 3 });
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
        assert_eq!(written, WavSummary { frames: 1_000, clipped: 0 });
        assert_eq!(back, samples);
    }

    #[test]
    fn a_file_in_parts_is_the_same_file() {
        let samples: Vec<f32> = (0..40_000).map(|i| (i as f32 * 0.013).sin() * 1.2).collect();
        for encoding in [Encoding::Pcm16, Encoding::Float32] {
            let (whole, written) = wav(&samples, 2, encoding);
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out, 20_000, 22_050, 2, encoding).unwrap();
            samples.chunks(777).for_each(|part| writer.push(part).unwrap());
            assert_eq!(writer.finish().unwrap(), written);
            assert!(out == whole);
            let mut writer = Writer::new(&mut out, 2, 22_050, 1, encoding).unwrap();
            assert!(writer.push(&[0.0; 3]).is_err());
            writer.push(&[0.0; 1]).unwrap();
            assert!(writer.finish().is_err());
        }
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
