//! A report such as a small run gives, made of synthetic tones and seeded noise.

use pipeline::report::data::*;

/// A small generator of numbers in 0..1 (Lehmer, modulus 2^31 - 1), enough for test data.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed * 2 + 1)
    }

    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0 * 48_271 % 2_147_483_647;
        self.0 as f64 / 2_147_483_647.0
    }
}

const GENRES: [&str; 3] = ["chamber", "dub", "march"];
pub(crate) const HOPS: [u32; 3] = [8, 32, 128];
/// A title that would run a script if it were not escaped.
pub(crate) const HOSTILE: &str = "<script>alert(\"x\")</script> & 'co' *_[]";

fn stage(name: &str, verb: &str, from: &[&str], kept: u64, unit: &str, reasons: &[(&str, u64, &str)]) -> StageView {
    StageView {
        name: name.to_owned(),
        verb: verb.to_owned(),
        from: from.iter().map(|&f| f.to_owned()).collect(),
        kept,
        dropped: reasons.iter().map(|r| r.1).sum(),
        unit: unit.to_owned(),
        reasons: reasons
            .iter()
            .map(|&(code, count, example)| DropReason { code: code.to_owned(), count, example: example.to_owned() })
            .collect(),
    }
}

pub(crate) fn stages() -> Vec<StageView> {
    vec![
        stage("codec", "fit", &["clips"], 1, "weights", &[]),
        stage("tracks", "ingest", &[], 52, "tracks", &[("duplicate-id", 1, "folder/a.wav: another file has this id")]),
        stage(
            "free",
            "license",
            &["tracks"],
            47,
            "tracks",
            &[
                ("license-denied", 3, "folder/live.mp3: CC-BY-NC-4.0 is not allowed"),
                ("license-unknown", 2, "folder/<b>demo</b>.ogg: no license is stated"),
            ],
        ),
        stage(
            "decoded",
            "decode",
            &["free"],
            44,
            "tracks",
            &[("refused", 3, "folder/cut.flac: unexpected end of file")],
        ),
        stage("even", "resample", &["decoded"], 44, "tracks", &[]),
        stage(
            "unique",
            "dedup",
            &["even"],
            40,
            "tracks",
            &[("duplicate", 4, "folder/copy.wav: same samples as folder/b.wav")],
        ),
        stage("parts", "split", &["unique"], 40, "tracks", &[]),
        stage(
            "clips",
            "segment",
            &["parts"],
            412,
            "clips",
            &[("too-short", 9, "folder/c.wav: 0.4 s of the 1 s wanted")],
        ),
        stage("codes", "encode", &["clips", "codec"], 412, "codes", &[]),
        stage("shards", "shard", &["codes", "parts"], 6, "shards", &[]),
    ]
}

/// A track of the corpus.
struct Piece {
    title: String,
    artist: Option<String>,
    license: &'static str,
    split: &'static str,
    genre: Option<&'static str>,
    seconds: f64,
}

fn pieces() -> Vec<Piece> {
    let mut noise = Noise::new(5);
    let licenses = ["CC0-1.0", "CC-BY-4.0", "CC-BY-4.0", "CC-BY-SA-3.0 OR MIT"];
    (0..40)
        .map(|i| Piece {
            title: if i == 7 { HOSTILE.to_owned() } else { format!("Piece {i}") },
            artist: (i % 5 != 0).then(|| format!("Artist {}", i % 6)),
            license: licenses[i % 4],
            split: if i % 8 == 0 { "test" } else { "train" },
            genre: (i != 3).then(|| GENRES[i % 3]),
            seconds: 30.0 + 150.0 * noise.next() + if i == 39 { 700.0 } else { 0.0 },
        })
        .collect()
}

pub(crate) fn corpus() -> CorpusView {
    pieces().iter().fold(CorpusView::default(), |mut view, piece| {
        view.add(Some(piece.license), Some(piece.split), piece.genre, Some(piece.seconds));
        view
    })
}

pub(crate) fn curves() -> Vec<CurveSet> {
    let mut noise = Noise::new(9);
    HOPS.iter()
        .enumerate()
        .map(|(level, &hop)| CurveSet {
            level: level as u32,
            hop,
            points: (0..900u32)
                .map(|i| {
                    let (t, ease) = (f64::from(i) / 899.0, 1.0 / (1.0 + f64::from(i) / 40.0));
                    let wobble = 0.85 + 0.3 * noise.next();
                    let scale = 1.0 + level as f64;
                    CurvePoint {
                        step: u64::from(i) * 2,
                        reconstruction: (0.004 * scale + 0.12 * ease) * wobble,
                        spectral: (0.3 * scale + 2.0 * ease) * wobble,
                        log_spectral: (0.4 * scale + 1.5 * ease) * wobble,
                        commitment: (0.002 * scale + 0.004 * t) * wobble,
                        used: (2048.0 / scale * (1.0 - ease * 0.9)) as u32,
                        perplexity: 1400.0 / scale * (1.0 - ease) * (0.95 + 0.1 * noise.next()),
                    }
                })
                .collect(),
        })
        .collect()
}

pub(crate) fn codebooks() -> Vec<Codebook> {
    HOPS.iter()
        .enumerate()
        .map(|(level, &hop)| {
            let used = 2048 >> level;
            let counts =
                (0..2048u64).map(|i| if i < used { 900_000 / ((i + 30) * u64::from(hop)) } else { 0 }).collect();
            Codebook { level: level as u32, hop, counts }
        })
        .collect()
}

/// A gliding chord with a beat of noise, `seconds` long.
pub(crate) fn music(seed: u64, rate: u32, seconds: f64) -> Vec<f32> {
    let mut noise = Noise::new(seed);
    let frames = (seconds * f64::from(rate)) as usize;
    let mut phases = [0.0f64; 3];
    (0..frames)
        .map(|i| {
            let t = i as f64 / f64::from(rate);
            let beat = (-18.0 * (t * 2.0).fract()).exp();
            let mut sum = 0.2 * beat * (noise.next() * 2.0 - 1.0);
            for (k, phase) in phases.iter_mut().enumerate() {
                let step = ((t * 1.5) as u64 + seed) % 5;
                let hz = 110.0 * (k + 1) as f64 * 2f64.powf(step as f64 * 2.0 / 12.0);
                *phase += hz / f64::from(rate);
                for h in 1..=6 {
                    sum += 0.12 / f64::from(h) / (k + 1) as f64 * (std::f64::consts::TAU * f64::from(h) * *phase).sin();
                }
            }
            sum as f32
        })
        .collect()
}

/// The mean of `width` neighbors: duller the wider, as a higher level's reconstruction is.
fn dulled(samples: &[f32], width: usize) -> Vec<f32> {
    samples.windows(width).map(|w| w.iter().sum::<f32>() / width as f32).collect()
}

pub(crate) fn players(seconds: f64) -> Vec<Sample> {
    (0..4u64)
        .map(|i| {
            let samples = music(i, 44_100, seconds);
            let reconstructions = HOPS
                .iter()
                .enumerate()
                .map(|(level, &hop)| Reconstruction {
                    level: level as u32,
                    hop,
                    audio: Audio { rate: 44_100, samples: dulled(&samples, 4 << (2 * level)) },
                    si_sdr_db: Some(14.2 - 5.0 * level as f64 - i as f64),
                    log_mel: Some(0.21 + 0.3 * level as f64),
                })
                .collect();
            Sample {
                track: if i == 1 { HOSTILE.to_owned() } else { format!("Piece {i}") },
                genre: GENRES.get(i as usize).map(|&g| g.to_owned()),
                held_out: i != 2,
                note: if i == 3 { "A real recording, never trained on.".to_owned() } else { String::new() },
                original: Audio { rate: 44_100, samples },
                reconstructions,
            }
        })
        .collect()
}

pub(crate) fn attribution() -> Vec<Attribution<'static>> {
    pieces()
        .into_iter()
        .enumerate()
        .map(|(i, piece)| Attribution {
            title: piece.title.into(),
            artist: piece.artist.unwrap_or_default().into(),
            license: if i == 11 { "" } else { piece.license }.into(),
            license_url: (i % 4 == 1).then(|| "https://creativecommons.org/licenses/by/4.0/".into()),
            source: match i {
                4 => "javascript:alert(1)".into(),
                5 => "".into(),
                _ => format!("https://example.org/music?piece={i}&from=archive").into(),
            },
            tracks: 1,
            trained_on: u64::from(i % 8 != 0),
        })
        .collect()
}

pub(crate) fn scores() -> Vec<ScoreTable> {
    let column = |name: &str, decimals| ScoreColumn { name: name.to_owned(), decimals };
    let row = |label: &str, values: [f64; 3]| ScoreRow { label: label.to_owned(), values: values.map(Some).to_vec() };
    vec![ScoreTable {
        title: "Held-out SI-SDR, median of four tracks".to_owned(),
        note: "Higher is closer to the original.".to_owned(),
        rows_are: "Genre".to_owned(),
        columns: vec![column("level 0 in dB", 1), column("level 1 in dB", 1), column("level 2 in dB", 1)],
        rows: vec![
            row("chamber", [12.31, 7.92, 0.4]),
            row("dub", [10.02, 5.5, -1.22]),
            ScoreRow { label: "march".to_owned(), values: vec![Some(9.13), None] },
        ],
    }]
}

fn songs(seconds: f64) -> Vec<SongView> {
    let audio = players(seconds).into_iter().next().map(|sample| sample.original).unwrap_or_default();
    vec![SongView {
        name: "dub-1".to_owned(),
        stage: "songs".to_owned(),
        file: "audio/dub 1.wav".to_owned(),
        genre: Some("dub".to_owned()),
        seed: hex("5a0c19be77f1"),
        codec: hex("77de3f9a1c0b"),
        priors: ["0b77de3f9a1c", "c0b77de3f9a1", "9a1c0b77de3f"].map(hex).to_vec(),
        licenses: vec![("CC-BY-4.0".to_owned(), 31), ("CC0-1.0".to_owned(), 1)],
        gone: 2,
        audio,
    }]
}

/// A digest that begins so.
fn hex(start: &str) -> String {
    format!("{start:0<64}")
}

fn models() -> Vec<ModelView> {
    let model = |stage: &str, what: &str, start: &str| ModelView {
        stage: stage.to_owned(),
        what: what.to_owned(),
        digest: hex(start),
        licenses: vec![("CC-BY-4.0".to_owned(), 31)],
        gone: 0,
        recorded: true,
    };
    vec![
        ModelView { licenses: Vec::new(), recorded: false, ..model("codec", "codec", "77de3f9a1c0b") },
        model("top", "prior of level 2", "9a1c0b77de3f"),
        model("middle", "prior of level 1", "c0b77de3f9a1"),
    ]
}

fn priors() -> Vec<PriorCurve> {
    let mut noise = Noise::new(11);
    [("top", 2u32), ("middle", 1), ("bottom", 0)]
        .map(|(stage, level)| {
            let floor = 2.0 + 4.0 * f64::from(level);
            PriorCurve {
                stage: stage.to_owned(),
                level,
                hop: HOPS[level as usize],
                points: (0..300)
                    .map(|i| (i, floor + (11.0 - floor) / (1.0 + i as f64 / 20.0) + 0.4 * noise.next()))
                    .collect(),
                held_out: Some(floor + 0.6),
                unigram: Some(10.4),
                bigram: (level < 2).then_some(9.1),
            }
        })
        .to_vec()
}

/// The whole report, with `seconds` of sound in each player.
pub(crate) fn report(seconds: f64) -> Report<'static> {
    Report {
        name: "quickstart".to_owned(),
        run_id: "3f9a1c0b77de".to_owned(),
        manifest: "edition = 1\nname    = \"quickstart\"\nseed    = 17\n\n[stage.tracks]\ndo     = \"ingest\"\n\
                        corpus = \"synth\"   # <b>built in</b>\n"
            .to_owned(),
        seed: 17,
        clips: Some(412),
        codes: Some(29_412_864),
        stages: stages(),
        corpus: corpus(),
        curves: curves(),
        priors: priors(),
        codebooks: codebooks(),
        players: players(seconds),
        songs: songs(seconds),
        models: models(),
        sweep: None,
        scores: scores(),
        attribution: attribution(),
        notes: vec!["codec pinned, 12 tracks newer than it".to_owned()],
    }
}
