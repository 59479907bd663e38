//! Rows whose content is not known yet. There may be millions, and every stage after the effect that they wait for hands them
//! on and tells of them: so they are small, and a copy is a count.

use super::{Chain, Recording, Track};
use serde::{Deserialize, Serialize};
use std::{ops::Deref, sync::Arc};

/// A row whose content is not known yet, because an effect before it has not run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pending(Arc<Unknown>);

/// Known facts about a pending row.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Unknown {
    /// The row's id, as far as it is known: a track's id stands for its clips.
    pub id: Arc<str>,
    /// The stage whose effect it waits for.
    pub behind: Arc<str>,
    /// The id of the row that this effect would run on.
    pub cause: Arc<str>,
    /// Length of the track; `None` if the row is no track and no part of one.
    pub length: Option<Length>,
}

/// Length of a track, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Length {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Frames and frames per second, where it is decoded.
    pub frames: Option<(u64, u32)>,
    /// Frames per second after resampling, where that is settled.
    pub rate: Option<u32>,
}

/// A row that waits on its way through the stages, with what they may read of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Waiting {
    /// The row.
    pub row: Pending,
    /// The track, where the row is a track or part of one.
    pub track: Option<Arc<Track>>,
}

impl Deref for Pending {
    type Target = Unknown;
    fn deref(&self) -> &Unknown {
        &self.0
    }
}

impl Pending {
    /// A row that is no track and no part of one.
    pub fn new(id: Arc<str>, behind: Arc<str>, cause: Arc<str>) -> Pending {
        Pending(Arc::new(Unknown { id, behind, cause, length: None }))
    }
}

impl Waiting {
    /// A track, or the part of one that `id` names.
    pub fn of_track(id: &str, behind: &Arc<str>, cause: Arc<str>, track: Arc<Track>) -> Waiting {
        // Most wait for an effect on themselves.
        let id = if *cause == *id { cause.clone() } else { id.into() };
        let length = Some(Length::of(track.bytes, track.recording.as_ref(), track.chain.as_ref()));
        let row = Pending(Arc::new(Unknown { id, behind: behind.clone(), cause, length }));
        Waiting { row, track: Some(track) }
    }
}

impl From<Pending> for Waiting {
    fn from(row: Pending) -> Waiting {
        Waiting { row, track: None }
    }
}

impl Length {
    /// Length of a track of `bytes` bytes: in frames if it is decoded, at a new rate if it is resampled.
    pub fn of(bytes: u64, recording: Option<&Recording>, chain: Option<&Chain>) -> Length {
        let frames = recording.map(|recording| (recording.frames, recording.rate));
        Length { bytes, frames, rate: chain.map(|chain| chain.rate) }
    }
}
