//! Heavy work as a memoised effect: what it is keyed by, and how it may end.
//!
//! # What enters a key
//!
//! The outcome of an effect is remembered under a digest of everything on which its bytes can depend, and of nothing
//! else. Two stages, two runs or two processes that come to one key share one outcome.
//!
//! | part | says | is in the key of |
//! |---|---|---|
//! | verb and revision | which code: raised whenever the same input would give other bytes, or a default changes | every effect |
//! | settings | every field that differs from its default, by name, floats by their bits | effects whose result depends on settings that no row shows |
//! | input digests | which sound, codes, weights: digests of content, in an order that follows from the content | every effect that reads any |
//! | spans and forms | first frame, frames, rate, channels of a clip | what reads samples |
//! | labels | title, artist, genre, licence and the like | `shard`, which writes them; `train`, as far as it may condition on them |
//! | seed | the manifest's seed, the verb, the stage's salt | verbs that draw |
//! | numerics class | which arithmetic: [`numerics`] | networks, decoders, resamplers |
//! | versions | which decoder, resampler, embedding | what uses one |
//!
//! In no key are paths and times of files, names of stages and manifests, the machine's threads and memory, how many
//! windows are scored at a time, and settings that only choose rows, such as `split`: what was chosen shows in the rows. A
//! default is left out, so that a new field leaves every key as it was.
//!
//! Inputs are digests of results, not keys of the work that made them. So where a raised revision gives the bytes
//! that were there before, nothing that comes after it is done again.
//!
//! ```
//! use datasets::{Digest, effect::{key, numerics}};
//!
//! let (codec, sound) = (Digest::of(b"weights"), Digest::of(b"samples"));
//! let encode = |revision, sound: &Digest| key("encode", revision).text(numerics()).digest(&codec).digest(sound).finish();
//! assert_eq!(encode(1, &sound), encode(1, &sound));
//! assert_ne!(encode(1, &sound), encode(2, &sound));
//! assert_ne!(encode(1, &sound), encode(1, &Digest::of(b"other samples")));
//! ```
//!
//! The start of a stage's keys, `Stage::key`, is made from what its settings and `VERSIONS` declare; an effect adds the
//! digests of its work. A work item holds only what may enter its key; how to reach the bytes is a hint beside it.

use crate::{Digest, Key, environment::REVISION, store::StoreError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt::Debug, hash::Hash, io, sync::OnceLock};

/// A refusal: a property of the input's bytes, remembered like a result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Refusal {
    /// A short, stable code.
    pub code: String,
    /// A sentence.
    pub why: String,
}

/// Failure of an effect: refused, failed, interrupted, or the store's own error.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The input's bytes cannot be used; remembered, a dropped row.
    #[error("{} ({})", .0.why, .0.code)]
    Refused(Refusal),
    /// A source cannot be read, or memory is short: a dropped row with a warning, tried again by the next run.
    #[error("{0}")]
    Failed(String),
    /// The store cannot be written or read: the run ends at once.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run was interrupted; what was done is kept.
    #[error("interrupted")]
    Interrupted,
}

impl Fault {
    /// A refusal from its code and its sentence.
    pub fn refused(code: &str, why: impl Into<String>) -> Fault {
        Fault::Refused(Refusal { code: code.into(), why: why.into() })
    }

    /// A source that could not be read.
    pub fn failed(what: &str, error: &io::Error) -> Fault {
        Fault::Failed(format!("cannot read {what}: {error}"))
    }
}

/// Share of the machine that an effect takes while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// One slot of the pool; many run beside each other.
    Light,
    /// All slots; one at a time.
    Heavy,
}

/// One kind of heavy work. Free of the dataflow: the operator that runs it lives elsewhere.
pub trait Effect: Send + Sync + 'static {
    /// All that the result may depend on.
    type Work: Clone + Debug + Ord + Hash + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// Remembered result: small, and naming objects in the store.
    type Output: Clone + Debug + Ord + Hash + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Share of the machine that it takes.
    const LOAD: Load;
    /// Whether it works on the whole corpus: then a failure is no dropped row, it ends the build.
    const CORPUS: bool = false;
    /// Whether it reads a file that the manifest names: then a refusal is a source that cannot be used, not a failure of
    /// the stage.
    const SOURCE: bool = false;

    /// Whether one job does all work of a [group](Effect::group) that is there: it is faster together, and each outcome is
    /// what it is alone.
    const TOGETHER: bool = false;

    /// The digest under which the outcome is remembered.
    fn key(&self, work: &Self::Work) -> Digest;

    /// The digest that names the work which is done in one process and may be done together, and the checkpoint of what of
    /// it is unfinished. A function of the work alone.
    fn group(&self, work: &Self::Work) -> Digest {
        self.key(work)
    }

    /// Objects that must be in the store for the remembered output to be of use.
    fn objects(&self, output: &Self::Output) -> Vec<Digest>;

    /// Does the work.
    ///
    /// # Errors
    /// See [`Fault`].
    fn run(&self, work: &Self::Work) -> Result<Self::Output, Fault>;

    /// Whether all processes of a run do it together: then the one that leads does it, and the others
    /// [take part](Effect::help).
    fn shared(&self) -> bool {
        false
    }

    /// Takes part in work that another process does; nothing of it is kept here.
    ///
    /// # Errors
    /// Why this process cannot, or [`Fault::Interrupted`].
    fn help(&self, _: &Self::Work) -> Result<(), Fault> {
        Ok(())
    }

    /// Does the work of one group, in order of their keys: an outcome for each.
    fn run_together(&self, works: &[Self::Work]) -> Vec<Result<Self::Output, Fault>> {
        works.iter().map(|work| self.run(work)).collect()
    }
}

/// The key of an effect: the verb, its revision, and what its author adds.
pub fn key(verb: &str, revision: u32) -> Key {
    Key::new("effect").text(verb).number(u64::from(self::revision(verb, revision)))
}

/// The revision of a verb. `REFRAIN_REVISION=VERB[,VERB]` raises that of some by one, for tests of what a new revision
/// does again.
pub fn revision(verb: &str, revision: u32) -> u32 {
    static RAISED: OnceLock<String> = OnceLock::new();
    let raised = RAISED.get_or_init(|| REVISION.text().unwrap_or_default());
    let verb = verb.split([' ', ':']).next().unwrap_or(verb);
    revision + u32::from(raised.split(',').any(|own| own == verb))
}

/// The class of arithmetic whose results are bit-identical: networks, decoders and resamplers carry it in their keys.
///
/// Matrix products choose wider units where the processor has them, and these round differently.
pub fn numerics() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        let v4 = std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512cd")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512vl");
        if v4 { "cpu-x86-v4" } else { "cpu-x86-v3" }
    }
    #[cfg(target_arch = "aarch64")]
    {
        "cpu-aarch64"
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        "cpu-other"
    }
}

static NETWORKS: OnceLock<String> = OnceLock::new();

/// The class of arithmetic whose results are bit-identical, of networks: [`numerics`], unless they run on another device.
pub fn networks() -> &'static str {
    NETWORKS.get().map_or_else(|| numerics(), String::as_str)
}

/// Says that the networks of this process run on a device of this class, before the first key is made; whether it is the one
/// class of this process.
pub fn run_networks_on(class: String) -> bool {
    *NETWORKS.get_or_init(|| class.clone()) == class
}
