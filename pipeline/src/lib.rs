//! How stages are wired and run: manifest -> plan -> dataflow -> run record.

pub mod cli;
pub mod dataflow;
pub mod error;
pub mod explain;
pub mod inspect;
pub mod manifest;
pub mod plan;
pub mod publish;
pub mod record;
pub mod report;
pub mod run;
pub mod schema;
pub mod standalone;
pub mod terminal;
pub mod upkeep;
