//! The view of a shard: what training reads of it, as one digest.

use super::{ShardMeta, ShardRow};

/// What training reads of one clip, and its place among others. Views order clips by what they
/// sound like, never by what they are called, so that a renamed track changes no view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClipView {
    /// BLAKE3 of the decoded samples.
    samples: [u8; 32],
    start: u64,
    frames: u64,
    /// Digest of the split, the conditioning labels and the codes.
    read: [u8; 32],
}

/// The view of one clip.
pub fn clip_view(row: &ShardRow) -> ClipView {
    let mut hasher = blake3::Hasher::new_derive_key("refrain 1 view of a clip");
    let mut text = |text: Option<&str>| {
        // A length before each text keeps neighbours apart; none is not the empty text.
        hasher.update(&[u8::from(text.is_some())]);
        let text = text.unwrap_or_default();
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    text(Some(&row.split));
    text(row.genre.as_deref());
    text(row.artist.as_deref());
    hasher.update(&(row.codes.len() as u64).to_le_bytes());
    let mut bytes = Vec::new();
    for codes in &row.codes {
        hasher.update(&(codes.len() as u64).to_le_bytes());
        bytes.clear();
        bytes.extend(codes.iter().flat_map(|code| code.to_le_bytes()));
        hasher.update(&bytes);
    }
    ClipView { samples: row.samples, start: row.start, frames: row.frames, read: hasher.finalize().into() }
}

/// The view of a set of clips, whatever shards they lie in and in whatever order they come.
pub fn view_of(clips: impl IntoIterator<Item = ClipView>, meta: &ShardMeta) -> [u8; 32] {
    let mut clips: Vec<ClipView> = clips.into_iter().collect();
    clips.sort_unstable();
    let mut hasher = blake3::Hasher::new_derive_key("refrain 1 view of a shard");
    hasher.update(&meta.rate.to_le_bytes());
    for numbers in [&meta.hops, &meta.codewords] {
        hasher.update(&(numbers.len() as u64).to_le_bytes());
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
    }
    for clip in &clips {
        hasher.update(&clip.samples);
        hasher.update(&clip.start.to_le_bytes());
        hasher.update(&clip.frames.to_le_bytes());
        hasher.update(&clip.read);
    }
    hasher.finalize().into()
}

/// The digest of what training reads of these rows: codes, split, genre and artist, in the order
/// of the clips' samples, first frames and lengths. Ids, titles, licenses, attribution, sources
/// and the digests of files and codec are not in it.
pub fn view(rows: &[ShardRow], meta: &ShardMeta) -> [u8; 32] {
    view_of(rows.iter().map(clip_view), meta)
}
