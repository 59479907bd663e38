//! Place of a row: the split and the leaf of the partition.

use datasets::Digest;

/// Place of a row: its split, and the leaf of the partition that its track falls into.
pub(super) type Place = (String, u16);

/// Bits of the track's hash that a prefix can have: at most 4096 shards a split.
pub(super) const BITS: u32 = 12;
/// The split of rows that went through no `split` stage.
pub(super) const WHOLE: &str = "train";

/// The leaf of the partition that a track falls into.
pub(super) fn leaf(track: &str) -> u16 {
    (Digest::of(track.as_bytes()).prefix() >> (64 - BITS)) as u16
}
