//! What the built-in corpus promises about its music, its samples and its files.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;

use datasets::synth::{Note, SAMPLE_RATE, SIDECAR, Synth, SynthSummary};
use realfft::RealFftPlanner;

/// The share of the energy above `hz`.
fn share_above(samples: &[f32], hz: f64) -> f64 {
    let size = samples.len().next_power_of_two();
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(size);
    let mut buffer = fft.make_input_vec();
    for (value, &sample) in buffer.iter_mut().zip(samples) {
        *value = f64::from(sample);
    }
    let mut spectrum = fft.make_output_vec();
    fft.process(&mut buffer, &mut spectrum).unwrap();
    let edge = (hz * size as f64 / f64::from(SAMPLE_RATE)).ceil() as usize;
    let energy = |bins: &[realfft::num_complex::Complex<f64>]| bins.iter().map(|z| z.norm_sqr()).sum::<f64>();
    energy(&spectrum[edge..]) / energy(&spectrum)
}

#[test]
fn samples_are_clean() {
    let synth = Synth::default();
    for index in 0..synth.pieces {
        let piece = synth.piece(index);
        let samples = synth.render(index);
        assert_eq!(samples.len() as u64, piece.frames, "{}", piece.key);
        let seconds = piece.frames as f64 / f64::from(SAMPLE_RATE);
        assert!((8.0..13.0).contains(&seconds), "{}: {seconds} s", piece.key);
        let peak = samples.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        assert!((0.70..0.71).contains(&peak), "{}: peak {peak}", piece.key);
        let mean = samples.iter().map(|&x| f64::from(x)).sum::<f64>() / samples.len() as f64;
        assert!(mean.abs() < 1e-3, "{}: offset {mean}", piece.key);
        let ends = samples[..32].iter().chain(&samples[samples.len() - 32..]);
        assert!(ends.fold(0.0f32, |m, x| m.max(x.abs())) < 1e-3, "{}: an end is heard", piece.key);
        let power = samples.iter().map(|&x| f64::from(x * x)).sum::<f64>() / samples.len() as f64;
        let level = 10.0 * power.log10();
        assert!((-24.0..-12.0).contains(&level), "{}: {level} dBFS", piece.key);
        // Percussion is heard, and the music stays tonal.
        let high = 10.0 * share_above(&samples, 4000.0).log10();
        assert!((-42.0..-24.0).contains(&high), "{}: {high} dB above 4 kHz", piece.key);
        assert!(share_above(&samples, 2000.0) < 0.05, "{}", piece.key);
    }
}

#[test]
fn percussion_marks_the_time_above_four_kilohertz() {
    let synth = Synth::default();
    let size = 1024;
    for index in 0..4 {
        let samples = synth.render(index);
        let strong = samples.chunks_exact(size).filter(|window| share_above(window, 4000.0) > 1e-3).count() as f64;
        let windows = (samples.len() / size) as f64;
        let key = synth.piece(index).key;
        assert!((0.02..0.8).contains(&(strong / windows)), "{key}: {strong} of {windows} windows");
    }
}

/// What the pieces of a genre have in common.
#[derive(Default)]
struct Seen {
    tempi: Vec<f64>,
    metres: BTreeSet<(u8, u8)>,
    voices: BTreeSet<&'static str>,
    pieces: u32,
}

#[test]
fn every_piece_has_voices_percussion_and_a_genre_of_its_own() {
    let synth = Synth::default();
    assert!(synth.pieces >= 32);
    let mut genres: BTreeMap<String, Seen> = BTreeMap::new();
    for index in 0..synth.pieces {
        let piece = synth.piece(index);
        let heard: BTreeSet<usize> = synth.notes(index).iter().map(|note| note.voice).collect();
        assert_eq!(heard.len(), piece.voices.len(), "{}: a voice is silent", piece.key);
        assert!(piece.voices.len() >= 2 && !piece.percussion.is_empty(), "{}", piece.key);
        assert_eq!(piece.license, "CC0-1.0");
        let genre = genres.entry(piece.genre).or_default();
        genre.tempi.push(piece.tempo_bpm);
        genre.metres.insert(piece.metre);
        genre.voices.extend(piece.voices);
        genre.pieces += 1;
    }
    assert!(genres.len() >= 3);
    let ranges: Vec<(f64, f64)> = genres
        .values()
        .map(|g| (g.tempi.iter().copied().fold(f64::MAX, f64::min), g.tempi.iter().copied().fold(0.0, f64::max)))
        .collect();
    let metres: BTreeSet<(u8, u8)> = genres.values().flat_map(|g| g.metres.clone()).collect();
    assert!(metres.len() >= 3, "{metres:?}");
    let genres: Vec<_> = genres.values().collect();
    for (i, one) in genres.iter().enumerate() {
        assert!(one.pieces >= synth.pieces / 4, "a genre has {} pieces", one.pieces);
        for (j, other) in genres.iter().enumerate().skip(i + 1) {
            assert!(ranges[i].1 < ranges[j].0 || ranges[j].1 < ranges[i].0, "tempi overlap: {ranges:?}");
            assert!(one.voices.is_disjoint(&other.voices), "two genres share an instrument");
        }
    }
}

/// Rhythm and contour of the melody between two times, in beats from the first of them.
fn phrase(notes: &[Note], from: f64, to: f64) -> Vec<(i64, i64, i32)> {
    let inside = notes.iter().filter(|n| n.voice == 0 && n.start >= from && n.start < to);
    let pitches: Vec<&Note> = inside.collect();
    let ticks = |beats: f64| (12.0 * beats).round() as i64;
    pitches
        .iter()
        .enumerate()
        .map(|(i, n)| {
            let step = if i == 0 { 0 } else { (n.pitch - pitches[i - 1].pitch).signum() };
            (ticks(n.start - from), ticks(n.length), step)
        })
        .collect()
}

#[test]
fn motifs_return() {
    let synth = Synth::default();
    for index in 0..synth.pieces {
        let piece = synth.piece(index);
        let notes = synth.notes(index);
        // One harmony lasts half a bar in the chorale and a bar elsewhere; the motif is that of
        // the first two, and each half of the piece begins with it.
        let bar = f64::from(piece.metre.0);
        let slot = if piece.genre == "chorale" { bar / 2.0 } else { bar };
        let end = notes.iter().map(|n| n.start + n.length).fold(0.0, f64::max);
        let slots = (end / slot).round() as u32;
        let stated: Vec<_> = (0..slots).map(|k| phrase(&notes, f64::from(k) * slot, f64::from(k + 1) * slot)).collect();
        let returns = stated[1..].iter().filter(|cell| **cell == stated[0]).count();
        assert!(returns >= 1, "{}: {returns} returns of the first cell", piece.key);
        let half = stated.len() / 2;
        assert_eq!(stated[0], stated[half], "{}: the second half begins with the motif", piece.key);
        let words = piece.motif.split(' ').count();
        assert_eq!(words, stated[0].len() + stated[1].len(), "{}: {}", piece.key, piece.motif);
    }
}

#[test]
fn a_piece_depends_on_seed_and_index_alone() {
    let few = Synth { pieces: 3, ..Synth::default() };
    let many = Synth::default();
    for index in 0..3 {
        assert_eq!(few.piece(index), many.piece(index));
        assert_eq!(few.render(index), many.render(index));
    }
    let other = Synth { seed: 18, ..Synth::default() };
    assert_ne!(other.render(1), many.render(1));
    let keys: BTreeSet<String> = (0..many.pieces).map(|i| many.piece(i).key).collect();
    assert_eq!(keys.len(), many.pieces as usize);
}

#[test]
fn on_a_grid_eighths_last_whole_spans() {
    let (free, set) = (Synth::default(), Synth { grid: 2048, ..Synth::default() });
    for index in 0..8 {
        let (piece, bound) = (free.piece(index), set.piece(index));
        // Another tempo may fit another number of bars, and then the piece is another; its key and composer stay.
        assert_eq!((&piece.key, &piece.musical_key), (&bound.key, &bound.musical_key));
        assert_eq!((&piece.artist, piece.metre), (&bound.artist, bound.metre));
        let eighths = if piece.metre.1 == 8 { 3.0 } else { 2.0 };
        let frames = 44_100.0 * 60.0 / (bound.tempo_bpm * eighths);
        let spans = frames / 2048.0;
        assert!((spans - spans.round()).abs() < 1e-9 && spans >= 1.0, "{}: {spans}", piece.key);
        let before = 44_100.0 * 60.0 / (piece.tempo_bpm * eighths) / 2048.0;
        assert!((spans - before).abs() <= 0.5 + 1e-9, "{}: {before} to {spans}", piece.key);
    }
}

#[test]
fn samples_are_the_same_on_every_host() {
    let mut hash = blake3::Hasher::new();
    let synth = Synth::default();
    for index in 0..4 {
        for sample in synth.render(index) {
            hash.update(&sample.to_le_bytes());
        }
    }
    // Changes only together with `REVISION`.
    assert_eq!(hash.finalize().to_hex().as_str(), "e0421482d5b1bebe46feed63542901cdfa29acf2556bf3cf5a972f39f38fe80e");
}

#[test]
fn files_hold_the_samples_and_are_written_once() {
    let synth = Synth { pieces: 5, ..Synth::default() };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("corpus");
    let done = synth.write(&dir).unwrap();
    assert_eq!(done, SynthSummary { written: 5, kept: 0, removed: 0 });
    let piece = synth.piece(4);
    let path = dir.join(format!("{}.wav", piece.key));
    let file = fs::read(&path).unwrap();
    // The data chunk is the last.
    let bytes = &file[file.len() - 2 * piece.frames as usize..];
    let stored: Vec<f32> =
        bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0).collect();
    assert_eq!(stored, synth.render(4));

    let table = fs::read_to_string(dir.join(SIDECAR)).unwrap();
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let header: Vec<String> = rows.headers().unwrap().iter().map(str::to_owned).collect();
    let columns = ["path", "license", "artist", "title", "genre", "key", "metre", "tempo", "motif", "source"];
    assert_eq!(header, columns);
    let last = rows.records().last().unwrap().unwrap();
    assert_eq!((&last[0], &last[5]), (format!("{}.wav", piece.key).as_str(), piece.musical_key.as_str()));
    assert_eq!(last[7].parse::<f64>().unwrap(), piece.tempo_bpm);

    // Nothing again; then damage, a missing file and a file of someone else.
    assert_eq!(synth.write(&dir).unwrap(), SynthSummary { written: 0, kept: 5, removed: 0 });
    let mut damaged = file.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&path, &damaged).unwrap();
    fs::remove_file(dir.join("jig-01.wav")).unwrap();
    fs::write(dir.join("mine.wav"), b"RIFF").unwrap();
    assert_eq!(synth.write(&dir).unwrap(), SynthSummary { written: 2, kept: 3, removed: 0 });
    assert_eq!(fs::read(&path).unwrap(), file);
    // Fewer pieces: what is ours and too many goes, what is not ours stays.
    let fewer = Synth { pieces: 4, ..Synth::default() };
    assert_eq!(fewer.write(&dir).unwrap(), SynthSummary { written: 0, kept: 4, removed: 1 });
    let names: BTreeSet<String> =
        fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let expected = ["chorale-01.wav", "house-01.wav", "jig-01.wav", "mine.wav", "tracks.csv", "waltz-01.wav"];
    assert!(names.iter().map(String::as_str).eq(expected), "{names:?}");
}
