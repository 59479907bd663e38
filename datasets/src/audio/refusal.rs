//! Why a file gives no audio: a property of its bytes (refused), or of the moment (failed).

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// Why the bytes of a file are refused. The codes are stable: they stand in receipts and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// No reader recognises the contents as a media container.
    UnknownFormat,
    /// The contents are a known format that has no reader here.
    UnsupportedFormat,
    /// A container without an audio track.
    NoAudioStream,
    /// The audio track's codec, or the variant of it, has no decoder here.
    UnsupportedCodec,
    /// The bytes contradict their format.
    Corrupt,
    /// The stream ends without one frame.
    Empty,
    /// More channels than [`MAX_CHANNELS`](super::decode::MAX_CHANNELS).
    TooManyChannels,
    /// A sample rate outside [`RATES`](super::decode::RATES).
    UnsupportedRate,
    /// The sample rate changes within the stream.
    RateChangesMidway,
    /// Longer than [`MAX_SECONDS`](super::decode::MAX_SECONDS).
    TooLong,
    /// A sample is not a number, infinite, or far beyond any audio level.
    NotFinite,
    /// The decoder panicked.
    Panicked,
    /// The number of channels changes within the stream.
    ChannelsChangeMidway,
}

impl Reason {
    /// The short code, for columns, receipts and messages.
    pub fn code(self) -> &'static str {
        match self {
            Reason::UnknownFormat => "unknown-format",
            Reason::UnsupportedFormat => "unsupported-format",
            Reason::NoAudioStream => "no-audio-stream",
            Reason::UnsupportedCodec => "unsupported-codec",
            Reason::Corrupt => "corrupt",
            Reason::Empty => "empty",
            Reason::TooManyChannels => "too-many-channels",
            Reason::UnsupportedRate => "unsupported-rate",
            Reason::RateChangesMidway => "rate-changes-midway",
            Reason::TooLong => "too-long",
            Reason::NotFinite => "not-finite",
            Reason::Panicked => "decoder-panicked",
            Reason::ChannelsChangeMidway => "channels-change-midway",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A property of the bytes because of which they give no audio. It holds for good, so it may be memoised
/// under the digest of the bytes and [`DECODER`](super::decode::DECODER).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct AudioRefusal {
    /// The stable code.
    pub reason: Reason,
    /// One sentence that says what is wrong with these bytes.
    pub message: String,
}

/// Why [`decode`](super::decode::decode) returned no [`Decoded`](super::decode::Decoded).
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A property of the bytes; decoding them again gives the same.
    #[error(transparent)]
    Refused(#[from] AudioRefusal),
    /// The source could not be read this time; nothing is known about its bytes.
    #[error("the source could not be read: {0}")]
    Failed(#[source] io::Error),
    /// The receiver of the samples failed; nothing is known about the rest of the bytes.
    #[error("the samples could not be passed on: {0}")]
    Sink(#[source] io::Error),
}

impl DecodeError {
    pub(super) fn refuse(reason: Reason, message: impl Into<String>) -> Self {
        DecodeError::Refused(AudioRefusal { reason, message: message.into() })
    }
}
