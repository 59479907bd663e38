//! What the last published run of a name held: for the guards, and for rows added and retracted.

use crate::{execute::Outcome, plan::Plan};
use datasets::{
    Digest, Key,
    store::{Store, StoreError},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, path::PathBuf};

/// Where a run was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// Name and id: `name-0123456789ab`.
    pub run: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether it was there before, whole.
    pub known: bool,
}

/// The rows of one stage: 16 bytes each, of their digests, sorted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct StageRows {
    name: String,
    rows: Vec<[u8; 16]>,
}

/// The last published run of a name.
#[derive(Clone, Debug, Default)]
pub struct History {
    stages: Vec<StageRows>,
}

fn key(name: &str) -> Digest {
    Key::new("last published run").text(name).finish()
}

fn rows(plan: &Plan, outcome: &Outcome) -> Vec<StageRows> {
    let digest = |row: &stages::stage::AnyRow| {
        let bytes = postcard::to_stdvec(row).unwrap_or_default();
        let mut half = [0; 16];
        half.copy_from_slice(&Digest::of(&bytes).0[..16]);
        half
    };
    plan.stages
        .iter()
        .zip(&outcome.stages)
        .map(|(stage, own)| {
            let mut rows: Vec<[u8; 16]> = own.kept.iter().map(|row| digest(row)).collect();
            rows.sort_unstable();
            StageRows { name: stage.name.clone(), rows }
        })
        .collect()
}

impl History {
    /// Of the last published run of a name; empty where there is none.
    pub fn of(store: &Store, name: &str) -> History {
        let digest = store.receipt(&key(name)).and_then(|bytes| Some(Digest(bytes.as_ref().try_into().ok()?)));
        let stages = digest.and_then(|d| store.get(&d).ok()).and_then(|bytes| postcard::from_bytes(&bytes).ok());
        History { stages: stages.unwrap_or_default() }
    }

    /// Rows that a stage kept.
    pub fn kept(&self, stage: &str) -> Option<u64> {
        self.stages.iter().find(|s| s.name == stage).map(|s| s.rows.len() as u64)
    }

    /// Rows added and retracted at each stage.
    pub fn changes(&self, plan: &Plan, outcome: &Outcome) -> Vec<(u64, u64)> {
        rows(plan, outcome)
            .iter()
            .map(|now| {
                let now_rows: BTreeSet<_> = now.rows.iter().collect();
                let before = self.stages.iter().find(|s| s.name == now.name);
                let before: BTreeSet<_> = before.map(|s| s.rows.iter().collect()).unwrap_or_default();
                (now_rows.difference(&before).count() as u64, before.difference(&now_rows).count() as u64)
            })
            .collect()
    }

    /// Makes an outcome the last published one.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn record(store: &Store, plan: &Plan, outcome: &Outcome) -> Result<(), StoreError> {
        let Ok(bytes) = postcard::to_stdvec(&rows(plan, outcome)) else { return Ok(()) };
        let digest = store.put(&bytes)?;
        if store.receipt(&key(&plan.name)).as_deref() == Some(&digest.0[..]) {
            return Ok(());
        }
        store.remember_with(key(&plan.name), &[digest], &digest.0)
    }
}
