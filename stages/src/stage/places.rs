//! Where the fields of a stage stand in the manifest.

use crate::settings::{At, Data, Table, Value};

/// Positions of a stage's fields in the manifest, for complaints.
pub struct Places<'t> {
    /// The stage's table.
    pub table: &'t Table,
    /// The stage's header.
    pub whole: At,
}

impl Places<'_> {
    /// The place of a field's value, or the header's where it is left out.
    pub fn of(&self, field: &str) -> At {
        self.table.get(field).map_or(self.whole, |value| value.at)
    }

    /// The place of one item of a list, or the list's.
    pub fn item(&self, field: &str, index: usize) -> At {
        match self.table.get(field).map(|value| &value.data) {
            Some(Data::Array(items)) => items.get(index).map_or_else(|| self.of(field), |item| item.at),
            _ => self.of(field),
        }
    }

    /// The place of the item of a list that is this text, or the list's.
    pub fn saying(&self, field: &str, text: &str) -> At {
        let Some(Data::Array(items)) = self.table.get(field).map(|value| &value.data) else { return self.of(field) };
        let says = |item: &&Value| matches!(&item.data, Data::String(own) if own == text);
        items.iter().find(says).map_or_else(|| self.of(field), |item| item.at)
    }
}
