//! How stages are wired and run: manifest -> plan -> dataflow -> run record.

pub mod account;
pub mod cli;
pub mod diff;
pub mod error;
pub mod execute;
pub mod files;
pub mod gather;
pub mod guard;
pub mod history;
pub mod layout;
pub mod lock;
pub mod manifest;
pub mod plan;
pub mod priors;
pub mod publish;
pub mod report;
pub mod results;
pub mod run;
pub mod runs;
pub mod schema;
pub mod score;
pub mod screen;
pub mod songs;
