//! Keys, chords, chord progressions and the voicing of inner parts.

use super::rng::Rng;

/// The two modes whose keys the corpus uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Major,
    Minor,
}

const MAJOR: [i32; 7] = [0, 2, 4, 5, 7, 9, 11];
const MINOR: [i32; 7] = [0, 2, 3, 5, 7, 8, 10];
const SHARPS: [&str; 12] = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
const FLATS: [&str; 12] = ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"];

/// A tonic (pitch class, C = 0) and a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) tonic: i32,
    pub(super) mode: Mode,
}

impl Key {
    /// Whether the key signature is written with flats.
    fn flats(self) -> bool {
        match self.mode {
            Mode::Major => [1, 3, 5, 8, 10].contains(&self.tonic),
            Mode::Minor => [0, 2, 3, 5, 7, 10].contains(&self.tonic),
        }
    }

    /// The name a musician writes: `F# minor`, `Eb major`.
    pub(super) fn name(self) -> String {
        let names = if self.flats() { FLATS } else { SHARPS };
        let mode = match self.mode {
            Mode::Major => "major",
            Mode::Minor => "minor",
        };
        format!("{} {mode}", names[self.tonic as usize])
    }

    /// A MIDI pitch in scientific notation, spelled for this key: 60 is `C4`.
    pub(super) fn spell(self, pitch: i32) -> String {
        let names = if self.flats() { FLATS } else { SHARPS };
        format!("{}{}", names[pitch.rem_euclid(12) as usize], pitch.div_euclid(12) - 1)
    }

    /// The MIDI pitch of a scale step; step 0 is the tonic from C4 upwards. `lift` raises the
    /// sixth and seventh steps of a minor scale (its melodic form), and nothing in major.
    pub(super) fn pitch(self, step: i32, lift: bool) -> i32 {
        let (octave, in_scale) = (step.div_euclid(7), step.rem_euclid(7) as usize);
        let scale = match self.mode {
            Mode::Major => MAJOR,
            Mode::Minor => MINOR,
        };
        let raised = i32::from(lift && self.mode == Mode::Minor && in_scale >= 5);
        60 + self.tonic + 12 * octave + scale[in_scale] + raised
    }
}

/// A triad on a scale step (0 = tonic). The dominant is major in both modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chord(pub(super) i32);

impl Chord {
    pub(super) const TONIC: Self = Self(0);
    pub(super) const SUBDOMINANT: Self = Self(3);
    pub(super) const DOMINANT: Self = Self(4);

    /// Pitch classes of root, third and fifth.
    pub(super) fn classes(self, key: Key) -> [i32; 3] {
        [0, 2, 4].map(|third| {
            // Only the leading note is raised: third of the dominant.
            let lift = self == Self::DOMINANT && third == 2;
            key.pitch(self.0 + third, lift).rem_euclid(12)
        })
    }
}

/// Which chords may follow which: functional harmony without the chords that would blur a key
/// into its relative (III and VII).
fn successors(mode: Mode, chord: i32) -> &'static [i32] {
    match (mode, chord) {
        (Mode::Major, 0) => &[3, 4, 5, 1],
        (Mode::Major, 1) => &[4],
        (Mode::Major, 3) => &[4, 0, 1],
        (Mode::Major, 5) => &[3, 1],
        (Mode::Minor, 0) => &[3, 4, 5, 3],
        (Mode::Minor, 3) => &[4, 0],
        (Mode::Minor, 5) => &[3, 4],
        // The dominant mostly resolves; now and then it deceives.
        _ => &[0, 0, 0, 5],
    }
}

/// A walk of `n` chords through the grammar from `first` to `last`, uniform over the choices
/// that can still arrive. Falls back to holding `first` where no such walk exists.
pub(super) fn walk(rng: &mut Rng, mode: Mode, n: usize, first: Chord, last: Chord) -> Vec<Chord> {
    fn arrives(mode: Mode, from: i32, steps: usize, last: i32) -> bool {
        if steps == 0 {
            return from == last;
        }
        successors(mode, from).iter().any(|&next| arrives(mode, next, steps - 1, last))
    }
    let mut chords = vec![first; n.max(1)];
    for i in 1..n {
        let left = n - 1 - i;
        let open: Vec<i32> = successors(mode, chords[i - 1].0)
            .iter()
            .copied()
            .filter(|&next| arrives(mode, next, left, last.0))
            .collect();
        if open.is_empty() {
            break;
        }
        chords[i] = Chord(*rng.pick(&open));
    }
    if n > 1 {
        chords[n - 1] = last;
    }
    chords
}

/// The close position of a triad, within `low..=high`, that moves least from `previous`.
pub(super) fn voice(key: Key, chord: Chord, previous: Option<[i32; 3]>, low: i32, high: i32) -> [i32; 3] {
    let classes = chord.classes(key);
    let target = previous.unwrap_or([low, (low + high) / 2, high]);
    let mut best = (i32::MAX, [0; 3]);
    for inversion in 0..3 {
        let mut pitch = low - 1;
        let voiced: [i32; 3] = std::array::from_fn(|k| {
            pitch = above(pitch, classes[(inversion + k) % 3]);
            pitch
        });
        for shift in [0, 12] {
            let voiced = voiced.map(|p| p + shift);
            let excess = (voiced[2] - high).max(0);
            let moved: i32 = (0..3).map(|k| (voiced[k] - target[k]).abs()).sum();
            let cost = moved + 8 * excess;
            if cost < best.0 {
                best = (cost, voiced);
            }
        }
    }
    best.1
}

/// The lowest pitch of a class above `pitch`.
pub(super) fn above(pitch: i32, class: i32) -> i32 {
    pitch + 1 + (class - pitch - 1).rem_euclid(12)
}

/// The pitch of a class that lies nearest to `pitch`, kept within `low..=high` (an octave at least).
pub(super) fn nearest(pitch: i32, class: i32, low: i32, high: i32) -> i32 {
    let up = above(pitch - 7, class);
    let mut found = if (up - pitch).abs() <= (up + 12 - pitch).abs() { up } else { up + 12 };
    while found < low {
        found += 12;
    }
    while found > high {
        found -= 12;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelled_as_musicians_do() {
        let d = Key { tonic: 2, mode: Mode::Minor };
        assert_eq!(d.name(), "D minor");
        assert_eq!(d.spell(70), "Bb4");
        assert_eq!(d.pitch(6, true), 73, "the leading note of D minor is C#");
        assert_eq!(Chord::DOMINANT.classes(d), [9, 1, 4], "A major");
    }

    #[test]
    fn walks_end_where_they_must() {
        let mut rng = Rng::new(3, 1);
        for mode in [Mode::Major, Mode::Minor] {
            for n in 2..12 {
                let chords = walk(&mut rng, mode, n, Chord::TONIC, Chord::DOMINANT);
                assert_eq!((chords.len(), chords[0], chords[n - 1]), (n, Chord::TONIC, Chord::DOMINANT));
                for pair in chords.windows(2) {
                    assert!(successors(mode, pair[0].0).contains(&pair[1].0), "{mode:?} {pair:?}");
                }
            }
        }
    }

    #[test]
    fn voices_stay_near() {
        let key = Key { tonic: 0, mode: Mode::Major };
        let tonic = voice(key, Chord(0), None, 52, 69);
        let fourth = voice(key, Chord(3), Some(tonic), 52, 69);
        let moved: i32 = (0..3).map(|k| (tonic[k] - fourth[k]).abs()).sum();
        assert!(moved <= 4, "{tonic:?} -> {fourth:?}");
    }
}
