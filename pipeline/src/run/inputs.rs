//! The inputs of a run outside its manifest.

use crate::plan::Plan;
use datasets::{Digest, Key};
use rayon::prelude::*;
use stages::rows::scan::Scan;
use std::sync::Arc;

/// Facts about the sources that a run needs once they are fed.
pub(crate) struct Facts {
    /// Digest of everything outside the manifest that the run depends on.
    pub(crate) inputs: Digest,
    /// Number of rows that each stage was fed.
    pub(crate) counts: Vec<usize>,
    /// Number of these rows that are readable recordings, by stage.
    pub(crate) there: Vec<u64>,
    /// Whether some sources could not be read.
    pub(crate) unreadable: bool,
}

impl Facts {
    pub(crate) fn of(plan: &Plan, found: &[Arc<Scan>]) -> Facts {
        Facts {
            inputs: inputs(plan, found),
            counts: found.iter().map(|scan| scan.len()).collect(),
            there: found.iter().map(|scan| scan.there()).collect(),
            unreadable: found.iter().any(|scan| scan.unreadable()),
        }
    }
}

/// Digest of everything outside the manifest that a run depends on, without paths and times, and in no order of stages.
pub(crate) fn inputs(plan: &Plan, found: &[Arc<Scan>]) -> Digest {
    let mut key = Key::new("inputs");
    let names = plan.stages.iter().map(|stage| stage.name.as_str());
    let mut sources: Vec<(&str, Vec<Digest>)> = names.zip(found.iter().map(|scan| scan.digests())).collect();
    sources.retain(|(_, rows)| !rows.is_empty());
    sources.sort_by_key(|(name, _)| *name);
    for (name, mut rows) in sources {
        key.add(name.as_bytes());
        rows.par_sort_unstable();
        key.add(&(rows.len() as u64).to_le_bytes());
        rows.iter().for_each(|row| key.add(&row.0));
    }
    key.finish()
}
