//! From lowered manifests, one for each point of a sweep, to one graph: a stage that is the same at several points is
//! there once, and what differs is there once for each way in which it differs.

use super::{PlannedStage, lower::Lowered, wire::Graph};
use crate::manifest::{self, Assigned};
use datasets::{Digest, Key, names};
use stages::settings::Complaint;
use std::collections::{BTreeMap, BTreeSet};

/// The points of a sweep, over the stages of a plan.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// Every point, in the order of the file.
    pub points: Vec<Point>,
    /// The names in the manifest of the stages that differ between points.
    pub stages: BTreeSet<String>,
}

/// One combination of values.
#[derive(Clone, Debug)]
pub struct Point {
    /// Name on screen: `top_p=0.9,seed=17`, or the name of a `[[sweep.point]]`.
    pub name: String,
    /// The same without the seed: points that differ in nothing else are repetitions of one.
    pub group: String,
    /// The folder for what it publishes.
    pub folder: String,
    /// Assigned values as TOML, by setting: `stage.songs.top_p`, `seed`.
    pub values: BTreeMap<String, String>,
    /// All its stages, by their index in the plan.
    pub stages: Vec<usize>,
}

/// A manifest as it is at one point, with its stages lowered and wired.
pub(super) struct At<'m> {
    pub(super) point: &'m manifest::Point,
    pub(super) seed: u64,
    pub(super) stages: Vec<Lowered<'m>>,
    pub(super) graph: Graph,
}

impl At<'_> {
    /// A stage and all that it rests on.
    fn rests_on(&self, stage: usize) -> BTreeSet<usize> {
        let mut all = self.graph.upstream(stage);
        all.insert(stage);
        all
    }

    /// Whether a value decides about one of these stages.
    fn decides(&self, value: &Assigned, stages: &BTreeSet<usize>) -> bool {
        stages.iter().any(|&stage| match value.stage() {
            Some(name) => self.stages[stage].name.text == name,
            None => self.stages[stage].entry.is_some_and(|entry| entry.random),
        })
    }

    /// A value as the verb reads it, so that `1` and `1.0` are one.
    fn shown(&self, value: &Assigned) -> String {
        let read = match value.path.as_slice() {
            [_, name, field] => self.stages.iter().find(|stage| stage.name.text == name.text).and_then(|stage| {
                let shown = stage.ready.as_ref()?.shown();
                Some(shown.into_iter().find(|(name, _)| *name == field.text)?.1)
            }),
            _ => None,
        };
        read.filter(|text| !text.is_empty()).unwrap_or_else(|| manifest::shown(&value.value.data))
    }
}

/// Complains about values that mean what another value of their axis means, and about listed points that mean what another
/// one means, however these are written.
pub(super) fn alike(points: &[At<'_>], complaints: &mut Vec<Complaint>) {
    let mut axes: BTreeMap<(String, String), &Assigned> = BTreeMap::new();
    let mut listed: BTreeMap<Vec<(String, String)>, &Assigned> = BTreeMap::new();
    for at in points {
        let (own, others) = at.point.values.split_at(at.point.listed);
        for value in others {
            let first = axes.entry((value.key(), at.shown(value))).or_insert(value);
            if first.value.data != value.value.data {
                let [one, other] = [value, first].map(|value| manifest::shown(&value.value.data));
                let message = format!("`{}`: {one} means what {other} means, which is in the list too", value.key());
                complaints.push(Complaint::new(value.value.at, message).help("a point is computed once"));
            }
        }
        let Some(value) = own.first() else { continue };
        let mut meant: Vec<(String, String)> = own.iter().map(|value| (value.key(), at.shown(value))).collect();
        meant.sort();
        if listed.entry(meant).or_insert(value).value.at != value.value.at {
            let complaint = Complaint::new(value.value.at, "this point means what another means");
            complaints.push(complaint.help("keep one of them"));
        }
    }
}

/// A part of a point's name, and which of its values it stands for.
struct Piece {
    text: String,
    values: Vec<usize>,
    seed: bool,
}

/// Puts the points together; `to` cuts each to one stage and what it rests on.
pub(super) fn merge(points: &[At<'_>], to: Option<usize>) -> (Vec<PlannedStage>, Option<Sweep>) {
    let kept: Vec<BTreeSet<usize>> =
        points.iter().map(|at| to.map_or_else(|| (0..at.stages.len()).collect(), |last| at.rests_on(last))).collect();
    let pieces = pieces(points, &kept);
    let mut stages: Vec<PlannedStage> = Vec::new();
    let mut ranks: Vec<(usize, usize)> = Vec::new();
    let mut known: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut sweep = Sweep::default();
    let mut seen = BTreeSet::new();
    for ((at, kept), pieces) in points.iter().zip(&kept).zip(&pieces) {
        let name = named(pieces.iter());
        // A cut may leave nothing of what told two points apart.
        if !seen.insert(name.clone()) {
            continue;
        }
        let mut place: BTreeMap<usize, usize> = BTreeMap::new();
        for &index in at.graph.order.iter().filter(|index| kept.contains(index)) {
            let lowered = &at.stages[index];
            let (Some(entry), Some(ready)) = (lowered.entry, lowered.ready.clone()) else { continue };
            let rests_on = at.rests_on(index);
            let decides = |piece: &&Piece| piece.values.iter().any(|v| at.decides(&at.point.values[*v], &rests_on));
            let label = named(pieces.iter().filter(decides));
            let of = lowered.name.text.clone();
            if !label.is_empty() {
                sweep.stages.insert(of.clone());
            }
            let ports = at.graph.ports[index].iter();
            let stage = PlannedStage {
                name: if label.is_empty() { of.clone() } else { format!("{of}[{label}]") },
                of,
                entry,
                ready,
                inputs: ports.map(|fed| fed.iter().filter_map(|from| place.get(from).copied()).collect()).collect(),
                max_dropped: lowered.max_dropped,
                salt: lowered.salt.clone(),
                seed: at.seed,
            };
            let next = stages.len();
            let planned = *known.entry(identity(&stage)).or_insert(next);
            if planned == next {
                stages.push(stage);
                ranks.push((index, next));
            }
            place.insert(index, planned);
        }
        let values = at.point.values.iter().enumerate();
        let values = values.filter(|(v, _)| pieces.iter().any(|piece| piece.values.contains(v)));
        sweep.points.push(Point {
            group: named(pieces.iter().filter(|piece| !piece.seed)),
            folder: String::new(),
            values: values.map(|(_, value)| (value.key(), at.shown(value))).collect(),
            stages: place.into_values().collect(),
            name,
        });
    }
    let order = order(&stages, &ranks);
    let mut place = vec![0; stages.len()];
    order.iter().enumerate().for_each(|(new, &old)| place[old] = new);
    let mut sorted: Vec<PlannedStage> = order.iter().map(|&old| stages[old].clone()).collect();
    for stage in &mut sorted {
        for fed in &mut stage.inputs {
            fed.iter_mut().for_each(|from| *from = place[*from]);
            // In which order `from` names them means nothing.
            fed.sort_unstable();
        }
    }
    for point in &mut sweep.points {
        point.stages.iter_mut().for_each(|stage| *stage = place[*stage]);
        point.stages.sort_unstable();
    }
    folders(&mut sweep.points);
    (sorted, (!sweep.stages.is_empty()).then_some(sweep))
}

/// Values on which one variant depends, at the points that have it.
pub(super) fn only(
    stages: &[PlannedStage],
    sweep: Option<Sweep>,
    variant: usize,
) -> (Vec<PlannedStage>, Option<Sweep>) {
    let mut kept = BTreeSet::from([variant]);
    let mut open = vec![variant];
    while let Some(next) = open.pop() {
        open.extend(stages[next].inputs.iter().flatten().filter(|&&from| kept.insert(from)));
    }
    let order: Vec<usize> = kept.iter().copied().collect();
    let place = |old: usize| order.binary_search(&old).unwrap_or_default();
    let cut = order.iter().map(|&old| {
        let mut stage = stages[old].clone();
        stage.inputs.iter_mut().flatten().for_each(|from| *from = place(*from));
        stage
    });
    let sweep = sweep.map(|mut sweep| {
        sweep.points.retain(|point| point.stages.contains(&variant));
        for point in &mut sweep.points {
            point.stages = point.stages.iter().filter(|old| kept.contains(old)).map(|old| place(*old)).collect();
        }
        sweep
    });
    (cut.collect(), sweep)
}

/// The name of each point in parts: its own name or values, then the axes by name, the seed last. What decides about no
/// stage that is kept is left out.
fn pieces(points: &[At<'_>], kept: &[BTreeSet<usize>]) -> Vec<Vec<Piece>> {
    let mut counts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut deciding: BTreeSet<String> = BTreeSet::new();
    let mut listed = false;
    for (at, kept) in points.iter().zip(kept) {
        for (index, value) in at.point.values.iter().enumerate() {
            let last = value.path.last().map_or("", |word| word.text.as_str());
            counts.entry(last).or_default().insert(value.key());
            if at.decides(value, kept) {
                deciding.insert(value.key());
                listed |= index < at.point.listed;
            }
        }
    }
    let piece = |at: &At<'_>, index: usize| {
        let value = &at.point.values[index];
        let last = value.path.last().map_or("", |word| word.text.as_str());
        let several = counts.get(last).is_some_and(|keys| keys.len() > 1);
        let key = value.key();
        let field = match value.stage() {
            Some(_) if several => key.trim_start_matches("stage."),
            _ => last,
        };
        let text = format!("{}={}", field.replace(char::is_whitespace, "_"), brief(&at.shown(value)));
        Piece { text, values: vec![index], seed: key == "seed" }
    };
    let of = |at: &At<'_>| {
        let count = at.point.values.len();
        let decides = |index: &usize| deciding.contains(&at.point.values[*index].key());
        let mut own: Vec<Piece> = match &at.point.name {
            Some(name) if listed => {
                vec![Piece { text: name.clone(), values: (0..at.point.listed).collect(), seed: false }]
            }
            Some(_) => Vec::new(),
            None => (0..at.point.listed).filter(decides).map(|index| piece(at, index)).collect(),
        };
        let mut axes: Vec<Piece> = (at.point.listed..count).filter(decides).map(|index| piece(at, index)).collect();
        own.sort_by(|a, b| (a.seed, &a.text).cmp(&(b.seed, &b.text)));
        axes.sort_by(|a, b| (a.seed, &a.text).cmp(&(b.seed, &b.text)));
        own.extend(axes);
        own
    };
    points.iter().map(of).collect()
}

fn named<'p>(pieces: impl Iterator<Item = &'p Piece>) -> String {
    pieces.map(|piece| piece.text.as_str()).collect::<Vec<_>>().join(",")
}

/// A value in a name: without the quotes of plain words, without blanks, and of bounded length.
fn brief(shown: &str) -> String {
    const LONGEST: usize = 32;
    let bare = shown.trim_matches('"');
    let word = !bare.is_empty() && bare.chars().all(|c| c.is_alphanumeric() || "-_.+".contains(c));
    let text: String = if word { bare } else { shown }.split_whitespace().collect();
    // Blanks inside strings tell values apart too.
    let lossy = !word && shown.contains('"') && shown.contains(char::is_whitespace);
    if text.chars().count() <= LONGEST && !lossy {
        return text;
    }
    let start: String = text.chars().take(LONGEST - 12).collect();
    format!("{start}~{}", Digest::of(shown.as_bytes()).short(6))
}

/// All that decides about a stage's rows and its account: two stages of one name and one identity are one.
fn identity(stage: &PlannedStage) -> Digest {
    let mut key = Key::new("variant").text(&stage.of).text(stage.entry.verb).text(&stage.salt);
    // Unlike the settings' digest, what is shown has paths and `refresh` in it.
    for (field, value) in stage.ready.shown() {
        key = key.text(field).text(&value);
    }
    key = key.number(stage.max_dropped.map_or(u64::MAX, f64::to_bits));
    key = key.number(if stage.entry.random { stage.seed } else { 0 });
    for fed in &stage.inputs {
        let fed: BTreeSet<usize> = fed.iter().copied().collect();
        key = fed.iter().fold(key.number(fed.len() as u64), |key, from| key.number(*from as u64));
    }
    key.finish()
}

/// Each stage after those it rests on, otherwise in the order of the file and of the points.
fn order(stages: &[PlannedStage], ranks: &[(usize, usize)]) -> Vec<usize> {
    let mut waits: Vec<usize> =
        stages.iter().map(|stage| stage.inputs.iter().flatten().collect::<BTreeSet<_>>().len()).collect();
    let mut below: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); stages.len()];
    for (index, stage) in stages.iter().enumerate() {
        for &from in stage.inputs.iter().flatten() {
            below[from].insert(index);
        }
    }
    let mut ready: BTreeSet<(usize, usize)> = ranks.iter().copied().filter(|&(_, stage)| waits[stage] == 0).collect();
    let mut order = Vec::with_capacity(stages.len());
    while let Some((_, stage)) = ready.pop_first() {
        order.push(stage);
        for &next in &below[stage] {
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.insert(ranks[next]);
            }
        }
    }
    order
}

/// Names that every file system takes; where two become alike, a digest tells them apart.
fn folders(points: &mut [Point]) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.=,+".contains(c);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    // Some file systems do not tell capitals apart.
    let alike = |point: &Point| names::folded(&names::stem(&point.name, plain));
    points.iter().for_each(|point| *counts.entry(alike(point)).or_default() += 1);
    for point in points {
        point.folder = match counts.get(&alike(point)) {
            Some(1) => names::stem(&point.name, plain),
            _ => names::marked(&point.name, plain),
        };
    }
}

#[cfg(test)]
mod tests;
