//! What a run would do, why, and what it would cost: the answer of `plan`.

mod text;

use crate::{
    explain::{Explainer, How},
    history::{Name, parts},
    reason::Reason,
};
use datasets::row::{Dropped, Pending, Track};
use rayon::prelude::*;
use serde_json::{Value, json};
use stages::stage::{Kind, Shape};
use std::collections::{BTreeMap, BTreeSet};

/// How many ids are spelled out.
const EXAMPLES: usize = 5;

/// What a run would do.
#[derive(Debug)]
pub struct Preview {
    /// The last published run that it is compared with.
    pub run: Option<String>,
    /// Its stages.
    pub stages: Vec<Stage>,
}

/// What a run would do at one stage.
#[derive(Debug)]
pub struct Stage {
    /// The stage's name.
    pub name: String,
    /// Ids of rows on which its effect will run.
    pub will: BTreeSet<String>,
    /// Rows on which it may run, with what they wait for.
    pub may: Vec<Pending>,
    /// Results that are remembered.
    pub cached: u64,
    /// Rows that are known and kept.
    pub kept: usize,
    /// Rows that are dropped.
    pub dropped: usize,
    /// Rows that an opt-out list names, with its sentence.
    pub withdrawn: Vec<(String, String)>,
    /// Rows to add and to retract; of what waits an estimate.
    pub rows: (u64, u64),
    /// Whether something waits.
    pub open: bool,
    /// Items that will run, and that may run when one counts for all that it stands for.
    pub items: (u64, u64),
    /// Each reason once.
    pub reasons: Vec<Told>,
    /// What running them all costs.
    pub cost: Estimate,
}

/// A reason and the items that it holds for.
#[derive(Debug)]
pub struct Told {
    /// The reason; of items with several, what these have in common.
    pub reason: Reason,
    /// Whether they will run; otherwise they may.
    pub certain: bool,
    /// How many items.
    pub count: u64,
    /// The ids of the first.
    pub ids: Vec<String>,
}

/// What items cost, as far as something is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Seconds of sound to go through.
    pub audio: Option<f64>,
    /// Bytes to write.
    pub bytes: Option<f64>,
    /// Seconds of work: beside each other they take less.
    pub seconds: Option<f64>,
}

impl Estimate {
    /// Both; what is known of one only is that.
    fn add(self, other: Estimate) -> Estimate {
        let sum = |a: Option<f64>, b: Option<f64>| {
            if a.is_some() || b.is_some() { Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)) } else { None }
        };
        Estimate {
            audio: sum(self.audio, other.audio),
            bytes: sum(self.bytes, other.bytes),
            seconds: sum(self.seconds, other.seconds),
        }
    }
}

impl Preview {
    /// Of a dry run.
    pub fn of(explainer: &Explainer<'_>) -> Preview {
        let pace = Pace::of(explainer);
        let stages = (0..explainer.plan.stages.len()).map(|stage| of_stage(explainer, stage, &pace)).collect();
        Preview { run: explainer.last().map(str::to_owned), stages }
    }

    /// What all stages cost, and the stages whose items were never measured.
    fn total(&self) -> (Estimate, Vec<&str>) {
        let busy = self.stages.iter().filter(|stage| stage.items != (0, 0));
        let total = busy.clone().fold(Estimate::default(), |total, stage| total.add(stage.cost));
        (total, busy.filter(|stage| stage.cost.seconds.is_none()).map(|stage| stage.name.as_str()).collect())
    }

    /// Items that will and that may run.
    fn items(&self) -> (u64, u64) {
        self.stages.iter().fold((0, 0), |(will, may), stage| (will + stage.items.0, may + stage.items.1))
    }

    /// As one JSON event.
    pub fn json(&self) -> String {
        let stages: BTreeMap<&str, Value> =
            self.stages.iter().map(|stage| (stage.name.as_str(), stage.json())).collect();
        let ((will, may), (cost, unmeasured)) = (self.items(), self.total());
        let totals = json!({ "will": will, "may": may, "estimate": cost.json(), "unmeasured": unmeasured });
        json!({ "event": "plan", "against": self.run, "stages": stages, "totals": totals }).to_string()
    }
}

impl Estimate {
    fn json(&self) -> Value {
        json!({ "audio_seconds": self.audio, "bytes": self.bytes.map(|bytes| bytes.round() as u64), "seconds": self.seconds })
    }
}

impl Stage {
    fn json(&self) -> Value {
        let may = self.may.iter().map(|row| json!({ "id": row.id, "behind": row.behind, "cause": row.cause }));
        let reasons = self.reasons.iter().map(|told| {
            let mut value = told.reason.json();
            value["certain"] = told.certain.into();
            value["count"] = told.count.into();
            value["ids"] = told.ids.clone().into();
            value
        });
        json!({
            "will": self.will,
            "may": may.collect::<Vec<_>>(),
            "cached": self.cached,
            "kept": self.kept,
            "dropped": self.dropped,
            "withdrawn": self.withdrawn.iter().map(|(id, _)| id).collect::<Vec<_>>(),
            "added": self.rows.0,
            "retracted": self.rows.1,
            "estimated": self.open,
            "items": self.items.0 + self.items.1,
            "reasons": reasons.collect::<Vec<_>>(),
            "estimate": self.cost.json(),
        })
    }
}

/// How much sound there is in a byte of a file that is not decoded, from those that are.
struct Pace(Option<f64>);

/// Seconds of a decoded track.
fn decoded(track: &Track) -> Option<f64> {
    let recording = track.recording.as_ref()?;
    Some(recording.frames as f64 / f64::from(recording.rate.max(1)))
}

impl Pace {
    fn of(explainer: &Explainer<'_>) -> Pace {
        let tracks = |stage: usize| {
            let kept = &explainer.outcome.stages[stage].kept;
            let rows = if kept.are(Kind::Track) { kept.tracks().collect() } else { Vec::new() };
            rows.into_iter().filter_map(|track| Some((decoded(&track)?, track.bytes)))
        };
        let sums = (0..explainer.plan.stages.len())
            .map(|stage| tracks(stage).fold((0.0, 0), |(seconds, bytes), (more, size)| (seconds + more, bytes + size)));
        Pace(sums.into_iter().find(|(_, bytes)| *bytes > 0).map(|(seconds, bytes)| seconds / bytes as f64))
    }

    /// Seconds of a track.
    fn seconds(&self, track: &Track) -> Option<f64> {
        decoded(track).or_else(|| (track.bytes > 0).then_some(self.0? * track.bytes as f64))
    }

    /// Seconds of a row, or of what an id names of a track.
    fn of_part(&self, track: &Track, id: &str) -> Option<f64> {
        let frames = parts(id).1.and_then(|span| span.split_once('+')?.1.parse::<f64>().ok());
        match (frames, &track.chain) {
            (Some(frames), Some(chain)) => Some(frames / f64::from(chain.rate.max(1))),
            _ => self.seconds(track),
        }
    }
}

/// Why items run, by what they have in common.
type Families = BTreeMap<(bool, Reason), (BTreeSet<Reason>, Vec<String>)>;

fn of_stage(explainer: &Explainer<'_>, stage: usize, pace: &Pace) -> Stage {
    let explainer = explainer.of(stage);
    let (planned, own) = (&explainer.plan.stages[stage], &explainer.outcome.stages[stage]);
    // Of an item that waits for several, the first decides.
    let mut may: BTreeMap<&str, &Pending> = BTreeMap::new();
    for row in own.ledger.may.keys() {
        may.entry(&row.id).or_insert(row);
    }
    let mut families = Families::new();
    let mut tell = |certain: bool, reason: Reason, id: &str| {
        let (reasons, ids) = families.entry((!certain, reason.family())).or_default();
        // One or several is all that matters.
        if reasons.len() < 2 {
            reasons.insert(reason);
        }
        ids.push(id.to_owned());
    };
    for id in &own.ledger.will {
        tell(true, explainer.item(stage, id), id);
    }
    for (id, row) in &may {
        tell(false, explainer.waiting(stage, row), id);
    }
    let told = families.into_iter().map(|((uncertain, family), (mut reasons, ids))| Told {
        reason: reasons.pop_first().filter(|_| reasons.is_empty()).unwrap_or(family),
        certain: !uncertain,
        count: ids.len() as u64,
        ids: ids.into_iter().take(EXAMPLES).collect(),
    });
    let reasons = told.collect();
    let clips = clips_of_a_track(explainer, stage);
    let each = |id: &str| if parts(id).1.is_none() { clips } else { 1.0 };
    let items = (own.ledger.will.len() as u64, may.keys().map(|id| each(id)).sum::<f64>().round() as u64);
    let withdrawn = own.dropped.iter().filter(|row| row.code == Dropped::WITHDRAWN);
    Stage {
        name: planned.name.clone(),
        cached: own.ledger.cached,
        kept: own.kept.len(),
        dropped: own.dropped.len(),
        withdrawn: withdrawn.map(|row| (row.id.clone(), row.why.clone())).collect(),
        rows: changes(explainer, stage),
        open: !own.pending.is_empty(),
        items,
        reasons,
        cost: cost(explainer, stage, &may, items.0 + items.1, pace),
        will: own.ledger.will.clone(),
        may: own.ledger.may.keys().cloned().collect(),
    }
}

/// How many clips a track gives, where a stage works on clips, as far as others tell; 1 elsewhere.
fn clips_of_a_track(explainer: &Explainer<'_>, stage: usize) -> f64 {
    let planned = &explainer.plan.stages[stage];
    let clips = |kind: Kind| matches!(kind, Kind::Clip | Kind::Codes);
    if !clips(planned.entry.gives) {
        return 1.0;
    }
    let fed = planned.inputs.first().and_then(|fed| fed.first()).copied();
    let fed = fed.filter(|&fed| clips(explainer.plan.stages[fed].entry.gives)).unwrap_or(stage);
    let marks = explainer.marks(fed);
    let tracks: BTreeSet<Name> = marks.iter().map(|mark| mark.name.track()).collect();
    if tracks.is_empty() { 1.0 } else { marks.len() as f64 / tracks.len() as f64 }
}

/// What the items of a stage cost, by what they cost when they were last measured.
fn cost(explainer: &Explainer<'_>, stage: usize, may: &BTreeMap<&str, &Pending>, items: u64, pace: &Pace) -> Estimate {
    let (planned, own) = (&explainer.plan.stages[stage], &explainer.outcome.stages[stage]);
    if items == 0 {
        return Estimate::default();
    }
    let mut audio = None;
    if planned.entry.shape == Shape::OneToOne {
        let waiting = may.iter().map(|(id, row)| pace.of_part(row.track.as_deref()?, id));
        let fed = planned.inputs.first().into_iter().flatten().filter(|_| !own.ledger.will.is_empty());
        let rows = fed.flat_map(|&fed| explainer.outcome.stages[fed].kept.iter());
        let certain = rows.filter_map(|row| {
            let id = row.id();
            own.ledger.will.contains(&*id).then(|| pace.of_part(row.track()?, &id))
        });
        audio = certain.chain(waiting).flatten().reduce(|sum, seconds| sum + seconds);
    }
    let known = explainer.past(stage).and_then(|past| past.cost).filter(|cost| cost.executed > 0);
    let mean = |sum: f64, of: u64| sum / of as f64 * items as f64;
    Estimate {
        audio,
        bytes: known.map(|cost| mean(cost.bytes as f64, cost.executed)),
        seconds: known.map(|cost| mean(cost.seconds, cost.executed)),
    }
}

/// Rows that a stage will add and retract against the last run. A row that waits is taken for another one, unless only
/// what was remembered of it is lost.
fn changes(explainer: &Explainer<'_>, stage: usize) -> (u64, u64) {
    let (planned, own) = (&explainer.plan.stages[stage], &explainer.outcome.stages[stage]);
    let mut waiting: BTreeMap<Name, bool> = BTreeMap::new();
    for row in &own.pending {
        let first = explainer.waiting(stage, row).first().clone();
        let same = matches!(first, Reason::Lost | Reason::Failed);
        waiting.entry(Name::of(&row.id)).and_modify(|all| *all &= same).or_insert(same);
    }
    let diffs = explainer.diffs(stage);
    let all = matches!(planned.entry.shape, Shape::Corpus | Shape::Made);
    let waits = |name: Name| {
        if all { waiting.values().min() } else { waiting.get(&name).or_else(|| waiting.get(&name.track())) }
    };
    let (mut added, mut retracted, mut renewed) = (0, 0, 0);
    for diff in diffs {
        match (diff.how, waits(diff.name)) {
            (How::Added, _) => added += 1,
            (How::Changed, _) => (added, retracted) = (added + 1, retracted + 1),
            (How::Gone, None) => retracted += 1,
            (How::Gone, Some(true)) => {}
            (How::Gone, Some(false)) => (retracted, renewed) = (retracted + 1, renewed + 1),
        }
    }
    let clips = clips_of_a_track(explainer, stage);
    let fresh = waiting.iter().filter(|(_, same)| !**same);
    let fresh: f64 = fresh.map(|(name, _)| if *name == name.track() { clips } else { 1.0 }).sum();
    // What is made of everything is as much as it was.
    added += if all && renewed > 0 { renewed } else { fresh.round() as u64 };
    (added, retracted)
}
