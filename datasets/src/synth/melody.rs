//! Motifs and the melodies that are made of them.
//!
//! A cell is a rhythm with offsets in scale steps from the root of whatever chord it is stated on.
//! Its strong notes are chord tones (0, 2, 4 and their octaves), so that a cell returns on any
//! chord, transposed, and still agrees with the harmony.

use super::rng::Rng;
use super::theory::{Chord, Key};

/// One note of a melody: ticks, and a MIDI pitch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tone {
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) pitch: i32,
    /// Whether it falls on a pulse.
    pub(super) strong: bool,
}

/// A rhythm with offsets: `(start, length, offset, strong)`, in ticks from the slot's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell(Vec<(u32, u32, i32, bool)>);

/// Melodic style of a genre.
pub(super) struct Style {
    /// Ticks from one harmony to the next; every rhythm fills it.
    pub(super) slot: u32,
    /// Ticks of a pulse; notes on it are strong.
    pub(super) pulse: u32,
    /// Note lengths; a negative one is a rest.
    pub(super) rhythms: &'static [&'static [i32]],
    /// The harmony at the end of the first half.
    pub(super) half: Chord,
    /// The rhythm of half cadences.
    pub(super) pause: &'static [i32],
    /// The MIDI pitch about which the melody moves.
    pub(super) centre: i32,
}

const LADDER: [i32; 5] = [-3, 0, 2, 4, 7];

impl Cell {
    /// A new cell on a rhythm.
    pub(super) fn new(rng: &mut Rng, rhythm: &[i32], pulse: u32) -> Self {
        let mut notes = Vec::new();
        let mut at = 0;
        let mut rung = 1 + rng.below(3) as i32;
        for &ticks in rhythm {
            let len = ticks.unsigned_abs();
            if ticks > 0 {
                let strong = at % pulse == 0 || notes.is_empty();
                if strong && !notes.is_empty() {
                    let moved = rung + *rng.pick(&[-1, 1, -1, 1, 0]);
                    // Turned back at the ends of the ladder rather than held there.
                    rung = if (0..5).contains(&moved) { moved } else { 2 };
                }
                notes.push((at, len, LADDER[rung as usize], strong));
            }
            at += len;
        }
        fill(rng, &mut notes);
        Self(notes)
    }

    /// Upside down about the third of the chord: chord tones stay chord tones.
    pub(super) fn inverted(&self) -> Self {
        Self(self.0.iter().map(|&(at, len, offset, strong)| (at, len, 4 - offset, strong)).collect())
    }

    /// States the cell on a chord, in the octave that lies best after `last`.
    fn state(&self, key: Key, chord: Chord, start: u32, centre: i32, last: Option<i32>) -> Vec<Tone> {
        let cost = |octave: i32| {
            let pitches = self.0.iter().map(|n| key.pitch(chord.0 + 7 * octave + n.2, false));
            let (count, sum) = pitches.clone().fold((0, 0), |(n, sum), p| (n + 1, sum + p));
            let leap = match (last, pitches.clone().next()) {
                (Some(last), Some(first)) => (first - last).abs(),
                _ => 0,
            };
            let far = pitches.map(|p| (p - centre).abs() - 9).max().unwrap_or(0).max(0);
            leap + (sum / count.max(1) - centre).abs() + 4 * far
        };
        let octave = (-2..=2).min_by_key(|&octave| cost(octave)).unwrap_or(0);
        let steps: Vec<i32> = self.0.iter().map(|n| chord.0 + 7 * octave + n.2).collect();
        let mut tones = Vec::with_capacity(steps.len());
        for (i, &(at, len, _, strong)) in self.0.iter().enumerate() {
            let (step, next) = (steps[i], steps.get(i + 1).copied());
            let before = if i > 0 { Some(steps[i - 1]) } else { None };
            // Minor: the seventh is raised over the dominant and where it leads to the tonic;
            // the sixth only beside such a seventh.
            let lift = match step.rem_euclid(7) {
                6 => chord == Chord::DOMINANT || next == Some(step + 1),
                5 => chord == Chord::DOMINANT && (next == Some(step + 1) || before == Some(step + 1)),
                _ => false,
            };
            tones.push(Tone { start: start + at, len, pitch: key.pitch(step, lift), strong });
        }
        tones
    }
}

/// Replaces the offsets of weak notes by ways from one strong note to the next.
fn fill(rng: &mut Rng, notes: &mut [(u32, u32, i32, bool)]) {
    let mut i = 0;
    while i < notes.len() {
        let mut end = i + 1;
        while end < notes.len() && !notes[end].3 {
            end += 1;
        }
        let from = notes[i].2;
        let to = notes.get(end).map_or(from, |n| n.2);
        let gaps = (end - i - 1) as i32;
        let side = if rng.chance(50) { 1 } else { -1 };
        for k in 1..=gaps {
            let distance = to - from;
            notes[i + k as usize].2 = match (distance.abs(), gaps) {
                // A neighbour, or a turn about the note.
                (0, _) => from + if k % 2 == 1 { side } else { -side },
                // Two notes within a third: out and back, so that nothing is struck twice.
                (2, 2) => {
                    if k == 1 {
                        to
                    } else {
                        from + distance / 2
                    }
                }
                _ => from + (2 * distance * k + (gaps + 1) * distance.signum()) / (2 * (gaps + 1)),
            };
        }
        i = end;
    }
}

/// A cell that moves: the first of a few that has several pitches.
fn lively(rng: &mut Rng, style: &Style) -> Cell {
    let mut cell = Cell(Vec::new());
    for _ in 0..16 {
        let rhythm = *rng.pick(style.rhythms);
        cell = Cell::new(rng, rhythm, style.pulse);
        let mut pitches: Vec<i32> = cell.0.iter().map(|n| n.2).collect();
        pitches.sort_unstable();
        pitches.dedup();
        if pitches.len() >= cell.0.len().clamp(2, 3) {
            break;
        }
    }
    cell
}

/// A melody over a progression, one chord a slot, and its motif (the first two cells as stated).
///
/// The two halves make a period: a b a' c, with c a half cadence at the end of the first half;
/// then a b, the motif inverted, and a long tonic.
pub(super) fn period(rng: &mut Rng, key: Key, chords: &[Chord], style: &Style) -> (Vec<Tone>, Vec<Tone>) {
    let a = lively(rng, style);
    let mut b = lively(rng, style);
    for _ in 0..8 {
        if b != a {
            break;
        }
        b = lively(rng, style);
    }
    let c = Cell::new(rng, style.pause, style.pulse);
    let close = Cell(vec![(0, style.slot, 0, true)]);
    let (n, half) = (chords.len(), chords.len() / 2);
    let inverted = a.inverted();
    let mut tones: Vec<Tone> = Vec::new();
    let mut motif = Vec::new();
    for (i, &chord) in chords.iter().enumerate() {
        let place = if i < half { i } else { i - half };
        let cell = match place % 4 {
            _ if i + 1 == n => &close,
            _ if i + 1 == half => &c,
            1 | 3 => &b,
            2 if i > half => &inverted,
            _ => &a,
        };
        let last = tones.last().map(|t| t.pitch);
        let stated = cell.state(key, chord, i as u32 * style.slot, style.centre, last);
        if i < 2 {
            motif.extend_from_slice(&stated);
        }
        tones.extend(stated);
    }
    (tones, motif)
}

/// `D4:1 E4:1/2`: pitches with lengths in beats of the metre's denominator (`unit` ticks).
pub(super) fn describe(key: Key, tones: &[Tone], unit: u32) -> String {
    fn gcd(a: u32, b: u32) -> u32 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    let words: Vec<String> = tones
        .iter()
        .map(|tone| {
            let g = gcd(tone.len, unit);
            let (over, under) = (tone.len / g, unit / g);
            let pitch = key.spell(tone.pitch);
            if under == 1 { format!("{pitch}:{over}") } else { format!("{pitch}:{over}/{under}") }
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::theory::Mode;

    #[test]
    fn strong_notes_belong_to_the_chord() {
        let mut rng = Rng::new(1, 2);
        let key = Key { tonic: 9, mode: Mode::Minor };
        for _ in 0..50 {
            let cell = Cell::new(&mut rng, &[6, 6, 6, 12, 6], 18);
            for cell in [cell.inverted(), cell] {
                for chord in [Chord(0), Chord(3), Chord(4), Chord(5)] {
                    for tone in cell.state(key, chord, 0, 69, None).iter().filter(|t| t.strong) {
                        assert!(chord.classes(key).contains(&tone.pitch.rem_euclid(12)), "{cell:?} on {chord:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn lengths_are_fractions_of_a_beat() {
        let key = Key { tonic: 0, mode: Mode::Major };
        let tone = |len, pitch| Tone { start: 0, len, pitch, strong: true };
        assert_eq!(describe(key, &[tone(12, 60), tone(6, 64), tone(18, 67)], 12), "C4:1 E4:1/2 G4:3/2");
    }
}
