//! JSON of a plan, for programs. It may name millions of rows: they are written as they stand.

use super::{Estimate, Preview, Stage};
use datasets::row::Pending;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Serialize)]
struct Event<'p> {
    against: Option<&'p str>,
    event: &'static str,
    stages: BTreeMap<&'p str, Account<'p>>,
    totals: Value,
}

#[derive(Serialize)]
struct Account<'p> {
    added: u64,
    cached: u64,
    dropped: usize,
    estimate: Value,
    estimated: bool,
    items: u64,
    kept: usize,
    may: Vec<Item<'p>>,
    reasons: Vec<Value>,
    retracted: u64,
    will: &'p [Arc<str>],
    withdrawn: Vec<&'p str>,
}

/// An item that may run.
struct Item<'p>(&'p Pending);

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Item(row) = self;
        to.collect_map([("behind", &row.behind), ("cause", &row.cause), ("id", &row.id)])
    }
}

impl Preview {
    /// The preview as one JSON event.
    pub fn json(&self) -> String {
        let ((will, may), (cost, unmeasured)) = (self.items(), self.total());
        let event = Event {
            against: self.run.as_deref(),
            event: "plan",
            stages: self.stages.iter().map(|stage| (stage.name.as_str(), stage.account())).collect(),
            totals: json!({ "will": will, "may": may, "estimate": cost.json(), "unmeasured": unmeasured }),
        };
        // Texts and numbers: there is nothing that could fail.
        serde_json::to_string(&event).unwrap_or_else(|error| unreachable!("a plan cannot be written: {error}"))
    }
}

impl Estimate {
    fn json(&self) -> Value {
        json!({ "audio_seconds": self.audio, "bytes": self.bytes.map(|bytes| bytes.round() as u64), "seconds": self.seconds })
    }
}

impl Stage {
    fn account(&self) -> Account<'_> {
        let reasons = self.reasons.iter().map(|told| {
            let mut value = told.reason.json();
            value["certain"] = told.certain.into();
            value["count"] = told.count.into();
            value["ids"] = told.ids.clone().into();
            value
        });
        Account {
            added: self.rows.0,
            cached: self.cached,
            dropped: self.dropped,
            estimate: self.cost.json(),
            estimated: self.open,
            items: self.items.0 + self.items.1,
            kept: self.kept,
            may: self.may.iter().map(Item).collect(),
            reasons: reasons.collect(),
            retracted: self.rows.1,
            will: &self.will,
            withdrawn: self.withdrawn.iter().map(|(id, _)| id.as_str()).collect(),
        }
    }
}
