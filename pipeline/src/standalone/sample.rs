//! `sample` on plain files: songs from a bundle, without a manifest and without a store.
//!
//! A song's seed is that of a stage `sample` in a manifest with this seed, so the same bundle, seed, genre, number,
//! length and draw give the bytes that such a stage publishes.

use crate::{
    error::Error,
    publish::bundle::{self, Bundle},
    standalone::targets,
    terminal::numbers,
};
use datasets::{
    Digest, Key,
    effect::networks,
    names::{self, Taken},
    store::{Log, StoreError, Temp, replace},
    untrusted,
};
use serde_json::{Value, json};
use stages::{
    flow::{Cancel, Event, Observer},
    media::generate::{Ask, Models, Named, SavedSongs, SongError},
    model::{
        codec::Codec,
        prior::sample::{Draw, SampleError, Sampled},
    },
    verbs::seed_of,
};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

/// Arguments of `refrain sample`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// A bundle with priors: a run's `model` folder
    #[arg(long, short, value_name = "DIR")]
    model: PathBuf,
    /// The WAV file; of several songs, each adds its genre and number to the name
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// A genre that the priors know; may be given again, and none stands for all of them
    #[arg(long, value_name = "GENRE")]
    genre: Vec<String>,
    /// Songs of each genre
    #[arg(long, default_value_t = 1, value_name = "N", allow_negative_numbers = true, value_parser = songs)]
    songs: u32,
    /// Length of each song
    #[arg(
        long,
        default_value_t = 20.0,
        value_name = "SECONDS",
        allow_negative_numbers = true,
        value_parser = numbers::real
    )]
    seconds: f64,
    /// Another seed gives other songs
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true, value_parser = seed)]
    seed: u64,
    /// Logits are divided by this; at 0 the most likely code is taken
    #[arg(long, default_value_t = 1.0, value_name = "T", allow_negative_numbers = true, value_parser = numbers::real)]
    temperature: f64,
    /// Codes are drawn from the most likely ones that make up this share
    #[arg(long, default_value_t = 0.9, value_name = "P", allow_negative_numbers = true, value_parser = numbers::real)]
    top_p: f64,
    /// The share of a window of codes that it has in common with the one before it
    #[arg(long, default_value_t = 0.5, value_name = "SHARE", allow_negative_numbers = true, value_parser = numbers::real)]
    overlap: f64,
    /// The level whose decoder makes the sound; 0, the bottom, is the closest
    #[arg(long, default_value_t = 0, value_name = "LEVEL", allow_negative_numbers = true, value_parser = level)]
    level: usize,
    /// Replace files that are there already
    #[arg(long)]
    overwrite: bool,
}

/// Songs of each genre at most.
const SONGS: u64 = 10_000;

/// The greatest number that a level can have.
const LEVELS: usize = 7;

fn songs(text: &str) -> Result<u32, String> {
    numbers::whole(text, 1..=SONGS).map(|songs| songs as u32)
}

fn seed(text: &str) -> Result<u64, String> {
    numbers::whole(text, 0..=u64::MAX)
}

/// The number of a level of a codec.
pub(crate) fn level(text: &str) -> Result<usize, String> {
    numbers::size(text, 0..=LEVELS)
}

impl Args {
    fn ask(&self) -> Ask {
        Ask {
            genres: self.genre.clone(),
            songs: self.songs,
            seconds: self.seconds,
            draw: Draw { temperature: self.temperature, top_p: self.top_p, overlap: self.overlap },
            level: self.level,
        }
    }
}

fn wrong(error: SongError) -> Error {
    match error {
        SongError::Genre { .. } | SongError::Level { .. } => Error::Usage(error.to_string()),
        SongError::Sample(SampleError::Stopped) => Error::Interrupted,
        SongError::Store(error) => error.into(),
        error => Error::Source(error.to_string()),
    }
}

/// A bundle with its models loaded.
struct Loaded {
    bundle: Bundle,
    /// Attribution of the bundle, as text.
    attribution: Vec<u8>,
    models: Models,
}

fn load(folder: &Path) -> Result<Loaded, Error> {
    let bundle = bundle::open(folder)?;
    if bundle.priors.is_empty() {
        let folder = folder.display();
        return Err(Error::Source(format!("the bundle {folder} holds no priors: there is nothing to sample from")));
    }
    let bytes = bundle.read(folder, &bundle.codec.file)?;
    let codec = Codec::load(&bytes)
        .map_err(|e| Error::Source(format!("{} is no codec: {e}", folder.join(&bundle.codec.file).display())))?;
    let models = Models::new(&codec, &bundle.codec.digest, &bundle.priors(folder)?)
        .map_err(|error| Error::Source(format!("the bundle {} cannot be used: {error}", folder.display())))?;
    Ok(Loaded { attribution: bundle.read(folder, bundle::ATTRIBUTION)?, bundle, models })
}

/// Digest of everything on which the codes of a sampling depend.
fn identity(bundle: &Bundle, ask: &Ask, seed: &Digest) -> Digest {
    let key = Key::new("songs on plain files").text(networks()).digest(seed).digest(&bundle.codec.digest);
    // The level changes the sound, and no code.
    let asked = Ask { level: 0, ..ask.clone() };
    bundle.priors.iter().fold(key, |key, prior| key.digest(&prior.digest)).text(&format!("{asked:?}")).finish()
}

/// Output path of each song.
fn targets(out: &Path, songs: &[Named]) -> Vec<PathBuf> {
    let stem = stem(out);
    match songs {
        [_] => vec![out.to_owned()],
        songs => {
            // Two genres may differ only in what a file name leaves out.
            let mut taken = Taken::default();
            let mut name = |song: &Named| {
                let name = names::stem(&song.name, |c| c.is_alphanumeric() || "-_.".contains(c));
                out.with_file_name(taken.give(&format!("{stem}-{name}"), "wav"))
            };
            songs.iter().map(&mut name).collect()
        }
    }
}

/// The file beside a song that says what it is.
fn facts(target: &Path) -> PathBuf {
    target.with_extension("json")
}

/// The files of a sampling beside its songs.
struct Beside {
    /// Attribution of the bundle.
    papers: PathBuf,
    /// The codes that are sampled so far, until the songs are written.
    part: PathBuf,
}

impl Beside {
    fn of(out: &Path) -> Beside {
        Beside {
            papers: out.with_file_name(format!("{}.{}", stem(out), bundle::ATTRIBUTION)),
            part: out.with_file_name(format!(".{}.codes", stem(out))),
        }
    }

    /// Whether a file that is there is from this command: it, or the facts beside it, say so.
    fn own(&self, songs: &[PathBuf], path: &Path) -> bool {
        if path == self.part {
            return Log::lies(path);
        }
        let stated = |song: &Path| -> Option<Value> {
            let facts: Value =
                serde_json::from_slice(&untrusted::read(&facts(song), untrusted::LARGEST_TEXT).ok()?).ok()?;
            (facts["refrain"].is_string() && facts["file"] == name(song)).then_some(facts)
        };
        if path == self.papers {
            return songs.iter().filter_map(|song| stated(song)).any(|facts| facts["attribution"] == name(path));
        }
        let Some(stated) = songs.iter().find(|song| *song == path || facts(song) == path).and_then(|song| stated(song))
        else {
            return false;
        };
        facts(path) == path
            || untrusted::read(path, untrusted::LARGEST).is_ok_and(|bytes| stated["digest"] == Digest::of(&bytes).hex())
    }
}

/// The name of a file.
fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "song".into(), |stem| stem.to_string_lossy().into_owned())
}

/// Samples songs from a bundle and writes them, each with what it rests on.
///
/// # Errors
/// When the bundle cannot be used, does not know what is asked for, or a file cannot be written.
pub fn sample(args: &Args, cancel: &Cancel, observer: &dyn Observer) -> Result<String, Error> {
    let ask = args.ask();
    if let Some((field, message, help)) = ask.complaints().into_iter().next() {
        let (option, message) = (field.replace('_', "-"), message.replace('`', ""));
        return Err(Error::Usage(format!("--{option}: {message}, expected {help}")));
    }
    if args.out.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("wav")) {
        let out = args.out.display();
        return Err(Error::Usage(format!("--out: songs are WAV files, and {out} does not end in .wav")));
    }
    let loaded = load(&args.model)?;
    let seed = seed_of(args.seed);
    let named = loaded.models.songs(&ask, &seed).map_err(wrong)?;
    let targets = targets(&args.out, &named);
    let identity = identity(&loaded.bundle, &ask, &seed);
    let beside = Beside::of(&args.out);
    let Beside { papers, part } = &beside;
    let mut all: Vec<PathBuf> = targets.iter().flat_map(|target| [target.clone(), facts(target)]).collect();
    all.extend([papers.clone(), part.clone()]);
    // A run that was interrupted has asked before, and may have written some of its songs.
    let goes_on = Log::identity(part) == Some(identity);
    targets::free(&all, &[], args.overwrite || goes_on, |path| beside.own(&targets, path))?;
    if let Some(folder) = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    }

    // What is sampled stands beside the songs until they are written: a second run goes on from there.
    let mut kept = SavedSongs::open(part, &identity, &loaded.models, &named)?;
    let codes = loaded.models.codes(&named);
    let (before, total) = (kept.codes(), codes.iter().sum());
    let stage = || "song".to_owned();
    if before > 0 {
        observer.event(Event::Resumed { stage: stage(), done: before, total });
    }
    let started = Instant::now();
    let mut each = |done| {
        observer.event(Event::Progress { stage: stage(), done, total, unit: "codes", figures: Vec::new() });
        !cancel.cancelled()
    };
    loaded.models.sample(&named, ask.draw, &mut kept, &mut each).map_err(wrong)?;
    let sampled = started.elapsed().as_secs_f64();

    replace(papers, &loaded.attribution)?;
    let mut text = String::new();
    for ((named, codes), target) in named.iter().zip(kept.songs()).zip(&targets) {
        if cancel.cancelled() {
            return Err(Error::Interrupted);
        }
        write(args, &loaded, named, codes, target, papers)?;
        let genre = named.song.genre.as_deref().unwrap_or("no genre");
        text += &format!("{}  {:.2} s, {genre}, seed {}\n", target.display(), ask.seconds, args.seed);
    }
    let written = started.elapsed().as_secs_f64() - sampled;
    kept.remove();
    let levels: Vec<String> = codes.iter().rev().map(ToString::to_string).collect();
    let pace = (total - before) as f64 / sampled.max(1e-9);
    text += &format!(
        "{} codes in {sampled:.1} s, {pace:.0} a second; decoded in {written:.1} s\n",
        if codes.len() > 1 { format!("{} = {total}", levels.join(" + ")) } else { total.to_string() }
    );
    text += &format!("rests on {}; see {}\n", rests_on(&loaded.bundle), papers.display());
    Ok(text)
}

/// One line that names the codec and the priors of a bundle.
fn rests_on(bundle: &Bundle) -> String {
    let on = &bundle.trained_on;
    let licenses: Vec<String> = on.licenses.iter().map(|(license, count)| format!("{license}: {count}")).collect();
    let mut text = format!("{} recordings", on.tracks);
    if !licenses.is_empty() {
        text += &format!(" ({})", licenses.join(", "));
    }
    if on.gone > 0 || !bundle.unrecorded.is_empty() {
        text += " and on some of which nothing is known here";
    }
    text
}

/// Writes a song's WAV; what it rests on comes first, so that where the song is, that is too.
fn write(
    args: &Args,
    loaded: &Loaded,
    named: &Named,
    codes: &Sampled,
    target: &Path,
    papers: &Path,
) -> Result<(), Error> {
    let Loaded { bundle, models, .. } = loaded;
    let song = &named.song;
    let attempt = |loudest: f32| -> Result<(Temp, f32), Error> {
        let mut temp = Temp::at(target)?;
        let peak = models.write(song, codes, args.level, loudest, &mut temp).map_err(|error| match error {
            SongError::Write(error) => StoreError::io("write", target)(error).into(),
            error => wrong(error),
        })?;
        temp.flush().map_err(StoreError::io("write", target))?;
        Ok((temp, peak))
    };
    let (mut temp, loudest) = attempt(1.0)?;
    if loudest > 1.0 {
        // One at a time has the name.
        drop(temp);
        temp = attempt(loudest)?.0;
    }
    let stated = json!({
        "format": 1,
        "refrain": env!("CARGO_PKG_VERSION"),
        "file": name(target),
        "digest": temp.digest(),
        "song": named.name,
        "genre": song.genre,
        "rate": models.rate(),
        "frames": song.frames,
        "seed": args.seed,
        "song_seed": Digest(song.seed),
        "temperature": args.temperature,
        "top_p": args.top_p,
        "overlap": args.overlap,
        "level": args.level,
        "numerics": networks(),
        "models": {
            "run": bundle.run,
            "codec": bundle.codec.digest,
            "priors": bundle.priors.iter().map(|prior| prior.digest).collect::<Vec<Digest>>(),
        },
        "rests_on": bundle.trained_on,
        "unrecorded": bundle.unrecorded,
        "attribution": name(papers),
    });
    replace(&facts(target), format!("{stated:#}\n").as_bytes())?;
    Ok(temp.commit(target)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stages::model::prior::sample::Song;

    #[test]
    fn one_song_has_the_name_asked_for_and_several_add_theirs() {
        let named = |name: &str| Named { name: name.into(), song: Song { genre: None, frames: 1, seed: [0; 32] } };
        let out = Path::new("songs/a.b.wav");
        assert_eq!(targets(out, &[named("jig-1")]), [out]);
        let two = targets(out, &[named("jig-1"), named("a/b-2")]);
        assert_eq!(two, [Path::new("songs/a.b-jig-1.wav"), Path::new("songs/a.b-a_b-2.wav")]);
        let alike = targets(out, &[named("a/b"), named("a_b"), named("a:b")]);
        assert_eq!(alike, ["a_b", "a_b-2", "a_b-3"].map(|name| PathBuf::from(format!("songs/a.b-{name}.wav"))));
    }
}
