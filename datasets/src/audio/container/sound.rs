//! What a look at a file finds: who reads the sound, and where it lies.

use super::flac;
use super::packets::Packets;
use super::samples::Samples;
use crate::audio::view::View;

/// Sound in a file.
#[derive(Debug)]
pub(crate) enum Sound {
    /// Samples as they are.
    Samples(Samples),
    /// Packets at known places, for a decoder of symphonia's.
    Packets(Packets),
    /// Frames of FLAC, one behind the other.
    Flac(flac::Stream),
    /// Bytes that a demuxer of symphonia's reads.
    Stream(View),
}
