//! Selection of the clips that are measured: a function of the set of rows alone.

use super::Evaluate;
use crate::{media::pcm::Excerpt, metric::embedding::Embedding};
use datasets::{
    Digest, Key,
    audio::resample::output_frames,
    effect::Fault,
    row::{Audio, Clip, Codes, Prior},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Contribution of one row to the evaluation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Part {
    /// A clip of neither split: it keeps the stage from having no input.
    Unused,
    Reference(Excerpt),
    HeldOut(Excerpt),
    Song(Song),
    /// Codes of the reference, from which codes are drawn.
    Learned(Coded),
    /// Codes to decode.
    Coded(Coded),
    Prior(Prior),
}

/// The fields of a song's row that the evaluation reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Song {
    pub(super) file: Digest,
    pub(super) frames: u64,
    pub(super) rate: u32,
}

/// The fields of a row of codes that the evaluation reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Coded {
    pub(super) excerpt: Excerpt,
    pub(super) codec: Digest,
    pub(super) blob: Digest,
    pub(super) hops: Vec<u32>,
    pub(super) codewords: Vec<u32>,
}

/// A stretch of a song.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) song: Song,
    pub(super) start: u64,
    pub(super) frames: u64,
}

impl Part {
    /// A clip's parts: one that belongs to both sides counts for both.
    pub(super) fn of_clip(clip: &Clip, settings: &Evaluate) -> Vec<Part> {
        let excerpt = Excerpt::of(clip);
        let (reference, held_out) = sides(clip, settings);
        let mut parts = Vec::new();
        parts.extend(reference.then(|| Part::Reference(excerpt.clone())));
        parts.extend(held_out.then_some(Part::HeldOut(excerpt)));
        if parts.is_empty() { vec![Part::Unused] } else { parts }
    }

    /// Adds all on which a result can depend to a key.
    pub(super) fn key(&self, key: Key) -> Key {
        match self {
            Part::Unused => key,
            Part::Reference(excerpt) => excerpt.key(key.text("reference")),
            Part::HeldOut(excerpt) => excerpt.key(key.text("held out")),
            Part::Song(song) => key.text("song").digest(&song.file),
            Part::Learned(coded) => coded.key(key.text("learned")),
            Part::Coded(coded) => coded.key(key.text("coded")),
            Part::Prior(prior) => {
                let bits = postcard::to_stdvec(&prior.bits).unwrap_or_default();
                key.text("prior").digest(&prior.digest).bytes(&bits)
            }
        }
    }

    pub(super) fn is_song(&self) -> bool {
        matches!(self, Part::Song(_))
    }

    pub(super) fn of_song(song: &Audio) -> Part {
        Part::Song(Song { file: song.file, frames: song.frames, rate: song.rate })
    }

    pub(super) fn of_codes(codes: &Codes, settings: &Evaluate) -> Vec<Part> {
        let (reference, held_out) = sides(&codes.clip, settings);
        let coded = Coded {
            excerpt: Excerpt::of(&codes.clip),
            codec: codes.codec,
            blob: codes.blob,
            hops: codes.hops.clone(),
            codewords: codes.codewords.clone(),
        };
        let mut parts = Vec::new();
        parts.extend(reference.then(|| Part::Learned(coded.clone())));
        parts.extend(held_out.then_some(Part::Coded(coded)));
        parts
    }
}

impl Coded {
    fn key(&self, key: Key) -> Key {
        self.excerpt.key(key.digest(&self.codec).digest(&self.blob))
    }
}

fn sides(clip: &Clip, settings: &Evaluate) -> (bool, bool) {
    let is = |name: &str| clip.track.split.as_deref().is_none_or(|split| split == name);
    (settings.split.is_empty() || is(&settings.split), !settings.held_out.is_empty() && is(&settings.held_out))
}

/// The clips, songs, codes and priors that are measured.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Length of every clip, in frames at the embedding's rate.
    pub(super) length: u64,
    pub(super) reference: Vec<Excerpt>,
    pub(super) held_out: Vec<Excerpt>,
    pub(super) songs: Vec<Piece>,
    pub(super) coded: Vec<Coded>,
    /// All codes of the reference.
    pub(super) learned: Vec<Coded>,
    pub(super) priors: Vec<Prior>,
}

/// The first frames of a clip from which `length` frames at the embedding's rate are made.
pub(super) fn frames_for(length: u64, rate: u32, embedding: &dyn Embedding) -> u64 {
    output_frames(length, embedding.rate(), rate)
}

/// Chooses. An order by digest is as good as a random one, and one clip more displaces at most one.
///
/// # Errors
/// Refuses what is too little to measure, with what there is and what is needed.
pub(super) fn choose(parts: &[Part], settings: &Evaluate, embedding: &dyn Embedding) -> Result<Chosen, Fault> {
    let mut chosen = Chosen::default();
    let mut songs = Vec::new();
    for part in parts {
        match part.clone() {
            Part::Unused => {}
            Part::Reference(excerpt) => chosen.reference.push(excerpt),
            Part::HeldOut(excerpt) => chosen.held_out.push(excerpt),
            Part::Song(song) => songs.push(song),
            Part::Learned(coded) => chosen.learned.push(coded),
            Part::Coded(coded) => chosen.coded.push(coded),
            Part::Prior(prior) => chosen.priors.push(prior),
        }
    }
    let codecs: BTreeSet<Digest> = chosen.coded.iter().chain(&chosen.learned).map(|coded| coded.codec).collect();
    if codecs.len() > 1 {
        return Err(Fault::refused("mixed-codecs", "the codes are those of different codecs"));
    }
    let there = [chosen.reference.len(), chosen.held_out.len(), chosen.coded.len(), songs.len()];
    let long = |e: &Excerpt| output_frames(e.frames, e.rate, embedding.rate());
    let longest = chosen.reference.iter().map(long).max().unwrap_or(0);
    chosen.length = longest.min(libm::round(settings.seconds * f64::from(embedding.rate())) as u64);
    let length = chosen.length;
    let mut equal: BTreeMap<Song, u64> = BTreeMap::new();
    let mut numbered = Vec::new();
    for song in songs {
        let number = equal.entry(song.clone()).or_default();
        numbered.extend(pieces(song, length, embedding).map(|piece| (*number, piece)));
        *number += 1;
    }
    let fits = |excerpt: &Excerpt| long(excerpt) >= length;
    chosen.reference.retain(fits);
    chosen.held_out.retain(fits);
    chosen.coded.retain(|coded| fits(&coded.excerpt));
    order(&mut chosen.reference, |excerpt| excerpt.key(Key::new("order")).finish());
    order(&mut chosen.held_out, |excerpt| excerpt.key(Key::new("order")).finish());
    order(&mut chosen.coded, |coded| coded.excerpt.key(Key::new("order")).finish());
    order(&mut chosen.learned, |coded| coded.excerpt.key(Key::new("order")).finish());
    order(&mut numbered, |(number, piece)| {
        let key = Key::new("order").digest(&piece.song.file).number(piece.start);
        // Of equal songs each is one more.
        if *number > 0 { key.number(*number).finish() } else { key.finish() }
    });
    chosen.songs = numbered.into_iter().map(|(_, piece)| piece).collect();
    // What does not come in at all is not what is scarce.
    let [_, held_out, coded, songs] = there;
    let given = [(held_out, chosen.held_out.len()), (coded, chosen.coded.len()), (songs, chosen.songs.len())];
    let scarcest = given.iter().filter(|(there, _)| *there > 0).map(|(_, left)| *left).min().unwrap_or(0);
    let clips = scarcest.min(settings.clips as usize);
    enough(&chosen, there, clips, settings, embedding)?;
    chosen.held_out.truncate(clips);
    chosen.coded.truncate(clips);
    chosen.songs.truncate(clips);
    Ok(chosen)
}

/// Sorts items by digest and removes repeated ones.
fn order<T>(items: &mut Vec<T>, digest: impl Fn(&T) -> Digest) {
    items.sort_by_cached_key(&digest);
    items.dedup_by_key(|item| digest(item));
}

/// A sentence on songs that are equal to others, sound by sound; `None` where all differ.
pub(super) fn equal_songs(parts: &[Part]) -> Option<String> {
    let songs: Vec<&Part> = parts.iter().filter(|part| part.is_song()).collect();
    let different = songs.iter().collect::<BTreeSet<_>>().len();
    let count = songs.len();
    (different < count).then(|| {
        format!("only {different} of {count} songs are different: the priors, or `temperature` and `top_p`, give the same again")
    })
}

fn pieces(song: Song, length: u64, embedding: &dyn Embedding) -> impl Iterator<Item = Piece> {
    let frames = frames_for(length, song.rate, embedding);
    let count = song.frames.checked_div(frames).unwrap_or(0);
    (0..count).map(move |i| Piece { song: song.clone(), start: i * frames, frames })
}

/// Refuses sets that cannot tell a covariance.
fn enough(
    chosen: &Chosen,
    [reference, held_out, coded, songs]: [usize; 4],
    clips: usize,
    settings: &Evaluate,
    embedding: &dyn Embedding,
) -> Result<(), Fault> {
    let split = |name: &str| if name.is_empty() { "all splits".to_owned() } else { format!("the split `{name}`") };
    if reference == 0 {
        let why = format!("there is no clip in {} to measure against: see `split`", split(&settings.split));
        return Err(Fault::refused("no-reference", why));
    }
    if held_out + songs + coded == 0 {
        let why = format!(
            "there is nothing to measure: no song comes in, and no clip lies in {} (`held_out`)",
            split(&settings.held_out)
        );
        return Err(Fault::refused("no-candidate", why));
    }
    let vectors = embedding.vectors(chosen.length as usize);
    let needed = embedding.dims() + 1;
    if vectors > 0 && clips.min(chosen.reference.len()) * vectors >= needed {
        return Ok(());
    }
    let seconds = |frames: f64| format!("{:.2} s", frames / f64::from(embedding.rate()));
    let rule = format!("{} (version {}) needs {needed} vectors on either side", embedding.name(), embedding.version());
    if vectors == 0 {
        let why = format!(
            "the clips are too short: one vector takes {}, the clips have {}",
            seconds(embedding.least() as f64),
            seconds(chosen.length as f64)
        );
        return Err(Fault::refused("too-short", why));
    }
    let mut there = vec![format!("{} of the reference", chosen.reference.len())];
    for (count, left, what) in [
        (held_out, chosen.held_out.len(), "held out"),
        (coded, chosen.coded.len(), "held out with codes"),
        (songs, chosen.songs.len(), "of songs"),
    ] {
        there.extend((count > 0).then(|| format!("{left} {what}")));
    }
    let why = format!(
        "too few clips: {rule}, that is {} clips of {}; there are {}{}",
        needed.div_ceil(vectors),
        seconds(chosen.length as f64),
        there.join(", "),
        if clips as u64 == u64::from(settings.clips) { ", and `clips` is the most" } else { "" },
    );
    Err(Fault::refused("too-few", why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::embedding::LogMelStatistics;

    fn excerpt(name: &str, start: u64, frames: u64) -> Excerpt {
        let samples = Digest::of(name.as_bytes());
        Excerpt { samples, start, frames, rate: 44_100, channels: 1, content: Digest::of(b"hint") }
    }

    fn settings() -> Evaluate {
        Evaluate { split: "train".into(), held_out: "test".into(), seconds: 10.0, clips: 100 }
    }

    fn parts(reference: u64, held_out: u64, songs: u64) -> Vec<Part> {
        let clip = |name: &str, i: u64| excerpt(&format!("{name} {i}"), 0, 176_384);
        let song = |i: u64| Song { file: Digest::of(&i.to_le_bytes()), frames: 352_800, rate: 44_100 };
        let reference = (0..reference).map(|i| Part::Reference(clip("train", i)));
        let held_out = (0..held_out).map(|i| Part::HeldOut(clip("test", i)));
        reference.chain(held_out).chain((0..songs).map(|i| Part::Song(song(i)))).collect()
    }

    fn why(parts: &[Part], settings: &Evaluate) -> String {
        choose(parts, settings, &LogMelStatistics).expect_err("too little").to_string()
    }

    #[test]
    fn all_sets_have_as_many_clips_as_the_scarcest_equally_long() {
        let mut all = parts(60, 22, 4);
        // Shorter than the others.
        all.push(Part::HeldOut(excerpt("tail", 176_384, 90_112)));
        let chosen = choose(&all, &settings(), &LogMelStatistics).expect("enough");
        // ceil(176384 * 16000 / 44100)
        assert_eq!((chosen.length, chosen.reference.len()), (63_995, 60));
        assert_eq!((chosen.held_out.len(), chosen.songs.len()), (8, 8), "two pieces of each song");
        assert!(chosen.songs.iter().all(|p| p.start + p.frames <= p.song.frames && p.frames == chosen.songs[0].frames));
        assert!(chosen.held_out.iter().all(|e| e.frames == 176_384));
        let fewer = Evaluate { clips: 7, seconds: 3.6, ..settings() };
        let chosen = choose(&all, &fewer, &LogMelStatistics).expect("enough");
        assert_eq!((chosen.length, chosen.held_out.len(), chosen.songs.len()), (57_600, 7, 7));
    }

    #[test]
    fn the_choice_follows_from_the_set_of_sounds() {
        let mut all = parts(60, 22, 4);
        let chosen = choose(&all, &settings(), &LogMelStatistics).expect("enough");
        all.reverse();
        // A second file with the sound of a first.
        all.push(Part::HeldOut(Excerpt { content: Digest::of(b"other"), ..excerpt("test 3", 0, 176_384) }));
        let again = choose(&all, &settings(), &LogMelStatistics).expect("enough");
        let sounds = |set: &[Excerpt]| set.iter().map(|e| e.samples).collect::<Vec<_>>();
        assert_eq!(sounds(&chosen.held_out), sounds(&again.held_out));
        assert_eq!(chosen.songs, again.songs);
        all.push(Part::HeldOut(excerpt("one more", 0, 176_384)));
        let more = choose(&all, &settings(), &LogMelStatistics).expect("enough");
        let before: BTreeSet<Digest> = sounds(&chosen.held_out).into_iter().collect();
        let displaced = sounds(&more.held_out).iter().filter(|s| !before.contains(s)).count();
        assert!(displaced <= 1);
    }

    #[test]
    fn equal_songs_count_as_often_as_they_were_made() {
        let song = |i: u64| Part::Song(Song { file: Digest::of(&i.to_le_bytes()), frames: 352_800, rate: 44_100 });
        let mut all = parts(60, 22, 0);
        all.extend([song(0), song(0), song(0), song(1)]);
        let chosen = choose(&all, &settings(), &LogMelStatistics).expect("enough");
        assert_eq!(chosen.songs.len(), 8, "two pieces of each");
        let of_first = |piece: &&Piece| piece.song.file == Digest::of(&0u64.to_le_bytes());
        assert_eq!(chosen.songs.iter().filter(of_first).count(), 6);
        let said = equal_songs(&all).expect("a sentence");
        assert!(said.starts_with("only 2 of 4 songs are different"), "{said}");
        assert_eq!(equal_songs(&parts(1, 1, 3)), None);
    }

    #[test]
    fn too_little_is_refused_with_what_there_is_and_what_is_needed() {
        assert_eq!(
            why(&parts(60, 5, 0), &settings()),
            "too few clips: log-mel-statistics (version 1) needs 33 vectors on either side, that is 6 clips of 4.00 s; \
             there are 60 of the reference, 5 held out (too-few)"
        );
        let said = why(&parts(5, 22, 4), &settings());
        assert!(said.contains("there are 5 of the reference, 22 held out, 8 of songs"), "{said}");
        let said = why(&parts(60, 22, 4), &Evaluate { clips: 2, ..settings() });
        assert!(said.contains("and `clips` is the most"), "{said}");
        let said = why(&parts(60, 22, 4), &Evaluate { seconds: 1.0, ..settings() });
        assert!(said.contains("one vector takes 1.07 s, the clips have 1.00 s"), "{said}");
        assert!(why(&parts(0, 22, 4), &settings()).contains("no clip in the split `train`"));
        assert!(why(&parts(60, 0, 0), &settings()).contains("nothing to measure"));
        // Songs that are all too short are not nothing.
        let mut short = parts(60, 22, 0);
        short.push(Part::Song(Song { file: Digest::of(b"s"), frames: 44_100, rate: 44_100 }));
        assert!(why(&short, &settings()).contains("0 of songs"));
    }
}
