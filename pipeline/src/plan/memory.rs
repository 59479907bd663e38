//! What a build takes of memory at its peak, from its settings: a bound that `check` tells. `docs/memory.md` states it.

use crate::plan::Plan;
use stages::{
    model::cost,
    stage::memory::{Known, Memory, memory},
};
use std::{cmp::Reverse, fmt::Write as _};

/// The program, its dataflow without rows, and a report.
const BASE: u64 = 56 << 20;
/// A worker: its threads, and what the allocator keeps for them.
const WORKER: u64 = 40 << 20;
/// Of each frame of a clip: the spectra of the clips that a report scores, which are held together.
const SPECTRA: u64 = 128;
/// Of each frame of a second: the report's players, as sound and as text in the page.
const PLAYERS: u64 = 1024;

/// A build's peak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Workers.
    pub workers: u64,
    /// In bytes; beside it come rows, and pages of files that are mapped, which the system takes back when it needs them.
    pub bytes: u64,
    /// The same as long as no shard is near its target size.
    pub small: u64,
    /// What each stage takes at its peak, the largest first; those that take next to nothing are left out.
    pub stages: Vec<(String, u64)>,
}

impl Bound {
    /// Of a plan.
    pub fn of(plan: &Plan, workers: usize) -> Bound {
        let workers = workers.max(1) as u64;
        let (mut known, mut all): (Vec<Known>, Vec<Memory>) = Default::default();
        for stage in &plan.stages {
            let mut own = Known::join(stage.inputs.iter().flatten().map(|fed| &known[*fed]));
            all.push(stage.ready.memory(&mut own, workers));
            known.push(own);
        }
        // Publishing listens to clips and their reconstructions, with a codec of its own.
        let known = Known::join(&known);
        let codec = known.codec.as_ref().map_or(0, cost::loaded);
        let page = SPECTRA * known.clip + PLAYERS * u64::from(known.rate);
        let published = codec + workers * known.listening() + page;
        let held: u64 = all.iter().map(|own| own.held).sum();
        let jobs = workers * all.iter().map(|own| own.job).max().unwrap_or(0);
        let alone = all.iter().map(|own| own.alone).max().unwrap_or(0);
        let full = workers * all.iter().map(|own| own.full).max().unwrap_or(0);
        let peak = |own: &Memory| own.held + (workers * own.job.max(own.full)).max(own.alone);
        let mut stages: Vec<(String, u64)> =
            plan.stages.iter().zip(&all).map(|(stage, own)| (stage.name.clone(), peak(own))).collect();
        stages.retain(|(_, bytes)| *bytes >= 1 << 20);
        stages.sort_by_key(|(_, bytes)| Reverse(*bytes));
        let always = BASE + workers * WORKER + held;
        let most = jobs.max(alone).max(published);
        Bound { workers, bytes: always + most.max(full), small: always + most, stages }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let plural = if self.workers == 1 { "" } else { "s" };
        let mut text = format!("memory: at most {} MiB with {} worker{plural}", mib(self.bytes), self.workers);
        if self.small < self.bytes {
            let _ = write!(text, ", {} MiB while shards are small", mib(self.small));
        }
        for (at, (stage, bytes)) in self.stages.iter().take(3).enumerate() {
            let _ = write!(text, "{} `{stage}` {} MiB", if at == 0 { ":" } else { "," }, mib(*bytes));
        }
        // Of sources nobody has looked yet at how many there are.
        text += "; beside it rows, about 1.5 KB a track";
        if let Some(there) = memory().filter(|there| *there < self.bytes) {
            let _ = write!(text, "; {} MiB are here", there >> 20);
        }
        text + "\n"
    }
}
