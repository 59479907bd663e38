//! From a file to a PCM blob, and the tags of real files.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use datasets::audio::pcm::{MaterializeError, materialize};
use datasets::audio::tags::{self, Tags};
use datasets::audio::wav::{self, Encoding};

/// The samples of a blob.
fn samples(blob: &Path) -> Vec<f32> {
    let bytes = fs::read(blob).expect("a blob");
    let (samples, []) = bytes.as_chunks::<4>() else { panic!("no whole number of samples") };
    samples.iter().map(|sample| f32::from_le_bytes(*sample)).collect()
}

fn file(folder: &Path, samples: &[f32], rate: u32, channels: u16) -> PathBuf {
    let path = folder.join("sound.of_any_name");
    let mut out = Vec::new();
    wav::write(&mut out, samples, rate, channels, Encoding::Float32).expect("a WAV file");
    fs::write(&path, out).expect("a file");
    path
}

#[test]
fn a_blob_holds_the_mean_at_the_asked_rate() {
    let folder = tempfile::tempdir().expect("a folder");
    let side = |i: usize| if i.is_multiple_of(2) { 0.5 } else { 0.25 };
    let stereo: Vec<f32> = (0..96_000).map(|i| (((i / 2) as f64 * 0.05).sin() * side(i)) as f32).collect();
    let path = file(folder.path(), &stereo, 48_000, 2);
    let blob = folder.path().join("blob");

    let done = materialize(&path, 48_000, 1, &mut fs::File::create(&blob).expect("a blob")).expect("a sound file");
    assert_eq!((done.frames, done.source.frames, done.source.channels), (48_000, 48_000, 2));
    let mean: Vec<f32> = stereo.chunks(2).map(|pair| (pair[0] + pair[1]) * 0.5).collect();
    assert_eq!(samples(&blob), mean);

    let done = materialize(&path, 44_100, 2, &mut fs::File::create(&blob).expect("a blob")).expect("a sound file");
    let samples = samples(&blob);
    assert_eq!((done.frames, samples.len()), (44_100, 2 * 44_100));
    // The same sine, at the same times.
    let at = |i: usize| (i as f64 * 48_000.0 / 44_100.0 * 0.05).sin();
    for i in 4_000..40_000 {
        assert!((f64::from(samples[i * 2]) - 0.5 * at(i)).abs() < 2e-6, "frame {i}");
        assert!((f64::from(samples[i * 2 + 1]) - 0.25 * at(i)).abs() < 2e-6, "frame {i}");
    }
}

/// A disk with room for some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.0 {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no room"));
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn errors_keep_their_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path(), &vec![0.1; 600_000], 48_000, 6);
    let write = materialize(&path, 44_100, 1, &mut Full(100_000));
    assert!(matches!(write, Err(MaterializeError::Write(error)) if error.kind() == io::ErrorKind::StorageFull));
    let channels = materialize(&path, 44_100, 2, &mut io::sink());
    assert!(matches!(channels, Err(MaterializeError::Resample(_))));
    let missing = materialize(&folder.path().join("none"), 44_100, 1, &mut io::sink());
    assert!(matches!(missing, Err(MaterializeError::Decode(_))));
}

#[test]
fn what_is_no_audio_file_has_no_tags() {
    assert!(tags::read(Path::new("/nowhere/at/all")).is_err(), "nothing is known of it");
    assert_eq!(tags::read_bytes(b"a text"), Tags::default());
}

#[test]
#[ignore = "needs REFRAIN_SHARED"]
fn tags_of_real_files_are_read_and_never_fail() {
    let shared = std::env::var_os("REFRAIN_SHARED").expect("REFRAIN_SHARED");
    let data = Path::new(&shared).join("data");
    let text = |value: &str| Some(value.to_owned());
    for name in ["full.mp3", "full.flac", "full.ogg", "full.m4a", "full.aiff", "full.alac.m4a"] {
        let found = tags::read(&data.join("tricky/mediafile").join(name)).expect("a file");
        println!("{name}: {found:?}");
        assert_eq!(found.title, text("full"), "{name}");
        assert_eq!(found.artist, text("the artist"), "{name}");
        assert_eq!(found.album, text("the album"), "{name}");
        assert_eq!(found.genre, text("the genre"), "{name}");
        assert!(found.date.is_some_and(|date| date.starts_with("2001")), "{name}");
    }
    let table = fs::read_to_string(data.join("DECODE.tsv")).expect("DECODE.tsv");
    let mut tagged = 0;
    for line in table.lines().skip(1) {
        let path = line.split('\t').next().expect("a path");
        tagged += usize::from(tags::read(&data.join(path)).expect("a file") != Tags::default());
    }
    println!("{tagged} files with tags");
    assert!(tagged > 50, "{tagged}");
}
