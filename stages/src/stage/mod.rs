//! The stage contract: a verb, its settings, and how it renders into a dataflow.
//!
//! Knows what all verbs have in common. No verb.
//!
//! A stage never sees the manifest, the graph or its neighbours. It is handed rows and hands back
//! rows: what it keeps, what it refuses, and, where an effect has not run, what is not known yet.

mod context;
mod entry;
mod inputs;
pub mod memory;
mod places;
mod version;

pub use context::{Context, StageOutput, none, seed};
pub use entry::{ConfiguredStage, Rendered, StageSpec};
pub use inputs::Inputs;
pub use places::Places;
pub use version::Version;

use crate::{
    flow::Env,
    model::scale::Training,
    rows::{Kind, Row, scan::Scan},
    settings::{Complaint, PathSetting, Role, Settings},
    stage::memory::{Known, Memory},
};
use datasets::{Digest, Key};
use std::path::{Path, PathBuf};

/// A property of tracks that a stage may need and another gives, beyond the kind of row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// The frames are counted and the samples have a digest.
    Decoded,
    /// Rate and channels are settled.
    Resampled,
}

/// Relation of a stage's output rows to its input rows; the run record checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// Rows come from outside: each is kept or dropped.
    Source,
    /// Each input row is kept or dropped.
    OneToOne,
    /// Each input row has at least one output or exactly one dropped row.
    OneToMany,
    /// Rows are gathered; members add up.
    Reduce,
    /// All input rows together become one row.
    Corpus,
    /// All input rows together become at least one row.
    Made,
}

/// Facts about a verb that its types do not tell, so that other code need not know the verb's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Change that the verb makes to a recording, as a participle; `None` if it makes none. Licenses such as CC-BY ask
    /// that changes are told.
    pub changes: Option<&'static str>,
    /// Whether the model card shows its settings: they decide what a model has learned.
    pub on_card: bool,
    /// Whether it puts tracks into splits, and so holds some out.
    pub splits: bool,
    /// Whether it refuses tracks by their license, and those that are withdrawn; its live settings are the policy.
    pub judges: bool,
    /// Whether it does no more than list tracks: a dataflow of such stages alone needs little memory.
    pub light: bool,
}

impl Facts {
    /// No facts.
    pub const NONE: Facts = Facts { changes: None, on_card: false, splits: false, judges: false, light: false };
}

/// One input of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name of the input, for `from = { name = .. }`.
    pub name: &'static str,
    /// Kind of the rows that it takes.
    pub kind: Kind,
    /// Whether several stages may feed it.
    pub many: bool,
    /// Whether it may be left open.
    pub optional: bool,
}

impl Port {
    /// An input that one stage feeds.
    pub const fn one(name: &'static str, kind: Kind) -> Port {
        Port { name, kind, many: false, optional: false }
    }

    /// An input that one or more stages feed.
    pub const fn many(name: &'static str, kind: Kind) -> Port {
        Port { many: true, ..Port::one(name, kind) }
    }

    /// The input where it may be left open.
    #[must_use]
    pub const fn optional(self) -> Port {
        Port { optional: true, ..self }
    }
}

/// One step of a pipeline, as its author writes it.
pub trait Stage: Settings + Clone + Send + Sync + 'static {
    /// The verb a manifest uses.
    const VERB: &'static str;
    /// Summary of the verb, in one line.
    const ABOUT: &'static str;
    /// Bumped when the same input and settings would yield other bytes.
    const REVISION: u32;
    /// Inputs, in the order of [`Stage::In`]; empty for a source.
    const PORTS: &'static [Port];
    /// Other names that `from = { name = .. }` may give its inputs: such a name, and the port's own.
    const NAMES: &'static [(&'static str, &'static str)] = &[];
    /// Properties that its input tracks must have.
    const NEEDS: &'static [Property] = &[];
    /// Properties that it adds to its output tracks.
    const GIVES: &'static [Property] = &[];
    /// Relation of its output rows to its input rows.
    const CARDINALITY: Cardinality;
    /// Name of its rows on screen, such as `tracks`.
    const UNIT: &'static str;
    /// Whether it draws from the manifest's seed.
    const RANDOM: bool = false;
    /// Versions for which its results hold, in the order in which they are in its keys.
    const VERSIONS: &'static [Version] = &[];
    /// Facts for the record, the report and the model card.
    const FACTS: Facts = Facts::NONE;
    /// Kinds of the input rows.
    type In: Inputs;
    /// Type of the output rows.
    type Out: Row;

    /// Complaints that a single field cannot make. Touches no disk.
    fn check(&self, _at: &Places<'_>, _complaints: &mut Vec<Complaint>) {}

    /// Complaints that follow from what comes in: `known` holds the facts about the rows of each port. Touches no disk.
    fn foresee(&self, _known: &[Known], _at: &Places<'_>, _complaints: &mut Vec<Complaint>) {}

    /// Scans the source, if the stage is one. Relative paths start at `base`.
    ///
    /// # Errors
    /// When the source as a whole cannot be read: exit code 3.
    fn scan(&self, _base: &Path, _env: &Env) -> Result<Scan, SourceError> {
        Ok(Scan::default())
    }

    /// Refresh setting, which says whether the lock file decides; `None` if the stage's result cannot be pinned.
    fn refresh(&self) -> Option<Refresh> {
        None
    }

    /// The list of withdrawn tracks that it heeds; [`Env::optouts`] holds it.
    fn exclude(&self) -> Option<&PathSetting> {
        None
    }

    /// The same stage, which also refuses these licenses; unchanged if its verb judges none.
    ///
    /// # Errors
    /// The first word that names no license, with what is wrong about it.
    fn denying(&self, _licenses: &[String]) -> Result<Self, String> {
        Ok(self.clone())
    }

    /// The row that the settings of [`Role::Live`](crate::settings::Role::Live) are, packed: where a dataflow stays up,
    /// they come as rows of [`Context::settings`], so that other values are a change of rows.
    fn live(&self) -> Option<Vec<u8>> {
        None
    }

    /// The start of all keys of its effect: verb, revision, keyed settings, seed and versions. The effect adds its work.
    fn key(&self, cx: &Context<'_>) -> Key {
        self.key_for(&cx.seed)
    }

    /// [`Stage::key`] for a seed, which is left out where the verb draws nothing.
    fn key_for(&self, seed: &Digest) -> Key {
        let keyed = Self::roles().iter().any(|(_, role)| matches!(role, Role::Keyed | Role::Live));
        let settings = keyed.then(|| self.keyed());
        version::start((Self::VERB, Self::REVISION), settings.as_ref(), Self::RANDOM.then_some(seed), Self::VERSIONS)
    }

    /// Paths of the source; empty if the stage is none. For a corpus with a table: the table, then the folder in which
    /// its paths start.
    fn source_paths(&self, _base: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Folders and files that [`Stage::scan`] reads, to be watched for changes; empty if the stage is no source.
    fn watched_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.source_paths(base)
    }

    /// Splits into which it may put a track; `None` unless it assigns splits.
    fn splits(&self) -> Option<Vec<&'static str>> {
        None
    }

    /// The sizes of the networks that it trains; `known` holds the facts about its inputs.
    fn trainings(&self, _known: &Known) -> Vec<Training> {
        Vec::new()
    }

    /// Memory that the stage takes with so many workers. `known` holds the facts about its inputs, and is changed to
    /// those about its output.
    fn memory(&self, _known: &mut Known, _workers: u64) -> Memory {
        Memory::default()
    }

    /// Builds the operators. Runs once per worker; must not read the outside world.
    fn render<'s>(self, cx: &Context<'s>, input: <Self::In as Inputs>::Rows<'s>) -> StageOutput<'s, Self::Out>;
}

/// A source that cannot be read as a whole.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The folder or file is missing or cannot be listed. Exit code 3.
    #[error("{0}")]
    Unreadable(String),
    /// A data set is listed, and nothing of it is there. Exit code 5.
    #[error("{0}")]
    Nothing(String),
    /// The store failed while the source was read.
    #[error(transparent)]
    Store(#[from] datasets::store::StoreError),
    /// The run was cancelled while the source was read.
    #[error("interrupted")]
    Interrupted,
}

crate::choice! {
    /// When a corpus-level result is made anew.
    pub enum Refresh {
        /// Whenever what it rests on changes.
        Auto = "auto",
        /// Only when asked to with `--refresh`; the lock file names the result in use.
        Pinned = "pinned",
    }
}
