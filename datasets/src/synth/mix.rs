//! Rendering of a score to samples: voices, percussion, a small room, the level of the whole.

use super::drum::{DRUMS, Drum};
use super::score::{Part, Score};
use super::voice::{self, smooth};
use super::{RATE, Timing};

/// The peak of a finished piece: -3 dBFS.
const PEAK: f64 = 0.707_945_784_384_137_9;
/// Wet level of the reverb, linear.
const WET: f64 = 0.06;
/// Frames over which the last echo fades out.
const FADE: usize = 4410;

/// Renders a score, in values that a 16-bit sample holds exactly.
pub(super) fn render(score: &Score, parts: &[Part], timing: &Timing) -> Vec<i16> {
    let frames = timing.frames as usize;
    let mut out = vec![0.0; frames];
    let mut scratch = Vec::new();
    for note in &score.notes {
        let part = &parts[note.part];
        let start = timing.frame(note.start);
        let len = timing.frame(note.start + note.len) - start;
        let gain = part.gain * note.velocity;
        voice::sound(part.timbre, note.pitch, gain, start, len, &mut out, &mut scratch);
    }
    let mut strokes: [Option<Vec<f64>>; DRUMS] = [const { None }; DRUMS];
    for hit in &score.hits {
        let stroke = strokes[hit.drum as usize].get_or_insert_with(|| Drum::stroke(hit.drum));
        let start = timing.frame(hit.start).min(frames);
        for (out, sample) in out[start..].iter_mut().zip(stroke) {
            *out += hit.velocity * *sample;
        }
    }
    room(&mut out);
    finish(&out)
}

/// Adds the echoes of a small room: four damped combs and two all-passes (Schroeder, 1962; the
/// lengths are those of Jezar's Freeverb).
fn room(out: &mut [f64]) {
    const COMBS: [usize; 4] = [1116, 1277, 1422, 1557];
    const PASSES: [usize; 2] = [556, 225];
    let (feedback, damping) = (0.74, 0.4);
    let mut combs = COMBS.map(|len| (vec![0.0; len], 0, 0.0));
    let mut passes = PASSES.map(|len| (vec![0.0; len], 0));
    for sample in out {
        let mut wet = 0.0;
        for (line, at, dull) in &mut combs {
            let echo = line[*at];
            wet += echo;
            *dull = echo * (1.0 - damping) + *dull * damping;
            line[*at] = *sample + *dull * feedback;
            *at = (*at + 1) % line.len();
        }
        for (line, at) in &mut passes {
            let echo = line[*at];
            line[*at] = wet + echo * 0.5;
            wet = echo - wet;
            *at = (*at + 1) % line.len();
        }
        *sample += WET * wet;
    }
}

/// Removes the offset, fades the end, sets the peak and rounds.
fn finish(out: &[f64]) -> Vec<i16> {
    // One zero at 0 Hz, one pole at 10 Hz.
    let pole = 1.0 - 2.0 * std::f64::consts::PI * 10.0 / RATE;
    let (mut x, mut y) = (0.0, 0.0);
    let frames = out.len();
    let mut clean: Vec<f64> = out
        .iter()
        .enumerate()
        .map(|(n, &sample)| {
            y = sample - x + pole * y;
            x = sample;
            let left = frames - 1 - n;
            if left < FADE { y * smooth(left as f64 / FADE as f64) } else { y }
        })
        .collect();
    let peak = clean.iter().fold(0.0, |peak: f64, x| peak.max(x.abs()));
    if peak > 0.0 {
        clean.iter_mut().for_each(|x| *x *= PEAK / peak);
    }
    clean.iter().map(|x| libm::round(x * 32768.0) as i16).collect()
}
