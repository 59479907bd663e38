//! How stages are wired and run: manifest -> plan -> dataflow -> run record.

pub mod account;
pub mod bundle;
pub mod cli;
pub mod error;
pub mod evaluate;
pub mod execute;
pub mod files;
pub mod gather;
pub mod guard;
pub mod history;
pub mod lineage;
pub mod lock;
pub mod manifest;
pub mod metrics;
pub mod plan;
pub mod priors;
pub mod publish;
pub mod report;
pub mod run;
pub mod runs;
pub mod sample;
pub mod schema;
pub mod score;
pub mod screen;
pub mod songs;
