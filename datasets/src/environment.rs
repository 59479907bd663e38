//! Environment variables: the one list that code and documentation read.
//!
//! [`ENVIRONMENT`] holds all of them, those that only tests read too. `docs/cli.md`, the manual page `refrain(1)` and the table
//! in `CONTRIBUTING.md` follow from it, and a test finds variables that are read somewhere and not listed here.

use std::{env, ffi::OsString};

/// Audience of a variable: users or developers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody who uses `refrain`.
    Users,
    /// Developers: steers tests, or `refrain` under test.
    Developers,
}

/// One environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Name of the variable.
    pub name: &'static str,
    /// Text behind the `=` in the documentation: an example, or a word that stands for the value.
    pub value: &'static str,
    /// Audience of the variable.
    pub audience: Audience,
    /// Effect of the variable: sentences in Markdown.
    pub meaning: &'static str,
}

impl Variable {
    /// The value in this process; `None` where it is unset or empty.
    pub fn get(&self) -> Option<OsString> {
        env::var_os(self.name).filter(|value| !value.is_empty())
    }

    /// The value in this process as text; `None` where it is unset, empty or not in UTF-8.
    pub fn text(&self) -> Option<String> {
        self.get()?.into_string().ok()
    }
}

/// Turns color off: <https://no-color.org>.
pub const NO_COLOR: Variable = Variable {
    name: "NO_COLOR",
    value: "1",
    audience: Audience::Users,
    meaning: "No color, unless `--color always` says otherwise. Any value but the empty one (<https://no-color.org>).",
};

/// Kind of the terminal; `dumb` turns color off.
pub const TERM: Variable = Variable {
    name: "TERM",
    value: "dumb",
    audience: Audience::Users,
    meaning: "No color either, unless `--color always` says otherwise.",
};

/// Milliseconds that the allocator keeps freed memory.
pub const PURGE_DELAY: Variable = Variable {
    name: "MIMALLOC_PURGE_DELAY",
    value: "MILLISECONDS",
    audience: Audience::Users,
    meaning: "How long the allocator keeps memory that was freed. `watch` sets it to 0 for manifests that only list tracks, \
              unless it is set.",
};

/// Folder of caches.
pub const CACHE: Variable = Variable {
    name: "XDG_CACHE_HOME",
    value: "DIR",
    audience: Audience::Users,
    meaning: "Kernels that were compiled for a GPU are kept in its folder `refrain/kernels`, unless it is set in `~/.cache`.",
};

/// Home of the user.
pub const HOME: Variable = Variable { name: "HOME", value: "DIR", audience: Audience::Users, meaning: "Where `~` is." };

/// Seconds between two checkpoints of a training or a sampling.
pub const CHECKPOINT_SECONDS: Variable = Variable {
    name: "REFRAIN_CHECKPOINT_SECONDS",
    value: "SECONDS",
    audience: Audience::Users,
    meaning: "How far apart the state of a training or a sampling is saved; 12 by default. Changes no result.",
};

/// Secret that the processes of one run share.
pub const SECRET: Variable = Variable {
    name: "REFRAIN_SECRET",
    value: "DIGITS",
    audience: Audience::Users,
    meaning: "The secret that the processes of one run share, as `refrain hosts new-secret` prints it; `--secret FILE` goes \
              before it.",
};

/// Folder of real recordings and reference results for tests.
pub const SHARED: Variable = Variable {
    name: "REFRAIN_SHARED",
    value: "DIR",
    audience: Audience::Developers,
    meaning: "A folder of real recordings, metadata and reference results that are not in the repository. Tests that need it \
              are `#[ignore = \"needs REFRAIN_SHARED\"]`, and run with `-- --ignored`.",
};

/// Rewrites expected files with what the code says now.
pub const BLESS: Variable = Variable {
    name: "REFRAIN_BLESS",
    value: "1",
    audience: Audience::Developers,
    meaning: "Rewrites expected files (`tests/refuse/*/expected.txt`, `docs/manifest.md`, `docs/cli.md`, ...) with what the \
              code says now. Read the diff before you commit it.",
};

/// Injects faults into operations of the store.
pub const FAULT: Variable = Variable {
    name: "REFRAIN_FAULT",
    value: "POINT:ERROR[:AFTER[:TIMES]]",
    audience: Audience::Developers,
    meaning: "Makes operations POINT (`read`, `write`, `fsync`, `rename`, `remove`, or `stage NAME`, the work of a stage over a \
              whole corpus) of the store fail with ERROR (`full`, `io`, `readonly`) once AFTER of them have gone well: TIMES \
              of them, or all that follow. For `refrain` as for its tests: `REFRAIN_FAULT=write:full:20 refrain run ...`",
};

/// Number of faults and kills that `tests/faults.rs` draws.
pub const FAULT_ROUNDS: Variable = Variable {
    name: "REFRAIN_FAULT_ROUNDS",
    value: "N",
    audience: Audience::Developers,
    meaning: "How many faults and kills `tests/faults.rs` draws.",
};

/// Seed of the faults and kills that `tests/faults.rs` draws.
pub const FAULT_SEED: Variable = Variable {
    name: "REFRAIN_FAULT_SEED",
    value: "N",
    audience: Audience::Developers,
    meaning: "Which faults and kills `tests/faults.rs` draws.",
};

/// Factor of the number of files that `tests/hostile` damages.
pub const HOSTILE_ROUNDS: Variable = Variable {
    name: "REFRAIN_HOSTILE_ROUNDS",
    value: "N",
    audience: Audience::Developers,
    meaning: "`tests/hostile` damages so many times as many files as usual.",
};

/// Seed of the damages that `tests/hostile` does to files.
pub const HOSTILE_SEED: Variable = Variable {
    name: "REFRAIN_HOSTILE_SEED",
    value: "N",
    audience: Audience::Developers,
    meaning: "Which damages `tests/hostile` does to files.",
};

/// Verbs whose revision is raised by one.
pub const REVISION: Variable = Variable {
    name: "REFRAIN_REVISION",
    value: "VERB[,VERB]",
    audience: Audience::Developers,
    meaning: "Raises the revisions of verbs by one, to see what a new revision does again.",
};

/// Bytes of memory that there is, in the place of what the system says.
pub const MEMORY: Variable = Variable {
    name: "REFRAIN_MEMORY",
    value: "BYTES",
    audience: Audience::Developers,
    meaning: "The memory that there is, in the place of what the system says: a training that needs more is refused.",
};

/// Folder for shards that the test `shards_for_other_readers` writes.
pub const SHARDS: Variable = Variable {
    name: "REFRAIN_SHARDS",
    value: "DIR",
    audience: Audience::Developers,
    meaning: "The test `shards_for_other_readers` writes two shards there, for `scripts/open_shards.py`.",
};

/// Every environment variable that Refrain or its tests read.
pub const ENVIRONMENT: [Variable; 17] = [
    NO_COLOR,
    TERM,
    PURGE_DELAY,
    CACHE,
    HOME,
    CHECKPOINT_SECONDS,
    SECRET,
    SHARED,
    BLESS,
    FAULT,
    FAULT_ROUNDS,
    FAULT_SEED,
    HOSTILE_ROUNDS,
    HOSTILE_SEED,
    REVISION,
    MEMORY,
    SHARDS,
];
