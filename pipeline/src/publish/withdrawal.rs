//! Withdrawal: which tracks the opt-out lists of a run name, and what rests on them that the run cannot undo.
//!
//! A dropped track leaves a tombstone: id, day, evidence. A model that was trained on it and is pinned is tainted, and so
//! is every song that was made from it. The store remembers taints with the models: once the old runs are cleaned up,
//! nothing else in it knows what the samples were of.

use crate::{
    dataflow::outcome::Outcome,
    plan::Plan,
    record::{
        kinds,
        tainted::{Tainted, Tombstone},
    },
};
use datasets::{
    Digest, Key,
    corpus::{Member, Name, OptOut, Withdrawal},
    row::{Dropped, Track},
    store::{Memo, Recorded, Store, StoreError},
};
use rayon::prelude::*;
use stages::{flow::Env, media::lineage};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// Tracks that the opt-out lists of a run withdraw, and the models tainted by them.
#[derive(Debug, Default)]
pub struct Withdrawn {
    /// Tombstones of the tracks that were dropped as withdrawn, by id.
    pub tombstones: BTreeSet<Tombstone>,
    /// Models of the run that were trained on one of them.
    pub tainted: Vec<Tainted>,
    /// Every track that they name, as far as the store knows them, sorted.
    pub members: Vec<Member>,
    /// Digests of bytes and samples that only withdrawn tracks have.
    pub gone: BTreeSet<Digest>,
    /// Numbers of the lines that name no track, by the stage whose list it is.
    pub idle: BTreeMap<String, Vec<u64>>,
}

impl Withdrawn {
    /// Returns a function that gives the sentence of a dropped row, or `None` if a published tree must not hold it
    /// because it names a withdrawn track or a path: withdrawn tracks are named in the quarantine table alone, and
    /// paths of sources in nothing that is published.
    pub(crate) fn redact(&self) -> impl Fn(&Dropped) -> Option<&str> {
        let withdrawn: HashSet<&str> = self.tombstones.iter().map(|track| track.id.as_str()).collect();
        move |row| {
            // Where a sentence names another track, that ends it: "has exactly the samples of ID".
            let named = |(at, of): (usize, &str)| withdrawn.contains(&row.why[at + of.len()..]);
            // The sentence of a failure names a path.
            (!row.failed && !row.why.match_indices(" of ").any(named)).then_some(&*row.why)
        }
    }
}

/// Looks at what became of a plan. Dropped rows that a list names by id count as withdrawn, whatever else was wrong with
/// them, and stages with tainted models or songs get a note.
///
/// # Errors
/// When the store lacks what a row names, or the disk refuses.
pub fn look(plan: &Plan, outcome: &mut Outcome, env: &Env) -> Result<Withdrawn, StoreError> {
    let mut found = Withdrawn::default();
    if env.optouts.is_empty() {
        return Ok(found);
    }
    let lists: Vec<&Arc<OptOut>> = env.optouts.values().collect();
    let find = |track: &Member| lists.iter().filter_map(|list| list.find(track)).min();
    for row in outcome.stages.iter_mut().flat_map(|stage| Arc::make_mut(&mut stage.dropped)) {
        if let Some(line) = find(&Member::named(&row.id)) {
            row.code = Dropped::WITHDRAWN.into();
            row.why = line.to_string().into();
            row.failed = false;
            found.tombstones.insert(Tombstone::new(&row.id, line));
        }
    }
    let mut ids: HashMap<Name, String> = found.tombstones.iter().map(|t| (Name::id(&t.id), t.id.clone())).collect();
    let mut members: BTreeMap<Member, Tombstone> = BTreeMap::new();
    let mut hit: BTreeMap<&str, HashSet<u64>> = BTreeMap::new();
    for (stage, list) in &env.optouts {
        for track in dropped_by(plan, outcome, stage) {
            let member = Member::of(&track.view());
            let Some(line) = list.find(&member) else { continue };
            hit.entry(stage).or_default().insert(line.line);
            let tombstone = Tombstone::new(&track.id, line);
            ids.insert(member.id, track.id.clone());
            found.tombstones.insert(tombstone.clone());
            found.gone.insert(track.content);
            found.gone.extend(track.recording.as_ref().map(|recording| recording.samples));
            members.insert(member, tombstone);
        }
    }
    let roots = env.store.roots()?;
    let own = roots.iter().filter(|recorded| recorded.root.name == plan.name);
    for member in own.flat_map(|recorded| recorded.root.tracks.iter().chain(&recorded.root.withdrawn)) {
        for (stage, list) in &env.optouts {
            if let Some(line) = list.find(member) {
                hit.entry(stage).or_default().insert(line.line);
                let id = ids.get(&member.id).map_or("", String::as_str);
                members.entry(member.clone()).or_insert_with(|| Tombstone::new(id, line));
            }
        }
    }
    for (stage, list) in &env.optouts {
        let idle = |line: &&Withdrawal| hit.get(stage.as_str()).is_none_or(|hit| !hit.contains(&line.line));
        let idle: Vec<u64> = list.lines().iter().filter(idle).map(|line| line.line).collect();
        if !idle.is_empty() {
            found.idle.insert(stage.clone(), idle);
        }
    }
    let alive = alive(plan, outcome, env);
    found.gone.retain(|digest| !alive.contains(digest));
    found.tainted = tainted(plan, outcome, &env.store, &samples(&members, &roots, &alive), &find)?;
    found.members = members.into_keys().collect();
    note(outcome, plan, &found.tainted);
    Ok(found)
}

/// The tracks that went into a stage and were withdrawn there.
fn dropped_by(plan: &Plan, outcome: &Outcome, stage: &str) -> Vec<Track> {
    let Some(index) = plan.stages.iter().position(|own| own.name == stage) else { return Vec::new() };
    let own = &outcome.stages[index].dropped;
    let ids: HashSet<&str> = own.iter().filter(|row| row.withdrawn()).map(|row| row.id.as_str()).collect();
    let inputs = plan.stages[index].inputs.iter().flatten().map(|from| &outcome.stages[*from].kept);
    inputs.flat_map(|kept| kept.of_ids(&ids)).collect()
}

/// Digests of bytes and samples of the tracks that are left: of every stage but those that a list stands behind.
fn alive(plan: &Plan, outcome: &Outcome, env: &Env) -> BTreeSet<Digest> {
    let mut before: BTreeSet<usize> = BTreeSet::new();
    for (index, stage) in plan.stages.iter().enumerate().rev() {
        if before.contains(&index) || env.optouts.contains_key(&stage.name) {
            before.extend(stage.inputs.iter().flatten());
        }
    }
    let left = outcome.stages.iter().enumerate().filter(|(index, _)| !before.contains(index));
    let digests = |t: Track| [Some(t.content), t.recording.map(|r| r.samples)].into_iter().flatten();
    left.flat_map(|(_, stage)| stage.kept.tracks().flat_map_iter(digests).collect::<Vec<_>>()).collect()
}

/// Withdrawn tracks by the name of their samples, which are known from runs that held the same bytes.
fn samples(
    members: &BTreeMap<Member, Tombstone>,
    roots: &[Recorded],
    alive: &BTreeSet<Digest>,
) -> BTreeMap<Name, (Member, Tombstone)> {
    let by_content: HashMap<Name, (&Member, &Tombstone)> =
        members.iter().filter_map(|(member, tombstone)| Some((member.content?, (member, tombstone)))).collect();
    let held = roots.iter().flat_map(|recorded| recorded.root.tracks.iter().chain(&recorded.root.withdrawn));
    let alive: HashSet<Name> = alive.iter().map(Name::digest).collect();
    let mut samples = BTreeMap::new();
    for member in members.keys().chain(held) {
        if let (Some(content), Some(sound)) = (member.content, member.samples)
            && let Some((withdrawn, tombstone)) = by_content.get(&content)
            && !alive.contains(&sound)
        {
            let withdrawn = Member { samples: Some(sound), ..(*withdrawn).clone() };
            samples.entry(sound).or_insert_with(|| (withdrawn, (*tombstone).clone()));
        }
    }
    samples
}

/// Withdrawn tracks that a tainted model was trained on, as the store remembers them.
type Taints = BTreeMap<Member, Tombstone>;

/// Memo of the withdrawn tracks that a model was trained on.
fn taint(model: &Digest) -> Memo<Taints> {
    Memo::at(Key::new("withdrawn from under").digest(model).finish())
}

fn tainted<'l>(
    plan: &Plan,
    outcome: &Outcome,
    store: &Store,
    samples: &BTreeMap<Name, (Member, Tombstone)>,
    find: &dyn Fn(&Member) -> Option<&'l Withdrawal>,
) -> Result<Vec<Tainted>, StoreError> {
    let mut tainted: Vec<Tainted> = Vec::new();
    for (stage, product) in kinds::models(plan, outcome) {
        let (model, lineage) = (product.digest, lineage::of(store, &product.digest, &product.lineage)?);
        let memo = taint(&model);
        let known = memo.get(store).unwrap_or_default();
        let mut all = known.clone();
        for (member, tombstone) in lineage.iter().filter_map(|sound| samples.get(&Name::digest(sound))) {
            all.insert(member.clone(), tombstone.clone());
        }
        if all != known {
            memo.put(store, &all, &[model])?;
        }
        // Only what these lists withdraw: another manifest may have other lists.
        let named = |(member, tombstone): (Member, Tombstone)| Some(Tombstone::new(&tombstone.id, find(&member)?));
        let withdrawn: BTreeSet<Tombstone> = all.into_iter().filter_map(named).collect();
        if !withdrawn.is_empty() {
            let withdrawn = withdrawn.into_iter().collect();
            tainted.push(Tainted { stage: stage.name.clone(), model, withdrawn, songs: Vec::new() });
        }
    }
    for (stage, song) in kinds::songs(plan, outcome) {
        for model in tainted.iter_mut().filter(|t| song.models.contains(&t.model)) {
            model.songs.push(format!("{}/{}", stage.name, song.title));
        }
    }
    Ok(tainted)
}

/// Says it where the run is summed up. The tracks themselves are named in the quarantine table and in the record alone.
fn note(outcome: &mut Outcome, plan: &Plan, tainted: &[Tainted]) {
    for Tainted { stage, model, withdrawn, songs } in tainted {
        let tracks = if withdrawn.len() == 1 { "track that is" } else { "tracks that are" };
        let mut note = format!(
            "{stage} is tainted: its weights {} were trained on {} {tracks} withdrawn now",
            model.short(12),
            withdrawn.len()
        );
        match songs.as_slice() {
            [] => {}
            songs => note += &format!("; made from them: {}", songs.join(", ")),
        }
        if let Some(own) = plan.stages.iter().position(|own| own.name == *stage) {
            if plan.stages[own].ready.refresh().is_some() {
                note += &format!("; `--refresh {stage}` trains without them");
            }
            outcome.stages[own].ledger.notes.insert(note);
        }
    }
}

/// The quarantine table: tab-separated, a line for each tombstone under a header.
pub fn quarantine(tombstones: &BTreeSet<Tombstone>) -> String {
    // A tab or a new line within a text would break the table.
    let plain = |text: &str| text.replace(|c: char| c.is_control(), " ");
    let line = |t: &Tombstone| format!("{}\t{}\t{}\n", plain(&t.id), plain(&t.date), plain(&t.evidence));
    std::iter::once("id\tdate\tevidence\n".to_owned()).chain(tombstones.iter().map(line)).collect()
}
