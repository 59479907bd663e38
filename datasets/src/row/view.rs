//! A track as it lies packed, read without a copy of its texts.

use super::{Chain, Labels, Recording, Track};
use crate::Digest;
use serde::Deserialize;

/// A [`Track`] whose texts lie elsewhere: in a track, or in the bytes that it was packed in. The fields are the same, in the
/// same order.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TrackView<'t> {
    /// `dataset/key`.
    pub id: &'t str,
    /// Digest of the file's bytes.
    pub content: Digest,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// The license.
    #[serde(borrow)]
    pub license: Option<&'t str>,
    /// Title, artist, genre and other labels.
    #[serde(borrow)]
    pub labels: Labels<&'t str>,
    /// Result of decoding; set by `decode`.
    pub recording: Option<Recording>,
    /// Rate, channels and length after resampling; set by `resample`.
    pub chain: Option<Chain>,
    /// Name of the split; set by `split`.
    #[serde(borrow)]
    pub split: Option<&'t str>,
}

impl Track {
    /// Borrows the track, without a copy of its texts.
    pub fn view(&self) -> TrackView<'_> {
        TrackView {
            id: &self.id,
            content: self.content,
            bytes: self.bytes,
            license: self.license.as_deref(),
            labels: self.labels.view(),
            recording: self.recording.clone(),
            chain: self.chain.clone(),
            split: self.split.as_deref(),
        }
    }
}

impl TrackView<'_> {
    /// Digest of its decoded samples.
    pub fn samples(&self) -> Option<Digest> {
        self.recording.as_ref().map(|recording| recording.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_track_is_packed_in() {
        let bare = Track {
            id: "folder/a.wav".into(),
            content: Digest::of(b"a"),
            bytes: 300,
            license: None,
            labels: Labels::default(),
            recording: None,
            chain: None,
            split: None,
        };
        let full = Track {
            license: Some("CC0-1.0".into()),
            labels: Labels {
                title: Some("na\u{ef}ve".into()),
                artist: Some(String::new()),
                genre: Some("waltz".into()),
                source: Some("https://example.org".into()),
                extra: [("mood".to_owned(), "calm".to_owned())].into(),
            },
            recording: Some(Recording { frames: 9, rate: 44_100, channels: 2, samples: Digest::of(b"s") }),
            chain: Some(Chain { rate: 22_050, channels: 1, frames: 5 }),
            split: Some("train".into()),
            ..bare.clone()
        };
        for track in [bare, full] {
            let packed = postcard::to_stdvec(&track).expect("packed");
            assert_eq!(postcard::from_bytes::<TrackView<'_>>(&packed).expect("read"), track.view());
        }
    }
}
