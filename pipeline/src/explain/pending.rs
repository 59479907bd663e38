//! Index of the rows that wait in a dry run, by what they wait for: there may be millions, and each is asked why.

use crate::dataflow::outcome::StageOutcome;
use datasets::row::{Dropped, Pending};
use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet, hash_map::Entry},
};

/// The rows of one stage that wait, and those that are withdrawn.
pub(super) struct Waits<'o> {
    stage: &'o StageOutcome,
    /// Ids of rows on which an effect will run: as many are asked for, in no order.
    will: OnceCell<HashSet<&'o str>>,
    /// Items that may run, by the id of the row that they wait for; those of one in order.
    by_cause: OnceCell<Vec<&'o Pending>>,
    /// The first waiting row for each row that is waited for, by the id of the latter.
    rows: OnceCell<HashMap<&'o str, &'o Pending>>,
    /// Rows that an opt-out list names.
    pub(super) withdrawn: Vec<&'o Dropped>,
}

impl<'o> Waits<'o> {
    pub(super) fn of(stage: &'o StageOutcome) -> Waits<'o> {
        let withdrawn = stage.dropped.iter().filter(|row| row.withdrawn()).collect();
        Waits { stage, will: OnceCell::new(), by_cause: OnceCell::new(), rows: OnceCell::new(), withdrawn }
    }

    /// Whether the stage's effect will run on the row of an id.
    pub(super) fn will_run(&self, id: &str) -> bool {
        self.will.get_or_init(|| self.stage.ledger.will.iter().map(|id| &**id).collect()).contains(id)
    }

    /// The items that wait for a row, in order.
    pub(super) fn behind(&self, cause: &str) -> impl Iterator<Item = &'o Pending> {
        let items = self.by_cause.get_or_init(|| {
            let mut items: Vec<&Pending> = self.stage.ledger.may.iter().collect();
            // Stable: they are in order.
            items.sort_by(|a, b| a.cause.cmp(&b.cause));
            items
        });
        let from = items.partition_point(|item| *item.cause < *cause);
        let to = from + items[from..].partition_point(|item| *item.cause == *cause);
        items[from..to].iter().copied()
    }

    /// The first item of an id.
    pub(super) fn item(&self, id: &str) -> Option<&'o Pending> {
        let items = &self.stage.ledger.may;
        items.get(items.partition_point(|item| *item.id < *id)).filter(|item| *item.id == *id)
    }

    /// The first row that waits for a row.
    pub(super) fn row(&self, cause: &str) -> Option<&'o Pending> {
        let rows = self.rows.get_or_init(|| {
            let mut rows: HashMap<&str, &Pending> = HashMap::new();
            for row in &self.stage.pending {
                match rows.entry(&row.cause) {
                    Entry::Vacant(free) => drop(free.insert(row)),
                    Entry::Occupied(mut first) if row < first.get() => drop(first.insert(row)),
                    Entry::Occupied(_) => {}
                }
            }
            rows
        });
        rows.get(cause).copied()
    }
}
