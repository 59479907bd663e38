//! `listen results`: statistics of the ratings of a listening test, from a table.
//!
//! | columns | test |
//! |---|---|
//! | `listener`, `correct` | ABX |
//! | `rater`, `clip`, `system`, `score` (1 to 5) | MOS |
//! | `assessor`, `item`, `condition`, `score` (0 to 100) | MUSHRA |

mod abx;
mod mos;
mod mushra;
mod outcome;
mod ratings;

use crate::{error::Error, terminal::output};
use ratings::{Kind, Table};
use serde_json::Value;
use std::path::Path;

pub use mushra::Conditions;

/// A table of ratings, and how it is read.
#[derive(Clone, Copy, Debug)]
pub struct RatingsFile<'a> {
    /// The table with the ratings: CSV with a heading.
    pub table: &'a Path,
    /// Names of the conditions of a MUSHRA test that are no systems.
    pub conditions: &'a Conditions,
    /// The seed of bootstraps and permutations.
    pub seed: u64,
    /// One line of JSON instead of tables.
    pub json: bool,
}

/// Reads ratings and prints their statistics.
///
/// # Errors
/// A table that cannot be read, has not the columns of a test or no usable row, and conditions that it does not have.
pub fn results(asked: &RatingsFile<'_>, tell: &dyn Fn(&str)) -> Result<(), Error> {
    let table = Table::read(asked.table)?;
    for (line, why) in &table.left_out {
        output::warning(&format!("{}:{line}: left out: {why}", asked.table.display()));
    }
    let mut results = match table.kind {
        Kind::Abx => abx::results(&table),
        Kind::Mos => mos::results(&table, asked.seed),
        Kind::Mushra => mushra::results(&table, asked.conditions, asked.seed)?,
    };
    let left_out: Vec<Value> =
        table.left_out.iter().map(|(line, why)| serde_json::json!({ "line": line, "why": why })).collect();
    results.json["left_out"] = left_out.into();
    match asked.json {
        true => tell(&format!("{}\n", results.json)),
        false => tell(&results.text),
    }
    Ok(())
}
