//! The built-in corpus: short pieces composed by seeded rules and rendered by an additive
//! synthesiser, dedicated to the public domain.
//!
//! Knows notes and samples. No corpus, no row, no store.
//!
//! A piece follows from `(seed, index, seconds)` alone: it does not change when more pieces are
//! asked for, and its bytes are the same on every host (integers, IEEE arithmetic and `libm`).
//! Its harmony is a walk through a functional grammar that ends in cadences, its melody states
//! a motif on the chords of that walk, its arrangement is that of its genre.
//!
//! [`Piece::tempo_bpm`] counts the pulse that a listener taps: quarter notes in 4/4 and 3/4,
//! dotted quarter notes in 6/8.

mod drum;
mod genres;
mod melody;
mod mix;
mod rng;
mod score;
mod theory;
mod timing;
mod voice;
mod wav;
mod write;

use genres::{GENRES, Genre};
use rng::Rng;
use score::{Draft, Score};
use theory::{Key, Mode};
pub use timing::SAMPLE_RATE;
use timing::{LEAD_IN, RATE, TAIL, Timing};
pub use write::{SIDECAR, SynthSummary};

/// Raised whenever any sample or fact of any piece changes.
pub const REVISION: u32 = 2;

/// The corpus and its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Synth {
    /// Number of pieces; piece `i` is of genre `i % 4`.
    pub pieces: u32,
    /// Seed from which all choices follow.
    pub seed: u64,
    /// About how long a piece is, in seconds; each has an even number of bars, at least four.
    pub seconds: f64,
    /// Frames that an eighth note lasts a whole number of, so that notes begin where a codec's codes do; 0 leaves the tempi
    /// as they are composed.
    pub grid: u32,
}

impl Default for Synth {
    fn default() -> Self {
        Self { pieces: 40, seed: 17, seconds: 10.5, grid: 0 }
    }
}

/// The facts of a piece.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// A stable name, `waltz-07`.
    pub key: String,
    /// The title.
    pub title: String,
    /// `chorale`, `waltz`, `house` or `jig`.
    pub genre: String,
    /// An invented composer; each writes in one genre only.
    pub artist: String,
    /// An SPDX identifier.
    pub license: String,
    /// Pulses a minute: quarter notes, in 6/8 dotted quarter notes.
    pub tempo_bpm: f64,
    /// Beats in a bar, and which note value is a beat.
    pub metre: (u8, u8),
    /// Tonic and mode, `D minor`.
    pub musical_key: String,
    /// The notes of the motif with their lengths in beats of the metre, `D5:1 E5:1/2`.
    pub motif: String,
    /// Length at [`SAMPLE_RATE`].
    pub frames: u64,
    /// The pitched voices.
    pub voices: Vec<&'static str>,
    /// The percussion.
    pub percussion: Vec<&'static str>,
}

/// A note of a pitched voice.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// An index into [`Piece::voices`]; the melody is voice 0.
    pub voice: usize,
    /// Start in beats of the metre.
    pub start: f64,
    /// Length in beats of the metre.
    pub length: f64,
    /// MIDI pitch, 69 = A4 = 440 Hz.
    pub pitch: i32,
}

/// A piece before it is heard.
struct Composition {
    genre: &'static Genre,
    key: Key,
    tempo: f64,
    draft: Draft,
    score: Score,
    timing: Timing,
    rng: Rng,
}

impl Synth {
    /// The facts of piece `index`, without rendering it. Any index is a piece; the corpus has
    /// those below [`Synth::pieces`].
    pub fn piece(&self, index: u32) -> Piece {
        let composition = self.compose(index);
        let Composition { genre, key, tempo, draft, timing, mut rng, .. } = composition;
        let (kind, number) = (index % GENRES.len() as u32, index / GENRES.len() as u32);
        let musical_key = key.name();
        Piece {
            key: format!("{}-{:02}", genre.name, number + 1),
            title: format!("{} {} in {musical_key}", rng.pick(&WORDS), genre.form),
            genre: genre.name.to_owned(),
            artist: composer(kind, number % COMPOSERS),
            license: "CC0-1.0".to_owned(),
            tempo_bpm: tempo,
            metre: genre.metre,
            musical_key,
            motif: melody::describe(key, &draft.motif, genre.beat()),
            frames: timing.frames,
            voices: genre.parts.iter().map(|part| part.name).collect(),
            percussion: genre.percussion.to_vec(),
        }
    }

    /// The notes of the pitched voices of piece `index`, in order of composition.
    pub fn notes(&self, index: u32) -> Vec<Note> {
        let Composition { genre, score, .. } = self.compose(index);
        let beats = |ticks: u32| f64::from(ticks) / f64::from(genre.beat());
        score
            .notes
            .iter()
            .map(|n| Note { voice: n.part, start: beats(n.start), length: beats(n.len), pitch: n.pitch })
            .collect()
    }

    /// The samples of piece `index`: mono at [`SAMPLE_RATE`], [`Piece::frames`] of them, each a
    /// multiple of 2^-15, so that a 16-bit file holds them exactly.
    pub fn render(&self, index: u32) -> Vec<f32> {
        self.pcm(index).iter().map(|&s| f32::from(s) / 32768.0).collect()
    }

    /// Piece `index` as a WAV file, 16-bit PCM, with its title, artist, genre and license as tags.
    pub fn wav(&self, index: u32) -> Vec<u8> {
        let piece = self.piece(index);
        let info: &wav::Info =
            &[(b"INAM", &piece.title), (b"IART", &piece.artist), (b"IGNR", &piece.genre), (b"ICOP", &piece.license)];
        wav::encode(&self.pcm(index), SAMPLE_RATE, info)
    }

    /// The samples of piece `index` as 16-bit integers.
    fn pcm(&self, index: u32) -> Vec<i16> {
        let Composition { genre, score, timing, .. } = self.compose(index);
        mix::render(&score, genre.parts, &timing)
    }

    /// The tempo on the grid that is closest to this one.
    fn settled(&self, tempo: f64, genre: &Genre) -> f64 {
        if self.grid == 0 {
            return tempo;
        }
        let eighths = f64::from(genre.style.pulse) / f64::from(score::QUARTER / 2);
        let grid = f64::from(self.grid) / RATE;
        let steps = libm::round(60.0 / (tempo * eighths * grid)).max(1.0);
        60.0 / (steps * eighths * grid)
    }

    fn compose(&self, index: u32) -> Composition {
        let (kind, number) = (index % GENRES.len() as u32, index / GENRES.len() as u32);
        let genre = &GENRES[kind as usize];
        let mut rng = Rng::new(self.seed, u64::from(index));
        // Fifths apart, so that the pieces of a genre pass through all keys.
        let first = Rng::new(self.seed, u64::MAX - u64::from(kind)).below(12);
        let tonic = ((first + 7 * number) % 12) as i32;
        let mode = if rng.chance(50) { Mode::Major } else { Mode::Minor };
        let key = Key { tonic, mode };
        let (slowest, steps) = genre.tempo;
        let tempo = self.settled(slowest + 0.5 * f64::from(rng.below(steps + 1)), genre);
        let frames_per_tick = RATE * 60.0 / (tempo * f64::from(genre.style.pulse));
        let bar = f64::from(genre.bar()) * frames_per_tick / RATE;
        // `max` also takes care of a NaN.
        let pairs = (self.seconds.min(600.0) / bar / 2.0).max(2.0);
        let bars = 2 * libm::round(pairs) as u32;
        let slots = bars * genre.bar() / genre.style.slot;
        let draft = Draft::new(&mut rng, key, slots as usize, &genre.style);
        let mut score = Score { end: bars * genre.bar(), ..Score::default() };
        (genre.arrange)(&mut rng, &draft, genre, &mut score);
        let frames = LEAD_IN + (f64::from(score.end) * frames_per_tick) as u64 + TAIL;
        let timing = Timing { frames_per_tick, frames };
        Composition { genre, key, tempo, draft, score, timing, rng }
    }
}

/// Number of composers in a genre.
const COMPOSERS: u32 = 16;
const FIRST: [&str; COMPOSERS as usize] = [
    "Alma", "Bero", "Cleo", "Dario", "Edda", "Falk", "Gwen", "Hanno", "Ines", "Jory", "Kaia", "Lorin", "Mira", "Nils",
    "Orla", "Pavel",
];
const LAST: [&str; COMPOSERS as usize] = [
    "Aldermoor",
    "Brackwater",
    "Cinderhill",
    "Dunmere",
    "Eastlow",
    "Fernhythe",
    "Greywether",
    "Hollowell",
    "Inglethorn",
    "Juniperly",
    "Kestrelby",
    "Larkmead",
    "Mossgate",
    "Netherby",
    "Oakenfall",
    "Pebblecombe",
];
const WORDS: [&str; 24] = [
    "Amber", "Quiet", "Lantern", "Willow", "Harbour", "Northern", "Copper", "Early", "Winding", "Silver", "Meadow",
    "Evening", "Hidden", "Paper", "Golden", "River", "Autumn", "Window", "Morning", "Drifting", "Orchard", "Distant",
    "Marble", "Clover",
];

/// The name of composer `number` of a genre: no two of all genres are alike, since
/// `(5, 3; 7, 4)` is invertible modulo 16.
fn composer(genre: u32, number: u32) -> String {
    let first = (5 * number + 3 * genre) % COMPOSERS;
    let last = (7 * number + 4 * genre) % COMPOSERS;
    format!("{} {}", FIRST[first as usize], LAST[last as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composers_have_names_of_their_own() {
        let mut names: Vec<String> =
            (0..GENRES.len() as u32).flat_map(|g| (0..COMPOSERS).map(move |n| composer(g, n))).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), GENRES.len() * COMPOSERS as usize);
    }

    #[test]
    fn wild_settings_are_bounded() {
        for seconds in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            let piece = Synth { seconds, ..Synth::default() }.piece(1);
            assert!(piece.frames < 660 * u64::from(SAMPLE_RATE), "{seconds}: {} frames", piece.frames);
        }
    }

    #[test]
    fn rhythms_fill_their_slots() {
        for genre in &GENRES {
            assert_eq!(genre.bar() % genre.style.slot, 0, "{}", genre.name);
            for rhythm in genre.style.rhythms.iter().chain([&genre.style.pause]) {
                let ticks: u32 = rhythm.iter().map(|t| t.unsigned_abs()).sum();
                assert_eq!(ticks, genre.style.slot, "{}: {rhythm:?}", genre.name);
            }
        }
    }
}
