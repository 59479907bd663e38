//! What waits in a dry run, found by what it waits for: there may be millions, and each is asked why.

use crate::execute::StageOutcome;
use datasets::row::{Dropped, Pending};
use std::collections::HashMap;

/// The rows of one stage that wait, and those that are withdrawn.
pub(super) struct Waits<'o> {
    /// Items that may run, by the id of the row that they wait for; in order.
    by_cause: HashMap<&'o str, Vec<&'o Pending>>,
    /// The first item of each id.
    by_id: HashMap<&'o str, &'o Pending>,
    /// The first row that is not known yet, by what it waits for.
    rows: HashMap<&'o str, &'o Pending>,
    /// Rows that an opt-out list names.
    pub(super) withdrawn: Vec<&'o Dropped>,
}

impl<'o> Waits<'o> {
    pub(super) fn of(stage: &'o StageOutcome) -> Waits<'o> {
        let mut by_cause: HashMap<&str, Vec<&Pending>> = HashMap::new();
        let mut by_id = HashMap::new();
        for item in stage.ledger.may.keys() {
            by_cause.entry(&item.cause).or_default().push(item);
            by_id.entry(item.id.as_str()).or_insert(item);
        }
        let mut rows = HashMap::new();
        for row in &stage.pending {
            rows.entry(row.cause.as_str()).or_insert(row);
        }
        let withdrawn = stage.dropped.iter().filter(|row| row.code == Dropped::WITHDRAWN).collect();
        Waits { by_cause, by_id, rows, withdrawn }
    }

    /// The items that wait for a row, in order.
    pub(super) fn behind(&self, cause: &str) -> impl Iterator<Item = &'o Pending> {
        self.by_cause.get(cause).into_iter().flatten().copied()
    }

    /// The first item of an id.
    pub(super) fn item(&self, id: &str) -> Option<&'o Pending> {
        self.by_id.get(id).copied()
    }

    /// The first row that waits for a row.
    pub(super) fn row(&self, cause: &str) -> Option<&'o Pending> {
        self.rows.get(cause).copied()
    }
}
