//! The dataflow's side of heavy work: the memoised effect operator, the pool, and the ledger.
//!
//! Knows rows and the context of a stage. No verb.

pub(crate) mod by_time;
mod bytes;
pub(crate) mod crew;
mod dry;
mod effect;
mod env;
mod event;
mod failure;
mod ledger;
mod memo;
mod order;
mod pool;
mod relate;
mod sources;
pub(crate) mod whole;

pub use effect::{Done, Item, memoised};
pub use env::{Cancel, Env, Helpers, Hold, Peers, Permit};
pub use event::{Event, Figure, Observer};
pub use failure::Failure;
pub use ledger::{Cost, Ledger, StageLedger};
pub use pool::{Pool, Turn};
pub use relate::{Either, divide, group, once_each, pair, without};
pub use sources::Sources;
pub(crate) use sources::Verified;
