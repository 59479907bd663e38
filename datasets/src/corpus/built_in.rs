//! The `"synth"` corpus: pieces that are composed by rules, and rendered when `ingest` asks for their bytes.

use super::adapter::{Adapter, Carry, Evidence, Listing, Place};
use super::{Entry, ScanError};
use crate::row::{Found, Labels, Origin};
use crate::synth::{Piece, Synth};

/// The built-in corpus.
#[derive(Clone, Debug)]
pub struct BuiltIn {
    /// The composition rules: number of pieces, their length, and the seed.
    pub synth: Synth,
    /// Which of `key`, `metre`, `motif` and `tempo` are carried along.
    pub carry: Carry,
}

/// The license of every piece.
const LICENSE: &str = "CC0-1.0";

impl BuiltIn {
    fn found(&self, index: u32) -> Found {
        let Synth { pieces, seed, seconds, grid } = self.synth;
        let Piece { key, title, artist, genre, license, musical_key, metre, motif, tempo_bpm, .. } =
            self.synth.piece(index);
        let own = [
            ("key", musical_key),
            ("metre", format!("{}/{}", metre.0, metre.1)),
            ("motif", motif),
            ("tempo", format!("{tempo_bpm}")),
        ];
        let own = own.into_iter().filter(|(column, _)| self.carry.takes(column));
        let labels = Labels {
            title: Some(title),
            artist: Some(artist),
            genre: Some(genre),
            source: Some("composed and rendered by refrain".to_owned()),
            extra: own.map(|(column, text)| (column.to_owned(), text)).collect(),
        };
        let origin = Origin::Piece { index, pieces, milliseconds: (seconds * 1000.0).round() as u64, seed, grid };
        Found { license: Some(license), labels, ..Found::bare(key, origin) }
    }
}

impl Adapter for BuiltIn {
    /// One row per piece: its facts follow from the rules, its sound is not made yet.
    fn scan(&self, _: &(dyn Fn(usize, Vec<Entry>) + Sync)) -> Result<Listing, ScanError> {
        Ok((0..self.synth.pieces).map(|index| self.found(index)).collect::<Vec<_>>().into())
    }

    fn evidence(&self, _: &str, words: Option<&str>) -> Result<Option<Evidence>, ScanError> {
        let license = words.unwrap_or(LICENSE).to_owned();
        Ok(Some(Evidence { license, place: Place::BuiltIn }))
    }
}
