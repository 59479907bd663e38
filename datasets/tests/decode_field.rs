//! Files of the kinds that other programs write wrong and others read, with what is right of each (`field/right.tsv`): rate,
//! channels, frames, and the digest of the samples or, of lossy codecs, what ffmpeg 5.1 makes of some frames. The length of
//! AAC and MP3 in MP4 is that of the sound that was encoded: ffmpeg leaves the padding of the last packet.

use std::fs;
use std::path::Path;

use datasets::audio::decode::{DecodeError, decode_bytes};

/// What is wrong with the outcome of a file, if anything.
fn wrong(bytes: &[u8], fields: &[&str]) -> Option<String> {
    let [_, outcome, rate, channels, frames, samples, tolerance, means] = fields else { return Some("fields".into()) };
    let mut all = Vec::new();
    let decoded = decode_bytes(bytes, &mut |block, _, _| {
        all.extend_from_slice(block);
        Ok(())
    });
    let decoded = match decoded {
        Ok(decoded) => decoded,
        Err(DecodeError::Refused(refusal)) if refusal.reason.code() == *outcome => return None,
        Err(error) => return Some(error.to_string()),
    };
    let same = |stated: &str, own: u64| stated.is_empty() || stated == own.to_string();
    let fits =
        same(rate, decoded.rate.into()) && same(channels, decoded.channels.into()) && same(frames, decoded.frames);
    if *outcome != "kept" || !fits {
        return Some(format!("{} Hz, {} channels, {} frames", decoded.rate, decoded.channels, decoded.frames));
    }
    if !samples.is_empty() && *samples != blake3::Hash::from(decoded.digest).to_hex().as_str() {
        return Some("other samples".to_owned());
    }
    let channels = usize::from(decoded.channels);
    let tolerance: f32 = tolerance.parse().unwrap_or(0.0);
    for (frame, mean) in means.split_ascii_whitespace().filter_map(|pair| pair.split_once(':')) {
        let (frame, mean): (usize, f32) = (frame.parse().expect("a frame"), mean.parse().expect("a mean"));
        let own = all[frame * channels..][..channels].iter().sum::<f32>() / channels as f32;
        if (own - mean).abs() > tolerance {
            return Some(format!("frame {frame} is {own}, not {mean}"));
        }
    }
    None
}

#[test]
fn files_of_others_come_out_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/field");
    let table = fs::read_to_string(folder.join("right.tsv")).expect("right.tsv");
    let (mut files, mut wrongs) = (0, Vec::new());
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let bytes = fs::read(folder.join(fields[0])).expect(fields[0]);
        wrongs.extend(wrong(&bytes, &fields).map(|what| format!("{}: {what}", fields[0])));
        files += 1;
    }
    assert!(files > 60, "only {files} files");
    assert!(wrongs.is_empty(), "{} of {files} are wrong:\n{}", wrongs.len(), wrongs.join("\n"));
}
