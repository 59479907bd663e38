//! Training: it learns, and neither threads nor interruptions change its bytes.
mod support;

use std::io;

use stages::model::codec::{Codec, CodecConfig, LevelConfig};
use stages::model::cost::{check, cost};
use stages::model::device::Precision;
use stages::model::fit::{Clips, FitSettings, LevelFit, StepRecord, fit};
use stages::model::infer::Coder;
use stages::model::training::{
    Schedule, TrainingError, TrainingSink,
    crew::{Alone, Crew},
};
use support::crew;

/// Tones with a few partials.
struct Tones(Vec<Vec<f32>>);

impl Tones {
    fn new() -> Self {
        let tone = |i: usize| -> Vec<f32> {
            let pitch = 0.02 * (1.0 + i as f64 * 0.13);
            (0..6000 + 500 * i)
                .map(|t| (1..4).map(|h| libm::sin(pitch * (h * t) as f64) / (2 * h) as f64).sum::<f64>() as f32)
                .collect()
        };
        Self((0..5).map(tone).collect())
    }
}

impl Clips for Tones {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn frames(&self, i: usize) -> u64 {
        self.0[i].len() as u64
    }
    fn read(&self, i: usize, first: u64, out: &mut [f32]) -> Result<(), String> {
        out.copy_from_slice(&self.0[i][first as usize..][..out.len()]);
        Ok(())
    }
}

/// Tones that cannot be read.
struct Unread(Tones);

impl Clips for Unread {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn frames(&self, i: usize) -> u64 {
        self.0.frames(i)
    }
    fn read(&self, _: usize, _: u64, _: &mut [f32]) -> Result<(), String> {
        Err("gone".to_owned())
    }
}

/// Two of the tones, one on each side.
struct Stereo(Tones);

impl Clips for Stereo {
    fn len(&self) -> usize {
        self.0.len() - 1
    }
    fn frames(&self, i: usize) -> u64 {
        self.0.frames(i)
    }
    fn read(&self, i: usize, first: u64, out: &mut [f32]) -> Result<(), String> {
        for (t, frame) in out.chunks_exact_mut(2).enumerate() {
            frame[0] = self.0.0[i][first as usize + t];
            frame[1] = 0.5 * self.0.0[i + 1][first as usize + t];
        }
        Ok(())
    }
}

/// Keeps everything; a checkpoint after each multiple of `every` rounds, a stop after `last`.
#[derive(Default)]
struct Keep {
    records: Vec<StepRecord>,
    checkpoints: Vec<(u64, Vec<u8>)>,
    every: u64,
    last: Option<u64>,
    rounds: u64,
}

impl TrainingSink<StepRecord> for Keep {
    fn step(&mut self, record: &StepRecord) {
        self.records.push(*record);
    }
    fn due(&mut self) -> bool {
        self.every > 0 && self.rounds.is_multiple_of(self.every)
    }
    fn checkpoint(&mut self, step: u64, bytes: &[u8]) -> io::Result<()> {
        self.checkpoints.push((step, bytes.to_vec()));
        Ok(())
    }
    fn stop(&mut self) -> bool {
        self.rounds += 1;
        self.last == Some(self.rounds)
    }
}

fn settings() -> FitSettings {
    let level = |downs: &[u32], codewords| LevelConfig {
        downs: downs.to_vec(),
        strides: Vec::new(),
        width: 8,
        depth: 1,
        dilation_growth: 3,
        codewords,
        oscillators: 0,
    };
    let fit = |steps| LevelFit {
        steps,
        batch: 2,
        micro_batch: 2,
        crop: 2048,
        spectral: 0.1,
        log_spectral: 0.1,
        unquantised: 0.4,
    };
    FitSettings {
        codec: CodecConfig { rate: 44_100, channels: 1, dim: 8, levels: vec![level(&[2], 32), level(&[2, 1], 16)] },
        levels: vec![fit(30), fit(20)],
        precision: Precision::F32,
        learning_rate: 3e-3,
        warmup: 2,
        schedule: Schedule::Cosine,
        final_rate: 0.1,
        commitment: 0.25,
        ema_decay: 0.9,
        revival: 0.1,
        kmeans: 2,
    }
}

fn run(threads: usize, resume: Option<&[u8]>, sink: &mut Keep) -> Result<Vec<u8>, TrainingError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(|| fit(&settings(), &[1, 1], [3; 32], &Tones::new(), resume, sink, &Alone))
}

#[test]
fn learns_and_is_the_same_for_any_threads_and_interruptions() {
    let mut whole = Keep { every: 7, ..Keep::default() };
    let bytes = run(1, None, &mut whole).expect("a codec");
    assert_eq!(Codec::load(&bytes).expect("a codec").config(), &settings().codec);
    let of = |level: usize| -> Vec<StepRecord> { whole.records.iter().filter(|r| r.level == level).copied().collect() };
    assert_eq!((of(0).len(), of(1).len()), (30, 20));
    for level in 0..2 {
        let records = of(level);
        assert!(records.iter().enumerate().all(|(i, r)| r.step == i as u64));
        let unquantised = records.iter().filter(|r| r.unquantised).count();
        assert_eq!(unquantised, records.len() * 4 / 10);
        assert!(records.iter().all(|r| r.unquantised == (r.used == 0) && r.unquantised == (r.perplexity == 0.0)));
        let (first, last) = (records[0].reconstruction, records[records.len() - 1].reconstruction);
        assert!(last < 0.8 * first, "level {level}: {first} to {last}");
    }

    let mut other = Keep::default();
    assert_eq!(run(2, None, &mut other).expect("a codec"), bytes);
    assert_eq!(other.records, whole.records);

    // From every checkpoint, before and after the codebook is made.
    assert_eq!(whole.checkpoints.iter().map(|c| c.0).collect::<Vec<_>>(), [7, 12, 13, 14, 21, 28]);
    for (round, checkpoint) in &whole.checkpoints {
        let mut rest = Keep::default();
        assert_eq!(run(2, Some(checkpoint), &mut rest).expect("a codec"), bytes, "from round {round}");
        assert_eq!(rest.rounds, 30 - round);
        assert_eq!(rest.records[..], whole.records[whole.records.len() - rest.records.len()..]);
    }

    // Stopped, it leaves a checkpoint.
    let mut stopped = Keep { last: Some(13), ..Keep::default() };
    assert!(matches!(run(1, None, &mut stopped), Err(TrainingError::Stopped(13))));
    let (round, checkpoint) = stopped.checkpoints.pop().expect("a checkpoint");
    assert_eq!(round, 13);
    assert_eq!(run(1, Some(&checkpoint), &mut Keep::default()).expect("a codec"), bytes);
}

#[test]
fn checkpoints_of_another_training_are_refused() {
    let mut some = Keep { last: Some(2), ..Keep::default() };
    assert!(run(1, None, &mut some).is_err());
    let checkpoint = &some.checkpoints[0].1;
    let refusal = |settings: &FitSettings, seed: u8, bytes: &[u8]| match fit(
        settings,
        &[1, 1],
        [seed; 32],
        &Tones::new(),
        Some(bytes),
        &mut Keep::default(),
        &Alone,
    ) {
        Err(e) => e.to_string(),
        Ok(_) => panic!("resumed"),
    };
    let foreign = "the checkpoint cannot be resumed: it belongs to other settings, another seed or other clips";
    assert_eq!(refusal(&settings(), 4, checkpoint), foreign);
    let mut changed = settings();
    changed.levels[1].steps += 1;
    assert_eq!(refusal(&changed, 3, checkpoint), foreign);
    assert!(
        refusal(&settings(), 3, &checkpoint[..checkpoint.len() - 4])
            .starts_with("the checkpoint cannot be resumed: not a safetensors file")
    );
}

#[test]
fn settings_and_data_that_cannot_train_are_refused() {
    let refusal = |change: &dyn Fn(&mut FitSettings), clips: &Tones| {
        let mut settings = settings();
        change(&mut settings);
        match fit(&settings, &[1, 1], [3; 32], clips, None, &mut Keep::default(), &Alone) {
            Err(e) => e.to_string(),
            Ok(_) => panic!("trained"),
        }
    };
    let tones = Tones::new();
    assert_eq!(refusal(&|s| s.levels[1].crop = 2044, &tones), "crop 2044 of level 1 is no multiple of its hop 8");
    assert_eq!(refusal(&|s| s.levels.truncate(1), &tones), "training is given for 1 levels, the codec has 2");
    assert_eq!(refusal(&|s| s.levels[0].unquantised = 1.5, &tones), "unquantised of level 0 is 1.5, expected 0 to 1");
    assert_eq!(refusal(&|_| {}, &Tones(vec![])), "no audio to train on");
    assert_eq!(refusal(&|_| {}, &Tones(vec![vec![0.0; 9000]])), "the audio to train on is silent");
    assert_eq!(
        refusal(&|s| s.learning_rate = f64::INFINITY, &tones),
        "learning_rate is inf, expected a number that is not negative"
    );
    let diverged = refusal(&|s| s.learning_rate = 1e12, &tones);
    assert!(diverged.contains("diverged at step"), "{diverged}");
}

#[test]
fn clips_shorter_than_a_crop_will_do() {
    let short = Tones(Tones::new().0.into_iter().map(|c| c[..1500].to_vec()).collect());
    let mut settings = settings();
    settings.levels.iter_mut().for_each(|l| l.steps = 3);
    assert!(fit(&settings, &[1, 1], [3; 32], &short, None, &mut Keep::default(), &Alone).is_ok());
}

/// Segments change no bit; the parts of a batch change the order of sums, and with it the last bits alone.
#[test]
fn segments_and_parts_of_a_batch_learn_the_same() {
    let mut settings = settings();
    for level in &mut settings.levels {
        (level.batch, level.micro_batch, level.steps) = (3, 3, 8);
    }
    let with = |settings: &FitSettings, segments: &[usize]| {
        let mut keep = Keep::default();
        (fit(settings, segments, [3; 32], &Tones::new(), None, &mut keep, &Alone).expect("a codec"), keep.records)
    };
    let whole = with(&settings, &[1, 1]);
    for segments in [[2, 3], [99, 1]] {
        assert_eq!(with(&settings, &segments), whole, "{segments:?} segments");
    }
    for micro_batch in [1, 2] {
        settings.levels.iter_mut().for_each(|level| level.micro_batch = micro_batch);
        let parts = with(&settings, &[1, 1]);
        assert_eq!(with(&settings, &[2, 2]), parts);
        assert_ne!(parts.0, whole.0);
        // Before there is a codebook, nothing turns a last bit into another code.
        for (a, b) in parts.1.iter().zip(&whole.1).filter(|(a, _)| a.unquantised) {
            assert!((a.reconstruction - b.reconstruction).abs() < 1e-4, "{a:?} {b:?}");
            assert!((a.spectral - b.spectral).abs() < 1e-4, "{a:?} {b:?}");
        }
    }
}

/// However many processes share the batches, each of them ends with the bytes of one alone, in which codebooks are made,
/// used and revived; a clip that one of them cannot read ends all.
#[test]
fn a_crew_learns_what_one_learns_alone() {
    let mut settings = settings();
    for (level, (batch, micro_batch, steps)) in settings.levels.iter_mut().zip([(5, 1, 10), (4, 2, 7)]) {
        (level.batch, level.micro_batch, level.steps) = (batch, micro_batch, steps);
    }
    let with = |place: usize, crew: &dyn Crew| {
        let mut keep = Keep::default();
        let bytes = fit(&settings, &[1 + place % 2, 1], [3; 32], &Tones::new(), None, &mut keep, crew)?;
        Ok::<_, TrainingError>((bytes, keep.records))
    };
    let alone = with(0, &Alone).expect("a codec");
    for of in [2, 3, 6] {
        for made in crew(of, with) {
            assert_eq!(made.expect("a codec"), alone, "{of} processes");
        }
    }
    let apart = crew(2, |place, crew| {
        let clips: &dyn Clips = if place == 1 { &Unread(Tones::new()) } else { &Tones::new() };
        fit(&settings, &[1, 1], [3; 32], clips, None, &mut Keep::default(), crew).map(drop).map_err(|e| e.to_string())
    });
    let [Err(one), Err(other)] = &apart[..] else { panic!("trained: {apart:?}") };
    assert!(one == "a seat is empty" && other.starts_with("clip ") && other.ends_with(": gone"), "{one}, {other}");
}

/// In 16 bits a codec learns what it learns in 32, within what its numbers hold, and goes on from a checkpoint as if it had
/// not been stopped.
#[test]
fn in_half_the_bits_it_learns_the_same() {
    let whole = {
        let mut keep = Keep::default();
        run(1, None, &mut keep).expect("a codec");
        keep.records
    };
    for (precision, bound) in [(Precision::Bf16, 0.05), (Precision::F16, 0.01)] {
        let settings = FitSettings { precision, ..settings() };
        let with = |segments: &[usize], resume: Option<&[u8]>, keep: &mut Keep| {
            fit(&settings, segments, [3; 32], &Tones::new(), resume, keep, &Alone)
        };
        let mut keep = Keep::default();
        let bytes = with(&[1, 1], None, &mut keep).expect("a codec");
        assert_eq!(with(&[2, 2], None, &mut Keep::default()).expect("a codec"), bytes, "{precision:?} in segments");
        // Before there is a codebook, nothing turns a last bit into another code.
        for (a, b) in keep.records.iter().zip(&whole).filter(|(a, _)| a.unquantised) {
            let apart = (a.reconstruction - b.reconstruction).abs() / b.reconstruction;
            assert!(apart < bound, "{precision:?}: {a:?} {b:?}");
        }
        let mut stopped = Keep { last: Some(13), ..Keep::default() };
        assert!(with(&[1, 1], None, &mut stopped).is_err());
        let (_, checkpoint) = stopped.checkpoints.pop().expect("a checkpoint");
        assert_eq!(with(&[1, 1], Some(&checkpoint), &mut Keep::default()).expect("a codec"), bytes, "{precision:?}");
    }
}

/// Two chords that take turns, with an attack at each.
fn chords() -> Tones {
    let pitch = |key: i32| 440.0 * libm::exp2(f64::from(key) / 12.0);
    let note = |key: i32, t: usize| libm::sin(std::f64::consts::TAU * pitch(key) * t as f64 / 44_100.0);
    let clip = |i: usize| -> Vec<f32> {
        let of = |t: usize| {
            let (beat, within) = ((t + 3000 * i) / 11_025, (t + 3000 * i) % 11_025);
            let chord = if beat.is_multiple_of(2) { [-9, -5, -2] } else { [-12, -4, 3] };
            let loud = 0.2 * libm::exp(-(within as f64) / 6000.0);
            chord.iter().map(|key| loud * note(*key, t)).sum::<f64>() as f32
        };
        (0..60_000).map(of).collect()
    };
    Tones((0..5).map(clip).collect())
}

/// A level of oscillators learns, is the same whatever interrupts it, and gives back the notes that it was given.
#[test]
fn oscillators_learn_notes() {
    let mut settings = settings();
    settings.codec.levels = vec![LevelConfig { downs: vec![10], oscillators: 12, ..settings.codec.levels[1].clone() }];
    settings.levels =
        vec![LevelFit { steps: 24, batch: 4, micro_batch: 4, crop: 16_384, ..settings.levels[0].clone() }];
    settings.commitment = 0.05;
    let with = |threads: usize, segments: usize, resume: Option<&[u8]>, keep: &mut Keep| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| fit(&settings, &[segments], [3; 32], &chords(), resume, keep, &Alone))
    };
    let mut whole = Keep { every: 12, ..Keep::default() };
    let bytes = with(1, 1, None, &mut whole).expect("a codec");
    assert_eq!(with(2, 3, None, &mut Keep::default()).expect("a codec"), bytes, "threads and segments");
    for (step, checkpoint) in &whole.checkpoints {
        let rest = with(2, 1, Some(checkpoint), &mut Keep::default()).expect("a codec");
        assert_eq!(rest, bytes, "from step {step}");
    }
    // It begins at the principal components, so it is close from the start, and no spectrum is compared.
    assert!(whole.records.iter().all(|r| r.reconstruction < 1.0 && r.spectral == 0.0), "{:?}", whole.records);

    let codec = Codec::load(&bytes).expect("a codec");
    assert_eq!(codec.config(), &settings.codec);
    let coder = Coder::new(&codec).expect("a coder");
    let sound = &chords().0[0];
    let codes = &coder.encode_samples(sound)[0];
    assert_eq!(codes.len(), sound.len().div_ceil(1024));
    let played = coder.decode_samples(0, codes, sound.len() as u64).expect("sound");
    assert_eq!(played.len(), sound.len());
    // Within each chord, more of the played sound at its notes than at those of the other.
    let strength = |key: i32, span: std::ops::Range<usize>| {
        let pitch = std::f64::consts::TAU * 440.0 * libm::exp2(f64::from(key) / 12.0) / 44_100.0;
        let part = |f: fn(f64) -> f64| span.clone().map(|t| f(pitch * t as f64) * f64::from(played[t])).sum::<f64>();
        libm::hypot(part(libm::sin), part(libm::cos))
    };
    for beat in 0..5 {
        let span = beat * 11_025 + 1500..beat * 11_025 + 7500;
        let [here, there] = [[-9, -5, -2], [-12, -4, 3]]
            .map(|chord| -> f64 { chord.iter().map(|key| strength(*key, span.clone())).sum() });
        let (own, other) = if beat % 2 == 0 { (here, there) } else { (there, here) };
        assert!(own > 3.0 * other, "beat {beat}: {own} {other}");
    }
}

/// Stereo with strides that are no powers of two learns, and is the same whatever interrupts it.
#[test]
fn stereo_with_any_strides_learns() {
    let mut settings = settings();
    settings.codec.channels = 2;
    let level = |downs: &[u32], strides: &[u32]| LevelConfig {
        downs: downs.to_vec(),
        strides: strides.to_vec(),
        ..settings.codec.levels[0].clone()
    };
    settings.codec.levels = vec![level(&[1], &[3]), level(&[1, 1], &[3, 4])];
    settings.levels.iter_mut().for_each(|fit| fit.crop = 1536);
    let with = |threads: usize, segments: [usize; 2], resume: Option<&[u8]>, keep: &mut Keep| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| fit(&settings, &segments, [5; 32], &Stereo(Tones::new()), resume, keep, &Alone))
    };
    let mut whole = Keep { every: 14, ..Keep::default() };
    let bytes = with(1, [1, 1], None, &mut whole).expect("a codec");
    assert_eq!(with(2, [3, 2], None, &mut Keep::default()).expect("a codec"), bytes, "threads and segments");
    for (round, checkpoint) in &whole.checkpoints {
        let rest = with(2, [1, 1], Some(checkpoint), &mut Keep::default()).expect("a codec");
        assert_eq!(rest, bytes, "from round {round}");
    }
    let of = |level: usize| whole.records.iter().filter(move |r| r.level == level);
    for level in 0..2 {
        let losses: Vec<f64> = of(level).map(|r| r.reconstruction).collect();
        assert!(losses[losses.len() - 1] < 0.8 * losses[0], "level {level}: {losses:?}");
    }
    let codec = Codec::load(&bytes).expect("a codec");
    assert_eq!(codec.config(), &settings.codec);
    // What it has learned of the two sides is not swapped: each is nearer to itself than to the other.
    let coder = Coder::new(&codec).expect("a coder");
    let mut sound = vec![0.0; 2 * 6000];
    Stereo(Tones::new()).read(0, 0, &mut sound).expect("a sound");
    let heard = coder.decode_samples(0, &coder.encode_samples(&sound)[0], 6000).expect("decoded");
    assert_eq!(heard.len(), sound.len());
    let apart = |own: usize, other: usize| -> f64 {
        let pairs = heard.chunks_exact(2).zip(sound.chunks_exact(2));
        pairs.map(|(heard, sound)| f64::from(heard[own] - sound[other]).powi(2)).sum()
    };
    assert!(apart(0, 0) < apart(0, 1) && apart(1, 1) < apart(1, 0), "sides are swapped");
}

#[test]
fn settings_that_cannot_fit_say_what_would() {
    let mut large = settings();
    (large.levels[0].batch, large.levels[0].micro_batch) = (4096, 4096);
    let whole = Some(1);
    let needed = cost(&large, &[1, 1]).with(2);
    assert_eq!(check(&large, whole, needed, 2).expect("fits"), [1, 1]);
    // One worker trains a level after the other.
    let one = cost(&large, &[1, 1]).with(1);
    assert!(one < needed && check(&large, whole, one, 1).is_ok() && check(&large, whole, one, 2).is_err());
    let refused = |asked, limit| check(&large, asked, limit, 2).expect_err("refused").to_string();
    assert!(refused(whole, needed - 1).ends_with("`segments = \"auto\"` would fit"));
    // The level that takes most is cut first.
    assert_eq!(check(&large, None, needed - 1, 2).expect("fits"), [2, 1]);
    let remedy = "level 0 with a micro-batch of 512 x 2048 frames would fit";
    let limit = needed / 6;
    assert!(refused(None, limit).ends_with(remedy), "{}", refused(None, limit));
    let mut fits = large.clone();
    fits.levels[0].micro_batch = 512;
    assert!(check(&fits, None, limit, 2).is_ok());
    assert!(refused(None, 1000).ends_with("the network has to be narrower or less deep"));
}
