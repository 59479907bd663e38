//! The items that a plan names, looked up while a run is under way.

use super::Approved;
use stages::{flow::Permit, rows::fingerprint::parts};
use std::collections::{HashMap, HashSet};

/// Items that a plan names: nothing else may run.
#[derive(Debug, Default)]
pub struct Named {
    stages: HashMap<String, Items>,
}

#[derive(Debug, Default)]
struct Items {
    /// Items that will or may run.
    named: HashSet<String>,
    /// Items that may run, which may stand for others.
    may: HashSet<String>,
}

impl Named {
    /// Collects the items that a saved plan names, by stage.
    pub fn of(approved: &Approved) -> Named {
        let stages = approved.stages.iter().map(|(name, stage)| {
            let may: HashSet<String> = stage.may.iter().map(|item| item.id.clone()).collect();
            (name.clone(), Items { named: may.iter().chain(&stage.will).cloned().collect(), may })
        });
        Named { stages: stages.collect() }
    }

    /// Whether a plan names an item of a stage: by its id, or by one that stands for it.
    pub fn names(&self, stage: &str, id: &str) -> bool {
        self.stages.get(stage).is_some_and(|items| items.named.contains(id) || items.stands(id))
    }
}

impl Items {
    /// Whether an item that may run stands for this one: `all` for whatever a stage makes of all that comes in, a track for
    /// its clips, a shard for those that it may split into, `SPLIT/new` for shards of a split that cannot be named yet, `?/new` for those of a split that is not known.
    fn stands(&self, id: &str) -> bool {
        let track = |(track, span): (&str, Option<&str>)| span.is_some() && self.may.contains(track);
        self.may.contains("all") || track(parts(id)) || self.shard(id)
    }

    fn shard(&self, id: &str) -> bool {
        let Some((split, bits)) = id.rsplit_once('/') else { return false };
        // `all` is the shard of no bits, which the others are parts of.
        let own = match bits {
            "all" => "",
            bits => bits,
        };
        let shard = bits == "new" || own.bytes().all(|bit| b"01".contains(&bit));
        let has = |split: &str, bits: &str| self.may.contains(&format!("{split}/{bits}"));
        let whole = has("?", "new") || has(split, "new") || has(split, "all");
        shard && (whole || (1..own.len()).any(|length| has(split, &own[..length])))
    }
}

impl Permit for Named {
    fn allows(&self, stage: &str, id: &str) -> bool {
        self.names(stage, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(will: &[&str], may: &[&str]) -> Named {
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<HashSet<_>>();
        let items = Items { named: set(&[will, may].concat()), may: set(may) };
        Named { stages: [("s".to_owned(), items)].into() }
    }

    #[test]
    fn an_item_is_named_by_its_id_or_by_what_stands_for_it() {
        let named = named(&["folder/a", "test/01"], &["folder/b", "train/1", "valid/all", "new/new"]);
        let yes = ["folder/a", "folder/b", "folder/b@0+16", "test/01", "train/1", "train/10", "valid/0", "valid/all"];
        let no =
            ["folder/c", "folder/a@0+16", "folder/b@x", "train/0", "train/all", "test/011", "valid/x", "folder/new"];
        assert!(yes.iter().all(|id| named.names("s", id)), "{named:?}");
        assert_eq!(no.iter().filter(|id| named.names("s", id)).count(), 0, "{named:?}");
        assert!(named.names("s", "new/all") && named.names("s", "new/0") && !named.names("s", "new/song"));
        assert!(!named.names("t", "folder/a"));
    }

    #[test]
    fn a_split_that_is_not_known_stands_for_every_shard() {
        let named = named(&[], &["?/new"]);
        assert!(named.names("s", "train/all") && named.names("s", "test/new") && named.names("s", "a/b/0"));
        assert!(!named.names("s", "folder/t0.wav"));
    }
}
