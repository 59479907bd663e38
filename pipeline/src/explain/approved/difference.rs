//! Differences between a saved plan and the present plan of the same manifest, as sentences.

use super::{Approved, Named, Stage};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of names that a sentence spells out.
const EXAMPLES: usize = 3;

impl Approved {
    /// Compares this saved plan with `now`, the plan of the same manifest at present: one sentence per difference.
    /// Empty if a run does what this plan names, or less.
    pub fn differences(&self, now: &Approved) -> Vec<String> {
        sentences(self, now)
    }
}

/// Lists the differences between two plans, one sentence each; empty if a run does what `saved` names, or less.
fn sentences(saved: &Approved, now: &Approved) -> Vec<String> {
    let mut said = Vec::new();
    asked(saved, now, &mut said);
    versions(saved, now, &mut said);
    let both = || now.order.iter().filter_map(|name| Some((name, saved.stages.get(name)?, now.stages.get(name)?)));
    both().for_each(|(name, was, is)| manifest(name, was, is, saved.seed == now.seed, &mut said));
    if said.is_empty() && saved.plan != now.plan {
        said.push("the manifest is another one than when the plan was saved".to_owned());
    }
    both().for_each(|(name, was, is)| sources(name, was, is, &mut said));
    if said.is_empty() && saved.inputs != now.inputs {
        said.push("the sources hold something else than when the plan was saved".to_owned());
    }
    both().for_each(|(name, was, is)| weights(name, was, is, &mut said));
    let moved = !said.is_empty();
    let named = Named::of(saved);
    let own = now.order.iter().filter_map(|name| Some((name, now.stages.get(name)?)));
    own.for_each(|(name, is)| items(name, saved.stages.get(name), is, &named, moved, &mut said));
    said
}

/// Compares what the command line and the manifest say apart from single stages: `--refresh`, the seed, the names of
/// the stages, the points of a sweep.
fn asked(saved: &Approved, now: &Approved, said: &mut Vec<String>) {
    let missing = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
    for stage in missing(&saved.refresh, &now.refresh) {
        said.push(format!("the plan was saved with --refresh {stage}, and this run goes without"));
    }
    for stage in missing(&now.refresh, &saved.refresh) {
        said.push(format!("this run has --refresh {stage}, and the plan was saved without"));
    }
    if saved.seed != now.seed {
        said.push(format!("the seed is {} now, and {} in the plan", now.seed, saved.seed));
    }
    let names = |plan: &Approved| plan.stages.keys().cloned().collect::<BTreeSet<_>>();
    for stage in missing(&names(saved), &names(now)) {
        said.push(format!("the stage `{stage}` of the plan is not in this run"));
    }
    for stage in missing(&names(now), &names(saved)) {
        said.push(format!("the stage `{stage}` is not in the plan"));
    }
    if said.is_empty() && saved.points != now.points {
        let points = |plan: &Approved| plan.points.join("; ");
        said.push(format!("the points of the sweep are {} now, and {} in the plan", points(now), points(saved)));
    }
}

fn versions(saved: &Approved, now: &Approved, said: &mut Vec<String>) {
    for (what, is) in &now.versions {
        let was = saved.versions.get(what).map_or("unknown", String::as_str);
        if was != is {
            said.push(format!("`{what}` is {is} here, and {was} in the plan"));
        }
    }
}

/// Compares a stage's verb, inputs and settings. A seed of its own is told unless the manifest's explains it.
fn manifest(name: &str, was: &Stage, is: &Stage, own_seed: bool, said: &mut Vec<String>) {
    if was.verb != is.verb {
        said.push(format!("the stage `{name}` is `{}` now, and `{}` in the plan", is.verb, was.verb));
        return;
    }
    if was.revision != is.revision {
        said.push(format!("the revision of `{}` is {} now, and {} in the plan", is.verb, is.revision, was.revision));
    }
    let stages = |stage: &Stage| {
        let fed = stage.from.values().flatten();
        fed.map(|from| format!("`{from}`")).collect::<Vec<_>>().join(", ")
    };
    let sorted = |stage: &Stage| {
        let ports = stage.from.iter().map(|(port, fed)| (port.clone(), fed.iter().cloned().collect()));
        ports.collect::<BTreeMap<String, BTreeSet<String>>>()
    };
    if sorted(was) != sorted(is) {
        said.push(format!("the stage `{name}` reads {} now, and {} in the plan", stages(is), stages(was)));
    }
    let mut setting = |field: &str, was: Option<&str>, is: Option<&str>| {
        let value = |value: Option<&str>| value.unwrap_or("not set").to_owned();
        if was != is {
            said.push(format!("the setting stage.{name}.{field} is {} now, and {} in the plan", value(is), value(was)));
        }
    };
    let fields: BTreeSet<&String> = was.settings.keys().chain(is.settings.keys()).collect();
    for field in fields {
        let of = |stage: &'_ Stage| stage.settings.get(field).cloned();
        setting(field, of(was).as_deref(), of(is).as_deref());
    }
    if !is.settings.contains_key("salt") {
        setting("salt", Some(&format!("{:?}", was.salt)), Some(&format!("{:?}", is.salt)));
    }
    if own_seed {
        setting("seed", Some(&was.seed.to_string()), Some(&is.seed.to_string()));
    }
}

/// Keys of rows that differ from those of the same key in another stage.
fn keys<'a>(a: &'a Stage, b: &Stage, differ: fn(Option<&String>, &String) -> bool) -> Vec<&'a str> {
    let rows = a.rows.iter().filter(|(key, digest)| differ(b.rows.get(*key), digest));
    rows.map(|(key, _)| key.as_str()).collect()
}

/// Rows of a source, and tracks that a list names.
fn sources(name: &str, was: &Stage, is: &Stage, said: &mut Vec<String>) {
    let lists = [
        (keys(is, was, |other, _| other.is_none()), "new since the plan"),
        (keys(was, is, |other, _| other.is_none()), "gone since the plan"),
        (keys(is, was, |other, own| other.is_some_and(|other| other != own)), "changed since the plan"),
    ];
    for (keys, how) in lists.iter().filter(|(keys, _)| !keys.is_empty()) {
        said.push(format!("{} {how} in `{name}`: {}", count(keys.len(), &is.unit), some(keys)));
    }
    let names = |a: &'_ Stage, b: &'_ Stage| a.withdrawn.difference(&b.withdrawn).cloned().collect::<Vec<String>>();
    for (ids, how) in [(names(is, was), "withdrawn since the plan"), (names(was, is), "not withdrawn any more")] {
        if !ids.is_empty() {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            said.push(format!("{} {how} by `{name}`: {}", count(ids.len(), &is.unit), some(&ids)));
        }
    }
}

/// Weights of a pinned stage. Where the plan was to train them, any that are there by now will do.
fn weights(name: &str, was: &Stage, is: &Stage, said: &mut Vec<String>) {
    let Some(planned) = was.weights.filter(|planned| is.weights != Some(*planned)) else { return };
    let is = is.weights.map_or_else(|| "not known".to_owned(), |weights| weights.short(12));
    said.push(format!("the weights of `{name}` are {is} now, and {} in the plan", planned.short(12)));
}

/// Items that a run would execute and the plan does not name. Where nothing else has moved, the store has.
fn items(name: &str, was: Option<&Stage>, is: &Stage, named: &Named, moved: bool, said: &mut Vec<String>) {
    let may = is.may.iter().map(|item| item.id.as_str());
    let ids: BTreeSet<&str> = is.will.iter().map(String::as_str).chain(may).collect();
    let ids: Vec<&str> = ids.into_iter().filter(|id| !named.names(name, id)).collect();
    if ids.is_empty() {
        return;
    }
    let (number, examples) = (ids.len(), some(&ids));
    said.push(match moved || was.is_none_or(|was| was.remembered == 0) {
        true if number == 1 => format!("1 item of `{name}` would run that the plan does not name: {examples}"),
        true => format!("{number} items of `{name}` would run that the plan does not name: {examples}"),
        false if number == 1 => {
            format!("1 result of `{name}` that the plan counted on is not in the store any more: {examples}")
        }
        false => {
            format!("{number} results of `{name}` that the plan counted on are not in the store any more: {examples}")
        }
    });
}

/// `1 track is`, `2 tracks are`.
fn count(number: usize, unit: &str) -> String {
    match number {
        1 => format!("1 {} is", unit.strip_suffix('s').unwrap_or(unit)),
        _ => format!("{number} {unit} are"),
    }
}

/// The first names, and how many more there are.
fn some(names: &[&str]) -> String {
    let first = names.iter().take(EXAMPLES).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(EXAMPLES) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_count_and_name() {
        assert_eq!((count(1, "tracks"), count(2, "tracks")), ("1 track is".to_owned(), "2 tracks are".to_owned()));
        assert_eq!((some(&["a"]), some(&["a", "b", "c", "d", "e"])), ("a".into(), "a, b, c and 2 more".into()));
    }
}
