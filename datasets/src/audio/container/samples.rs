//! Samples that stand in a file as they are: PCM and the companded bytes of ITU-T G.711.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::audio::names::read_up_to;
use crate::audio::refusal::{DecodeError, Reason};

/// How one sample is written. The width of integers is that of their container; smaller depths stand in its upper bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Integers around the middle of their range, of one byte.
    Unsigned,
    /// Two's complement, of one to four bytes.
    Signed,
    /// IEEE 754, of four or eight bytes.
    Float,
    /// A-law, one byte.
    ALaw,
    /// Mu-law, one byte.
    MuLaw,
}

/// Places of samples in a file, and how they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Samples {
    /// Sample rate in Hz.
    pub(crate) rate: u32,
    /// Channels of a frame.
    pub(crate) channels: u16,
    pub(crate) encoding: Encoding,
    /// Bytes of a sample.
    pub(crate) width: u8,
    /// Whether the highest byte comes first.
    pub(crate) big_endian: bool,
    /// Offsets of the frames in the file, in the order of time. A part that ends within a frame is cut there.
    pub(crate) parts: Vec<Range<u64>>,
}

/// Frames that are converted together.
const FRAMES: usize = 4096;

impl Samples {
    /// Whether the width fits the encoding, or the refusal that says that it does not.
    ///
    /// # Errors
    /// [`Reason::UnsupportedCodec`] for widths that nothing reads, [`Reason::Corrupt`] for no channels.
    pub(crate) fn checked(self, container: &str) -> Result<Samples, DecodeError> {
        let fits = match self.encoding {
            Encoding::Unsigned | Encoding::ALaw | Encoding::MuLaw => self.width == 1,
            Encoding::Signed => (1..=4).contains(&self.width),
            Encoding::Float => self.width == 4 || self.width == 8,
        };
        if self.channels == 0 {
            return Err(DecodeError::refuse(Reason::Corrupt, format!("{container}: no channels")));
        }
        if !fits {
            let message = format!("{container}: {:?} samples of {} bytes", self.encoding, self.width).to_lowercase();
            return Err(DecodeError::refuse(Reason::UnsupportedCodec, message));
        }
        Ok(self)
    }

    /// Reads all frames and hands them on, interleaved.
    ///
    /// # Errors
    /// Failed where the source is, and whatever `take` returns.
    pub(crate) fn read<R: Read + Seek>(
        &self,
        reader: &mut R,
        take: &mut dyn FnMut(&[f32]) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let frame = usize::from(self.width) * usize::from(self.channels);
        let (mut bytes, mut values) =
            (vec![0; FRAMES * frame], Vec::with_capacity(FRAMES * usize::from(self.channels)));
        for part in &self.parts {
            let mut left = part.end.saturating_sub(part.start) / frame as u64;
            reader.seek(SeekFrom::Start(part.start)).map_err(DecodeError::Failed)?;
            while left > 0 {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(FRAMES);
                let read = read_up_to(reader, &mut bytes[..wanted * frame]).map_err(DecodeError::Failed)?;
                let whole = read / frame;
                if whole < wanted && whole == 0 {
                    // The file became shorter while it was read.
                    return Err(DecodeError::Failed(io::ErrorKind::UnexpectedEof.into()));
                }
                values.clear();
                self.convert(&bytes[..whole * frame], &mut values);
                take(&values)?;
                left -= whole as u64;
            }
        }
        Ok(())
    }

    fn convert(&self, bytes: &[u8], out: &mut Vec<f32>) {
        match (self.encoding, self.width, self.big_endian) {
            (Encoding::Unsigned, ..) => out.extend(bytes.iter().map(|byte| (f32::from(*byte) - 128.0) / 128.0)),
            (Encoding::ALaw, ..) => out.extend(bytes.iter().map(|byte| f32::from(a_law(*byte)) / 32768.0)),
            (Encoding::MuLaw, ..) => out.extend(bytes.iter().map(|byte| f32::from(mu_law(*byte)) / 32768.0)),
            (Encoding::Float, 4, true) => extend(bytes, out, f32::from_be_bytes),
            (Encoding::Float, 4, false) => extend(bytes, out, f32::from_le_bytes),
            (Encoding::Float, _, true) => extend(bytes, out, |sample| f64::from_be_bytes(sample) as f32),
            (Encoding::Float, _, false) => extend(bytes, out, |sample| f64::from_le_bytes(sample) as f32),
            (Encoding::Signed, 1, _) => extend(bytes, out, |[a]| integer([a, 0, 0, 0])),
            (Encoding::Signed, 2, true) => extend(bytes, out, |[a, b]| integer([a, b, 0, 0])),
            (Encoding::Signed, 2, false) => extend(bytes, out, |[b, a]| integer([a, b, 0, 0])),
            (Encoding::Signed, 3, true) => extend(bytes, out, |[a, b, c]| integer([a, b, c, 0])),
            (Encoding::Signed, 3, false) => extend(bytes, out, |[c, b, a]| integer([a, b, c, 0])),
            (Encoding::Signed, _, true) => extend(bytes, out, integer),
            (Encoding::Signed, _, false) => extend(bytes, out, |[d, c, b, a]| integer([a, b, c, d])),
        }
    }
}

fn extend<const N: usize>(bytes: &[u8], out: &mut Vec<f32>, sample: impl Fn([u8; N]) -> f32) {
    out.extend(bytes.as_chunks::<N>().0.iter().map(|bytes| sample(*bytes)));
}

/// The sample with these bytes, the highest first: full scale is 2^31.
fn integer(bytes: [u8; 4]) -> f32 {
    (f64::from(i32::from_be_bytes(bytes)) / 2_147_483_648.0) as f32
}

/// ITU-T G.711, table 1: 13 bits in the upper bits of 16.
fn a_law(byte: u8) -> i16 {
    let coded = byte ^ 0x55;
    let (exponent, mantissa) = (coded >> 4 & 7, i16::from(coded & 15));
    let magnitude = match exponent {
        0 => mantissa << 4 | 8,
        exponent => (mantissa << 4 | 0x108) << (exponent - 1),
    };
    if coded & 0x80 != 0 { magnitude } else { -magnitude }
}

/// ITU-T G.711, table 2: 14 bits in the upper bits of 16.
fn mu_law(byte: u8) -> i16 {
    let coded = !byte;
    let magnitude = ((i16::from(coded & 15) << 3 | 0x84) << (coded >> 4 & 7)) - 0x84;
    if coded & 0x80 != 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends of the tables and their smallest steps, as G.711 lists them.
    #[test]
    fn companded_bytes_are_those_of_the_tables() {
        assert_eq!([0xd5, 0x55, 0xaa, 0x2a].map(a_law), [8, -8, 32256, -32256]);
        assert_eq!([0xff, 0x7f, 0x80, 0x00].map(mu_law), [0, 0, 32124, -32124]);
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_a_failure() {
        let samples = Samples {
            rate: 44_100,
            channels: 1,
            encoding: Encoding::Signed,
            width: 2,
            big_endian: false,
            parts: vec![0..60, 60..100],
        };
        let read = samples.read(&mut io::Cursor::new([0; 10]), &mut |_| Ok(()));
        assert!(matches!(read, Ok(()) | Err(DecodeError::Failed(_))));
        let none = samples.read(&mut io::Cursor::new([]), &mut |_| Ok(()));
        assert!(matches!(none, Err(DecodeError::Failed(_))));
    }
}
