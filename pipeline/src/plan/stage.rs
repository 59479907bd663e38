//! One stage of a plan.

use stages::{
    settings::Role,
    stage::{ConfiguredStage, StageSpec},
};
use std::{fmt, sync::Arc};

/// One stage, its settings read and its inputs found.
#[derive(Clone)]
pub struct PlannedStage {
    /// Unique name: the manifest's, with the values that set it apart in a sweep, such as `songs[top_p=0.9]`.
    pub name: String,
    /// Name in the manifest.
    pub of: String,
    /// The verb's specification.
    pub entry: &'static StageSpec,
    /// The stage with its settings.
    pub ready: Arc<dyn ConfiguredStage>,
    /// For each port, the indices in [`Plan::stages`] of the stages that feed it.
    pub inputs: Vec<Vec<usize>>,
    /// The guard: the largest fraction of its rows that may be dropped.
    pub max_dropped: Option<f64>,
    /// Salt: sets its random draws apart from those of another stage with the same verb.
    pub salt: String,
    /// Seed of its random draws: the manifest's, or a sweep point's.
    pub seed: u64,
}

impl PlannedStage {
    /// Every setting with its value in TOML, but where files lie: that is not what they are.
    pub fn settings(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.ready.with_role(&|role| role != Role::Path).into_iter()
    }

    /// The revision of its verb.
    pub fn revision(&self) -> u32 {
        datasets::effect::revision(self.entry.verb, self.entry.revision)
    }
}

impl fmt::Debug for PlannedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedStage")
            .field("name", &self.name)
            .field("verb", &self.entry.verb)
            .field("settings", &self.ready.shown())
            .field("inputs", &self.inputs)
            .field("max_dropped", &self.max_dropped)
            .field("salt", &self.salt)
            .finish()
    }
}
