//! Sound as a `data:` address: 16-bit mono PCM in a RIFF/WAVE file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A WAVE file of 16-bit mono PCM. Samples are clipped to -1..=1 and rounded to the nearest of 2 * 32767 + 1
/// levels; one that is not a number becomes silence.
#[must_use]
pub fn bytes(samples: &[f32], rate: u32) -> Vec<u8> {
    // The chunk sizes of RIFF are 32 bits wide.
    let samples = &samples[..samples.len().min((u32::MAX as usize - 36) / 2)];
    let size = (samples.len() * 2) as u32;
    let mut out = Vec::with_capacity(44 + samples.len() * 2);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + size).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    out.extend_from_slice(&16u32.to_le_bytes());
    out.extend_from_slice(&1u16.to_le_bytes());
    out.extend_from_slice(&1u16.to_le_bytes());
    out.extend_from_slice(&rate.to_le_bytes());
    out.extend_from_slice(&rate.saturating_mul(2).to_le_bytes());
    out.extend_from_slice(&2u16.to_le_bytes());
    out.extend_from_slice(&16u16.to_le_bytes());
    out.extend_from_slice(b"data");
    out.extend_from_slice(&size.to_le_bytes());
    for &sample in samples {
        let level = (sample.clamp(-1.0, 1.0) * 32767.0).round() as i16;
        out.extend_from_slice(&level.to_le_bytes());
    }
    out
}

/// The same as an address that a player on the page takes.
#[must_use]
pub fn data_uri(samples: &[f32], rate: u32) -> String {
    let mut out = String::from("data:audio/wav;base64,");
    STANDARD.encode_string(bytes(samples, rate), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_levels_are_those_of_pcm() {
        let file = bytes(&[0.0, 1.0, -1.0, 2.0, f32::NAN, 0.5], 44_100);
        assert_eq!(file.len(), 44 + 12);
        assert_eq!(&file[..4], b"RIFF");
        assert_eq!(u32::from_le_bytes([file[4], file[5], file[6], file[7]]) as usize, file.len() - 8);
        assert_eq!(u32::from_le_bytes([file[24], file[25], file[26], file[27]]), 44_100);
        let levels: Vec<i16> = file[44..].chunks(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
        assert_eq!(levels, [0, 32767, -32767, 32767, 0, 16384]);
    }

    #[test]
    fn data_uri_is_the_file_in_base64() {
        let uri = data_uri(&[0.25; 7], 8_000);
        let body = uri.strip_prefix("data:audio/wav;base64,").expect("scheme");
        assert_eq!(STANDARD.decode(body).expect("base64"), bytes(&[0.25; 7], 8_000));
    }
}
