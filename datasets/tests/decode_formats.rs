//! Decoding of small files made here: every WAV width, damage, and what is no sound.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use datasets::audio::decode::{DecodeError, Decoded, Reason, decode_bytes, decode_reader};

/// A WAV file with the given bytes as data; `stated` replaces the data chunk's length.
fn wav(tag: u16, bits: u16, channels: u16, data: &[u8], stated: Option<u32>) -> Vec<u8> {
    let frame = bits / 8 * channels;
    let length = stated.unwrap_or(data.len() as u32);
    let mut out = b"RIFF".to_vec();
    out.extend(length.saturating_add(36).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0");
    out.extend(tag.to_le_bytes());
    out.extend(channels.to_le_bytes());
    out.extend(44_100_u32.to_le_bytes());
    out.extend((44_100 * u32::from(frame)).to_le_bytes());
    out.extend(frame.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out.extend(b"data");
    out.extend(length.to_le_bytes());
    out.extend(data);
    out
}

fn samples(bytes: &[u8]) -> Result<(Decoded, Vec<f32>), DecodeError> {
    let mut all = Vec::new();
    let decoded = decode_bytes(bytes, &mut |block, _, _| {
        all.extend_from_slice(block);
        Ok(())
    })?;
    Ok((decoded, all))
}

fn reason(bytes: &[u8]) -> Reason {
    match decode_bytes(bytes, &mut |_, _, _| Ok(())) {
        Err(DecodeError::Refused(refusal)) => {
            assert!(!refusal.message.is_empty());
            refusal.reason
        }
        other => panic!("{other:?}"),
    }
}

/// splitmix64: seeded noise for damage.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Format tag, bits, four stored samples and what they stand for.
type Case = (u16, u16, Vec<Vec<u8>>, [f32; 4]);

#[test]
fn every_width_and_channel_count_of_wav() {
    // Full scale, half, zero and the smallest negative step, at each width.
    let cases: [Case; 5] = [
        (1, 8, vec![vec![0], vec![192], vec![128], vec![127]], [-1.0, 0.5, 0.0, -1.0 / 128.0]),
        (1, 16, bytes([-32768_i16, 16384, 0, -1].map(i16::to_le_bytes)), [-1.0, 0.5, 0.0, -1.0 / 32768.0]),
        (
            1,
            24,
            vec![vec![0, 0, 0x80], vec![0, 0, 0x40], vec![0; 3], vec![0xff; 3]],
            [-1.0, 0.5, 0.0, -1.0 / 8_388_608.0],
        ),
        (1, 32, bytes([i32::MIN, 1 << 30, 0, -256].map(i32::to_le_bytes)), [-1.0, 0.5, 0.0, -256.0 / 2_147_483_648.0]),
        (3, 32, bytes([-1.0_f32, 0.5, 0.0, 1.25].map(f32::to_le_bytes)), [-1.0, 0.5, 0.0, 1.25]),
    ];
    for (tag, bits, values, expected) in cases {
        for channels in [1_u16, 2, 4] {
            let data: Vec<u8> = values.concat().repeat(1_000);
            let (decoded, got) = samples(&wav(tag, bits, channels, &data, None)).expect("a sound WAV file");
            assert_eq!(decoded.frames, 4_000 / u64::from(channels), "{bits} bits, {channels} channels");
            assert_eq!((decoded.rate, decoded.channels), (44_100, channels));
            assert_eq!(got, expected.repeat(1_000), "{bits} bits, {channels} channels");
            assert_eq!(decoded.digest, digest(44_100, channels, &got), "{bits} bits, {channels} channels");
        }
    }
}

fn bytes<const N: usize, const M: usize>(values: [[u8; N]; M]) -> Vec<Vec<u8>> {
    values.iter().map(|value| value.to_vec()).collect()
}

/// The digest as it is documented, by the plain way.
fn digest(rate: u32, channels: u16, samples: &[f32]) -> [u8; 32] {
    let mut all = rate.to_le_bytes().to_vec();
    all.extend(channels.to_le_bytes());
    all.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    *blake3::hash(&all).as_bytes()
}

#[test]
fn a_cut_file_is_kept_as_far_as_it_goes() {
    let data = vec![1_u8; 40_000];
    let whole = wav(1, 16, 2, &data, None);
    let (decoded, _) = samples(&whole[..44 + 10_002]).expect("the frames before the cut");
    assert_eq!(decoded.frames, 2_500);
}

#[test]
fn a_header_that_lies_about_its_length_changes_nothing() {
    let data = vec![1_u8; 4_000];
    for stated in [u32::MAX, u32::MAX - 1, 0x7fff_fffc, 4_004] {
        let (decoded, _) = samples(&wav(1, 16, 2, &data, Some(stated))).expect("the frames that are there");
        assert_eq!(decoded.frames, 1_000, "stated {stated}");
    }
    let (decoded, _) = samples(&wav(1, 16, 2, &data, Some(2_000))).expect("the frames that are stated");
    assert_eq!(decoded.frames, 500);
}

#[test]
fn what_is_no_sound_is_refused_with_a_reason() {
    assert_eq!(reason(&[]), Reason::Empty);
    assert_eq!(reason(&wav(1, 16, 2, &[], None)), Reason::Empty);
    assert_eq!(reason("A text about sound, long enough to probe. ".repeat(400).as_bytes()), Reason::UnknownFormat);
    assert_eq!(reason(b"wvpk and then some"), Reason::UnsupportedFormat);
    assert_eq!(reason(b"ID3\x04\0\0\0\0\0\x02xxwvpk and then some"), Reason::UnsupportedFormat);
    let mut noise = Noise(1);
    let random: Vec<u8> = (0..100_000).map(|_| noise.next() as u8).collect();
    assert!(decode_bytes(&random, &mut |_, _, _| Ok(())).is_err());
}

#[test]
fn samples_that_are_no_numbers_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
        let mut values = vec![0.25_f32; 50_000];
        values[40_000] = bad;
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(reason(&wav(3, 32, 1, &data, None)), Reason::NotFinite);
    }
}

#[test]
fn more_channels_or_other_rates_than_audio_has_are_refused() {
    let data = vec![0; 2 * 100 * 10];
    let refused = reason(&wav(1, 16, 100, &data, None));
    assert!(matches!(refused, Reason::TooManyChannels | Reason::Corrupt | Reason::UnsupportedCodec), "{refused}");
    let mut file = wav(1, 16, 1, &data, None);
    file[24..28].copy_from_slice(&4_000_000_000_u32.to_le_bytes());
    assert_eq!(reason(&file), Reason::UnsupportedRate);
}

#[test]
fn damage_of_any_kind_ends_in_an_answer() {
    let mut noise = Noise(7);
    let tone: Vec<u8> = (0..6_000_u32).map(|i| (i * i / 7) as u8).collect();
    let seeds = [wav(1, 16, 2, &tone, None), wav(3, 32, 1, &tone, None), wav(2, 4, 1, &tone, None)];
    let (mut kept, mut refused) = (0, 0);
    for round in 0..3_000 {
        let mut file = seeds[round % seeds.len()].clone();
        for _ in 0..1 + noise.next() % 6 {
            // Most damage goes to the header, where lengths and formats stand.
            let span = if noise.next().is_multiple_of(4) { file.len() } else { 64.min(file.len()) };
            let at = noise.next() as usize % span;
            match noise.next() % 4 {
                0 => file[at] = noise.next() as u8,
                1 => file[at] ^= 1 << (noise.next() % 8),
                2 => file.truncate(at.max(1)),
                _ => file[at] = [0, 0xff, 0x7f, 0x80][noise.next() as usize % 4],
            }
        }
        match decode_bytes(&file, &mut |_, _, _| Ok(())) {
            Ok(decoded) => {
                assert!(decoded.frames <= 12_000, "round {round}: more frames than bytes");
                kept += 1;
            }
            Err(DecodeError::Refused(refusal)) => {
                assert_ne!(refusal.reason, Reason::Panicked, "round {round}: {refusal}");
                refused += 1;
            }
            Err(other) => panic!("round {round}: {other}"),
        }
    }
    assert!(kept > 100 && refused > 300, "{kept} kept, {refused} refused");
}

/// A source that fails after some bytes.
struct Failing(Cursor<Vec<u8>>, u64);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.position() >= self.1 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the disk went away"));
        }
        let room = buffer.len().min((self.1 - self.0.position()) as usize);
        self.0.read(&mut buffer[..room])
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_failing_source_is_no_property_of_the_bytes() {
    let file = wav(1, 16, 2, &vec![1; 400_000], None);
    let length = file.len() as u64;
    for at in [0, 10, 50, 5_000, 300_000] {
        let source = Failing(Cursor::new(file.clone()), at);
        match decode_reader(source, length, &mut |_, _, _| Ok(())) {
            Err(DecodeError::Failed(error)) => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
            other => panic!("failing at byte {at}: {other:?}"),
        }
    }
}

#[test]
fn a_failing_sink_is_told_apart() {
    let file = wav(1, 16, 2, &vec![1; 400_000], None);
    let mut calls = 0;
    let result = decode_bytes(&file, &mut |_, _, _| {
        calls += 1;
        Err(io::Error::new(io::ErrorKind::StorageFull, "no room"))
    });
    assert!(matches!(result, Err(DecodeError::Sink(error)) if error.kind() == io::ErrorKind::StorageFull));
    assert_eq!(calls, 1);
}
