//! Attention on the CPU, tile by tile.

mod backward;
mod forward;
mod shares;
mod tile;

pub(super) use tile::Extents;
