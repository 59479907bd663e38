//! The codec that comes with the program: the bundle `models/refrain-44k` of the repository, compiled in.

use super::index::Bundle;
use crate::error::Error;
use datasets::Digest;

/// Its name.
pub const NAME: &str = "refrain-44k";

const INDEX: &str = include_str!("../../../../models/refrain-44k/bundle.json");
const CARD: &str = include_str!("../../../../models/refrain-44k/README.md");
const ATTRIBUTION: &str = include_str!("../../../../models/refrain-44k/ATTRIBUTION.md");

/// The bytes of its file.
pub(super) const CODEC: &[u8] = include_bytes!("../../../../models/refrain-44k/codec.safetensors");

/// A sentence that says what the codec is and what it was trained on.
///
/// # Errors
/// [`Error::Bug`] where its index cannot be read.
pub fn told() -> Result<String, Error> {
    let bundle: Bundle = serde_json::from_str(INDEX).map_err(|e| Error::Bug(format!("the index of {NAME}: {e}")))?;
    let on = &bundle.trained_on;
    let licenses: Vec<String> = on.licenses.iter().map(|(license, tracks)| format!("{tracks} {license}")).collect();
    let hops: Vec<String> = bundle.codec.hops.iter().map(ToString::to_string).collect();
    Ok(format!(
        "the codec is {NAME} ({}), which comes with refrain: hops {} at {} Hz, trained on {} recordings ({}); `refrain model` \
         names them",
        bundle.codec.digest.short(12),
        hops.join(", "),
        bundle.codec.rate,
        on.tracks,
        licenses.join(", ")
    ))
}

/// Its card, and the works that it is owed to.
pub fn text() -> String {
    format!("{CARD}\n{ATTRIBUTION}")
}

/// Whether the digest is that of its file.
pub fn is(digest: &Digest) -> bool {
    Digest::of(CODEC) == *digest
}
