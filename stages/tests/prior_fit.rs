//! Training of priors: they learn, and their bytes follow from settings, seed and codes alone.

mod support;

use stages::model::device::Precision;
use stages::model::prior::{
    config::{Prior, PriorConfig, Upper},
    decode::{Given, Room, Stepper},
    fit::{PriorRecord, PriorSettings, Tokens, baselines, bits, fit},
    sample::{Draw, Round, SampleError, Sampled, Sampler, Song},
};
use stages::model::training::{
    TrainingError, TrainingSink,
    crew::{Alone, Crew},
};
use std::io;
use support::crew;

/// Clips of two levels. A code above chooses a table of successors: code `c` is followed by `(c * 5 + above) % 16`, but
/// for one in eight, which is anything.
struct Chain {
    clips: Vec<(Vec<u16>, Vec<u16>)>,
}

const RATIO: usize = 4;
const CODES: u32 = 16;

impl Chain {
    fn new(clips: usize, seed: u32) -> Chain {
        let mut state = seed;
        let mut next = |n: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % n
        };
        let clip = |i: usize, next: &mut dyn FnMut(u32) -> u32| {
            let upper: Vec<u16> = (0..30 + i as u32 % 3).map(|_| next(3) as u16).collect();
            let mut code = next(CODES);
            let own = (0..upper.len() * RATIO)
                .map(|at| {
                    code = match next(8) {
                        0 => next(CODES),
                        _ => (code * 5 + u32::from(upper[at / RATIO])) % CODES,
                    };
                    code as u16
                })
                .collect();
            (own, upper)
        };
        Chain { clips: (0..clips).map(|i| clip(i, &mut next)).collect() }
    }
}

impl Tokens for Chain {
    fn clips(&self) -> usize {
        self.clips.len()
    }
    fn codes(&self, clip: usize) -> u64 {
        self.clips[clip].0.len() as u64
    }
    fn genre(&self, clip: usize) -> Option<&str> {
        clip.is_multiple_of(2).then_some("even")
    }
    fn read(&self, clip: usize, first: u64, out: &mut [u16]) -> Result<(), String> {
        let first = first as usize;
        out.copy_from_slice(self.clips[clip].0.get(first..first + out.len()).ok_or("beyond the end")?);
        Ok(())
    }
    fn read_upper(&self, clip: usize, first: u64, out: &mut [u16]) -> Result<usize, String> {
        let upper = &self.clips[clip].1;
        let there = upper.len().saturating_sub(first as usize).min(out.len());
        out[..there].copy_from_slice(&upper[first as usize..][..there]);
        Ok(there)
    }
}

fn settings(steps: u64, conditioned: bool) -> PriorSettings {
    PriorSettings {
        corruption: 0.0,
        config: PriorConfig {
            level: 0,
            width: 32,
            depth: 1,
            heads: 2,
            attention: 32,
            hidden: 64,
            context: 32,
            distances: 8,
            positions: 0,
            upper: conditioned.then_some(Upper { codewords: 3, ratio: RATIO, depth: 1 }),
            genres: vec!["even".into()],
            codec: String::new(),
            rate: 44_100,
            hops: vec![8, 32],
            codewords: vec![CODES, 3],
        },
        steps,
        batch: 8,
        micro_batch: 8,
        precision: Precision::F32,
        learning_rate: 1e-2,
        warmup: 5,
        final_rate: 0.1,
        weight_decay: 0.002,
        clip: 1.0,
    }
}

/// Follows a training, and stops it after some steps.
#[derive(Default)]
struct Watch {
    records: Vec<PriorRecord>,
    stop_after: Option<usize>,
    state: Vec<u8>,
}

impl TrainingSink<PriorRecord> for Watch {
    fn step(&mut self, record: &PriorRecord) {
        self.records.push(*record);
    }
    fn due(&mut self) -> bool {
        false
    }
    fn checkpoint(&mut self, _: u64, bytes: &[u8]) -> io::Result<()> {
        self.state = bytes.to_vec();
        Ok(())
    }
    fn stop(&mut self) -> bool {
        self.stop_after.is_some_and(|n| self.records.len() >= n)
    }
}

fn train(settings: &PriorSettings, threads: usize) -> Prior {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(|| fit(settings, 1, [3; 32], &Chain::new(12, 1), None, &mut Watch::default(), &Alone))
        .expect("a prior")
}

#[test]
fn it_learns_what_a_bigram_cannot_know() {
    let (codes, held_out) = (Chain::new(40, 1), Chain::new(12, 77));
    let measure = |conditioned| {
        let settings = settings(200, conditioned);
        let prior = fit(&settings, 1, [3; 32], &codes, None, &mut Watch::default(), &Alone).expect("a prior");
        bits(&prior, &held_out, 64, 4, &|| false).expect("scored").expect("codes")
    };
    let [unigram, bigram] = baselines(&codes, &held_out, CODES as usize).expect("counted").expect("codes");
    let (alone, given) = (measure(false), measure(true));
    assert!(alone < unigram - 0.3, "{alone} {unigram}");
    // The code above decides which of three successors comes.
    assert!(given < bigram - 0.3 && given < alone - 0.3, "{given} {alone} {bigram}");
}

/// A prior trained with corrupted inputs memorises a small corpus less, and predicts held-out codes better.
#[test]
fn corruption_keeps_it_from_learning_by_heart() {
    let (codes, held_out) = (Chain::new(2, 1), Chain::new(12, 77));
    let measure = |corruption| {
        let settings = PriorSettings { corruption, ..settings(200, false) };
        let prior = fit(&settings, 1, [3; 32], &codes, None, &mut Watch::default(), &Alone).expect("a prior");
        [&codes, &held_out].map(|of| bits(&prior, of, 64, 4, &|| false).expect("scored").expect("codes"))
    };
    let ([by_heart, lost], [learned, kept]) = (measure(0.0), measure(0.2));
    assert!(learned > by_heart + 0.3 && kept < lost - 0.3, "{by_heart} {lost} {learned} {kept}");
    let refused = PriorSettings { corruption: 1.0, ..settings(1, false) }.validate();
    assert_eq!(refused.expect_err("all of them").to_string(), "corruption is 1, expected less than 1");
}

#[test]
fn neither_threads_nor_interruptions_change_a_bit() {
    let settings = PriorSettings { corruption: 0.1, ..settings(12, true) };
    let whole = train(&settings, 1).to_bytes().expect("bytes");
    for threads in [2, 3] {
        assert!(train(&settings, threads).to_bytes().expect("bytes") == whole, "{threads} threads");
    }
    let codes = Chain::new(12, 1);
    let mut first = Watch { stop_after: Some(5), ..Watch::default() };
    let stopped = fit(&settings, 1, [3; 32], &codes, None, &mut first, &Alone);
    assert!(matches!(stopped, Err(TrainingError::Stopped(5))), "{stopped:?}");
    let mut second = Watch::default();
    let resumed = fit(&settings, 1, [3; 32], &codes, Some(&first.state), &mut second, &Alone).expect("a prior");
    assert_eq!(second.records.len(), 7);
    assert!(resumed.to_bytes().expect("bytes") == whole);
    // A checkpoint of another training is refused.
    let other = fit(&settings, 1, [4; 32], &codes, Some(&first.state), &mut Watch::default(), &Alone);
    assert!(matches!(other, Err(TrainingError::Checkpoint(_))), "{other:?}");
}

#[test]
fn a_file_goes_both_ways_and_is_checked() {
    let prior = train(&settings(1, true), 2);
    let bytes = prior.to_bytes().expect("bytes");
    assert_eq!(Prior::load(&bytes).expect("loaded"), prior);
    assert!(Prior::load(&bytes[..100]).is_err());
    let mut arrays = prior.arrays().clone();
    arrays.remove("logits.bias");
    let error = Prior::new(prior.config().clone(), arrays).expect_err("refused").to_string();
    assert_eq!(error, "tensor `logits.bias` is missing");
}

/// Segments change no bit, nor does the number of threads where a batch is gone through in parts; the parts themselves change
/// the order of sums, and with it the last bits alone.
#[test]
fn segments_and_parts_of_a_batch_learn_the_same() {
    for conditioned in [false, true] {
        let mut settings = settings(12, conditioned);
        settings.config.depth = 3;
        let codes = Chain::new(12, 1);
        let with = |settings: &PriorSettings, segments: usize| {
            let mut watch = Watch::default();
            let prior = fit(settings, segments, [3; 32], &codes, None, &mut watch, &Alone).expect("a prior");
            (prior.to_bytes().expect("bytes"), watch.records)
        };
        let whole = with(&settings, 1);
        for segments in [2, 3, 9] {
            assert_eq!(with(&settings, segments), whole, "{segments} segments");
        }
        for micro_batch in [1, 3, 4] {
            settings.micro_batch = micro_batch;
            let parts = with(&settings, 1);
            assert_eq!(with(&settings, 3), parts, "micro-batches of {micro_batch}");
            assert_ne!(parts.0, whole.0);
            for (a, b) in parts.1.iter().zip(&whole.1) {
                assert!((a.bits - b.bits).abs() < 1e-3 && (a.norm - b.norm).abs() < 1e-3 * b.norm, "{a:?} {b:?}");
            }
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool");
        assert_eq!(pool.install(|| with(&settings, 2)), with(&settings, 1));
    }
}

/// However many processes share a batch, each of them ends with the bytes of one alone: fewer than there are parts and more,
/// shares of any size, with a scale of the loss that moves. All that fails in one of them ends all.
#[test]
fn a_crew_learns_what_one_learns_alone() {
    let codes = Chain::new(12, 1);
    let settings = |micro_batch, precision| PriorSettings { micro_batch, precision, batch: 7, ..settings(6, true) };
    for settings in [settings(1, Precision::F32), settings(3, Precision::F32), settings(2, Precision::F16)] {
        let with = |place: usize, crew: &dyn Crew| {
            let mut watch = Watch::default();
            let prior = fit(&settings, 1 + place % 2, [3; 32], &codes, None, &mut watch, crew)?;
            Ok::<_, TrainingError>((prior.to_bytes().expect("bytes"), watch.records))
        };
        let alone = with(0, &Alone).expect("a prior");
        for of in [1, 2, 3, 5, 9] {
            for made in crew(of, with) {
                assert_eq!(made.expect("a prior"), alone, "{of} processes");
            }
        }
    }
    let settings = settings(1, Precision::F32);
    let mut first = Watch { stop_after: Some(2), ..Watch::default() };
    assert!(fit(&settings, 1, [3; 32], &codes, None, &mut first, &Alone).is_err());
    let apart = crew(2, |place, crew| {
        let resume = Some(&first.state[..]).filter(|_| place == 1);
        fit(&settings, 1, [3; 32], &codes, resume, &mut Watch::default(), crew).map(drop).map_err(|e| e.to_string())
    });
    let told = ["process 1 is at step 2 and this one at 0", "process 0 is at step 0 and this one at 2"];
    let seat = "a seat is empty".to_owned();
    for (made, told) in apart.into_iter().zip(told) {
        let why = made.expect_err("two states");
        assert!(why == told || why == seat, "{why}");
    }
}

/// In 16 bits a prior learns what it learns in 32, within what its numbers hold, and goes on from a checkpoint as if it had
/// not been stopped.
#[test]
fn in_half_the_bits_it_learns_the_same() {
    let codes = Chain::new(12, 1);
    let with = |settings: &PriorSettings, segments, resume: Option<&[u8]>, watch: &mut Watch| {
        fit(settings, segments, [3; 32], &codes, resume, watch, &Alone)
    };
    let mut whole = Watch::default();
    let full = PriorSettings { config: PriorConfig { depth: 2, ..settings(30, true).config }, ..settings(30, true) };
    with(&full, 1, None, &mut whole).expect("a prior");
    for (precision, bound) in [(Precision::Bf16, 0.05), (Precision::F16, 0.01)] {
        let settings = PriorSettings { precision, ..full.clone() };
        let mut watch = Watch::default();
        let prior = with(&settings, 1, None, &mut watch).expect("a prior");
        for (a, b) in watch.records.iter().zip(&whole.records) {
            assert!((a.bits - b.bits).abs() < bound * b.bits, "{precision:?}: {a:?} {b:?}");
        }
        assert_eq!(
            with(&settings, 2, None, &mut Watch::default()).expect("a prior"),
            prior,
            "{precision:?} in segments"
        );
        let mut first = Watch { stop_after: Some(11), ..Watch::default() };
        assert!(with(&settings, 1, None, &mut first).is_err());
        let resumed = with(&settings, 1, Some(&first.state), &mut Watch::default()).expect("a prior");
        assert_eq!(resumed, prior, "{precision:?}");
    }
}

/// Code by code, with keys and values kept, a prior says the same as over a whole window at once.
#[test]
fn steps_agree_with_windows() {
    for conditioned in [false, true] {
        let mut settings = settings(20, conditioned);
        settings.config.depth = 2;
        let prior =
            fit(&settings, 1, [3; 32], &Chain::new(12, 1), None, &mut Watch::default(), &Alone).expect("a prior");
        let clips: Vec<_> =
            Chain::new(3, 5).clips.into_iter().map(|(own, upper)| (own[..32].to_vec(), upper)).collect();
        let codes = Chain { clips };
        let whole = bits(&prior, &codes, 10, 2, &|| false).expect("scored").expect("codes");
        let stepper = Stepper::new(&prior).expect("a stepper");
        let (mut cache, mut room, mut logits, mut sum) = (stepper.cache(), Room::default(), Vec::new(), 0.0);
        for clip in 0..3 {
            let (own, upper) = &codes.clips[clip];
            let condition = stepper.condition(&upper[..8], 0).expect("conditioning");
            cache.clear();
            for at in 0..32 {
                let genre = prior.config().genre(codes.genre(clip));
                let given = if at == 0 { Given::Genre(genre) } else { Given::Code(own[at - 1]) };
                let row = condition.get(at * 32..(at + 1) * 32).unwrap_or_default();
                stepper.step(given, row, &mut cache, &mut room, &mut logits);
                let total: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
                sum += (total.ln() - f64::from(logits[usize::from(own[at])])) / std::f64::consts::LN_2;
            }
        }
        assert!((sum / 96.0 - whole).abs() < 1e-4, "{} {whole}", sum / 96.0);
    }
}

#[test]
fn songs_follow_from_their_seeds_alone() {
    let top = {
        let mut settings = settings(3, false);
        (settings.config.level, settings.config.codewords) = (1, vec![CODES, CODES]);
        train(&settings, 2)
    };
    let bottom = {
        let mut settings = settings(3, true);
        settings.config.codewords = vec![CODES, CODES];
        settings.config.upper = Some(Upper { codewords: 16, ratio: RATIO, depth: 1 });
        train(&settings, 2)
    };
    let sampler = Sampler::new(&[top.clone(), bottom]).expect("a sampler");
    assert_eq!(sampler.genres(), ["even"]);
    let song = |seed: u8, frames| Song { genre: Some("even".into()), frames, seed: [seed; 32] };
    let draw = Draw { temperature: 1.0, top_p: 0.9, overlap: 0.5 };
    // The rounds of a run that is stopped after some windows, and what came of it.
    let sample = |songs: &[Song], known: &[Round], windows: usize| -> (Vec<Round>, Vec<Sampled>) {
        let (mut sampled, mut rounds) = (sampler.silence(songs.len()), known.to_vec());
        assert!(known.iter().all(|round| round.add(&mut sampled)));
        let ended = sampler.sample(songs, draw, &mut sampled, &mut |round| {
            rounds.push(round.clone());
            if rounds.len() == known.len() + windows { Err(SampleError::Stopped) } else { Ok(()) }
        });
        assert_eq!(ended.is_err(), rounds.len() == known.len() + windows);
        (rounds, sampled)
    };
    let (rounds, both) = sample(&[song(1, 1000), song(2, 700)], &[], 1000);
    assert_eq!(both[0].levels.iter().map(Vec::len).collect::<Vec<_>>(), [128, 32]);
    let (_, alone) = sample(&[song(2, 700)], &[], 1000);
    assert_eq!(alone[0], both[1]);
    // Stopped after any window, the rest comes out the same.
    let (_, whole) = sample(&[song(1, 1000)], &[], 1000);
    assert_eq!(whole[0], both[0]);
    for windows in 1..6 {
        let (part, _) = sample(&[song(1, 1000)], &[], windows);
        assert_eq!(sample(&[song(1, 1000)], &part, 1000).1, whole, "{windows} windows");
    }
    // What does not go on from what there is adds nothing.
    let mut sampled = sampler.silence(2);
    assert!(rounds[0].add(&mut sampled) && !rounds[0].add(&mut sampled) && !rounds[2].add(&mut sampled));
    assert!(rounds[1..].iter().all(|round| round.add(&mut sampled)));
    assert_eq!(sampled, both);
    assert_ne!(sample(&[song(3, 1000)], &[], 1000).1, whole);
    let missing = Sampler::new(&[top]).err().expect("refused").to_string();
    assert_eq!(missing, "there is no prior of level 0");
}

#[test]
fn scores_do_not_depend_on_what_is_scored_beside() {
    let prior = train(&settings(3, true), 2);
    let codes = Chain::new(5, 9);
    let score = |batch| bits(&prior, &codes, 1000, batch, &|| false).expect("scored").expect("codes");
    let alone = score(1);
    assert!((alone - score(7)).abs() < 1e-6, "{alone} {}", score(7));
    assert_eq!(bits(&prior, &Chain::new(0, 1), 10, 2, &|| false).expect("scored"), None);
}

#[test]
fn wrong_settings_are_refused() {
    let refusal = |change: fn(&mut PriorSettings)| {
        let mut settings = settings(1, true);
        change(&mut settings);
        fit(&settings, 1, [0; 32], &Chain::new(2, 1), None, &mut Watch::default(), &Alone)
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(refusal(|s| s.config.heads = 3), "32 attention channels for 3 heads");
    assert_eq!(refusal(|s| s.config.context = 30), "a context of 30 codes is no multiple of 4");
    assert_eq!(refusal(|s| s.steps = 0), "0 steps with a batch of 8");
    assert_eq!(refusal(|s| s.micro_batch = 9), "a micro-batch of 9 of 8 windows");
    assert_eq!(refusal(|s| s.config.codewords[0] = 4), "codes cannot be read: code 13 of 4 codewords");
    let nothing = fit(&settings(1, false), 1, [0; 32], &Chain::new(0, 1), None, &mut Watch::default(), &Alone);
    assert!(matches!(nothing, Err(TrainingError::Empty("codes"))));
}
