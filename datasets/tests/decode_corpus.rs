//! Every file of the shared real data against what ffmpeg 5.1 makes of it (`DECODE.tsv`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use datasets::audio::decode::{DecodeError, decode};

/// Files that ffmpeg decodes without complaint and that come out otherwise here: what comes out, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("music/tensorflow-io/ZASFX_ADSR_no_sustain.ogg", "14336", GRANULE),
    ("music/tonejs-audio/loop/snare.ogg", "196000", GRANULE),
    ("tricky/mutagen/empty.ogg", "162496", GRANULE),
    ("tricky/mutagen/multipagecomment.ogg", "162496", GRANULE),
    ("tricky/mutagen/id3v1v2-combined.mp3", "5760", CUT),
    ("tricky/mutagen/id3v22-test.mp3", "5760", CUT),
    ("tricky/mutagen/issue_21.id3", "42624", CUT),
    ("tricky/mutagen/xing.mp3", "89856", CUT),
    (
        "tricky/mutagen/audacious-trailing-id32-apev2.mp3",
        "16111",
        "the LAME header states 64 frames of padding after the decoder's delay; ffmpeg leaves them",
    ),
    (
        "tricky/mutagen/lame397v9short.mp3",
        "623",
        "the LAME header states more delay and padding than frames; only the delay is trimmed here",
    ),
    (
        "tricky/flac-test-files/uncommon/02 - increasing number of channels.flac",
        "channels-change-midway",
        "the number of channels changes midway, which is refused by its name",
    ),
    (
        "tricky/flac-test-files/uncommon/10 - file starting at frame header.flac",
        "unknown-format",
        "the FLAC reader needs the stream marker and STREAMINFO",
    ),
    ("tricky/flac-test-files/faulty/11 - incorrect metadata block length.flac", "corrupt", NO_FRAMES),
    ("tricky/mutagen/nero-chapters.m4b", "corrupt", NO_FRAMES),
    ("tricky/pydub/test1_empty.wav", "empty", NO_FRAMES),
    ("music/madmom/stereo_sample.m4a", "182919", EDIT),
    ("music/rodio/RL.m4a", "1208256", EDIT),
    ("music/rodio/music.m4a", "449320", EDIT),
    ("tricky/mediafile/full.m4a", "44100", ITUNES),
    ("tricky/mediafile/partial.m4a", "44100", ITUNES),
    ("tricky/mediafile/soundcheck-nonascii.m4a", "44100", ITUNES),
    ("tricky/mediafile/t_time.m4a", "44100", ITUNES),
    ("tricky/mutagen/covr-with-name.m4a", "163520", MEDIA),
    ("tricky/mutagen/has-tags.m4a", "163520", MEDIA),
    ("tricky/mutagen/no-tags.m4a", "163520", MEDIA),
    ("tricky/mutagen/ep7.m4b", "corrupt", "the decoder finds the AudioSpecificConfig cut short"),
];

const GRANULE: &str = "the last granule position states this length; ffmpeg 5.1 loses the first 128 frames of it";
const CUT: &str = "the last MPEG frame is cut short by the end of the file; ffmpeg decodes what there is of it";
const EDIT: &str = "the edit list ends here; ffmpeg leaves what the last packet holds beyond";
const ITUNES: &str = "iTunes' tag states this length; ffmpeg leaves the padding of the last packet";
const MEDIA: &str = "the media header states this length, and no edit list a delay; ffmpeg drops a packet of 1024 frames at \
                     the start and leaves the padding of the last";
const NO_FRAMES: &str = "ffmpeg finds no frame in it either";

/// Codecs of the table that have no decoder here, with the reason that they are refused for.
const WITHOUT_DECODER: &[&str] = &[
    "ac3",
    "ape",
    "dsd_lsbf_planar",
    "dsd_msbf",
    "eac3",
    "musepack7",
    "musepack8",
    "opus",
    "speex",
    "tak",
    "tta",
    "wavpack",
    "wmalossless",
    "wmapro",
    "wmav2",
];

fn data() -> PathBuf {
    Path::new(&std::env::var_os("REFRAIN_SHARED").expect("REFRAIN_SHARED")).join("data")
}

/// "44100 2 196638", or the reason's code.
fn outcome(path: &Path) -> (String, String) {
    let mut samples = 0;
    let result = decode(path, &mut |block, _, _| {
        samples += block.len() as u64;
        Ok(())
    });
    match result {
        Ok(decoded) => {
            assert_eq!(samples, decoded.frames * u64::from(decoded.channels), "{}", path.display());
            (format!("{} {} {}", decoded.rate, decoded.channels, decoded.frames), String::new())
        }
        Err(DecodeError::Refused(refusal)) => (refusal.reason.code().to_owned(), refusal.message),
        Err(other) => panic!("{}: {other}", path.display()),
    }
}

#[test]
#[ignore = "needs REFRAIN_SHARED"]
fn every_clean_file_is_kept_at_ffmpegs_length() {
    let data = data();
    let table = std::fs::read_to_string(data.join("DECODE.tsv")).expect("DECODE.tsv");
    let (mut kept, mut refused, mut wrong) = (0, 0, Vec::new());
    let mut met = Vec::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [path, codec, _, rate, channels, frames, verdict] = fields[..] else { panic!("{line}") };
        let start = Instant::now();
        let (got, message) = outcome(&data.join(path));
        // A watchdog against hangs; the longest file takes well under a second.
        assert!(start.elapsed() < Duration::from_secs(60), "{path} took {:?}", start.elapsed());
        if got.contains(' ') {
            kept += 1
        } else {
            refused += 1
        }
        let want = format!("{rate} {channels} {frames}");
        let exception = EXCEPTIONS.iter().find(|(name, ..)| *name == path);
        let right = match exception {
            Some((_, expected, why)) => {
                println!("{path}: ffmpeg {want}, here {got}: {why}");
                met.push(path.to_owned());
                got != want && got.split(' ').next_back() == Some(expected)
            }
            None if WITHOUT_DECODER.contains(&codec) => got.starts_with("unsupported-"),
            None if verdict == "clean" => got == want,
            // What ffmpeg finds faulty or no sound at all: kept or refused, but never in silence.
            None => got.contains(' ') || !message.is_empty(),
        };
        if !right {
            wrong.push(format!("{path} ({codec}, {verdict}): ffmpeg {want}, here {got} {message}"));
        }
    }
    println!("{kept} kept, {refused} refused");
    assert!(wrong.is_empty(), "{} files differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(kept > 250, "only {kept} files were kept");
    for (path, ..) in EXCEPTIONS {
        assert!(met.iter().any(|name| name == path), "{path} is no longer in the table");
    }
}

/// What stands in the table as no sound is kept only where the reader is more lenient than ffmpeg's.
#[test]
#[ignore = "needs REFRAIN_SHARED"]
fn what_is_no_sound_is_not_taken_for_sound() {
    let data = data();
    let table = std::fs::read_to_string(data.join("DECODE.tsv")).expect("DECODE.tsv");
    for line in table.lines().filter(|line| line.ends_with("no audio stream")) {
        let path = line.split('\t').next().expect("a path");
        let (got, _) = outcome(&data.join(path));
        // Of the second, frames of which most have one sample, the samples have the MD5 that is stated.
        let kept = ["07 - other metadata blocks preceding streaminfo metadata block.flac", "09 - blocksize 1.flac"];
        let lenient = kept.iter().any(|name| path.ends_with(name));
        assert_eq!(got.contains(' '), lenient, "{path}: {got}");
    }
}

/// Files whose decoded samples have one checksum in `SOURCES.tsv` have one digest here, whatever holds them, and
/// files of other samples have another. Lossy codecs are left out: their decoders differ in the last bits.
#[test]
#[ignore = "needs REFRAIN_SHARED"]
fn the_digest_follows_the_samples_and_not_the_container() {
    let data = data();
    let table = std::fs::read_to_string(data.join("SOURCES.tsv")).expect("SOURCES.tsv");
    let header: Vec<&str> = table.lines().next().expect("a header").split('\t').collect();
    let column = |name: &str| header.iter().position(|field| *field == name).expect(name);
    let (path, codec, bits, md5) = (column("path"), column("codec"), column("bits"), column("pcm_md5"));
    let mut digests: BTreeMap<(String, String), BTreeSet<[u8; 32]>> = BTreeMap::new();
    let mut files = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let lossless = fields[codec].starts_with("flac") || fields[codec].starts_with("pcm");
        if !fields[path].starts_with("music/") || !lossless || fields[md5].is_empty() {
            continue;
        }
        let decoded = decode(&data.join(fields[path]), &mut |_, _, _| Ok(())).expect(fields[path]);
        // Rate and channels belong to the digest, and the width of a sample to the checksum.
        let key = (fields[md5].to_owned(), format!("{} {} {}", decoded.rate, decoded.channels, fields[bits]));
        digests.entry(key).or_default().insert(decoded.digest);
        files += 1;
    }
    let distinct: BTreeSet<_> = digests.values().flatten().collect();
    println!("{files} files, {} checksums, {} digests", digests.len(), distinct.len());
    assert!(files > digests.len(), "no two files hold the same samples");
    assert!(digests.values().all(|group| group.len() == 1), "{digests:?}");
}
