//! The dataflow's side of heavy work: the memoised effect operator, the pool, and the ledger.

pub(crate) mod corpus;
mod dry;
mod effect;
mod env;
pub(crate) mod held;
mod ledger;
mod order;
mod pool;
mod relate;
mod sources;
mod texts;

pub use effect::{Done, memoised};
pub use env::{Cancel, Env, Peers};
pub use ledger::{Cost, Event, Failure, Ledger, Observer, StageLedger};
pub use pool::{Pool, Turn};
pub use relate::{Either, divide, group, once_each, pair, without};
pub use sources::Sources;
