//! The memo of an effect: its receipt in the store, and the outcome that is made of it when it is recalled.

use crate::flow::Env;
use datasets::{
    Digest,
    effect::{Effect, Fault, Load, Refusal},
    store::Memo,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Outcome of an effect in the dataflow; a result is in its packed form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// A result.
    Ok(Vec<u8>),
    /// A refusal, remembered like a result.
    Refused(Refusal),
    /// A source that could not be read: never remembered.
    Failed(String),
    /// A dry run met a memo miss; the id is that of the row it would run on.
    Pending(Arc<str>),
}

/// Receipt under an effect's key: a packed result or a refusal.
#[derive(Serialize, Deserialize)]
pub(crate) enum Receipt {
    Ok(Vec<u8>),
    Refused(Refusal),
}

/// An effect with its types forgotten: the operator is compiled once.
pub(super) trait Erased: Send + Sync {
    fn load(&self) -> Load;
    fn corpus(&self) -> bool;
    fn together(&self) -> bool;
    /// The group of a piece of work whose key this is.
    fn group(&self, key: &Digest, work: &[u8]) -> Digest;
    fn source(&self) -> bool;
    fn objects(&self, output: &[u8]) -> Option<Vec<Digest>>;
    fn shared(&self) -> bool;
    fn help(&self, work: &[u8]) -> Result<(), Fault>;
    fn run(&self, works: &[&[u8]]) -> Vec<Result<Vec<u8>, Fault>>;
}

impl<E: Effect> Erased for E {
    fn load(&self) -> Load {
        E::LOAD
    }
    fn corpus(&self) -> bool {
        E::CORPUS
    }
    fn together(&self) -> bool {
        E::TOGETHER
    }
    fn group(&self, key: &Digest, work: &[u8]) -> Digest {
        let unpacked = || postcard::from_bytes::<E::Work>(work).ok();
        if E::TOGETHER { unpacked().map_or(*key, |work| Effect::group(self, &work)) } else { *key }
    }
    fn source(&self) -> bool {
        E::SOURCE
    }
    fn objects(&self, output: &[u8]) -> Option<Vec<Digest>> {
        let output: Option<E::Output> = postcard::from_bytes(output).ok();
        output.map(|output| Effect::objects(self, &output))
    }
    fn shared(&self) -> bool {
        Effect::shared(self)
    }
    fn help(&self, work: &[u8]) -> Result<(), Fault> {
        Effect::help(self, &postcard::from_bytes(work).map_err(wrong)?)
    }
    fn run(&self, works: &[&[u8]]) -> Vec<Result<Vec<u8>, Fault>> {
        let read: Result<Vec<E::Work>, _> = works.iter().map(|work| postcard::from_bytes(work)).collect();
        match read {
            Ok(read) => {
                let outputs = Effect::run_together(self, &read).into_iter();
                outputs.map(|output| postcard::to_stdvec(&output?).map_err(wrong)).collect()
            }
            Err(error) => works.iter().map(|_| Err(wrong(error.clone()))).collect(),
        }
    }
}

fn wrong(error: postcard::Error) -> Fault {
    Fault::Failed(format!("its work cannot be read: {error}"))
}

/// A remembered outcome, if the objects it names are still there.
pub(super) fn recall(effect: &dyn Erased, env: &Env, key: &Digest) -> Option<Outcome> {
    match Memo::at(*key).get(&env.store)? {
        // Its objects are asked for to see whether it can be read.
        Receipt::Ok(output) => effect.objects(&output).map(|_| Outcome::Ok(output)),
        Receipt::Refused(refusal) => Some(Outcome::Refused(refusal)),
    }
}
