//! A stage with its types forgotten: the registry's entry, and the stage with its settings, ready to render.

use crate::{
    flow::Env,
    model::scale::Training,
    rows::{Flow, Input, Kind, Row, Rows, kept::Keeper, scan::Scan},
    settings::{At, Complaint, Field, Role, Table},
    stage::{
        Cardinality, Context, Facts, Inputs, Places, Port, Property, Refresh, SourceError, Stage, StageOutput, Version,
        memory::{Known, Memory},
    },
};
use datasets::{Digest, Key, row::Dropped};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A stage as the registry and the planner see it: the same thing with its types forgotten.
#[derive(Clone, Copy)]
pub struct StageSpec {
    /// The verb.
    pub verb: &'static str,
    /// Summary of the verb, in one line.
    pub about: &'static str,
    /// Revision of the stage: [`Stage::REVISION`].
    pub revision: u32,
    /// Inputs; empty for a source.
    pub ports: &'static [Port],
    /// Other names of its inputs, each with the port's own.
    pub names: &'static [(&'static str, &'static str)],
    /// Kind of its output rows.
    pub gives: Kind,
    /// Properties that its input tracks must have.
    pub needs: &'static [Property],
    /// Properties that it adds to its output tracks.
    pub adds: &'static [Property],
    /// Relation of its output rows to its input rows.
    pub cardinality: Cardinality,
    /// Name of its rows on screen, such as `tracks`.
    pub unit: &'static str,
    /// Facts about the verb that its types do not tell.
    pub facts: Facts,
    /// Whether it draws from the seed.
    pub random: bool,
    /// Versions in the keys of its effect.
    pub versions: &'static [Version],
    /// The documentation of its settings.
    pub fields: fn() -> Vec<Field>,
    /// Lowers settings; all complaints go into the list.
    pub lower: fn(&Table, At, &mut Vec<Complaint>) -> Option<Arc<dyn ConfiguredStage>>,
}

impl StageSpec {
    /// The entry of a stage.
    pub const fn of<S: Stage>() -> StageSpec {
        StageSpec {
            verb: S::VERB,
            about: S::ABOUT,
            revision: S::REVISION,
            ports: S::PORTS,
            names: S::NAMES,
            gives: S::Out::KIND,
            needs: S::NEEDS,
            adds: S::GIVES,
            cardinality: S::CARDINALITY,
            unit: S::UNIT,
            facts: S::FACTS,
            random: S::RANDOM,
            versions: S::VERSIONS,
            fields: S::fields,
            lower: lower::<S>,
        }
    }
}

impl StageSpec {
    /// The input of a name, its own or another that it may be given.
    pub fn port(&self, name: &str) -> Option<usize> {
        let own = self.names.iter().find(|(other, _)| *other == name).map_or(name, |(_, own)| own);
        self.ports.iter().position(|port| port.name == own)
    }

    /// Whether it brings tracks in from outside.
    pub fn is_corpus(&self) -> bool {
        self.cardinality == Cardinality::Source && self.gives == Kind::Track
    }

    /// All names of its inputs.
    pub fn port_names(&self) -> impl Iterator<Item = &'static str> {
        self.ports.iter().map(|port| port.name).chain(self.names.iter().map(|(other, _)| *other))
    }
}

pub(crate) fn lower<S: Stage>(
    table: &Table,
    whole: At,
    complaints: &mut Vec<Complaint>,
) -> Option<Arc<dyn ConfiguredStage>> {
    let stage = S::lower(table, whole, complaints)?;
    let before = complaints.len();
    stage.check(&Places { table, whole }, complaints);
    (complaints.len() == before).then(|| Arc::new(Lowered(stage)) as Arc<dyn ConfiguredStage>)
}

/// A stage with typed settings, ready to render on any worker.
pub trait ConfiguredStage: Send + Sync {
    /// Digest of verb, revision and [`Settings::identity`]: what the stage is to do.
    fn digest(&self) -> Digest;
    /// The start of the keys of its effect where it draws from this seed. See [`Stage::key`].
    fn key(&self, seed: &Digest) -> Key;
    /// Every setting with its value in TOML.
    fn shown(&self) -> Vec<(&'static str, String)>;
    /// Whether it can be pinned, and is.
    fn refresh(&self) -> Option<Refresh>;
    /// The opt-out list that it heeds, where a relative path starts at `base`.
    fn exclude(&self, base: &Path) -> Option<PathBuf>;
    /// The same stage, which also refuses these licenses: [`Stage::denying`].
    ///
    /// # Errors
    /// The first word that names no license, with what is wrong about it.
    fn denying(&self, licenses: &[String]) -> Result<Arc<dyn ConfiguredStage>, String>;
    /// Live settings, packed as a row: [`Stage::live`].
    fn live(&self) -> Option<Vec<u8>>;
    /// Every setting of some roles with its value in TOML.
    fn with_role(&self, which: &dyn Fn(Role) -> bool) -> Vec<(&'static str, String)>;
    /// Scans a source: [`Stage::scan`].
    ///
    /// # Errors
    /// When the source as a whole cannot be read.
    fn scan(&self, base: &Path, env: &Env) -> Result<Scan, SourceError>;
    /// Paths of a source: [`Stage::source_paths`].
    fn source_paths(&self, base: &Path) -> Vec<PathBuf>;
    /// Folders and files to watch for changes: [`Stage::watched_paths`].
    fn watched_paths(&self, base: &Path) -> Vec<PathBuf>;
    /// Complaints that follow from what comes in: [`Stage::foresee`].
    fn foresee(&self, known: &[Known], at: &Places<'_>, complaints: &mut Vec<Complaint>);
    /// Splits into which it may put a track: [`Stage::splits`].
    fn splits(&self) -> Option<Vec<&'static str>>;
    /// Sizes of the networks that it trains: [`Stage::trainings`].
    fn trainings(&self, known: &Known) -> Vec<Training>;
    /// Memory that the stage takes: [`Stage::memory`].
    fn memory(&self, known: &mut Known, workers: u64) -> Memory;
    /// Builds the operators: [`Stage::render`]. Rows that are kept go to `keeper`, too.
    fn render<'s>(&self, cx: &Context<'s>, flows: Vec<Option<Flow<'s>>>, keeper: Keeper) -> Rendered<'s>;
}

impl<S: Stage> ConfiguredStage for Lowered<S> {
    fn digest(&self) -> Digest {
        let revision = datasets::effect::revision(S::VERB, S::REVISION);
        Key::new("stage").text(S::VERB).number(u64::from(revision)).digest(&self.0.identity()).finish()
    }
    fn key(&self, seed: &Digest) -> Key {
        self.0.key_for(seed)
    }
    fn shown(&self) -> Vec<(&'static str, String)> {
        self.0.shown()
    }
    fn refresh(&self) -> Option<Refresh> {
        self.0.refresh()
    }
    fn exclude(&self, base: &Path) -> Option<PathBuf> {
        self.0.exclude().map(|path| path.resolve(base))
    }
    fn denying(&self, licenses: &[String]) -> Result<Arc<dyn ConfiguredStage>, String> {
        Ok(Arc::new(Lowered(self.0.denying(licenses)?)))
    }
    fn live(&self) -> Option<Vec<u8>> {
        self.0.live()
    }
    fn with_role(&self, which: &dyn Fn(Role) -> bool) -> Vec<(&'static str, String)> {
        self.0.with_role(which)
    }
    fn scan(&self, base: &Path, env: &Env) -> Result<Scan, SourceError> {
        self.0.scan(base, env)
    }
    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.0.source_paths(base)
    }
    fn watched_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.0.watched_paths(base)
    }
    fn foresee(&self, known: &[Known], at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        self.0.foresee(known, at, complaints);
    }
    fn splits(&self) -> Option<Vec<&'static str>> {
        self.0.splits()
    }
    fn trainings(&self, known: &Known) -> Vec<Training> {
        self.0.trainings(known)
    }
    fn memory(&self, known: &mut Known, workers: u64) -> Memory {
        self.0.memory(known, workers)
    }
    fn render<'s>(&self, cx: &Context<'s>, flows: Vec<Option<Flow<'s>>>, keeper: Keeper) -> Rendered<'s> {
        let StageOutput { kept, dropped, pending } = self.0.clone().render(cx, S::In::take(flows));
        // On their way to the next stage, so that no row is copied for the record.
        let kept = kept.inspect_batch(move |rows| keeper.keep(rows));
        Rendered { flow: S::Out::flow(Input { kept, pending }), dropped }
    }
}

/// Output of a rendered stage, with its type forgotten.
pub struct Rendered<'s> {
    /// Kept and pending rows, for the stages after it.
    pub flow: Flow<'s>,
    /// Every refused row.
    pub dropped: Rows<'s, Dropped>,
}

pub(crate) struct Lowered<S>(S);
