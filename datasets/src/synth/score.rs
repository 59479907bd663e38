//! The score of a piece: which part sounds which pitch when, in ticks.

use super::drum::Drum;
use super::melody::{self, Style, Tone};
use super::rng::Rng;
use super::theory::{self, Chord, Key};
use super::voice::Timbre;

/// Ticks in a quarter note.
pub(super) const QUARTER: u32 = 12;

/// A pitched instrument of the arrangement.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) timbre: &'static Timbre,
    pub(super) gain: f64,
}

/// A note of a part; its velocity is in `0.0..=1.0`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Note {
    pub(super) part: usize,
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) pitch: i32,
    pub(super) velocity: f64,
}

/// A stroke of a percussion instrument.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hit {
    pub(super) drum: Drum,
    pub(super) start: u32,
    pub(super) velocity: f64,
}

/// Harmony, melody and motif, before the arrangement.
pub(super) struct Draft {
    pub(super) key: Key,
    pub(super) chords: Vec<Chord>,
    pub(super) tones: Vec<Tone>,
    pub(super) motif: Vec<Tone>,
}

impl Draft {
    /// Composes `slots` harmonies (at least 4) and a melody over them: a phrase to the half
    /// cadence, a phrase home by way of the dominant.
    pub(super) fn new(rng: &mut Rng, key: Key, slots: usize, style: &Style) -> Self {
        let half = slots / 2;
        let mut chords = theory::walk(rng, key.mode, half, Chord::TONIC, style.half);
        if slots - half > 2 {
            chords.extend(theory::walk(rng, key.mode, slots - half - 1, Chord::TONIC, Chord::DOMINANT));
        } else {
            chords.push(Chord::DOMINANT);
        }
        chords.push(Chord::TONIC);
        let (tones, motif) = melody::period(rng, key, &chords, style);
        Self { key, chords, tones, motif }
    }
}

/// A score: all notes and strokes, in order of composition.
#[derive(Default)]
pub(super) struct Score {
    pub(super) notes: Vec<Note>,
    pub(super) hits: Vec<Hit>,
    /// Length of the whole in ticks.
    pub(super) end: u32,
}

impl Score {
    /// Adds a note.
    pub(super) fn note(&mut self, part: usize, start: u32, len: u32, pitch: i32, velocity: f64) {
        self.notes.push(Note { part, start, len, pitch, velocity });
    }

    /// Adds a stroke.
    pub(super) fn hit(&mut self, drum: Drum, start: u32, velocity: f64) {
        self.hits.push(Hit { drum, start, velocity });
    }

    /// Loudness of the phrase at a tick: it grows towards two thirds of each half and falls off.
    pub(super) fn swell(&self, tick: u32) -> f64 {
        let half = (self.end / 2).max(1);
        let place = f64::from(tick % half) / f64::from(half);
        let arch = if place < 0.66 { place / 0.66 } else { (1.0 - place) / 0.34 };
        0.8 + 0.2 * arch
    }
}
