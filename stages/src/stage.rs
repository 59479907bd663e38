//! What a stage is: a verb, its settings, and how it renders into a dataflow.
//!
//! A stage never sees the manifest, the graph or its neighbours. It is handed rows and hands back
//! rows: what it keeps, what it refuses, and, where an effect has not run, what is not known yet.

mod inputs;
mod row;

pub use inputs::Inputs;
pub use row::{AnyRow, Flow, Kind, Row};

use crate::{
    flow::Env,
    kept::Keeper,
    memory::{Known, Memory},
    scan::Scan,
    settings::{At, Complaint, Data, Field, PathSetting, Settings, Table},
};
use datasets::{
    Digest, Key,
    row::{Dropped, Waiting},
};
use differential_dataflow::{AsCollection, VecCollection};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use timely::dataflow::{Scope, operators::ToStream};

/// build << 32 | chunk.
pub type Time = u64;
/// A collection of rows.
pub type Rows<'s, R> = VecCollection<'s, Time, R, isize>;

/// The last tick of the build that a time belongs to: corpus-level stages wait for it.
pub fn seal(time: &Time) -> Time {
    time | 0xffff_ffff
}

/// Something about tracks that a stage may need and another gives, beyond the kind of row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trait {
    /// The frames are counted and the samples have a digest.
    Decoded,
    /// Rate and channels are settled.
    Resampled,
}

/// What each input row becomes; the run record checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Rows come from outside: each is kept or dropped.
    Source,
    /// Each input row is kept or dropped.
    OneToOne,
    /// Each input row has at least one output or exactly one dropped row.
    OneToMany,
    /// Rows are gathered; members add up.
    Reduce,
    /// One row from all.
    Corpus,
    /// At least one row from all.
    Made,
}

/// One input of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name, for `from = { name = .. }`.
    pub name: &'static str,
    /// The rows it takes.
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
    /// One line about it.
    const ABOUT: &'static str;
    /// Bumped when the same input and settings would yield other bytes.
    const REVISION: u32;
    /// Its inputs, in the order of [`Stage::In`]; none for a source.
    const PORTS: &'static [Port];
    /// Other names that `from = { name = .. }` may give its inputs: such a name, and the port's own.
    const NAMES: &'static [(&'static str, &'static str)] = &[];
    /// What its input tracks must have been through.
    const NEEDS: &'static [Trait] = &[];
    /// What its output tracks have been through.
    const GIVES: &'static [Trait] = &[];
    /// What each input row becomes.
    const SHAPE: Shape;
    /// What its rows are called on screen.
    const UNIT: &'static str;
    /// Whether it draws from the manifest's seed.
    const RANDOM: bool = false;
    /// Whether its results hold for one class of arithmetic, decoder and resampler: they are in its keys.
    const NUMERIC: bool = false;
    /// The settings that people change often, by name: where a dataflow stays up, they come as rows of
    /// [`Context::settings`], so that other values are a change of rows.
    const EDITED: &'static [&'static str] = &[];
    /// The rows it takes.
    type In: Inputs;
    /// The rows it gives.
    type Out: Row;

    /// Complaints that a single field cannot make. Touches no disk.
    fn check(&self, _at: &Places<'_>, _complaints: &mut Vec<Complaint>) {}

    /// For a source: looks at the outside world. Relative paths start at `base`.
    ///
    /// # Errors
    /// When the source as a whole cannot be read: exit code 3.
    fn scan(&self, _base: &Path, _env: &Env) -> Result<Scan, SourceError> {
        Ok(Scan::default())
    }

    /// For a stage whose result can be pinned: whether the lock file decides.
    fn refresh(&self) -> Option<Refresh> {
        None
    }

    /// The list of withdrawn tracks that it heeds; [`Env::optouts`] holds it.
    fn exclude(&self) -> Option<&PathSetting> {
        None
    }

    /// The row that the settings of [`Stage::EDITED`] are, packed.
    fn edited(&self) -> Option<Vec<u8>> {
        None
    }

    /// For a source: where it lies. Of a corpus with a table that is the table, and then the folder in which its paths start.
    fn lies(&self, _base: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    /// For a source: the folders and files that [`Stage::scan`] reads, for those who wait for a change.
    fn places(&self, base: &Path) -> Vec<PathBuf> {
        self.lies(base)
    }

    /// What it takes of memory with so many workers. `known` is what its inputs tell, and becomes what it tells itself.
    fn memory(&self, _known: &mut Known, _workers: u64) -> Memory {
        Memory::default()
    }

    /// Builds the operators. Runs once per worker; must not read the outside world.
    fn render<'s>(self, cx: &Context<'s>, input: <Self::In as Inputs>::Rows<'s>) -> Split<'s, Self::Out>;
}

/// A source that cannot be read as a whole. Exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The folder or file is missing or cannot be listed.
    #[error("{0}")]
    Unreadable(String),
    /// The store failed while the source was read.
    #[error(transparent)]
    Store(#[from] datasets::store::StoreError),
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

/// Where the fields of a stage stand, for complaints.
pub struct Places<'t> {
    /// The stage's table.
    pub table: &'t Table,
    /// The stage's header.
    pub whole: At,
}

impl Places<'_> {
    /// The place of a field's value, or the header's where it is left out.
    pub fn of(&self, field: &str) -> At {
        self.table.get(field).map_or(self.whole, |value| value.at)
    }

    /// The place of one item of a list.
    pub fn item(&self, field: &str, index: usize) -> At {
        match self.table.get(field).map(|value| &value.data) {
            Some(Data::Array(items)) => items.get(index).map_or_else(|| self.of(field), |item| item.at),
            _ => self.of(field),
        }
    }
}

/// Rows that come in: known ones, and ones that wait for an effect.
#[derive(Clone)]
pub struct Input<'s, R: 'static> {
    /// Known rows.
    pub kept: Rows<'s, R>,
    /// Rows not known yet; only in a dry run.
    pub pending: Rows<'s, Waiting>,
}

/// What a stage gives back; together it accounts for every input row.
pub struct Split<'s, R: 'static> {
    /// Rows for the next stage.
    pub kept: Rows<'s, R>,
    /// Rows refused here.
    pub dropped: Rows<'s, Dropped>,
    /// Rows not known yet; only in a dry run.
    pub pending: Rows<'s, Waiting>,
}

/// What a stage may know besides its rows.
#[derive(Clone)]
pub struct Context<'s> {
    /// Where operators are built.
    pub scope: Scope<'s, Time>,
    /// The stage's name, for the screen and the record; in no key.
    pub stage: Arc<str>,
    /// The stage's own seed, where its verb draws from it.
    pub seed: Digest,
    /// The weights that the lock file names for it.
    pub pinned: Option<Digest>,
    /// Where the dataflow stays up: the settings that may become others, as [`Stage::edited`] packs them.
    pub settings: Option<Rows<'s, Vec<u8>>>,
    /// Store, sources, pool and ledger of this process.
    pub env: Arc<Env>,
}

impl<'s> Context<'s> {
    /// Writes rows that wait into the plan: this stage's effect may run on each.
    pub fn may(&self, pending: Rows<'s, Waiting>) -> Rows<'s, Waiting> {
        let (env, stage) = (self.env.clone(), self.stage.clone());
        pending.inspect_batch(move |_, rows| {
            env.ledger.may(&stage, rows.iter().map(|(waiting, _, diff)| (waiting.row.clone(), *diff)));
        })
    }

    /// A collection of at most one row that is there from the start.
    pub fn once<R: differential_dataflow::ExchangeData>(&self, row: Option<R>) -> Rows<'s, R> {
        let first = if self.scope.index() == 0 { row } else { None };
        first
            .map(|row| (row, 0, 1))
            .into_iter()
            .collect::<Vec<(R, Time, isize)>>()
            .to_stream(self.scope)
            .as_collection()
    }
}

/// No rows.
pub fn none<'s, A: Clone + 'static, R: Clone + 'static>(like: &Rows<'s, A>) -> Rows<'s, R> {
    like.clone().flat_map(|_| None)
}

/// The seed of a verb: the manifest's seed, the verb and the stage's salt, never the stage's name.
pub fn seed(manifest: u64, verb: &str, salt: &str) -> Digest {
    Key::new("seed").number(manifest).text(verb).text(salt).finish()
}

/// A stage as the registry and the planner see it: the same thing with its types forgotten.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The verb.
    pub verb: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Its revision.
    pub revision: u32,
    /// Its inputs; none for a source.
    pub ports: &'static [Port],
    /// Other names of its inputs, each with the port's own.
    pub names: &'static [(&'static str, &'static str)],
    /// The kind of its rows.
    pub gives: Kind,
    /// What its input tracks must have been through.
    pub needs: &'static [Trait],
    /// What its output tracks have been through.
    pub adds: &'static [Trait],
    /// What each input row becomes.
    pub shape: Shape,
    /// What its rows are called.
    pub unit: &'static str,
    /// Whether it draws from the seed.
    pub random: bool,
    /// Whether its results hold for one class of arithmetic.
    pub numeric: bool,
    /// The documentation of its settings.
    pub fields: fn() -> Vec<Field>,
    /// Lowers settings; all complaints go into the list.
    pub lower: fn(&Table, At, &mut Vec<Complaint>) -> Option<Arc<dyn Ready>>,
}

impl Entry {
    /// The entry of a stage.
    pub const fn of<S: Stage>() -> Entry {
        Entry {
            verb: S::VERB,
            about: S::ABOUT,
            revision: S::REVISION,
            ports: S::PORTS,
            names: S::NAMES,
            gives: S::Out::KIND,
            needs: S::NEEDS,
            adds: S::GIVES,
            shape: S::SHAPE,
            unit: S::UNIT,
            random: S::RANDOM,
            numeric: S::NUMERIC,
            fields: S::fields,
            lower: lower::<S>,
        }
    }
}

impl Entry {
    /// The input of a name, its own or another that it may be given.
    pub fn port(&self, name: &str) -> Option<usize> {
        let own = self.names.iter().find(|(other, _)| *other == name).map_or(name, |(_, own)| own);
        self.ports.iter().position(|port| port.name == own)
    }

    /// All names of its inputs.
    pub fn port_names(&self) -> impl Iterator<Item = &'static str> {
        self.ports.iter().map(|port| port.name).chain(self.names.iter().map(|(other, _)| *other))
    }
}

fn lower<S: Stage>(table: &Table, whole: At, complaints: &mut Vec<Complaint>) -> Option<Arc<dyn Ready>> {
    let stage = S::lower(table, whole, complaints)?;
    let before = complaints.len();
    stage.check(&Places { table, whole }, complaints);
    (complaints.len() == before).then(|| Arc::new(Lowered(stage)) as Arc<dyn Ready>)
}

/// A stage with typed settings, ready to render on any worker.
pub trait Ready: Send + Sync {
    /// The digest of its settings but `refresh` and the paths of its sources.
    fn digest(&self) -> Digest;
    /// Every setting with its value in TOML.
    fn shown(&self) -> Vec<(&'static str, String)>;
    /// Whether it can be pinned, and is.
    fn refresh(&self) -> Option<Refresh>;
    /// The opt-out list that it heeds, where a relative path starts at `base`.
    fn exclude(&self, base: &Path) -> Option<PathBuf>;
    /// See [`Stage::edited`].
    fn edited(&self) -> Option<Vec<u8>>;
    /// [`Ready::shown`] but for the settings of [`Stage::EDITED`].
    fn standing(&self) -> Vec<(&'static str, String)>;
    /// See [`Stage::scan`].
    ///
    /// # Errors
    /// When the source as a whole cannot be read.
    fn scan(&self, base: &Path, env: &Env) -> Result<Scan, SourceError>;
    /// See [`Stage::lies`].
    fn lies(&self, base: &Path) -> Vec<PathBuf>;
    /// See [`Stage::places`].
    fn places(&self, base: &Path) -> Vec<PathBuf>;
    /// See [`Stage::memory`].
    fn memory(&self, known: &mut Known, workers: u64) -> Memory;
    /// See [`Stage::render`]. Rows that are kept go to `keeper`, too.
    fn render<'s>(&self, cx: &Context<'s>, flows: Vec<Option<Flow<'s>>>, keeper: Keeper) -> Rendered<'s>;
}

/// What a stage became, with its type forgotten.
pub struct Rendered<'s> {
    /// Kept and pending rows, for the stages after it.
    pub flow: Flow<'s>,
    /// Every refused row.
    pub dropped: Rows<'s, Dropped>,
}

struct Lowered<S>(S);

impl<S: Stage> Ready for Lowered<S> {
    fn digest(&self) -> Digest {
        // Where the files lie is not what they are.
        let inner = self.0.digest(&["refresh", "root", "file", "exclude"]);
        let revision = datasets::effect::revision(S::VERB, S::REVISION);
        Key::new("stage").text(S::VERB).number(u64::from(revision)).digest(&inner).finish()
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
    fn edited(&self) -> Option<Vec<u8>> {
        self.0.edited()
    }
    fn standing(&self) -> Vec<(&'static str, String)> {
        self.0.shown().into_iter().filter(|(name, _)| !S::EDITED.contains(name)).collect()
    }
    fn scan(&self, base: &Path, env: &Env) -> Result<Scan, SourceError> {
        self.0.scan(base, env)
    }
    fn lies(&self, base: &Path) -> Vec<PathBuf> {
        self.0.lies(base)
    }
    fn places(&self, base: &Path) -> Vec<PathBuf> {
        self.0.places(base)
    }
    fn memory(&self, known: &mut Known, workers: u64) -> Memory {
        self.0.memory(known, workers)
    }
    fn render<'s>(&self, cx: &Context<'s>, flows: Vec<Option<Flow<'s>>>, keeper: Keeper) -> Rendered<'s> {
        let Split { kept, dropped, pending } = self.0.clone().render(cx, S::In::take(flows));
        // On their way to the next stage, so that no row is copied for the record.
        let kept = kept.inspect_batch(move |_, rows| keeper.keep(rows));
        Rendered { flow: S::Out::flow(Input { kept, pending }), dropped }
    }
}
