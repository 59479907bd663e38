//! FMA: the Free Music Archive's data set, listed in `tracks.csv` and `raw_tracks.csv` of its metadata.
//!
//! ```text
//! fma_metadata/tracks.csv        106,574 rows under two lines of names: splits, subsets, genres; a license by its title alone
//! fma_metadata/raw_tracks.csv    what the archive answered: license titles and URLs
//! fma_metadata/genres.csv        the tree of genres
//! fma_small/000/000002.mp3       30 s from the middle of each track; in `fma_full` the whole of it
//! ```
//!
//! With both lists, the first says which tracks there are, and the second under which license. Its URL goes before its
//! title; how a license was found, and where the two contradict each other, goes along in columns. Tags in the files may be those
//! of another track, and are not read.

mod genres;
mod terms;

use super::columns::{self, Header, Row, Wanted};
use super::inventory::{Inventory, OFFICIAL_SPLIT, inside};
use super::maestro::name_of;
use super::python;
use crate::corpus::adapter::{Adapter, Evidence, Listing, Place};
use crate::corpus::rows::At;
use crate::corpus::{Entry, ScanError};
use crate::row::Labels;
use genres::Genres;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which tracks of FMA are read. Each subset holds the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subset {
    /// 8,000 clips, balanced over 8 genres.
    Small,
    /// 25,000 clips of 16 genres.
    Medium,
    /// A clip of each track.
    Large,
    /// Each track as a whole.
    Full,
}

impl Subset {
    /// The name in folders and tables.
    pub fn name(self) -> &'static str {
        match self {
            Subset::Small => "small",
            Subset::Medium => "medium",
            Subset::Large => "large",
            Subset::Full => "full",
        }
    }

    /// The subset of a name.
    fn named(name: &str) -> Option<Subset> {
        [Subset::Small, Subset::Medium, Subset::Large, Subset::Full].into_iter().find(|own| own.name() == name)
    }

    /// Tracks by split, as the data set states them.
    fn counts(self) -> [(&'static str, usize); 3] {
        let [training, validation, test] = match self {
            Subset::Small => [6_400, 800, 800],
            Subset::Medium => [19_922, 2_505, 2_573],
            Subset::Large | Subset::Full => [84_353, 11_263, 10_958],
        };
        [("training", training), ("validation", validation), ("test", test)]
    }
}

/// The data set FMA.
#[derive(Clone, Debug)]
pub struct Fma {
    /// The folder that holds `fma_small`, `fma_medium`, `fma_large` or `fma_full`, or the one of these that is read.
    pub root: PathBuf,
    /// The folder with the tables; default: `fma_metadata` in the root.
    pub metadata: Option<PathBuf>,
    /// The subset that is read.
    pub subset: Subset,
}

/// Clips without sound: the archive's metadata claims more seconds than the track has, and the 30 s around the middle of the
/// claimed length lie beyond its end. Track, claimed and real seconds, from mdeff/fma issues 8, 41 and 44.
const CLAIMED: &[(u64, f64, f64)] = &[
    (1_486, 90.0, 14.39),
    (5_574, 563.0, 30.46),
    (65_753, 242.0, 9.74),
    (80_391, 600.0, 67.84),
    (98_558, 216.0, 87.67),
    (98_559, 193.0, 58.8),
    (98_560, 341.0, 86.13),
    (98_571, 139.0, 50.81),
    (99_134, 308.0, 33.25),
    (105_247, 123.0, 18.91),
    (108_925, 151.0, 7.44),
    (126_981, 216.0, 17.45),
    (127_336, 275.0, 13.27),
    (133_297, 600.0, 113.58),
    (143_992, 211.0, 26.23),
];

const RAW: Wanted = Wanted {
    header: Header::Plain,
    needed: &["track_id", "license_title", "license_url"],
    further: &[
        "track_title",
        "artist_name",
        "artist_id",
        "album_title",
        "album_id",
        "track_url",
        "track_genres",
        "tags",
        "track_duration",
        "track_bit_rate",
        "track_language_code",
        "track_date_recorded",
    ],
};

const TRACKS: Wanted = Wanted {
    header: Header::Grouped("track_id"),
    needed: &["track_id", "set.split", "set.subset"],
    further: &[
        "track.title",
        "artist.name",
        "artist.id",
        "album.title",
        "album.id",
        "track.genre_top",
        "track.genres",
        "track.tags",
        "track.duration",
        "track.bit_rate",
        "track.language_code",
        "track.date_recorded",
        "track.license",
    ],
};

/// Columns that go along: name, column of `tracks.csv`, column of `raw_tracks.csv`.
const OWN: &[(&str, &str, &str)] = &[
    ("artist_id", "artist.id", "artist_id"),
    ("album", "album.title", "album_title"),
    ("album_id", "album.id", "album_id"),
    ("claimed_duration", "track.duration", "track_duration"),
    ("bit_rate", "track.bit_rate", "track_bit_rate"),
    ("language_code", "track.language_code", "track_language_code"),
    ("date_recorded", "track.date_recorded", "track_date_recorded"),
];

/// A row of a table: its texts by column, and where it stands.
struct Line {
    texts: BTreeMap<&'static str, String>,
    at: At,
}

impl Line {
    fn of(row: &Row<'_>, wanted: Wanted, at: At) -> Line {
        let text = |name: &'static str| Some((name, row.get(name)?.to_owned()));
        Line { texts: wanted.needed.iter().chain(wanted.further).copied().filter_map(text).collect(), at }
    }
}

/// What the tables say about a track.
#[derive(Default)]
struct Track {
    clean: Option<Line>,
    raw: Option<Line>,
}

impl Track {
    /// The text in a column of `tracks.csv`, and failing that of `raw_tracks.csv`.
    fn get(&self, clean: &str, raw: &str) -> Option<&str> {
        let clean = self.clean.as_ref().and_then(|line| line.texts.get(clean));
        let raw = self.raw.as_ref().and_then(|line| line.texts.get(raw));
        clean.or(raw).map(String::as_str)
    }
}

impl Fma {
    fn metadata(&self) -> PathBuf {
        self.metadata.clone().unwrap_or_else(|| inside(&self.root, "fma_metadata"))
    }

    fn inventory(&self) -> Result<Inventory, ScanError> {
        let metadata = self.metadata();
        let [clean, raw] = ["tracks.csv", "raw_tracks.csv"].map(|name| metadata.join(name));
        let wrong =
            |reason: &str| Err(ScanError::Syntax { path: metadata.clone(), line: None, reason: reason.to_owned() });
        let listed = match (clean.is_file(), raw.is_file()) {
            (false, false) => return wrong("it holds neither `tracks.csv` nor `raw_tracks.csv`"),
            (false, true) if self.subset < Subset::Large => {
                return wrong("it holds no `tracks.csv`, which alone tells what belongs to a subset");
            }
            (false, true) => &raw,
            (true, _) => &clean,
        };
        let root = inside(&self.root, &format!("fma_{}", self.subset.name()));
        let mut inventory = Inventory::of(&name_of(listed), &root)?;
        let mut tracks: BTreeMap<u64, Track> = BTreeMap::new();
        if clean.is_file() {
            lines(&clean, TRACKS, &mut inventory, &mut |id, line, inventory| {
                let subset = line.texts.get("set.subset").map(String::as_str).unwrap_or_default();
                match Subset::named(subset) {
                    Some(subset) if subset <= self.subset => {
                        tracks.entry(id).or_default().clean.get_or_insert(line);
                    }
                    Some(_) => {}
                    None => inventory.unusable(line.at, format!("{subset:?} is no subset")),
                }
            })?;
        }
        if raw.is_file() {
            let all = !clean.is_file();
            lines(&raw, RAW, &mut inventory, &mut |id, line, _| {
                // Tracks that the data set's authors left out stand here, too.
                let track = if all { Some(tracks.entry(id).or_default()) } else { tracks.get_mut(&id) };
                if let Some(track) = track {
                    track.raw.get_or_insert(line);
                }
            })?;
        } else {
            inventory.remarks.push("without raw_tracks.csv: licenses are known by their titles alone".to_owned());
        }
        let genres = Genres::read(&metadata.join("genres.csv"))?;
        if genres.is_none() {
            inventory.remarks.push("without genres.csv: no genre but those that tracks.csv names".to_owned());
        }
        for (id, track) in &tracks {
            self.add(*id, track, genres.as_ref(), &mut inventory);
        }
        if clean.is_file() {
            inventory.compare(&format!("FMA {}", self.subset.name()), &self.subset.counts());
        }
        Ok(inventory)
    }

    /// Adds a track.
    fn add(&self, id: u64, track: &Track, genres: Option<&Genres>, inventory: &mut Inventory) {
        let text = |clean, raw| track.get(clean, raw).map(str::to_owned);
        let mut labels = Labels {
            title: text("track.title", "track_title"),
            artist: text("artist.name", "artist_name"),
            source: text("", "track_url"),
            ..Labels::default()
        };
        labels.set("track_id", &id.to_string());
        for (column, clean, raw) in OWN {
            track.get(clean, raw).map(whole_number).into_iter().for_each(|text| labels.set(column, text));
        }
        for (column, clean) in [(OFFICIAL_SPLIT, "set.split"), ("subset", "set.subset")] {
            track.get(clean, "").into_iter().for_each(|text| labels.set(column, text));
        }
        let literal = |clean, raw| track.get(clean, raw).and_then(|text| python::literal(text).ok());
        if let Some(tags @ Value::Array(_)) = literal("track.tags", "tags") {
            labels.set("tags", &tags.to_string());
        }
        let named = literal("track.genres", "track_genres").map(|list| genres::named(&list)).unwrap_or_default();
        genres::label(&named, track.get("track.genre_top", ""), genres, &mut labels);
        let license = self.license(track, &mut labels);
        let name = format!("{id:06}");
        inventory.add(&format!("{}/{name}.mp3", &name[..3]), license, labels);
        let beyond = CLAIMED.iter().find(|(known, ..)| *known == id).filter(|_| self.subset < Subset::Full);
        if let (Some((_, claimed, real)), Some(item)) = (beyond, inventory.items.last_mut()) {
            let start = claimed / 2.0 - 15.0;
            let why = format!("its clip was cut from {start} s, and the track ends at {real} s: it holds no sound");
            item.refused = Some(("known-bad-file", why));
        }
    }

    /// The license of a track, with what it was read from; the rest of the evidence becomes columns.
    fn license(&self, track: &Track, labels: &mut Labels) -> Option<Evidence> {
        let raw = |name: &str| track.raw.as_ref().and_then(|line| line.texts.get(name)).map(String::as_str);
        let of_clean = track.clean.as_ref().and_then(|line| line.texts.get("track.license")).map(String::as_str);
        let (title, url) = (raw("license_title").or(of_clean), raw("license_url"));
        let read = terms::read(title, url);
        let columns = [
            ("license_title", title),
            ("license_url", url),
            ("license_method", Some(read.method)),
            ("license_conflict", read.conflict.as_deref()),
        ];
        for (column, text) in columns {
            text.into_iter().for_each(|text| labels.set(column, text));
        }
        let in_raw = raw("license_title").is_some() || url.is_some();
        let (file, line) = if in_raw { ("raw_tracks.csv", &track.raw) } else { ("tracks.csv", &track.clean) };
        let At { row, line } = line.as_ref()?.at;
        let place = Place::Table { file: file.to_owned(), row, line };
        read.license.map(|license| Evidence { license, place })
    }
}

/// A number without its fraction, where pandas made one of it because it stood beside gaps; other texts as they are.
fn whole_number(text: &str) -> &str {
    let digits = |number: &&str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_suffix(".0").filter(digits).unwrap_or(text)
}

/// Reads the lines of a table by the tracks that they are about. The first one about a track counts.
fn lines(
    file: &Path,
    wanted: Wanted,
    inventory: &mut Inventory,
    each: &mut dyn FnMut(u64, Line, &mut Inventory),
) -> Result<(), ScanError> {
    columns::read(file, "track_id", wanted, &mut |at, row| {
        let row = match row {
            Ok(row) => row,
            Err(why) => return inventory.unusable(at, why),
        };
        let id = row.get("track_id").unwrap_or_default();
        match whole_number(id).parse() {
            Ok(id) => each(id, Line::of(&row, wanted, at), inventory),
            Err(_) => inventory.unusable(at, format!("{id:?} is no number of a track")),
        }
    })
}

impl Adapter for Fma {
    fn scan(&self, take: &(dyn Fn(usize, Vec<Entry>) + Sync)) -> Result<Listing, ScanError> {
        self.inventory()?.list(take)
    }

    fn evidence(&self, key: &str, words: Option<&str>) -> Result<Option<Evidence>, ScanError> {
        Ok(self.inventory()?.evidence(key, words))
    }

    fn trusts_tags(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
