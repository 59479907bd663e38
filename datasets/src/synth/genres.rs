//! The genres: what each sounds with, how fast it goes, and how it is arranged.
//!
//! The tempo of a piece is that of its pulse, what a listener taps: the quarter note in 4/4 and
//! 3/4, the dotted quarter note in 6/8.

use super::drum::Drum;
use super::melody::Style;
use super::rng::Rng;
use super::score::{Draft, Part, QUARTER, Score};
use super::theory::{self, Chord};
use super::voice;

/// A genre.
pub(super) struct Genre {
    pub(super) name: &'static str,
    /// The word in its titles.
    pub(super) form: &'static str,
    pub(super) metre: (u8, u8),
    /// Slowest tempo in pulses a minute, and how many more half steps of 0.5 there are.
    pub(super) tempo: (f64, u32),
    pub(super) style: Style,
    pub(super) parts: &'static [Part],
    /// The percussion, by name.
    pub(super) percussion: &'static [&'static str],
    pub(super) arrange: fn(&mut Rng, &Draft, &Genre, &mut Score),
}

impl Genre {
    /// Ticks of a beat of the metre.
    pub(super) fn beat(&self) -> u32 {
        4 * QUARTER / u32::from(self.metre.1)
    }

    /// Ticks of a bar.
    pub(super) fn bar(&self) -> u32 {
        u32::from(self.metre.0) * self.beat()
    }
}

/// All genres; piece `i` belongs to `GENRES[i % 4]`.
pub(super) static GENRES: [Genre; 4] = [
    Genre {
        name: "chorale",
        form: "Chorale",
        metre: (4, 4),
        tempo: (82.0, 20),
        style: Style {
            slot: 24,
            pulse: 12,
            rhythms: &[&[12, 12], &[12, 12], &[24], &[18, 6], &[12, 6, 6]],
            half: Chord::DOMINANT,
            pause: &[24],
            centre: 67,
        },
        parts: &[
            Part { name: "organ", timbre: &voice::ORGAN, gain: 0.30 },
            Part { name: "choir pad", timbre: &voice::PAD, gain: 0.16 },
            Part { name: "pedal", timbre: &voice::PEDAL, gain: 0.42 },
        ],
        percussion: &["frame drum", "finger cymbal", "shaker"],
        arrange: chorale,
    },
    Genre {
        name: "waltz",
        form: "Waltz",
        metre: (3, 4),
        tempo: (140.0, 32),
        style: Style {
            slot: 36,
            pulse: 12,
            rhythms: &[&[24, 12], &[12, 12, 12], &[12, 24], &[18, 6, 12], &[12, 12, 6, 6]],
            half: Chord::DOMINANT,
            pause: &[24, 12],
            centre: 71,
        },
        parts: &[
            Part { name: "harp", timbre: &voice::HARP, gain: 0.50 },
            Part { name: "guitar", timbre: &voice::GUITAR, gain: 0.20 },
            Part { name: "upright bass", timbre: &voice::UPRIGHT, gain: 0.55 },
        ],
        percussion: &["brush", "triangle"],
        arrange: waltz,
    },
    Genre {
        name: "house",
        form: "Groove",
        metre: (4, 4),
        tempo: (120.0, 24),
        style: Style {
            slot: 48,
            pulse: 12,
            rhythms: &[&[12, 6, 6, 12, 12], &[18, 6, 12, -12], &[12, 12, 6, 6, 12], &[6, 6, 12, 12, -12]],
            half: Chord::SUBDOMINANT,
            pause: &[12, 12, 24],
            centre: 69,
        },
        parts: &[
            Part { name: "soft lead", timbre: &voice::LEAD, gain: 0.30 },
            Part { name: "stab", timbre: &voice::STAB, gain: 0.13 },
            Part { name: "saw bass", timbre: &voice::SAW_BASS, gain: 0.40 },
        ],
        percussion: &["kick", "clap", "hat"],
        arrange: house,
    },
    Genre {
        name: "jig",
        form: "Jig",
        metre: (6, 8),
        tempo: (96.0, 20),
        style: Style {
            slot: 36,
            pulse: 18,
            rhythms: &[&[6, 6, 6, 6, 6, 6], &[12, 6, 6, 6, 6], &[12, 6, 12, 6], &[6, 6, 6, 12, 6], &[18, 6, 6, 6]],
            half: Chord::DOMINANT,
            pause: &[12, 6, 18],
            centre: 72,
        },
        parts: &[
            Part { name: "flute", timbre: &voice::FLUTE, gain: 0.42 },
            Part { name: "drone", timbre: &voice::DRONE, gain: 0.10 },
            Part { name: "bouzouki", timbre: &voice::BOUZOUKI, gain: 0.42 },
        ],
        percussion: &["bodhran", "shaker"],
        arrange: jig,
    },
];

/// The melody, a little detached, louder on the pulse and along the phrase.
fn sing(rng: &mut Rng, draft: &Draft, part: usize, score: &mut Score) {
    for tone in &draft.tones {
        let accent = if tone.strong { 1.0 } else { 0.82 };
        let velocity = accent * score.swell(tone.start) * (1.0 + 0.04 * rng.signed());
        score.note(part, tone.start, tone.len, tone.pitch, velocity);
    }
}

/// Four voices: the melody on top, two inner voices that move as little as they can, a pedal line
/// in quarter notes; a procession's percussion.
fn chorale(rng: &mut Rng, draft: &Draft, genre: &Genre, score: &mut Score) {
    sing(rng, draft, 0, score);
    let slot = genre.style.slot;
    let mut inner = None;
    let mut bass = 45;
    for (i, chord) in draft.chords.iter().enumerate() {
        let at = i as u32 * slot;
        let classes = chord.classes(draft.key);
        let voiced = theory::voice(draft.key, *chord, inner, 50, 64);
        inner = Some(voiced);
        for pitch in voiced {
            score.note(1, at, slot, pitch, 0.8 * score.swell(at));
        }
        let last = i + 1 == draft.chords.len();
        bass = theory::nearest(bass, classes[0], 38, 52);
        if last {
            score.note(2, at, slot, bass, 0.95);
        } else {
            score.note(2, at, slot / 2, bass, 0.95);
            // The second quarter: the octave or the fifth, towards the next root.
            let class = if rng.chance(50) { classes[0] } else { classes[2] };
            let second = theory::nearest(bass + 5, class, 38, 55);
            score.note(2, at + slot / 2, slot / 2, second, 0.8);
        }
    }
    for beat in 0..score.end / 12 {
        let at = beat * 12;
        score.hit(Drum::Shaker, at, if beat % 2 == 0 { 0.9 } else { 0.75 });
        match beat % 4 {
            0 => {
                score.hit(Drum::Frame, at, 0.9);
                score.hit(Drum::Cymbal, at, 0.8);
            }
            2 => score.hit(Drum::Frame, at, 0.7),
            _ => score.hit(Drum::Frame, at, 0.45),
        }
    }
}

/// Bass on one, chords on two and three, the melody above.
fn waltz(rng: &mut Rng, draft: &Draft, genre: &Genre, score: &mut Score) {
    sing(rng, draft, 0, score);
    let slot = genre.style.slot;
    let mut inner = None;
    let mut bass = 43;
    for (i, chord) in draft.chords.iter().enumerate() {
        let at = i as u32 * slot;
        let classes = chord.classes(draft.key);
        let voiced = theory::voice(draft.key, *chord, inner, 52, 66);
        inner = Some(voiced);
        let held = i > 0 && draft.chords[i - 1] == *chord;
        bass = theory::nearest(bass, classes[if held { 2 } else { 0 }], 36, 50);
        let last = i + 1 == draft.chords.len();
        score.note(2, at, if last { 36 } else { 24 }, bass, 1.0);
        score.hit(Drum::Triangle, at, if i % 2 == 0 { 0.9 } else { 0.6 });
        score.hit(Drum::Brush, at, 0.7);
        if last {
            for pitch in voiced {
                score.note(1, at, 36, pitch, 0.8);
            }
            continue;
        }
        for (beat, velocity) in [(1, 0.85), (2, 0.75)] {
            for pitch in voiced {
                score.note(1, at + 12 * beat, 11, pitch, velocity * score.swell(at));
            }
            score.hit(Drum::Brush, at + 12 * beat, 0.9);
        }
    }
}

/// Bass lines of a bar of 4/4: `(start, length, 0 for the root or 2 for the fifth)`.
const BASS_LINES: [&[(u32, u32, i32)]; 3] = [
    &[(0, 10, 0), (18, 6, 0), (24, 10, 0), (36, 6, 2), (42, 6, 0)],
    &[(0, 6, 0), (6, 6, 0), (18, 6, 0), (24, 6, 0), (30, 6, 0), (42, 6, 2)],
    &[(0, 10, 0), (12, 6, 0), (18, 6, 2), (24, 10, 0), (36, 10, 0)],
];

/// Four on the floor: kick on every beat, clap on two and four, hats between; a bass in eighths,
/// off-beat stabs, a riff.
fn house(rng: &mut Rng, draft: &Draft, genre: &Genre, score: &mut Score) {
    sing(rng, draft, 0, score);
    let slot = genre.style.slot;
    let line = *rng.pick(&BASS_LINES);
    let mut inner = None;
    let mut bass = 40;
    for (i, chord) in draft.chords.iter().enumerate() {
        let at = i as u32 * slot;
        let classes = chord.classes(draft.key);
        let voiced = theory::voice(draft.key, *chord, inner, 53, 67);
        inner = Some(voiced);
        bass = theory::nearest(bass, classes[0], 34, 46);
        let last = i + 1 == draft.chords.len();
        if last {
            score.note(2, at, 44, bass, 0.95);
        } else {
            for &(offset, len, third) in line {
                let pitch = if third == 0 { bass } else { theory::nearest(bass + 4, classes[2], 34, 53) };
                score.note(2, at + offset, len, pitch, if offset % 12 == 0 { 0.95 } else { 0.8 });
            }
        }
        let stabs: &[(u32, u32)] = if last { &[(0, 40)] } else { &[(0, 10), (18, 5), (30, 5)] };
        for &(offset, len) in stabs {
            for pitch in voiced {
                score.note(1, at + offset, len, pitch, if offset == 0 { 0.9 } else { 0.7 });
            }
        }
        for beat in 0..4 {
            let now = at + 12 * beat;
            score.hit(Drum::Kick, now, if beat == 0 { 1.0 } else { 0.92 });
            if beat % 2 == 1 {
                score.hit(Drum::Clap, now, 0.8);
            }
            score.hit(Drum::Hat, now, 0.45);
            score.hit(Drum::Hat, now + 6, 0.8);
        }
    }
}

/// A flute over a drone of tonic and fifth, a plucked bass on the pulse, bodhran and shaker.
fn jig(rng: &mut Rng, draft: &Draft, genre: &Genre, score: &mut Score) {
    sing(rng, draft, 0, score);
    let slot = genre.style.slot;
    let tonic = theory::nearest(52, draft.key.tonic, 46, 57);
    let mut bass = 45;
    for (i, chord) in draft.chords.iter().enumerate() {
        let at = i as u32 * slot;
        let classes = chord.classes(draft.key);
        let last = i + 1 == draft.chords.len();
        // The drone is renewed with every second bar, so that it breathes.
        if i % 2 == 0 {
            let len = if last { slot } else { 2 * slot };
            score.note(1, at, len, tonic, 0.8);
            score.note(1, at, len, tonic + 7, 0.6);
        }
        bass = theory::nearest(bass, classes[0], 38, 50);
        let third = theory::above(bass + 4, classes[1]);
        let fifth = theory::above(bass, classes[2]);
        if last {
            for pitch in [bass, fifth, third] {
                score.note(2, at, slot, pitch, 0.9);
            }
        } else {
            score.note(2, at, 17, bass, 1.0);
            score.note(2, at, 17, third, 0.55);
            score.note(2, at + 18, 17, if *chord == Chord::TONIC { fifth } else { bass }, 0.9);
            score.note(2, at + 18, 17, third, 0.5);
        }
        for (half, velocity) in [(0, 1.0), (18, 0.9)] {
            score.hit(Drum::Bodhran, at + half, velocity);
            score.hit(Drum::Shaker, at + half, 0.95);
            score.hit(Drum::Shaker, at + half + 6, 0.3);
            score.hit(Drum::Shaker, at + half + 12, 0.45);
        }
        score.hit(Drum::Bodhran, at + 30, 0.3);
    }
}
