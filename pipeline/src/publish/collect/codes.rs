//! The codes of a run, for the report's sections.

use crate::{dataflow::outcome::Outcome, error::Error};
use datasets::{Digest, effect::Fault, row::Codes};
use stages::rows::{AnyRow, Kind, kept::Kept};
use std::collections::HashSet;

/// The codes of all stages, each once, unpacked one by one: there may be millions.
pub(super) struct AllCodes<'o>(Vec<(&'o Kept, usize)>);

impl<'o> AllCodes<'o> {
    /// Collects the codes of an outcome.
    pub(super) fn of(outcome: &'o Outcome) -> AllCodes<'o> {
        let mut seen = HashSet::new();
        let stages = outcome.stages.iter().map(|stage| &stage.kept).filter(|kept| kept.are(Kind::Codes));
        let rows = stages.flat_map(|kept| {
            kept.fingerprints().enumerate().map(move |(index, fingerprint)| (kept, index, fingerprint))
        });
        AllCodes(
            rows.filter(|(.., fingerprint)| seen.insert(fingerprint.bytes()))
                .map(|(kept, index, _)| (kept, index))
                .collect(),
        )
    }

    /// Whether no stage gives codes.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Unpacks them, one after the other.
    pub(super) fn iter(&self) -> impl Iterator<Item = Codes> + '_ {
        self.0.iter().filter_map(|(kept, index)| {
            let AnyRow::Codes(codes) = kept.get(*index) else { return None };
            Some(codes)
        })
    }

    /// The codes that a codec made.
    pub(super) fn by(&self, codec: Digest) -> impl Iterator<Item = Codes> + '_ {
        self.iter().filter(move |codes| codes.codec == codec)
    }
}

pub(super) fn fault(fault: Fault) -> Error {
    match fault {
        Fault::Store(error) => error.into(),
        Fault::Interrupted => Error::Interrupted,
        other => Error::Source(format!("while writing the report: {other}")),
    }
}
