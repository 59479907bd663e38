//! Names by which a track may be withdrawn, as digests: so that the store can tell who is in a run without naming a
//! track again.

use super::key::nfc;
use crate::{Digest, Key, row::TrackView};
use serde::{Deserialize, Serialize};

/// A name of a track by which it may be withdrawn, as half a digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Name([u8; 16]);

impl Name {
    fn new(kind: &str, text: &[u8]) -> Name {
        let mut half = [0; 16];
        half.copy_from_slice(&Key::of(kind, text).0[..16]);
        Name(half)
    }

    /// The name of a track by its id, in NFC.
    pub fn id(id: &str) -> Name {
        Name::new("id", nfc(id.trim()).as_bytes())
    }

    /// The digest of a file's bytes or of its samples.
    pub fn digest(digest: &Digest) -> Name {
        Name::new("digest", &digest.0)
    }

    /// An artist, without regard to case and spaces around the name.
    pub fn artist(artist: &str) -> Name {
        Name::new("artist", nfc(artist.trim()).to_lowercase().as_bytes())
    }

    /// An address, without regard to `http` or `https`, a final `/` and case.
    pub fn url(url: &str) -> Name {
        let url = url.trim().to_lowercase();
        let bare = url.strip_prefix("https://").or(url.strip_prefix("http://")).unwrap_or(&url);
        Name::new("url", bare.trim_end_matches('/').as_bytes())
    }
}

/// A track by all its names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// [`Name::id`].
    pub id: Name,
    /// [`Name::digest`] of its bytes, where it was read.
    pub content: Option<Name>,
    /// [`Name::digest`] of its decoded samples, where they are known.
    pub samples: Option<Name>,
    /// [`Name::artist`], where stated.
    pub artist: Option<Name>,
    /// [`Name::url`] of its source, where stated.
    pub source: Option<Name>,
}

impl Member {
    /// The names of a track.
    pub fn of(track: &TrackView<'_>) -> Member {
        Member {
            id: Name::id(track.id),
            content: Some(Name::digest(&track.content)),
            samples: track.samples().as_ref().map(Name::digest),
            artist: track.labels.artist.map(Name::artist),
            source: track.labels.source.map(Name::url),
        }
    }

    /// A member with an id and no other name, for a row of which nothing else is known.
    pub fn named(id: &str) -> Member {
        Member { id: Name::id(id), ..Member::default() }
    }

    /// All names of the track.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        [Some(self.id), self.content, self.samples, self.artist, self.source].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_depend_on_how_they_are_written() {
        assert_eq!(Name::artist(" Ann Example"), Name::artist("ANN EXAMPLE "));
        assert_eq!(Name::id("folder/e\u{301}.wav"), Name::id("folder/\u{e9}.wav"));
        assert_ne!(Name::id("a"), Name::id("A"));
        assert_eq!(Name::url("https://Example.org/a/"), Name::url("http://example.org/a"));
        assert_ne!(Name::url("a"), Name::artist("a"));
    }
}
